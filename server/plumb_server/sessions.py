"""All sessions of a server: how they are made, found, swept and ended. Knows nothing of gRPC."""

import asyncio
import contextlib
import dataclasses
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import structlog

from plumb_backends.errors import (
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
from plumb_server.creations import Creations
from plumb_server.endings import Endings
from plumb_server.journal import Journal
from plumb_server.journal_space import JournalLimits, JournalSpace
from plumb_server.leftovers import Leftovers
from plumb_server.past_steps import PastStep, find_past_step
from plumb_server.places import Places
from plumb_server.replaying import ReplayPlan, Replays, replay
from plumb_server.session import ANSWER_WITHIN, Session, check_name, name_of
from plumb_server.session_budget import DEFAULT_BYTES, SETTING, JournalUsedUp
from plumb_server.steps import AskedStep, StepRun

_log = structlog.get_logger(__name__)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a new session shall be.

    Attributes:
        spec: For the backend.
        request: The request as it came, for the journal.
        request_id: Makes the creation idempotent; empty for none.
        idle_timeout: Seconds without a call; None for the server's.
        plan: What is taken again before anybody has it; None for nothing.
    """

    spec: Spec
    request: bytes = b""
    request_id: str = ""
    idle_timeout: float | None = None
    plan: ReplayPlan | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SessionLimits:
    """When sessions end, and how many there may be. Times are seconds.

    Attributes:
        most: Sessions at the same time.
        idle_timeout: Without a call.
        max_life: In any case.
        journal_bytes: What the steps of one may take in the journal.
        close_within: How long others wait for the removal of one.
        answer_within: How long a step's answer may take beyond the step's own timeout.
    """

    most: int = 512
    idle_timeout: float = 1800.0
    max_life: float = 24 * 3600.0
    journal_bytes: int = DEFAULT_BYTES
    close_within: float = 30.0
    answer_within: float = ANSWER_WITHIN


class Sessions:
    """All sessions of a server. Made by `open_sessions`."""

    def __init__(
        self,
        backends: Backends,
        journal: Journal,
        limits: SessionLimits,
        space: JournalSpace,
    ) -> None:
        self._backends = backends
        self._journal = journal
        self._limits = limits
        self.space = space
        self.replays = Replays(journal, self.names)
        self.places = Places(limits.most, self._next_end)
        self._live: dict[str, Session] = {}
        self._arriving: set[str] = set()  # by name: being written into the journal
        self._creations = Creations(self._forsake)
        self._endings = Endings(journal, self.places, Leftovers(limits.close_within))

    async def create(self, wish: Wish) -> Session:
        """Makes a session; with a request_id that is known, finds it.

        Raises:
            PlumbError: See CreateSession in the proto; nothing is left behind.
        """
        if not wish.request_id:
            return await self._create(wish)
        return await self._creations.of(wish.request_id, lambda: self._create(wish))

    async def _create(self, wish: Wish) -> Session:
        self.space.check()
        self.places.take()
        started = time.monotonic()
        name = name_of(wish.spec.session_id)
        try:
            grounded = await self._backends.create(wish.spec)
        except BaseException:
            self.places.give_back()
            raise
        session = self._session(wish, grounded)
        try:
            await self._announce(session, wish)
        except BaseException:
            await self._endings.give_up(session)
            raise
        finally:
            self._arriving.discard(name)
        self._live[name] = session
        metrics.session_created(session.kind, session.backend, time.monotonic() - started)
        _log.info("session created", session=name, kind=session.kind, backend=session.backend)
        return session

    def _session(self, wish: Wish, grounded: Grounded) -> Session:
        return Session(
            wish.spec,
            grounded,
            self._journal,
            idle_timeout=wish.idle_timeout or self._limits.idle_timeout,
            max_life=self._limits.max_life,
            answer_within=self._limits.answer_within,
            max_journal_bytes=self._limits.journal_bytes,
            after=wish.plan.after if wish.plan else 0,
        )

    async def _announce(self, session: Session, wish: Wish) -> None:
        """Writes that there is a session, and has it take what it is to take before others do."""
        expiry = owner.expiry(self._limits.max_life)
        await self._journal.session_owned(session.name, owner.this_process(), expiry)
        self._arriving.add(session.name)
        await self._journal.session_created(
            session.name, session.kind, session.backend, wish.request
        )
        if wish.plan is not None:
            session.replayed = await replay(session, wish.plan)

    def _next_end(self) -> float:
        """In how many seconds the first session ends if nobody asks anything of any."""
        left = (min(session.life_left, session.idle_left) for session in self._live.values())
        return min(left, default=float("inf"))

    async def get(self, name: str) -> Session:
        """Finds a live session.

        Raises:
            InvalidInput: That is no session name.
            SessionNotFound: It never was, or it has ended.
        """
        session = self._live.get(name)
        if session is None:
            check_name(name)
            why = self._endings.why(name) or await self._journal.why_ended(name)
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
        return self._endings.unwritten()

    async def begin_step(self, asked: AskedStep) -> StepRun | PastStep:
        """Begins a step, or finds it again, also where its session has ended since.

        Raises:
            SessionNotFound: The session never was, or has ended and has no answer to this step.
            StepOutOfOrder, StepMismatch, StepInProgress: See errors; nothing ran.
            LimitReached: The journal has no room, for this session or at all; nothing ran.
        """
        try:
            session = await self.get(asked.session)
        except SessionNotFound as ended:
            return await find_past_step(self._journal, asked, ended)
        if asked.index > session.last_step_index:
            self.space.check()
        try:
            return session.begin_step(asked.index, asked.action, asked.nonce)
        except JournalUsedUp:
            self._begin_end(session, f"it used up its share of the journal ({SETTING})")
            raise

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

    async def delete(self, name: str, because: str = "it was deleted") -> bool:
        """Ends a session; one that is not there is left at that.

        It goes on when the call that asked for it is gone: half an end would leave a sandbox.

        Returns:
            Whether all that it had is gone; what is not is tried again at each sweep.

        Raises:
            InvalidInput: That is no session name.
        """
        check_name(name)
        session = self._live.get(name)
        if session is not None:
            self._begin_end(session, because)
        return await self._endings.of(name)

    def _begin_end(self, session: Session, because: str) -> None:
        if self._live.pop(session.name, None) is not None:
            self._creations.forget(session)
            self._endings.begin(session, because)

    def _forsake(self, session: Session) -> None:
        self._begin_end(session, "its caller went away")

    async def sweep(self) -> None:
        """Ends the sessions whose time is over, and removes what outlived others."""
        for session in self.list():
            if session.life_left <= 0:
                self._begin_end(session, "it reached its longest life")
            elif session.idle_left <= 0:
                self._begin_end(session, "it was idle too long")
        async with asyncio.TaskGroup() as parts:  # what hangs in one holds up no other
            for part in (self._endings.sweep, self.space.sweep, self._sweep_backends):
                parts.create_task(part())

    async def _sweep_backends(self) -> None:
        try:
            orphans = await self._backends.sweep()
        except Exception:  # noqa: BLE001 - whatever it was, the other parts and the next sweep go on
            _log.exception("the backends could not be swept; it is tried again")
            return
        if orphans:
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
        await self._creations.stop()
        for session in self.list():
            self._begin_end(session, "the server went down")
        await self._endings.finish()


@asynccontextmanager
async def open_sessions(
    backends: Backends,
    journal: Journal,
    limits: SessionLimits,
    journal_limits: JournalLimits | None = None,
    *,
    sweep_interval: float = 15.0,
) -> AsyncIterator[Sessions]:
    """Sweeps, serves sessions, sweeps again from time to time, and ends all of them at the end."""
    space = JournalSpace(journal, journal_limits or JournalLimits())
    sessions = Sessions(backends, journal, limits, space)
    with contextlib.suppress(JournalUnavailable):  # the next start may do it
        if abandoned := await journal.end_abandoned(owner.is_over):
            _log.warning("their server ended without a word", sessions=abandoned)
    await sessions.sweep()
    try:
        async with repeated(sessions.sweep, every=sweep_interval):
            yield sessions
    finally:
        await sessions.stop()
