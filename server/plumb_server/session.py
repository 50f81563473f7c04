"""One session: an environment, the order of its steps, and their answers.

Each session has one worker: its steps run one after the other, and go on when the call that asked
for them is gone. Nothing here knows of gRPC.
"""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager

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
    JournalUnavailable,
    PlumbError,
    SandboxUnavailable,
    SessionNotFound,
    StepInProgress,
    StepMismatch,
    StepOutOfOrder,
    Unsupported,
)
from plumb_backends.registry import Grounded, Spec
from plumb_server import metrics
from plumb_server.convert import observation_to_wire
from plumb_server.journal import Journal, StepRecord
from plumb_server.steps import StepRun

_log = structlog.get_logger(__name__)


def name_of(session_id: str) -> str:
    """What a session is called on the wire."""
    return f"sessions/{session_id}"


class Session:
    """One live session.

    What it shows are Unix times in seconds. What it goes by is the monotonic clock: nobody's
    session ends because a clock was set.
    """

    def __init__(
        self,
        spec: Spec,
        grounded: Grounded,
        journal: Journal,
        *,
        idle_timeout: float,
        max_life: float,
    ) -> None:
        self.name = name_of(spec.session_id)
        self.kind = spec.kind
        self.backend = spec.backend
        self.init_results = grounded.init_results
        self.created = time.time()
        self._over = time.monotonic() + max_life
        self.is_broken = False
        self._environment: Environment = grounded.environment
        self._idle_timeout = idle_timeout
        self._journal = journal
        self._step: StepRun | None = None  # the last one, running or answered
        self._busy_with = ""  # a reset or a probe
        self._worker: asyncio.Task[None] | None = None
        self.touch()

    def touch(self) -> None:
        """Notes that somebody is interested."""
        self._touched = time.monotonic()

    @property
    def life_left(self) -> float:
        """Seconds until it ends in any case."""
        return self._over - time.monotonic()

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
        return self._step.index if self._step else 0

    @property
    def is_busy(self) -> bool:
        """Whether a step, a reset or a probe is running."""
        return bool(self._busy_with) or (self._step is not None and not self._step.is_answered)

    def begin_step(self, index: int, action: Action) -> StepRun:
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
            if last.is_answered and last.unwritten is not None:
                last.reopen()
                self._worker = asyncio.create_task(self._write_again(last, last.unwritten))
            return last
        if index != self.last_step_index + 1:
            raise StepOutOfOrder(
                f"step_index is {index}; {self.name} expects {self.last_step_index + 1}"
                + (f", or {last.index} to see the last answer again" if last else ""),
                {"expected": str(self.last_step_index + 1)},
            )
        self._check_free()
        step = self._step = StepRun(index, action)
        self._worker = asyncio.create_task(self._perform(step, last))
        return step

    async def _perform(self, step: StepRun, last: StepRun | None) -> None:
        if last is not None and last.unwritten is not None:
            await self._write_again(last, last.unwritten)
        if last is not None and last.unwritten is not None:  # one answer is all that is held back
            self._step = last
            step.settle(
                JournalUnavailable(
                    f"step {step.index} of {self.name} was not begun: the journal still cannot be "
                    f"written; make space, and ask for step {last.index} or {step.index} again"
                )
            )
            return
        answer = await self._answer(step)
        if isinstance(answer, InvalidInput):  # nothing ran: the index is still free
            self._step = last
        else:
            answer = await self._journaled(step, answer)
        self.touch()
        step.settle(answer)

    async def _answer(self, step: StepRun) -> Observation | Exception:
        started = time.monotonic()
        try:
            observation = await self._environment.step(step.action, on_output=step.output.add)
        except PlumbError as error:
            self.is_broken |= isinstance(error, SandboxUnavailable)
            return error
        except asyncio.CancelledError:
            return self._was_ended(step)
        except Exception as error:  # noqa: BLE001 - a fault of ours: whoever waits must hear of it
            _log.exception("a step failed as none should", session=self.name, step=step.index)
            return error
        seconds = time.monotonic() - started
        metrics.step_answered(self.kind, self.backend, observation.ending.value, seconds)
        _count_replies(observation)
        if observation.verdict is not None:
            metrics.verdict_given(self.kind, observation.verdict.verdict)
        return observation

    async def _journaled(
        self, step: StepRun, answer: Observation | Exception
    ) -> Observation | Exception:
        """Writes the answer; what could not be written must not be answered.

        It is held back where it can be written later: when the step is asked for again, or the
        next one.
        """
        if isinstance(answer, Observation):
            step.message = observation_to_wire(answer)
        step.unwritten = None
        try:
            await self._journal.step_answered(_record(self.name, step, answer))
        except JournalUnavailable as error:
            step.unwritten = answer
            return JournalUnavailable(
                f"step {step.index} of {self.name} has ended, but cannot be answered: {error} for "
                "the same step_index"
            )
        except Exception as error:  # noqa: BLE001 - see above
            return error
        return answer

    async def _write_again(self, step: StepRun, answer: Observation | Exception) -> None:
        step.settle(await self._journaled(step, answer))
        self.touch()

    def _was_ended(self, step: StepRun) -> SessionNotFound:
        return SessionNotFound(f"{self.name} was ended while step {step.index} ran")

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
            self.is_broken = True  # and stays so if the reset fails, or its caller goes away
            await self._environment.reset()
            self.is_broken = False

    async def close(self) -> None:
        """Ends what runs and removes the environment. Never raises."""
        if self._worker is not None and not self._worker.done():
            self._worker.cancel()
            await asyncio.wait({self._worker})
        if self._step is not None and not self._step.is_answered:  # cut off outside of its action
            self._step.settle(self._was_ended(self._step))
        if self._step is not None and self._step.unwritten is not None:  # the last chance
            await self._journaled(self._step, self._step.unwritten)
        await self._environment.close()

    async def finish_step(self) -> None:
        """Waits until no step is running."""
        if self._worker is not None:
            await asyncio.wait({self._worker})

    @contextmanager
    def _busy(self, what: str) -> Iterator[None]:
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


def _record(name: str, step: StepRun, answer: Observation | Exception) -> StepRecord:
    observation = answer if isinstance(answer, Observation) else None
    return StepRecord(
        session=name,
        step_index=step.index,
        action=step.action.text,
        observation=step.message.SerializeToString() if observation else None,
        ending=observation.ending.name if observation else None,
        exit_code=observation.exit_code if observation else None,
        error=None if observation else str(answer),
        verdict=observation.verdict.verdict if observation and observation.verdict else None,
    )


def _count_replies(observation: Observation) -> None:
    """Counts the replies that were not taken, on either side."""
    for seen in filter(None, (observation, observation.counterpart)):
        for rejection in seen.provenance.rejections:
            metrics.reply_rejected(seen.provenance.model, rejection.partition(":")[0])
