"""Sessions: who has which environment, in what order its steps run, and when it ends.

Nothing here knows of gRPC. Each session has one worker: its steps run one after the other, and go
on when the call that asked for them is gone.
"""

import asyncio
import contextlib
import dataclasses
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import structlog

from plumb_backends.environment import (
    Action,
    Environment,
    Executes,
    Interruptible,
    Observation,
    ProbeResult,
    Program,
    ProgramResult,
)
from plumb_backends.errors import (
    InvalidInput,
    LimitReached,
    PlumbError,
    SandboxUnavailable,
    ServerStopping,
    SessionNotFound,
    StepInProgress,
    StepMismatch,
    StepOutOfOrder,
    Unsupported,
)
from plumb_backends.registry import Backends, Grounded, Spec
from plumb_server import metrics
from plumb_server.convert import observation_to_wire
from plumb_server.journal import Journal, StepRecord
from plumb_server.steps import Step

_log = structlog.get_logger(__name__)

_UNCLAIMED_FOR = 60.0
"""Seconds that a session waits for a caller that went away while it was made, if it has a request_id
to ask for it again."""


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


class Session:
    """One live session. All times are Unix times in seconds."""

    def __init__(
        self, wish: Wish, grounded: Grounded, limits: SessionLimits, journal: Journal
    ) -> None:
        self.name = f"sessions/{wish.spec.session_id}"
        self.kind = wish.spec.kind
        self.backend = wish.spec.backend
        self.init_results = grounded.init_results
        self.created = time.time()
        self.expires = self.created + limits.max_life
        self.is_broken = False
        self._environment: Environment = grounded.environment
        self._idle_timeout = wish.idle_timeout or limits.idle_timeout
        self._journal = journal
        self._step: Step | None = None  # the last one, running or answered
        self._busy_with = ""  # a reset or a probe
        self._worker: asyncio.Task[None] | None = None
        self.touch()

    def touch(self) -> None:
        """Notes that somebody is interested."""
        self._touched = time.time()

    @property
    def idle_expires(self) -> float:
        """When it ends if nothing is asked of it any more."""
        return (time.time() if self.is_busy else self._touched) + self._idle_timeout

    @property
    def last_step_index(self) -> int:
        """The index of the last step, running or answered; 0 before the first."""
        return self._step.index if self._step else 0

    @property
    def is_busy(self) -> bool:
        """Whether a step, a reset or a probe is running."""
        return bool(self._busy_with) or (self._step is not None and not self._step.is_answered)

    def begin_step(self, index: int, action: Action) -> Step:
        """Begins a step, or finds it again.

        Raises:
            StepOutOfOrder, StepMismatch, StepInProgress: See errors; nothing ran.
        """
        last = self._step
        if last is not None and index == last.index:
            if action.text != last.action.text:
                raise StepMismatch(
                    f"step {index} of {self.name} was another action; use {index + 1} for a new one"
                )
            return last
        if index != self.last_step_index + 1:
            raise StepOutOfOrder(
                f"step_index is {index}; {self.name} expects {self.last_step_index + 1}"
                + (f", or {last.index} to see the last answer again" if last else ""),
                {"expected": str(self.last_step_index + 1)},
            )
        self._check_free()
        step = self._step = Step(index, action)
        self._worker = asyncio.create_task(self._perform(step, last))
        return step

    async def _perform(self, step: Step, last: Step | None) -> None:
        started = time.monotonic()
        try:
            observation = await self._environment.step(step.action, on_output=step.output.add)
            metrics.step_answered(
                self.kind, self.backend, observation.ending.value, time.monotonic() - started
            )
            await self._journal.step_answered(_record(self.name, step, observation))
            step.settle(observation)
        except InvalidInput as error:  # nothing ran: the index is still free
            self._step = last
            step.settle(error)
        except PlumbError as error:
            self.is_broken = isinstance(error, SandboxUnavailable)
            await self._journal.step_answered(_record(self.name, step, error))
            step.settle(error)
        except asyncio.CancelledError:
            step.settle(SessionNotFound(f"{self.name} was ended while step {step.index} ran"))
        except Exception as error:  # a fault of our own: whoever waits must hear of it
            _log.exception("a step failed as none should", session=self.name, step=step.index)
            step.settle(error)
        finally:
            self.touch()

    def interrupt(self) -> bool:
        """Asks for the running action to be stopped; says whether there was one."""
        if not isinstance(self._environment, Interruptible):
            raise Unsupported(
                f"backend {self.backend!r} of kind {self.kind!r} cannot be interrupted"
            )
        return self._environment.interrupt()

    async def execute(self, program: Program) -> ProgramResult:
        """Runs one program beside the session's steps."""
        if not isinstance(self._environment, Executes):
            raise Unsupported(
                f"backend {self.backend!r} of kind {self.kind!r} has no processes to run programs in"
            )
        return await self._environment.execute(program)

    async def probe(self, suite: str) -> ProbeResult:
        """Asks a fixed question about the state."""
        with self._busy("a probe"):
            return await self._environment.probe(suite)

    async def reset(self) -> None:
        """Goes back to the grounded state; broken sessions are whole again then."""
        with self._busy("a reset"):
            await self._environment.reset()
            await self._journal.session_reset(self.name, self.last_step_index)
            self.is_broken = False

    async def close(self) -> None:
        """Ends what runs and removes the environment. Never raises."""
        if self._worker is not None and not self._worker.done():
            self._worker.cancel()
            await asyncio.wait({self._worker})
        await self._environment.close()

    async def finish_step(self) -> None:
        """Waits until no step is running."""
        if self._worker is not None:
            await asyncio.wait({self._worker})

    @contextlib.contextmanager
    def _busy(self, what: str) -> "contextlib.Iterator[None]":
        self._check_free()
        self._busy_with = what
        try:
            yield
        finally:
            self._busy_with = ""
            self.touch()

    def _check_free(self) -> None:
        if not self.is_busy:
            return
        what = self._busy_with or f"step {self.last_step_index}"
        raise StepInProgress(f"{what} of {self.name} is still running; wait for it or interrupt it")


