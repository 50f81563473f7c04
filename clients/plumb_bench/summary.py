"""The figures of a run: from scored steps to `report.json`. Pure.

What each figure means, how it is computed and what its limits are: docs/fidelity.md.
"""

import collections
import dataclasses
import itertools
import statistics as plain
from collections.abc import Callable, Sequence
from typing import Any

from plumb_bench.mutation import mutation_table
from plumb_bench.scoring import Row, Scored, Step
from plumb_fidelity import statistics
from plumb_fidelity.failure import failure_of
from plumb_fidelity.statistics import Interval
from plumb_fidelity.verdict import AGREEING, HALLUCINATIONS

FORMAT_VERSION = 1


def summarise(scored: Scored, *, seed: int) -> dict[str, Any]:
    """Computes everything that `report.json` holds, but for the record of the run."""
    rows = [summarise_row(row, seed=seed) for row in scored.rows]
    return {
        "rows": rows,
        "comparisons": _comparisons(scored.rows, seed),
        "real": _real(scored, seed),
        "mutations": mutation_table(scored.truths, seed=seed),
        "not_run": dict(scored.not_run),
    }


def summarise_row(row: Row, *, seed: int) -> dict[str, Any]:
    """The figures of one simulator in one mode."""
    steps = row.steps
    verdicts = collections.Counter(step.verdict.verdict for step in steps)
    scored = [step for step in steps if step.verdict.is_scored]
    wrong = sum(step.verdict.is_wrong for step in steps)

    def agreement(which: Callable[[Step], bool] = lambda _: True) -> dict[str, Any] | None:
        return _interval(statistics.mean_of(_outcomes(row, which), seed=seed))

    by_content = {name: agreement(lambda s, n=name: s.content == n) for name in _CONTENTS}  # type: ignore[misc]
    known = [found["value"] for found in by_content.values() if found]
    return {
        "simulator": row.simulator.label,
        "model": row.simulator.model,
        "strategy": row.simulator.strategy,
        "mode": row.mode,
        "trajectories": len(row.trajectories),
        "steps": len(steps),
        "scored": len(scored),
        "backend_failures": verdicts["BACKEND_FAILURE"],
        "unscorable": verdicts["UNSCORABLE"],
        "unknowable": verdicts["UNKNOWABLE"],
        "agreement": agreement(),
        "agreement_with_failures": _interval(
            statistics.mean_of(_outcomes(row, failures=True), seed=seed)
        ),
        "agreement_by_trajectory": _interval(statistics.macro_mean_of(_outcomes(row), seed=seed)),
        "agreement_by_kind": {
            kind: agreement(lambda s, k=kind: s.kind == k)  # type: ignore[misc]
            for kind in sorted({step.kind for step in steps})
        },
        "agreement_by_content": by_content,
        "agreement_macro": plain.fmean(known) if known else None,
        "agreement_changing": agreement(lambda step: step.changes_state),
        "hallucinations_per_100": 100 * wrong / len(scored) if scored else None,
        "verdicts": {name: verdicts[name] for name in sorted(verdicts)},
        "false_success": _rate(scored, "FALSE_SUCCESS", among=True),
        "false_failure": _rate(scored, "FALSE_FAILURE", among=False),
        "status_mcc": statistics.matthews(*_statuses(scored)) if scored else None,
        "wrong_error": _rate_of_wrong_errors(scored),
        "error_classes_kl_bits": _error_classes(scored),
        "design_effect": statistics.design_effect(_outcomes(row)),
        "survival": _survival(row),
        "whole_trajectories": _whole(row),
        "state": _state(row),
        "cost": _cost(steps, agreed=sum(verdicts[name] for name in AGREEING)),
    }


_CONTENTS = ("empty", "error", "content")


def _outcomes(
    row: Row, which: Callable[[Step], bool] = lambda _: True, *, failures: bool = False
) -> list[list[float]]:
    """Of each trajectory's scored steps, which agree; failures are none, or wrong answers."""
    return [
        [
            float(step.verdict.agrees)
            for step in steps
            if which(step) and (step.verdict.is_scored or (failures and step.simulated.failure))
        ]
        for steps in row.trajectories
    ]


def _interval(found: Interval | None) -> dict[str, Any] | None:
    return None if found is None else dataclasses.asdict(found)


def _rate(steps: Sequence[Step], flag: str, *, among: bool) -> dict[str, Any]:
    """How many have a flag, of those whose real status is such (failed, or not)."""
    asked = [step for step in steps if (step.content == "error") is among]
    count = sum(flag in step.verdict.flags for step in asked)
    return {"count": count, "of": len(asked), "value": count / len(asked) if asked else None}


def _statuses(steps: Sequence[Step]) -> tuple[list[bool], list[bool]]:
    """Whether the real answer is an error, and whether the simulated one is."""
    real = [step.content == "error" for step in steps]
    simulated = [
        (failed or "FALSE_FAILURE" in step.verdict.flags)
        and not {"FALSE_SUCCESS", "EMPTY"} & set(step.verdict.flags)
        for failed, step in zip(real, steps, strict=True)
    ]
    return real, simulated


def _rate_of_wrong_errors(steps: Sequence[Step]) -> dict[str, Any]:
    both = [
        step
        for step, real, simulated in zip(steps, *_statuses(steps), strict=True)
        if real and simulated
    ]
    count = sum("WRONG_ERROR" in step.verdict.flags for step in both)
    return {"count": count, "of": len(both), "value": count / len(both) if both else None}


