"""Closes what is to end, whatever that does: bounded, and tried again where it fails."""

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import structlog

from plumb_server import metrics

_log = structlog.get_logger(__name__)

Close: TypeAlias = Callable[[], Awaitable[None]]


@dataclasses.dataclass(slots=True)
class _Leftover:
    close: Close
    attempt: "asyncio.Future[None]"


class Leftovers:
    """What could not be removed when it was to end, and is tried again at each sweep.

    Args:
        within: Seconds that a removal may take before others go on without it.
    """

    def __init__(self, within: float = 30.0) -> None:
        self._within = within
        self._left: dict[str, _Leftover] = {}

    def has(self, name: str) -> bool:
        """Whether something of a session is left."""
        return name in self._left

    async def close(self, name: str, close: Close) -> bool:
        """Closes something; says whether it is gone. Never raises.

        It goes on where its caller goes away.
        """
        attempt = asyncio.ensure_future(close())
        try:
            is_gone = await self._wait(name, attempt)
        except asyncio.CancelledError:
            self._left[name] = _Leftover(close, attempt)
            raise
        if not is_gone:
            self._left[name] = _Leftover(close, attempt)
        metrics.leftovers(len(self._left))
        return is_gone

    async def sweep(self) -> None:
        """Tries once more to remove what is left."""
        await asyncio.gather(*(self._again(name, left) for name, left in [*self._left.items()]))
        metrics.leftovers(len(self._left))

    async def _again(self, name: str, left: _Leftover) -> None:
        is_gone = left.attempt.done() and not _failure(left.attempt)
        if not is_gone:
            left.attempt.cancel()
            await asyncio.wait({left.attempt}, timeout=self._within)
            if not left.attempt.done():
                return  # two at the same time would be in each other's way
            left.attempt = asyncio.ensure_future(left.close())
            is_gone = await self._wait(name, left.attempt)
        if is_gone and self._left.get(name) is left:
            del self._left[name]
            _log.info("removed what was left of a session", session=name)

    async def _wait(self, name: str, attempt: "asyncio.Future[None]") -> bool:
        await asyncio.wait({attempt}, timeout=self._within)
        if not attempt.done():
            why = f"it takes longer than {self._within:g} s"
        elif failure := _failure(attempt):
            why = failure
        else:
            return True
        _log.error("a session could not be removed; it is tried again", session=name, why=why)
        return False

    async def give_up(self) -> None:
        """Tries for the last time, and lets go of what does not end."""
        await self.sweep()
        for name, left in self._left.items():
            left.attempt.cancel()
            _log.error("a session is left behind; `plumb gc` removes it", session=name)


def _failure(attempt: "asyncio.Future[None]") -> str:
    """Why an attempt that is over failed; empty where it did not."""
    if attempt.cancelled():
        return "it was cut off"
    error = attempt.exception()
    return f"{type(error).__name__}: {error}" if error else ""
