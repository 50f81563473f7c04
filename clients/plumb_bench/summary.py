"""The figures of a run: from scored steps to `report.json`. Pure.

What each figure means, how it is computed and what its limits are: docs/fidelity.md.
"""

import collections
import statistics as plain
from collections.abc import Mapping, Sequence
from typing import Any

from plumb_bench import figures
from plumb_bench.mutation import mutation_table
from plumb_bench.pairs import comparisons
from plumb_bench.scoring import EXCLUDED, FAILED, RIGHT, WRONG, Row, Scored

FORMAT_VERSION = 2

LEAST_COVERAGE = 0.95
"""A simulator that answered less of what it was to play is not ranked."""


def summarise(
    scored: Scored, *, seed: int, labelled: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Computes everything that `report.json` holds, but for the record of the run.

    Args:
        scored: What was scored.
        seed: Of sign flips and of planted errors.
        labelled: What the differ makes of labelled pairs (`LabelledAccuracy.to_json`); None where
            none were judged.
    """
    rows = [summarise_row(row, kinds=scored.kinds, steps=_steps(scored)) for row in scored.rows]
    _rank(rows)
    ranked = [row for row, found in zip(scored.rows, rows, strict=True) if found["ranked"]]
    return {
        "rows": rows,
        "comparisons": comparisons(ranked, seed=seed),
        "real": _real(scored),
        "mutations": mutation_table(scored.truths, seed=seed),
        "labelled": None if labelled is None else dict(labelled),
        "not_run": dict(scored.not_run),
    }


def _steps(scored: Scored) -> dict[str, int]:
    return {scenario: len(truths) for scenario, truths in scored.truths.items()}


def summarise_row(
    row: Row, *, kinds: Mapping[str, str], steps: Mapping[str, int]
) -> dict[str, Any]:
    """The figures of one simulator in one mode.

    Args:
        row: Its steps.
        kinds: The kind of each scenario of the run.
        steps: How many actions each scenario has.
    """
    found = collections.Counter(step.outcome for step in row.steps)
    verdicts = collections.Counter(step.verdict.verdict for step in row.steps)
    counted = found[RIGHT] + found[WRONG] + found[FAILED]
    played = {step.kind for step in row.steps}
    due = sum(steps[scenario] for scenario, kind in kinds.items() if kind in played)
    coverage = (len(row.steps) - found[FAILED]) / due if due else 0.0
    return {
        "simulator": row.simulator.label,
        "model": row.simulator.model,
        "strategy": row.simulator.strategy,
        "mode": row.mode,
        "kinds": sorted(played),
        "trajectories": len(row.trajectories),
        "steps": len(row.steps),
        "due": due,
        "scored": counted,
        "right": found[RIGHT],
        "wrong": found[WRONG],
        "backend_failures": found[FAILED],
        "excluded": found[EXCLUDED],
        "unscorable": verdicts["UNSCORABLE"],
        "unknowable": verdicts["UNKNOWABLE"],
        "coverage": coverage,
        "ranked": coverage >= LEAST_COVERAGE and counted > 0,
        **figures.agreement_figures(row),
        "verdicts": {name: verdicts[name] for name in sorted(verdicts)},
        **figures.status_figures(row.steps),
        **figures.divergence_figures(row.trajectories),
        "state": figures.state_figures(row.trajectories),
        "cost": figures.cost_figures(row.steps),
    }


def _rank(rows: Sequence[dict[str, Any]]) -> None:
    """Numbers those that played the same kinds in the same mode; the best is 1."""
    for row in rows:
        peers = [
            one["agreement"]["value"]
            for one in rows
            if one["ranked"] and (one["mode"], one["kinds"]) == (row["mode"], row["kinds"])
        ]
        own = row["agreement"]["value"] if row["ranked"] else None
        row["rank"] = None if own is None else 1 + sum(value > own for value in peers)


def _real(scored: Scored) -> dict[str, Any]:
    """What is known of the real side: how far it agrees with itself."""
    floor = scored.floor_row
    verdicts = collections.Counter(step.verdict.verdict for step in floor.steps)
    truths = [truth for found in scored.truths.values() for truth in found]
    alarms = sum(step.outcome == WRONG for step in floor.steps)
    judged = sum(step.is_counted for step in floor.steps)
    seconds = [step.simulated.seconds for step in floor.steps if step.simulated.seconds]
    return {
        "replicas": max((len(truth.real) for truth in truths), default=0),
        "scenarios": len(scored.truths),
        "agreement": figures.agreement(floor.trajectories),
        "false_alarms": {"count": alarms, "of": judged, "value": alarms / judged if judged else 0},
        "excluded": len(floor.steps) - judged,
        "verdicts": {name: verdicts[name] for name in sorted(verdicts)},
        "steps": len(truths),
        "unscorable_steps": sum(bool(truth.unstable) for truth in truths),
        "masked_share": plain.fmean(truth.masked for truth in truths) if truths else 0.0,
        "state": figures.state_figures(floor.trajectories),
        "changes": _changes(scored),
        "seconds_p50": figures.percentile(seconds, 50),
        "seconds_p95": figures.percentile(seconds, 95),
    }


def _changes(scored: Scored) -> dict[str, int]:
    """How many actions really changed so many facts."""
    seen = {(step.scenario, step.turn): figures.facts_of(step) for step in scored.floor_row.steps}
    counts = collections.Counter(seen.values())
    return {name: counts[name] for name in figures.FACTS}
