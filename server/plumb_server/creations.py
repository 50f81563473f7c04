"""Creations that are idempotent: the same request_id again finds the same session."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from plumb_server.session import Session

_UNCLAIMED_FOR = 60.0
"""Seconds that a new session waits for a caller that went away while it was made, and has a
request_id to ask for it again."""


class Creations:
    """The creations of a server that have a request_id, under way or done.

    Args:
        forsake: Ends a session that nobody claims.
    """

    def __init__(self, forsake: Callable[[Session], None]) -> None:
        self._end = forsake
        self._known: dict[str, asyncio.Task[Session]] = {}
        self._waiting: dict[str, int] = {}  # calls that wait for the creation

    async def of(
        self, request_id: str, make: Callable[[], Coroutine[Any, Any, Session]]
    ) -> Session:
        """Makes a session, or finds the one that the same request_id made or makes."""
        known = self._known.get(request_id)
        if known is None:
            known = self._known[request_id] = asyncio.create_task(make())
        self._waiting[request_id] = self._waiting.get(request_id, 0) + 1
        try:
            session = await asyncio.shield(known)
        except asyncio.CancelledError:
            if self._known.get(request_id) is not known:
                raise  # it failed in the same moment, and is forgotten
            self._waiting[request_id] -= 1
            if not self._waiting[request_id]:
                asyncio.get_running_loop().call_later(_UNCLAIMED_FOR, self._forsake, request_id)
            raise
        except Exception:
            if self._known.get(request_id) is known:
                self._forget(request_id)  # it may be tried again
            raise
        session.touch()
        return session

    def forget(self, session: Session) -> None:
        """Forgets who made a session: the same request_id makes another one then."""
        for request_id, creation in list(self._known.items()):
            if _result(creation) is session:
                self._forget(request_id)

    async def stop(self) -> None:
        """Ends those that are under way."""
        creations = [task for task in self._known.values() if not task.done()]
        for task in creations:
            task.cancel()
        await asyncio.gather(*creations, return_exceptions=True)

    def _forsake(self, request_id: str) -> None:
        """Ends a session whose caller went away before it was made, and did not come back."""
        creation = self._known.get(request_id)
        if creation is None or self._waiting.get(request_id):
            return
        self._forget(request_id)
        creation.cancel()
        session = _result(creation)
        if session is not None:
            self._end(session)

    def _forget(self, request_id: str) -> None:
        self._known.pop(request_id, None)
        self._waiting.pop(request_id, None)


def _result(creation: "asyncio.Task[Session]") -> Session | None:
    """The session that a creation made, if it did."""
    failed = not creation.done() or creation.cancelled() or creation.exception()
    return None if failed else creation.result()
