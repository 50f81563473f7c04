"""Takes the journaled actions of an ended session again, in another one."""

import dataclasses
from collections.abc import Sequence

from plumb.v1 import environment_pb2 as wire
from plumb_backends.environment import DEFAULT_TIMEOUT, MAX_TIMEOUT, Action
from plumb_backends.errors import InvalidInput
from plumb_server.journal import Journal, StepRecord
from plumb_server.session import Replayed, Session

_CUT_SHORT = ("TIMED_OUT", "INTERRUPTED")


@dataclasses.dataclass(frozen=True, slots=True)
class ReplayPlan:
    """What is to be taken again.

    Attributes:
        steps: In order, with the step numbers that they had.
    """

    steps: Sequence[StepRecord] = ()

    @property
    def after(self) -> int:
        """The step after which the new session begins."""
        return self.steps[0].step_index - 1 if self.steps else 0


async def plan_replay(journal: Journal, name: str, until: int) -> ReplayPlan:
    """Plans to take a session's steps since its last reset again.

    Args:
        journal: Has them.
        name: The session's name.
        until: The last one; 0 for the last that was answered with an observation.

    Raises:
        InvalidInput: There is no such step, or it was before the last reset.
    """
    steps = [step for step in await journal.steps_of(name) if not until or step.step_index <= until]
    if until and (not steps or steps[-1].step_index != until):
        raise InvalidInput(
            f"replay_from.until_step is {until}, and {name} has no answered step of that number; "
            "use 0 for all"
        )
    begin = max([after for after in await journal.resets_of(name) if not until or after < until],
                default=0)  # fmt: skip
    steps = [step for step in steps if step.step_index > begin]
    while steps and steps[-1].observation is None:  # it was never seen: the agent asks again
        steps.pop()
    return ReplayPlan(steps)


async def replay(session: Session, plan: ReplayPlan) -> Replayed:
    """Takes the steps.

    Raises:
        PlumbError: A step was answered with an error.
    """
    differing = []
    for record in plan.steps:
        before = wire.Observation.FromString(record.observation or b"")
        action = Action(record.action, timeout=_timeout(record, before))
        step = session.begin_step(record.step_index, action, record.nonce)
        await step.answer()
        if _seen(step.message) != _seen(before):
            differing.append(record.step_index)
    return Replayed(len(plan.steps), differing)


def _timeout(record: StepRecord, before: wire.Observation) -> float:
    """As long as it took, where that was cut short; with room to spare where not."""
    took = before.run_duration.ToNanoseconds() / 1e9
    wanted = took if record.ending in _CUT_SHORT else max(DEFAULT_TIMEOUT, 2 * took)
    return min(max(wanted, 0.001), MAX_TIMEOUT)


def _seen(observation: wire.Observation) -> tuple[str, int, int]:
    return observation.text, observation.ending, observation.exit_code
