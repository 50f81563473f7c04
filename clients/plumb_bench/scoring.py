"""Scores what was run: every simulated step against the real runs of the same action. Pure."""

import dataclasses
import datetime
from collections.abc import Iterable, Mapping, Sequence

from plumb_bench.scenario import Scenario
from plumb_bench.simulators import Simulator
from plumb_bench.state import Probes, SuiteScore, facts_changed, score_state
from plumb_bench.trajectory import FREE, REAL, TEACHER, Trajectory, Turn
from plumb_fidelity import Seen, Truth, Verdict
from plumb_fidelity.action import changes_state
from plumb_fidelity.failure import failure_of
from plumb_fidelity.rules import remembered, rules_of
from plumb_fidelity.seen import OF_MODELS
from plumb_fidelity.statuses import FAILURE, SUCCESS, UNKNOWN
from plumb_fidelity.verdict import backend_failure

FLOOR = Simulator(label="a second real sandbox", model="baseline:real")
"""Each real run, judged by the others as a simulator is."""

RIGHT, WRONG, FAILED, EXCLUDED = "right", "wrong", "failed", "excluded"
"""What a step comes to; `excluded` is what nobody could know, or nobody could score."""

_NO_ANSWER = "no answer"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One scored step.

    Attributes:
        scenario: Its id.
        kind: The kind of environment.
        turn: From 1.
        action: What was typed.
        real: The first real run's turn.
        simulated: The simulator's.
        verdict: How they compare.
        content: What a right answer is: `empty`, `error` or `content`.
        changes_state: Whether the action is meant to leave something behind.
        facts_changed: How many facts about the state it really changed; None where the real state
            was not probed before and after it.
        state: How much of each suite is right that was probed after it.
        run: Of a real run that is judged by the others: which replica; empty elsewhere.
    """

    scenario: str
    kind: str
    turn: int
    action: str
    real: Turn
    simulated: Turn
    verdict: Verdict
    content: str
    changes_state: bool
    facts_changed: int | None
    state: Mapping[str, SuiteScore]
    run: str = ""

    @property
    def outcome(self) -> str:
        """What it comes to: right, wrong, failed or excluded."""
        if self.verdict.agrees:
            return RIGHT
        if self.simulated.failure:
            return FAILED
        return WRONG if self.verdict.is_scored else EXCLUDED

    @property
    def is_counted(self) -> bool:
        """Whether it is in the denominator: a failure is, and counts as wrong."""
        return self.outcome != EXCLUDED

    @property
    def statuses(self) -> tuple[str, str]:
        """Of the real side and the simulator: success, failure or unknown."""
        is_table = self.kind == "mysql"
        if self.simulated.failure:
            return _status(self.real.seen, is_table=is_table), UNKNOWN
        real, simulated = self.real.seen, self.simulated.seen
        return _status(real, is_table=is_table), _status(simulated, is_table=is_table)

    @property
    def error_classes(self) -> tuple[str, str]:
        """The class of the first error that each side prints, or `none`.

        A step without an answer has whichever is wrong, so that failing is no better than lying.
        """
        is_table = self.kind == "mysql"
        real = _printed_error(self.real.text, is_table=is_table)
        if self.simulated.failure:
            return real, _NO_ANSWER if real == _NONE else _NONE
        return real, _printed_error(self.simulated.text, is_table=is_table)

    @property
    def is_hallucination(self) -> bool:
        """Whether the simulator is wrong."""
        return self.verdict.is_wrong


def _status(seen: Seen, *, is_table: bool) -> str:
    """As the side states it, else as an error shows it; silence tells nothing."""
    if seen.failed is not None:
        return FAILURE if seen.failed else SUCCESS
    if _printed_error(seen.text, is_table=is_table) != _NONE:
        return FAILURE
    return SUCCESS if is_table and seen.text.strip() else UNKNOWN


_NONE = "none"


def _printed_error(text: str, *, is_table: bool) -> str:
    return next(iter(failure_of(Seen(text=text), is_table=is_table).classes), _NONE)


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """One simulator in one mode: the steps of each scenario that it played, in order."""

    simulator: Simulator
    mode: str
    trajectories: Sequence[Sequence[Step]]

    @property
    def steps(self) -> list[Step]:
        """All its steps."""
        return [step for steps in self.trajectories for step in steps]


@dataclasses.dataclass(frozen=True, slots=True)
class Scored:
    """Everything that was scored.

    Attributes:
        rows: One for each simulator and mode.
        truths: The real runs of each scenario's actions, as far as they could be run.
        floor_row: Each real replica against the others, all of a scenario's one trajectory.
        not_run: Scenarios whose real side failed, and why; they are in no figure.
        kinds: The kind of each scenario that was run.
    """

    rows: Sequence[Row]
    truths: Mapping[str, Sequence[Truth]]
    floor_row: Row
    not_run: Mapping[str, str]
    kinds: Mapping[str, str]

    @property
    def floor(self) -> list[list[Verdict]]:
        """What the differ says of what is right, a list for each scenario."""
        return [[step.verdict for step in steps] for steps in self.floor_row.trajectories]


def score(
    scenarios: Sequence[Scenario],
    simulators: Sequence[Simulator],
    trajectories: Iterable[Trajectory],
) -> Scored:
    """Scores a run."""
    found = {one.key: one for one in trajectories}
    reals = {s.id: _replicas(s, found) for s in scenarios}
    not_run = {name: _why(runs) for name, runs in reals.items() if _why(runs)}
    scored = [scenario for scenario in scenarios if scenario.id not in not_run]
    truths = {s.id: _truths(s, reals[s.id]) for s in scored}
    rows = []
    for simulator in simulators:
        endings = OF_MODELS if simulator.is_model else frozenset()
        for mode in (FREE, TEACHER):
            played = [
                _steps(scenario, reals[scenario.id], truths[scenario.id], one, endings)
                for scenario in scored
                if (one := found.get((scenario.id, simulator.label, mode)))
            ]
            if played:
                rows.append(Row(simulator, mode, played))
    floor = [steps for s in scored if (steps := _leave_one_out(s, reals[s.id]))]
    kinds = {scenario.id: scenario.environment for scenario in scored}
    return Scored(rows, truths, Row(FLOOR, REAL, floor), not_run, kinds)


def _replicas(
    scenario: Scenario, found: Mapping[tuple[str, str, str], Trajectory]
) -> list[Trajectory]:
    runs = [
        one
        for (name, side, run), one in found.items()  # a recording may be called `real`, too
        if (name, side) == (scenario.id, REAL) and run.isdigit()
    ]
    return sorted(runs, key=lambda one: int(one.run))


def _why(runs: Sequence[Trajectory]) -> str:
    if not runs:
        return "it was not run"
    return next((run.failure for run in runs if run.failure), "")


def _truths(scenario: Scenario, runs: Sequence[Trajectory]) -> list[Truth]:
    at = datetime.datetime.fromtimestamp(runs[0].at, datetime.UTC).replace(tzinfo=None)
    rules = rules_of(scenario.environment)
    told = "\n".join(scenario.init)  # the same for every simulator: what is excluded is, too
    return [
        rules.truth([run.turns[number].seen for run in runs], action=action, at=at, told=told)
        for number, action in enumerate(scenario.actions)
    ]


def _leave_one_out(scenario: Scenario, runs: Sequence[Trajectory]) -> list[Step]:
    """Judges each replica by the others, as if it were a simulator."""
    found: list[Step] = []
    for out in runs if len(runs) > 1 else ():
        others = [run for run in runs if run is not out]
        steps = _steps(scenario, others, _truths(scenario, others), out)
        found += [dataclasses.replace(step, run=out.run) for step in steps]
    return found


def _steps(
    scenario: Scenario,
    reals: Sequence[Trajectory],
    truths: Sequence[Truth],
    one: Trajectory,
    endings: frozenset[str] = frozenset(),
) -> list[Step]:
    """Scores a trajectory of a side that can give these endings; see `Seen`."""
    steps = []
    history: list[tuple[str, str]] = []
    before: list[Probes] = [real.before for real in reals]
    for number, truth in enumerate(truths):
        turn = (
            one.turns[number]
            if number < len(one.turns)
            else Turn(action=truth.action, failure=one.failure or "it was not reached")
        )
        if turn.failure:
            verdict = backend_failure("simulated", turn.failure)
        else:
            seen = dataclasses.replace(turn.seen, endings=endings)
            verdict = truth.judge(seen, history=history)
            history = remembered(history, turn.action, turn.text)
        probes = [real.turns[number].probes for real in reals]
        steps.append(
            Step(
                scenario=scenario.id,
                kind=scenario.environment,
                turn=number + 1,
                action=truth.action,
                real=reals[0].turns[number],
                simulated=turn,
                verdict=verdict,
                content=_content(truth),
                changes_state=changes_state(truth.action, sql=truth.is_table),
                facts_changed=facts_changed(before, probes),
                state=_state(one, number, probes),
            )
        )
        before = list(probes)
    return steps


def _state(one: Trajectory, number: int, real: Sequence[Probes]) -> dict[str, SuiteScore]:
    """How much of the state is right where it was asked for; what gave no answer is wrong."""
    told = one.probes_after(number)
    return score_state(real, told) if told or number + 1 in one.probed_at else {}


def _content(truth: Truth) -> str:
    real = truth.real[0]
    if real.failed or failure_of(real, is_table=truth.is_table).classes:
        return "error"
    is_content = bool(real.text.strip()) and not real.text.startswith(("Query OK", "Empty set"))
    return "content" if is_content else "empty"
