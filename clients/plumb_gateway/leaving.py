"""Sessions that a browser made for itself: they end when it goes away, unless it keeps them."""

import asyncio
import contextlib

import structlog

from plumb_client import PlumbError, aio

_log = structlog.get_logger(__name__)


class Leaving:
    """Ends sessions a moment after their last page was closed, if that is what their owner wants.

    Whoever only watches has no wish, and does not change the owner's. The moment lets a reload, or
    a network that comes back, find its session again. Where the gateway itself is killed, the
    session's own idle timeout ends it.

    Args:
        grace: Seconds of the moment.
    """

    def __init__(self, grace: float) -> None:
        self._grace = grace
        self._watched: dict[str, int] = {}
        self._wishes: dict[str, tuple[bool, aio.Plumb]] = {}  # what owners wanted last
        self._ends: dict[str, asyncio.Task[None]] = {}

    def arrive(self, name: str) -> None:
        """A page looks at a session."""
        self._watched[name] = self._watched.get(name, 0) + 1
        end = self._ends.pop(name, None)
        if end is not None:
            end.cancel()

    def leave(self, name: str, plumb: aio.Plumb, *, keep: bool | None) -> None:
        """A page is gone; with the last one the session ends, if it is to.

        Args:
            name: The session's.
            plumb: What may end it, if this is its owner's page.
            keep: Whether the session is to live on; None for a page without a wish.
        """
        if keep is not None:
            self._wishes[name] = keep, plumb
        self._watched[name] -= 1
        if self._watched[name]:
            return
        del self._watched[name]
        keep, owner = self._wishes.get(name, (True, plumb))
        if keep:
            self._wishes.pop(name, None)
        else:
            self._ends[name] = asyncio.create_task(self._end(name, owner))

    async def _end(self, name: str, plumb: aio.Plumb) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._grace):
                await self._closing.wait()
        try:
            await (await plumb.attach(name)).close()
        except PlumbError as error:  # it has ended by itself, or will
            _log.info("a session that nobody looks at was not ended", session=name, why=str(error))
        self._ends.pop(name, None)
        self._wishes.pop(name, None)

    async def __aenter__(self) -> "Leaving":
        self._closing = asyncio.Event()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Ends at once all that was to end."""
        self._closing.set()
        await asyncio.gather(*self._ends.values(), return_exceptions=True)
