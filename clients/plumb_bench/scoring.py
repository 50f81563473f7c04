"""Scores what was run: every simulated step against the real runs of the same action. Pure."""

import dataclasses
import datetime
from collections.abc import Iterable, Mapping, Sequence

from plumb_bench.scenario import Scenario
from plumb_bench.simulators import Simulator
from plumb_bench.trajectory import FREE, REAL, TEACHER, Trajectory, Turn
from plumb_fidelity import Truth, Verdict
from plumb_fidelity.action import changes_state
from plumb_fidelity.failure import failure_of
from plumb_fidelity.rules import remembered, rules_of
from plumb_fidelity.state import compare_state
from plumb_fidelity.verdict import backend_failure


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
        state: Of the suites that were probed after it, which agree.
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
    state: Mapping[str, bool]

    @property
    def is_hallucination(self) -> bool:
        """Whether the simulator is wrong."""
        return self.verdict.is_wrong


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
        floor: Each real replica against the others: what the differ says of what is right.
        not_run: Scenarios whose real side failed, and why; they are in no figure.
    """

    rows: Sequence[Row]
    truths: Mapping[str, Sequence[Truth]]
    floor: Sequence[Sequence[Verdict]]
    not_run: Mapping[str, str]


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
        for mode in (FREE, TEACHER):
            played = [
                _steps(scenario, reals[scenario.id], truths[scenario.id], one)
                for scenario in scored
                if (one := found.get((scenario.id, simulator.label, mode)))
            ]
            if played:
                rows.append(Row(simulator, mode, played))
    floor = [verdicts for s in scored for verdicts in _leave_one_out(s, reals[s.id])]
    return Scored(rows, truths, floor, not_run)


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


def _leave_one_out(scenario: Scenario, runs: Sequence[Trajectory]) -> list[list[Verdict]]:
    """Judges each replica by the others, as if it were a simulator."""
    if len(runs) < 2:
        return []
    found = []
    for out in runs:
        truths = _truths(scenario, [run for run in runs if run is not out])
        found.append(
            [truth.judge(turn.seen) for truth, turn in zip(truths, out.turns, strict=True)]
        )
    return found


def _steps(
    scenario: Scenario, reals: Sequence[Trajectory], truths: Sequence[Truth], one: Trajectory
) -> list[Step]:
    steps = []
    history: list[tuple[str, str]] = []
    for number, truth in enumerate(truths):
        turn = (
            one.turns[number]
            if number < len(one.turns)
            else Turn(action=truth.action, failure=one.failure or "it was not reached")
        )
        if turn.failure:
            verdict = backend_failure("simulated", turn.failure)
        else:
            verdict = truth.judge(turn.seen, history=history)
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
                state=_state(probes, turn),
            )
        )
    return steps


def _content(truth: Truth) -> str:
    real = truth.real[0]
    if real.failed or failure_of(real, is_table=truth.is_table).classes:
        return "error"
    is_content = bool(real.text.strip()) and not real.text.startswith(("Query OK", "Empty set"))
    return "content" if is_content else "empty"


def _state(probes: Sequence[Mapping[str, Mapping[str, str]]], turn: Turn) -> dict[str, bool]:
    """Of each suite, whether no fact differs from what real runs agree on."""
    return {
        suite: compare_state([run.get(suite, {}) for run in probes], answered).agrees
        for suite, answered in turn.probes.items()
    }
