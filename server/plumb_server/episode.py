"""The episode of a session: the order of its steps, and their answers.

Each episode has one worker: its steps run one after the other, and go on when the call that asked
for them is gone. Whatever an environment raises, whoever waits gets an answer.
"""

import asyncio
import dataclasses
import time
from collections.abc import Callable

import structlog

from plumb_backends.environment import Action, Environment, Observation
from plumb_backends.errors import (
    InvalidInput,
    JournalUnavailable,
    PlumbError,
    SandboxUnavailable,
    SessionNotFound,
    StepInProgress,
    StepMismatch,
    StepOutOfOrder,
)
from plumb_server import metrics
from plumb_server.convert import observation_to_wire
from plumb_server.journal import Journal, StepRecord
from plumb_server.session_budget import SessionBudget
from plumb_server.steps import StepRun

_log = structlog.get_logger(__name__)

_MAX_ERROR_CHARACTERS = 4096
_CUT_OFF_WITHIN = 10.0
"""Seconds that an action has to end when it is cut off; some ignore it until they are closed."""


@dataclasses.dataclass(frozen=True, slots=True)
class About:
    """Whose episode it is: for messages, logs and metrics."""

    name: str
    kind: str
    backend: str
    answer_within: float


class Episode:
    """The steps of one session.

    Args:
        about: Whose it is.
        environment: Takes the actions.
        journal: Gets each answer before anybody else.
        budget: What the answers may take there.
        touch: Is called when a step has ended.
        after: The step after which it begins.

    Attributes:
        is_broken: Whether the sandbox is gone.
        last: The last step, running or answered.
    """

    def __init__(
        self,
        about: About,
        environment: Environment,
        journal: Journal,
        budget: SessionBudget,
        touch: Callable[[], None],
        after: int = 0,
    ) -> None:
        self.is_broken = False
        self.last: StepRun | None = None
        self._about = about
        self._environment = environment
        self._journal = journal
        self._budget = budget
        self._touch = touch
        self._after = after
        self._worker: asyncio.Task[None] | None = None

    @property
    def last_index(self) -> int:
        """The index of the last step, running or answered."""
        return self.last.index if self.last else self._after

    @property
    def running(self) -> StepRun | None:
        """The step that is not answered yet."""
        return self.last if self.last is not None and not self.last.is_answered else None

    def begin(self, index: int, action: Action, nonce: str, busy_with: str) -> StepRun:
        """Begins a step, or finds it again.

        Raises:
            StepOutOfOrder, StepMismatch, StepInProgress: See errors; nothing ran.
            JournalUsedUp: The session has used its share of the journal; nothing ran.
        """
        last = self.last
        if last is not None and index == last.index and nonce == last.nonce:
            return self._found_again(last, action)
        if index == self.last_index + 1 or (last is not None and index == last.index):
            self.check_free(busy_with)
        if index != self.last_index + 1:
            raise self._out_of_order(index)
        self._budget.check()
        step = self.last = StepRun(index, action, nonce)
        self._worker = asyncio.create_task(self._perform(step, last))
        return step

    def _found_again(self, last: StepRun, action: Action) -> StepRun:
        if action.text != last.action.text:
            raise StepMismatch(
                f"step {last.index} of {self._about.name} was another action; use "
                f"{last.index + 1} for a new one"
            )
        if last.is_answered and last.unwritten is not None:
            last.reopen()
            self._worker = asyncio.create_task(self._write_again(last, last.unwritten))
        return last

    def _out_of_order(self, index: int) -> StepOutOfOrder:
        expected = str(self.last_index + 1)
        facts = {"expected": expected, "answer_within": f"{self._about.answer_within:g}"}
        if self.last is not None and index == self.last.index:
            return StepOutOfOrder(
                f"step {index} of {self._about.name} was taken by a call with another nonce; "
                f"use {expected} for a new step",
                facts,
            )
        again = f", or {self.last.index} to see the last answer again" if self.last else ""
        return StepOutOfOrder(
            f"step_index is {index}; {self._about.name} expects {expected}{again}",
            facts,
        )

    def check_free(self, busy_with: str = "") -> None:
        """Checks that nothing runs.

        Raises:
            StepInProgress: A step does, or what is given.
        """
        if not busy_with and self.running is None:
            return
        what = busy_with or f"step {self.last_index}"
        raise StepInProgress(
            f"{what} of {self._about.name} is still running; wait for it or interrupt it",
            {"expected": str(self.last_index + 1)},
        )

    async def _perform(self, step: StepRun, last: StepRun | None) -> None:
        try:
            answer = await self._answered(step, last)
        except Exception as error:  # noqa: BLE001 - a fault of ours: whoever waits must hear of it
            _log.exception("a step failed", session=self._about.name, step=step.index)
            answer = error
        self._touch()
        step.settle(answer)

    async def _answered(self, step: StepRun, last: StepRun | None) -> Observation | Exception:
        if last is not None and last.unwritten is not None:
            await self._write_again(last, last.unwritten)
        if last is not None and last.unwritten is not None:  # one answer is all that is held back
            self.last = last
            return JournalUnavailable(
                f"step {step.index} of {self._about.name} was not begun: the journal still cannot "
                f"be written; make space, and ask for step {last.index} or {step.index} again"
            )
        answer = await self._observed(step)
        if isinstance(answer, InvalidInput):  # nothing ran: the index is still free
            self.last = last
            return answer
        return await self._journaled(step, answer)

    async def _observed(self, step: StepRun) -> Observation | Exception:
        started = time.monotonic()
        try:
            observation = await self._environment.step(step.action, on_output=step.output.add)
            step.message = observation_to_wire(observation)
        except PlumbError as error:
            self.is_broken |= isinstance(error, SandboxUnavailable)
            return error
        except asyncio.CancelledError:
            return self._was_ended(step)
        except Exception as error:  # noqa: BLE001 - a fault of ours: whoever waits must hear of it
            _log.exception(
                "a step failed as none should", session=self._about.name, step=step.index
            )
            return error
        seconds = time.monotonic() - started
        about = self._about
        metrics.step_answered(about.kind, about.backend, observation.ending.value, seconds)
        _count_replies(observation)
        if observation.verdict is not None:
            metrics.verdict_given(about.kind, observation.verdict.verdict)
        return observation

    async def _journaled(
        self, step: StepRun, answer: Observation | Exception
    ) -> Observation | Exception:
        """Writes the answer; what could not be written must not be answered.

        It is held back where it can be written later: when the step is asked for again, or the
        next one.
        """
        record = _record(self._about.name, step, answer)
        step.unwritten = None
        try:
            await self._journal.step_answered(record)
        except JournalUnavailable as error:
            step.unwritten = answer
            return JournalUnavailable(
                f"step {step.index} of {self._about.name} has ended, but cannot be answered: "
                f"{error} for the same step_index"
            )
        except Exception as error:  # noqa: BLE001 - see above
            return error
        self._budget.use(record.size)
        return answer

    async def _write_again(self, step: StepRun, answer: Observation | Exception) -> None:
        step.settle(await self._journaled(step, answer))
        self._touch()

    def _was_ended(self, step: StepRun) -> SessionNotFound:
        return SessionNotFound(f"{self._about.name} was ended while step {step.index} ran")

    async def finish(self) -> None:
        """Waits until no step is running."""
        if self._worker is not None:
            await asyncio.wait({self._worker})

    async def cut_off(self) -> None:
        """Ends what runs, and answers whoever waits for it, also where it does not end."""
        if self._worker is not None and not self._worker.done():
            self._worker.cancel()
            await asyncio.wait({self._worker}, timeout=_CUT_OFF_WITHIN)
        step = self.last
        if step is not None and not step.is_answered:  # cut off outside of its action
            step.settle(self._was_ended(step))
        if step is not None and step.unwritten is not None:  # the last chance
            await self._journaled(step, step.unwritten)


def _record(name: str, step: StepRun, answer: Observation | Exception) -> StepRecord:
    observation = answer if isinstance(answer, Observation) else None
    return StepRecord(
        session=name,
        step_index=step.index,
        action=step.action.text,
        observation=step.message.SerializeToString() if observation else None,
        ending=observation.ending.name if observation else None,
        exit_code=observation.exit_code if observation else None,
        error=None if observation else _text(answer),
        verdict=observation.verdict.verdict if observation and observation.verdict else None,
        nonce=step.nonce,
    )


def _text(error: object) -> str:
    """What any journal can hold: of a bounded length, without half characters and NULs."""
    text = str(error)[:_MAX_ERROR_CHARACTERS].replace("\0", "\\0")
    return text.encode(errors="backslashreplace").decode()


def _count_replies(observation: Observation) -> None:
    """Counts the replies that were not taken, on either side."""
    for seen in filter(None, (observation, observation.counterpart)):
        for rejection in seen.provenance.rejections:
            metrics.reply_rejected(seen.provenance.model, rejection.partition(":")[0])
