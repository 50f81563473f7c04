"""Takes the journaled actions of an ended session again, in another one."""

import dataclasses
from collections.abc import Callable, Collection, Sequence

from plumb.v1 import environment_pb2 as wire
from plumb_backends.environment import DEFAULT_TIMEOUT, MAX_TIMEOUT, Action
from plumb_backends.errors import InvalidInput
from plumb_server.journal import Journal, StepRecord
from plumb_server.session import Replayed, Session, check_name

_CUT_SHORT = ("TIMED_OUT", "INTERRUPTED")


@dataclasses.dataclass(frozen=True, slots=True)
class ReplayPlan:
    """What is to be taken again.

    Attributes:
        after: The step after which the new session begins.
        steps: In order, with the step numbers that they had.
    """

    after: int
    steps: Sequence[StepRecord]


class Replays:
    """Reads from the journal what is to be taken again.

    Args:
        journal: Has it.
        live: The names of the sessions that have not ended.
    """

    def __init__(self, journal: Journal, live: Callable[[], Collection[str]]) -> None:
        self._journal = journal
        self._live = live

    async def read(
        self, request: wire.CreateSessionRequest
    ) -> tuple[wire.CreateSessionRequest, ReplayPlan | None]:
        """What a session is to be created from, and what it is to take then.

        Raises:
            InvalidInput: The request asks for more than a replay, or for one that cannot be.
        """
        if not request.HasField("replay_from"):
            return request, None
        _check_alone(request)
        name, until = request.replay_from.session, request.replay_from.until_step
        check_name(name)
        if until < 0:
            raise InvalidInput(f"replay_from.until_step is {until}; use a step's index, or 0")
        if name in self._live():
            raise InvalidInput(f"{name} has not ended; go on with it, or delete it first")
        recorded = await self._journal.request_of(name)
        if recorded is None:
            raise InvalidInput(f"the journal has no {name}; ListJournaledSessions has the names")
        source = wire.CreateSessionRequest.FromString(recorded)
        if source.backend not in ("", "real"):
            raise InvalidInput(
                f"{name} has backend {source.backend!r}, and only real ones are taken again; give "
                "its turns to a simulator as `teacher`"
            )
        source.request_id = request.request_id
        source.replay_from.CopyFrom(request.replay_from)
        if request.HasField("idle_timeout"):
            source.idle_timeout.CopyFrom(request.idle_timeout)
        return source, await plan_replay(self._journal, name, until)


def _check_alone(request: wire.CreateSessionRequest) -> None:
    beside = {"request_id", "idle_timeout", "replay_from"}
    for field, _ in request.ListFields():
        if field.name not in beside:
            raise InvalidInput(
                f"{field.name} is set beside replay_from, which takes it from the journal; leave "
                "it out"
            )


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
    return ReplayPlan(begin, steps)


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