def _error_classes(steps: Sequence[Step]) -> float | None:
    def classes(turns: Sequence[tuple[Any, str]]) -> collections.Counter[str]:
        return collections.Counter(
            name
            for turn, kind in turns
            for name in failure_of(turn.seen, is_table=kind == "mysql").classes[:1]
        )

    return statistics.kullback_leibler(
        classes([(step.real, step.kind) for step in steps]),
        classes([(step.simulated, step.kind) for step in steps]),
    )


def _first_divergence(steps: Sequence[Step]) -> tuple[int, bool]:
    for step in steps:
        if step.is_hallucination:
            return step.turn, True
    return len(steps), False


def _survival(row: Row) -> dict[str, Any] | None:
    found = [_first_divergence(steps) for steps in row.trajectories if steps]
    survival = statistics.survival([turn for turn, _ in found], [wrong for _, wrong in found])
    return None if survival is None else dataclasses.asdict(survival)


def _whole(row: Row) -> dict[str, Any] | None:
    """How many trajectories have no hallucination at all."""
    clean = [not _first_divergence(steps)[1] for steps in row.trajectories]
    return _interval(statistics.wilson(sum(clean), len(clean)))


def _state(row: Row) -> dict[str, Any]:
    """By turn, how many of the suites that were probed agree."""
    by_turn: dict[int, list[bool]] = collections.defaultdict(list)
    for step in row.steps:
        by_turn[step.turn] += step.state.values()
    return {
        str(turn): {"agree": sum(found), "of": len(found)}
        for turn, found in sorted(by_turn.items())
        if found
    }


def _cost(steps: Sequence[Step], *, agreed: int) -> dict[str, Any]:
    seconds = [step.simulated.seconds for step in steps if step.simulated.seconds]
    usd = sum(step.simulated.cost_usd for step in steps)
    return {
        "usd": usd,
        "usd_per_agreed_step": usd / agreed if agreed and usd else None,
        "prompt_tokens": sum(step.simulated.prompt_tokens for step in steps),
        "completion_tokens": sum(step.simulated.completion_tokens for step in steps),
        "attempts": sum(step.simulated.attempts for step in steps),
        "seconds_p50": _percentile(seconds, 50),
        "seconds_p95": _percentile(seconds, 95),
    }


def _percentile(values: Sequence[float], percent: int) -> float | None:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)] if ordered else None


def _real(scored: Scored, seed: int) -> dict[str, Any]:
    """What is known of the real side: how far it agrees with itself."""
    outcomes = [[float(v.agrees) for v in run if v.is_scored] for run in scored.floor]
    verdicts = collections.Counter(v.verdict for run in scored.floor for v in run)
    truths = [truth for found in scored.truths.values() for truth in found]
    alarms = sum(verdicts[name] for name in HALLUCINATIONS)
    judged = sum(map(len, outcomes))
    seconds = [s.real.seconds for row in scored.rows[:1] for s in row.steps if s.real.seconds]
    return {
        "replicas": max((len(truth.real) for truth in truths), default=0),
        "scenarios": len(scored.truths),
        "agreement": _interval(statistics.mean_of(outcomes, seed=seed)),
        "false_alarms": {"count": alarms, "of": judged, "value": alarms / judged if judged else 0},
        "verdicts": {name: verdicts[name] for name in sorted(verdicts)},
        "steps": len(truths),
        "unscorable_steps": sum(bool(truth.unstable) for truth in truths),
        "masked_share": plain.fmean(truth.masked for truth in truths) if truths else 0.0,
        "seconds_p50": _percentile(seconds, 50),
        "seconds_p95": _percentile(seconds, 95),
    }


def _comparisons(rows: Sequence[Row], seed: int) -> list[dict[str, Any]]:
    """Each pair of simulators on the steps that both have; p values after Holm."""
    found = [
        comparison
        for left, right in itertools.combinations(rows, 2)
        if (comparison := _comparison(left, right, seed))
    ]
    adjusted = statistics.holm([one["p_value"] for one in found])
    for one, p_value in zip(found, adjusted, strict=True):
        one["p_value_holm"] = p_value
    return found


def _comparison(left: Row, right: Row, seed: int) -> dict[str, Any] | None:
    pairs = _common_steps(left, right)
    difference = statistics.paired_difference(
        [[float(a.verdict.agrees) for a, _ in steps] for steps in pairs],
        [[float(b.verdict.agrees) for _, b in steps] for steps in pairs],
        seed=seed,
    )
    if difference is None:
        return None
    clean = [
        (
            not any(a.is_hallucination for a, _ in steps),
            not any(b.is_hallucination for _, b in steps),
        )
        for steps in pairs
    ]
    mcnemar = statistics.mcnemar([a for a, _ in clean], [b for _, b in clean])
    return {
        "left": f"{left.simulator.label}, {left.mode}",
        "right": f"{right.simulator.label}, {right.mode}",
        **dataclasses.asdict(difference),
        "mcnemar": dataclasses.asdict(mcnemar),
    }


def _common_steps(left: Row, right: Row) -> list[list[tuple[Step, Step]]]:
    others = {(step.scenario, step.turn): step for step in right.steps}
    found = [
        [
            (step, other)
            for step in steps
            if (other := others.get((step.scenario, step.turn)))
            and step.verdict.is_scored
            and other.verdict.is_scored
        ]
        for steps in left.trajectories
    ]
    return [steps for steps in found if steps]
