"""How sessions end: removed, written down, and their places given back, whatever goes wrong."""

import asyncio
import contextlib
from collections.abc import Mapping

import structlog

from plumb_backends.errors import JournalUnavailable
from plumb_server import metrics
from plumb_server.journal import Journal
from plumb_server.leftovers import Leftovers
from plumb_server.places import Places
from plumb_server.session import Session

_log = structlog.get_logger(__name__)


class Endings:
    """The ends of a server's sessions.

    Args:
        journal: Where they are written.
        places: Where the sessions' places are given back.
        leftovers: What closes environments.
    """

    def __init__(self, journal: Journal, places: Places, leftovers: Leftovers) -> None:
        self._journal = journal
        self._places = places
        self._leftovers = leftovers
        self._unwritten: dict[str, str] = {}  # by name: why, until the journal says so
        self._under_way: dict[str, asyncio.Task[bool]] = {}  # by name

    def begin(self, session: Session, because: str) -> None:
        """Begins to end a session; that goes on whoever waits for it."""
        name = session.name
        self._unwritten[name] = because
        ending = self._under_way[name] = asyncio.create_task(self._end(session, because))
        ending.add_done_callback(lambda _: self._under_way.pop(name))

    async def of(self, name: str) -> bool:
        """Waits for an end that is under way; says whether all is gone."""
        ending = self._under_way.get(name)
        return await asyncio.shield(ending) if ending else not self._leftovers.has(name)

    async def give_up(self, session: Session) -> None:
        """Undoes a creation; its place is free once nothing is left, whoever waits for that."""
        # What was asked of the journal is written though nobody waits: so must the end be.
        self._unwritten[session.name] = "its creation was given up"
        closing = asyncio.ensure_future(self._leftovers.close(session.name, session.close))
        closing.add_done_callback(lambda _: self._places.give_back())
        await asyncio.shield(closing)

    def why(self, name: str) -> str:
        """Why a session ends whose end is not written yet; empty for any other."""
        return self._unwritten.get(name, "")

    def unwritten(self) -> Mapping[str, str]:
        """The sessions whose end the journal does not have yet, by name: why they end."""
        return dict(self._unwritten)

    async def sweep(self) -> None:
        """Writes and removes what could not be before."""
        await asyncio.gather(*self._under_way.values(), return_exceptions=True)
        for name, because in list(self._unwritten.items()):
            if name not in self._under_way:
                await self._write(name, because)
        await self._leftovers.sweep()

    async def finish(self) -> None:
        """Waits for all ends, and tries for the last time what could not be done before."""
        await self.sweep()
        await self._leftovers.give_up()

    async def _end(self, session: Session, because: str) -> bool:
        name = session.name
        try:
            is_gone = await self._leftovers.close(name, session.close)
        finally:
            self._places.give_back(held_for=session.age)  # not before: what is removed takes room
        await self._write(name, because)
        metrics.session_ended(session.kind, session.backend)
        _log.info("session ended", session=name, because=because)
        return is_gone

    async def _write(self, name: str, because: str) -> None:
        """Writes an end; what cannot be written now is written by a later sweep, or start."""
        with contextlib.suppress(JournalUnavailable):  # the journal has logged it
            await self._journal.session_ended(name, because)
            self._unwritten.pop(name, None)
