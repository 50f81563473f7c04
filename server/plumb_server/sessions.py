"""All sessions of a server: how they are made, found, swept and ended. Knows nothing of gRPC."""

import asyncio
import contextlib
import dataclasses
import time
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import structlog

from plumb_backends.environment import Action
from plumb_backends.errors import (
    InvalidInput,
    JournalUnavailable,
    LimitReached,
    PlumbError,
    SessionNotFound,
    StepInProgress,
)
from plumb_backends.real import owner
from plumb_backends.registry import Backends, Grounded, Spec
from plumb_backends.repeating import repeated
from plumb_server import metrics
from plumb_server.journal import Journal
from plumb_server.past_steps import PastStep, find_past_step
from plumb_server.places import Places
from plumb_server.session import Session, name_of
from plumb_server.steps import StepRun

_log = structlog.get_logger(__name__)

_UNCLAIMED_FOR = 60.0
"""Seconds that a new session waits for a caller that went away while it was made, and has a
request_id to ask for it again."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a new session shall be.

    Attributes:
        spec: For the backend.
        request: The request as it came, for the journal.
        request_id: Makes the creation idempotent; empty for none.
        idle_timeout: Seconds without a call; None for the server's.
    """

    spec: Spec
    request: bytes = b""
    request_id: str = ""
    idle_timeout: float | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SessionLimits:
    """When sessions end, and how many there may be. Times are seconds."""

    most: int = 512
    idle_timeout: float = 1800.0
    max_life: float = 24 * 3600.0


