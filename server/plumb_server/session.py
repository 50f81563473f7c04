"""One session: an environment, its episode, and its time. Nothing here knows of gRPC."""

import asyncio
import contextlib
import dataclasses
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from plumb_backends.environment import (
    Action,
    Environment,
    Executes,
    Interruptible,
    ProbeResult,
    Program,
    ProgramResult,
)
from plumb_backends.errors import InvalidInput, Unsupported
from plumb_backends.registry import Grounded, Spec
from plumb_server.episode import About, Episode
from plumb_server.journal import Journal
from plumb_server.session_budget import DEFAULT_BYTES, SessionBudget
from plumb_server.steps import StepRun

_INTERRUPT_WITHIN = 30.0
"""Seconds that an interrupt waits for the end of the action: well beyond what a kill takes."""


def name_of(session_id: str) -> str:
    """What a session is called on the wire."""
    return f"sessions/{session_id}"


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
        f"{name[:100]!r} is not a session name; use sessions/UUID as CreateSession returned it"
    )


@dataclasses.dataclass(frozen=True, slots=True)
class Replayed:
    """How many steps of another session were taken again first, and which differ."""

    steps: int
    differing: Sequence[int]


ANSWER_WITHIN = 60.0
"""Seconds that the answer to a step may take beyond its timeout where no model is slower."""


class Session:
    """One live session.

    What it shows are Unix times in seconds. What it goes by is the monotonic clock: nobody's
    session ends because a clock was set.

    Args:
        spec: What it is.
        grounded: Its environment.
        journal: Gets its steps.
        idle_timeout: Seconds without a call after which it ends.
        max_life: Seconds after which it ends in any case.
        answer_within: Seconds that a step's answer may take beyond the step's own timeout.
        max_journal_bytes: What its steps may take in the journal.
        after: The step after which it begins.
    """

    def __init__(
        self,
        spec: Spec,
        grounded: Grounded,
        journal: Journal,
        *,
        idle_timeout: float,
        max_life: float,
        answer_within: float = ANSWER_WITHIN,
        max_journal_bytes: int = DEFAULT_BYTES,
        after: int = 0,
    ) -> None:
        self.name = name_of(spec.session_id)
        self.kind = spec.kind
        self.backend = spec.backend
        self.init_results = grounded.init_results
        self.created = time.time()
        self.replayed: Replayed | None = None
        self.budget = SessionBudget(self.name, max_journal_bytes)
        self._began = time.monotonic()
        self._max_life = max_life
        self._environment: Environment = grounded.environment
        self._idle_timeout = idle_timeout
        self._journal = journal
        self.answer_within = answer_within
        about = About(self.name, self.kind, self.backend, answer_within)
        self._episode = Episode(about, self._environment, journal, self.budget, self.touch, after)
        self._busy_with = ""  # a reset or a probe
        self._touched = self._began

    def touch(self) -> None:
        """Notes that somebody is interested."""
        self._touched = time.monotonic()

    @property
    def age(self) -> float:
        """Seconds since it was made."""
        return time.monotonic() - self._began

    @property
    def life_left(self) -> float:
        """Seconds until it ends in any case."""
        return self._max_life - self.age

    @property
    def idle_left(self) -> float:
        """Seconds until it ends if nothing is asked of it any more."""
        idle_for = 0.0 if self.is_busy else time.monotonic() - self._touched
        return self._idle_timeout - idle_for

    @property
    def expires(self) -> float:
        """When it ends in any case."""
        return time.time() + self.life_left

    @property
    def idle_expires(self) -> float:
        """When it ends if nothing is asked of it any more."""
        return time.time() + self.idle_left

    @property
    def last_step_index(self) -> int:
        """The index of the last step, running or answered; 0 before the first."""
        return self._episode.last_index

    @property
    def is_broken(self) -> bool:
        """Whether its sandbox is gone."""
        return self._episode.is_broken

    @property
    def is_busy(self) -> bool:
        """Whether a step, a reset or a probe is running."""
        return bool(self._busy_with) or self._episode.running is not None

    def begin_step(self, index: int, action: Action, nonce: str = "") -> StepRun:
        """Begins a step, or finds it again; see `Episode.begin`."""
        return self._episode.begin(index, action, nonce, self._busy_with)

    async def interrupt(self) -> StepRun | None:
        """Stops the running action, and waits for its end; None where there was none.

        The step is not answered where its end took too long.
        """
        if not isinstance(self._environment, Interruptible):
            raise Unsupported(
                f"backend {self.backend!r} of kind {self.kind!r} cannot be interrupted"
            )
        step = self._episode.running
        if not self._environment.interrupt() or step is None:
            return None
        ended = asyncio.ensure_future(step.ended())
        await asyncio.wait({ended}, timeout=_INTERRUPT_WITHIN)
        ended.cancel()
        return step

    async def execute(self, program: Program) -> ProgramResult:
        """Runs one program beside the session's steps."""
        if not isinstance(self._environment, Executes):
            raise Unsupported(
                f"backend {self.backend!r} of kind {self.kind!r} has no processes; use step"
            )
        return await self._environment.execute(program)

    async def probe(self, suite: str) -> ProbeResult:
        """Asks a fixed question about the state."""
        with self._busy("a probe"):
            return await self._environment.probe(suite)

    async def reset(self) -> None:
        """Goes back to the grounded state; broken sessions are whole again then.

        It is written first: where that is not possible nothing is reset, and it can be asked again.
        """
        with self._busy("a reset"):
            await self._journal.session_reset(self.name, self.last_step_index)
            self._episode.is_broken = True  # and stays so if it fails, or its caller goes away
            await self._environment.reset()
            self._episode.is_broken = False

    async def close(self) -> None:
        """Ends what runs and removes the environment; may be called again."""
        await self._episode.cut_off()
        await self._environment.close()

    async def finish_step(self) -> None:
        """Waits until no step is running."""
        await self._episode.finish()

    @contextmanager
    def _busy(self, what: str) -> Iterator[None]:
        self._episode.check_free(self._busy_with)
        self._busy_with = what
        try:
            yield
        finally:
            self._busy_with = ""
            self.touch()