def _record(name: str, step: Step, answer: Observation | PlumbError) -> StepRecord:
    observation = answer if isinstance(answer, Observation) else None
    return StepRecord(
        session=name,
        step_index=step.index,
        action=step.action.text,
        observation=observation_to_wire(observation).SerializeToString() if observation else None,
        ending=observation.ending.name if observation else None,
        exit_code=observation.exit_code if observation else None,
        error=None if observation else str(answer),
    )


class Sessions:
    """All sessions of a server. Made by `open_sessions`."""

    def __init__(self, backends: Backends, journal: Journal, limits: SessionLimits) -> None:
        self._backends = backends
        self._journal = journal
        self._limits = limits
        self._live: dict[str, Session] = {}
        self._creations: dict[str, asyncio.Task[Session]] = {}  # by request_id
        self._in_creation = 0
        self._waiting: dict[str, int] = {}  # by request_id: calls that wait for the creation
        self._deletions: set[asyncio.Task[None]] = set()
        self._stopping = False

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
            self._waiting[wish.request_id] -= 1
            if not self._waiting[wish.request_id]:
                asyncio.get_running_loop().call_later(
                    _UNCLAIMED_FOR, self._forsake, wish.request_id
                )
            raise
        except PlumbError:
            self._forget(wish.request_id)  # it may be tried again
            raise
        session.touch()
        return session

    async def _create(self, wish: Wish) -> Session:
        self._admit()
        self._in_creation += 1
        started = time.monotonic()
        grounded: Grounded | None = None
        try:
            grounded = await self._backends.create(wish.spec)
            session = Session(wish, grounded, self._limits, self._journal)
            await self._journal.session_created(
                session.name, session.kind, session.backend, wish.request
            )
        except BaseException:
            if grounded is not None:
                await asyncio.shield(grounded.environment.close())
            raise
        finally:
            self._in_creation -= 1
        self._live[session.name] = session
        metrics.session_created(session.kind, session.backend, time.monotonic() - started)
        _log.info(
            "session created", session=session.name, kind=session.kind, backend=session.backend
        )
        return session

    def _admit(self) -> None:
        if self._stopping:
            raise ServerStopping("the server is going down; try again when it is back")
        if len(self._live) + self._in_creation >= self._limits.most:
            raise LimitReached(
                f"the server has {self._limits.most} sessions, its most (PLUMB_MAX_SESSIONS); "
                "delete one, or wait for one to end",
                limit="PLUMB_MAX_SESSIONS",
            )

    def _forsake(self, request_id: str) -> None:
        """Ends a session whose caller went away before it was made, and did not come back."""
        creation = self._creations.get(request_id)
        if creation is None or self._waiting.get(request_id):
            return
        self._forget(request_id)
        creation.cancel()
        if creation.done() and not creation.cancelled() and creation.exception() is None:
            deletion = asyncio.create_task(
                self.delete(creation.result().name, "its caller went away")
            )
            self._deletions.add(deletion)
            deletion.add_done_callback(self._deletions.discard)

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
            why = await self._journal.why_ended(name)
            known = f"has ended: {why}" if why else "was never created here"
            raise SessionNotFound(f"{name} {known}; create a new session")
        session.touch()
        return session

    def list(self) -> Sequence[Session]:
        """The live sessions, oldest first."""
        return list(self._live.values())

    async def reset(self, name: str) -> Session:
        """Resets a session; one that cannot be grounded again ends."""
        session = await self.get(name)
        try:
            await session.reset()
        except StepInProgress:
            raise
        except PlumbError as error:
            await self.delete(name, f"its reset failed: {error}")
            raise
        return session

    async def delete(self, name: str, because: str = "it was deleted") -> None:
        """Ends a session; one that is not there is left at that.

        Raises:
            InvalidInput: That is no session name.
        """
        check_name(name)
        session = self._live.pop(name, None)
        if session is None:
            return
        for request_id, creation in list(self._creations.items()):
            if creation.done() and not creation.cancelled() and creation.exception() is None:
                if creation.result() is session:
                    self._forget(request_id)
        await session.close()
        await self._journal.session_ended(name, because)
        metrics.session_ended(session.kind, session.backend)
        _log.info("session ended", session=name, because=because)

    async def sweep(self) -> None:
        """Ends the sessions whose time is over, and removes what outlived others."""
        now = time.time()
        for session in self.list():
            if session.expires <= now:
                await self.delete(session.name, "it reached its longest life")
            elif session.idle_expires <= now:
                await self.delete(session.name, "it was idle too long")
        with contextlib.suppress(SandboxUnavailable):  # health says so already
            orphans = await self._backends.sweep()
            if orphans:
                _log.warning("removed what had outlived its owner", sandboxes=orphans)

    async def drain(self, grace: float) -> None:
        """Makes no more sessions, and lets running steps finish for some seconds."""
        self._stopping = True
        running = [
            asyncio.create_task(session.finish_step()) for session in self.list() if session.is_busy
        ]
        if running:
            _, late = await asyncio.wait(running, timeout=grace)
            for task in late:
                task.cancel()

    async def stop(self) -> None:
        """Ends everything."""
        self._stopping = True
        creations = [task for task in self._creations.values() if not task.done()]
        for task in creations:
            task.cancel()
        await asyncio.gather(*creations, return_exceptions=True)
        await asyncio.gather(
            *(self.delete(session.name, "the server went down") for session in self.list())
        )
        await asyncio.gather(*self._deletions, return_exceptions=True)


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
    await sessions.sweep()
    sweeper = asyncio.create_task(_sweep_for_ever(sessions, sweep_interval))
    try:
        yield sessions
    finally:
        sweeper.cancel()
        await asyncio.gather(sweeper, return_exceptions=True)
        await sessions.stop()


async def _sweep_for_ever(sessions: Sessions, interval: float) -> None:
    while True:
        await asyncio.sleep(interval)
        try:
            await sessions.sweep()
        except Exception:
            _log.exception("the sweep failed; it is tried again")