class Sessions:
    """All sessions of a server. Made by `open_sessions`."""

    def __init__(self, backends: Backends, journal: Journal, limits: SessionLimits) -> None:
        self._backends = backends
        self._journal = journal
        self._limits = limits
        self.places = Places(limits.most, self._next_end)
        self._live: dict[str, Session] = {}
        self._arriving: set[str] = set()  # by name: being written into the journal
        self._creations: dict[str, asyncio.Task[Session]] = {}  # by request_id
        self._waiting: dict[str, int] = {}  # by request_id: calls that wait for the creation
        self._ending: dict[str, str] = {}  # by name: why, until the journal says so
        self._deletions: dict[str, asyncio.Task[None]] = {}  # by name: under way

    async def create(self, wish: Wish) -> Session:
        """Makes a session; with a request_id that is known, finds it.

        Raises:
            PlumbError: See CreateSession in the proto; nothing is left behind.
        """
        if not wish.request_id:
            return await self._create(wish)
        known = self._creations.get(wish.request_id)
        if known is None:
            known = self._creations[wish.request_id] = asyncio.create_task(self._create(wish))
        self._waiting[wish.request_id] = self._waiting.get(wish.request_id, 0) + 1
        try:
            session = await asyncio.shield(known)
        except asyncio.CancelledError:
            if self._creations.get(wish.request_id) is not known:
                raise  # it failed in the same moment, and is forgotten
            self._waiting[wish.request_id] -= 1
            if not self._waiting[wish.request_id]:
                asyncio.get_running_loop().call_later(
                    _UNCLAIMED_FOR, self._forsake, wish.request_id
                )
            raise
        except Exception:
            if self._creations.get(wish.request_id) is known:
                self._forget(wish.request_id)  # it may be tried again
            raise
        session.touch()
        return session

    async def _create(self, wish: Wish) -> Session:
        self.places.take()
        started = time.monotonic()
        session_name = name_of(wish.spec.session_id)
        grounded: Grounded | None = None
        try:
            grounded = await self._backends.create(wish.spec)
            session = Session(
                wish.spec,
                grounded,
                self._journal,
                idle_timeout=wish.idle_timeout or self._limits.idle_timeout,
                max_life=self._limits.max_life,
            )
            await self._journal.session_owned(
                session.name, owner.this_process(), owner.expiry(self._limits.max_life)
            )
            self._arriving.add(session_name)
            await self._journal.session_created(
                session.name, session.kind, session.backend, wish.request
            )
        except BaseException:
            self._arriving.discard(session_name)
            await self._give_up(session_name, grounded)
            raise
        self._arriving.discard(session_name)
        self._live[session_name] = session
        metrics.session_created(session.kind, session.backend, time.monotonic() - started)
        _log.info(
            "session created", session=session.name, kind=session.kind, backend=session.backend
        )
        return session

    async def _give_up(self, name: str, grounded: Grounded | None) -> None:
        """Undoes a creation; its place is free once nothing is left, whoever waits for that."""
        if grounded is None:
            self.places.give_back()
            return
        # What was asked of the journal is written though nobody waits: so must the end be.
        self._ending[name] = "its creation was given up"
        closing = asyncio.ensure_future(grounded.environment.close())
        closing.add_done_callback(lambda _: self.places.give_back())
        await asyncio.shield(closing)

    def _next_end(self) -> float:
        """In how many seconds the first session ends if nobody asks anything of any."""
        left = (min(session.life_left, session.idle_left) for session in self._live.values())
        return min(left, default=float("inf"))

    def _forsake(self, request_id: str) -> None:
        """Ends a session whose caller went away before it was made, and did not come back."""
        creation = self._creations.get(request_id)
        if creation is None or self._waiting.get(request_id):
            return
        self._forget(request_id)
        creation.cancel()
        if creation.done() and not creation.cancelled() and creation.exception() is None:
            self._begin_delete(creation.result().name, "its caller went away")

    def _forget_creation_of(self, session: Session) -> None:
        for request_id, creation in list(self._creations.items()):
            if _result(creation) is session:
                self._forget(request_id)

    def _forget(self, request_id: str) -> None:
        self._creations.pop(request_id, None)
        self._waiting.pop(request_id, None)

    async def get(self, name: str) -> Session:
        """Finds a live session.

        Raises:
            InvalidInput: That is no session name.
            SessionNotFound: It never was, or it has ended.
        """
        session = self._live.get(name)
        if session is None:
            check_name(name)
            why = self._ending.get(name) or await self._journal.why_ended(name)
            known = f"has ended: {why}" if why else "was never created here"
            raise SessionNotFound(f"{name} {known}; create a new session")
        session.touch()
        return session

    def list(self) -> Sequence[Session]:
        """The live sessions, oldest first."""
        return list(self._live.values())

    def names(self) -> frozenset[str]:
        """The live sessions, and those that the journal has a moment before they are."""
        return frozenset(self._live) | self._arriving

    def ends(self) -> Mapping[str, str]:
        """The sessions whose end the journal does not have yet, by name: why they end."""
        return dict(self._ending)

    async def begin_step(self, name: str, index: int, action: Action) -> StepRun | PastStep:
        """Begins a step, or finds it again, also where its session has ended since.

        Raises:
            SessionNotFound: The session never was, or has ended and has no answer to this step.
            StepOutOfOrder, StepMismatch, StepInProgress: See errors; nothing ran.
        """
        try:
            session = await self.get(name)
        except SessionNotFound as ended:
            return await find_past_step(self._journal, name, index, action.text, ended)
        return session.begin_step(index, action)

    async def reset(self, name: str) -> Session:
        """Resets a session; one that cannot be grounded again ends."""
        session = await self.get(name)
        try:
            await session.reset()
        except (StepInProgress, LimitReached, JournalUnavailable):
            raise  # the session is still there, whole or broken: it may be tried again
        except PlumbError as error:
            await self.delete(name, f"its reset failed: {error}")
            raise
        return session

    async def delete(self, name: str, because: str = "it was deleted") -> None:
        """Ends a session; one that is not there is left at that.

        It goes on when the call that asked for it is gone: half an end would leave a sandbox.

        Raises:
            InvalidInput: That is no session name.
        """
        check_name(name)
        self._begin_delete(name, because)
        if deletion := self._deletions.get(name):
            await asyncio.shield(deletion)

    def _begin_delete(self, name: str, because: str) -> None:
        session = self._live.pop(name, None)
        if session is None:
            return
        self._forget_creation_of(session)
        self._ending[name] = because
        deletion = self._deletions[name] = asyncio.create_task(self._end(session, because))
        deletion.add_done_callback(lambda _: self._deletions.pop(name))

    async def _end(self, session: Session, because: str) -> None:
        name = session.name
        await session.close()
        self.places.give_back()  # not before: what is being removed takes room
        await self._write_end(name, because)
        metrics.session_ended(session.kind, session.backend)
        _log.info("session ended", session=name, because=because)

    async def _write_end(self, name: str, because: str) -> None:
        """Writes an end; what cannot be written now is written by a later sweep, or start."""
        with contextlib.suppress(JournalUnavailable):  # the journal has logged it
            await self._journal.session_ended(name, because)
            self._ending.pop(name, None)

    async def _write_ends(self) -> None:
        for name, because in list(self._ending.items()):
            if name not in self._deletions:
                await self._write_end(name, because)

    async def sweep(self) -> None:
        """Ends the sessions whose time is over, and removes what outlived others."""
        for session in self.list():
            if session.life_left <= 0:
                await self.delete(session.name, "it reached its longest life")
            elif session.idle_left <= 0:
                await self.delete(session.name, "it was idle too long")
        await self._write_ends()
        if orphans := await self._backends.sweep():
            _log.warning("removed what had outlived its owner", sandboxes=orphans)

    async def drain(self, grace: float) -> None:
        """Makes no more sessions, and lets running steps finish for some seconds."""
        self.places.close()
        running = [
            asyncio.create_task(session.finish_step()) for session in self.list() if session.is_busy
        ]
        if running:
            _, late = await asyncio.wait(running, timeout=grace)
            for task in late:
                task.cancel()

    async def stop(self) -> None:
        """Ends everything."""
        self.places.close()
        creations = [task for task in self._creations.values() if not task.done()]
        for task in creations:
            task.cancel()
        await asyncio.gather(*creations, return_exceptions=True)
        await asyncio.gather(
            *(self.delete(session.name, "the server went down") for session in self.list())
        )
        await asyncio.gather(*self._deletions.values(), return_exceptions=True)
        await self._write_ends()


def _result(creation: asyncio.Task[Session]) -> Session | None:
    """The session that a creation made, if it did."""
    failed = not creation.done() or creation.cancelled() or creation.exception()
    return None if failed else creation.result()


def check_name(name: str) -> None:
    """Checks that something is a session name.

    Raises:
        InvalidInput: It is not.
    """
    prefix, _, identifier = name.partition("/")
    with contextlib.suppress(ValueError):
        if prefix == "sessions" and str(uuid.UUID(identifier)) == identifier:
            return
    raise InvalidInput(
        f"{name!r} is not a session name; use sessions/UUID as CreateSession returned it"
    )


@asynccontextmanager
async def open_sessions(
    backends: Backends,
    journal: Journal,
    limits: SessionLimits,
    *,
    sweep_interval: float = 15.0,
) -> AsyncIterator[Sessions]:
    """Sweeps, serves sessions, sweeps again from time to time, and ends all of them at the end."""
    sessions = Sessions(backends, journal, limits)
    with contextlib.suppress(JournalUnavailable):  # the next start may do it
        if abandoned := await journal.end_abandoned(owner.is_over):
            _log.warning("their server ended without a word", sessions=abandoned)
    await sessions.sweep()
    try:
        async with repeated(sessions.sweep, every=sweep_interval):
            yield sessions
    finally:
        await sessions.stop()
