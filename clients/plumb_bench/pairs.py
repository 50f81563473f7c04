"""Which simulator is better than which: only between what can be compared. Pure."""

import dataclasses
import itertools
from collections.abc import Sequence
from typing import Any

from plumb_bench.figures import first_divergence, strata
from plumb_bench.scoring import RIGHT, Row, Step
from plumb_fidelity.differences import holm, mcnemar, paired_difference

LEVEL = 0.05
"""A difference is claimed where Holm's p value is below it."""


def comparisons(rows: Sequence[Row], *, seed: int) -> list[dict[str, Any]]:
    """Compares each pair of models of one mode on the steps that both have; Holm decides.

    Args:
        rows: Those that are ranked; baselines are left out, and each mode is a family.
        seed: Of the sign flips.
    """
    found = []
    for mode in dict.fromkeys(row.mode for row in rows):
        family = [row for row in rows if row.mode == mode and not is_baseline(row)]
        found += _family(family, seed)
    return found


def is_baseline(row: Row) -> bool:
    """Whether it shows what little is worth, and is no contender."""
    return row.simulator.model.startswith("baseline:")


def _family(rows: Sequence[Row], seed: int) -> list[dict[str, Any]]:
    pairs = [
        (left, right, common)
        for left, right in itertools.combinations(rows, 2)
        if len(common := _common_steps(left, right)) > 1
    ]
    found = [_comparison(*pair, seed=seed, family=len(pairs)) for pair in pairs]
    by_step = holm([one["p_value"] for one in found])
    by_trajectory = holm([one["mcnemar"]["p_value"] for one in found])
    for one, p_value, of_mcnemar in zip(found, by_step, by_trajectory, strict=True):
        one["p_value_holm"] = p_value
        one["mcnemar"]["p_value_holm"] = of_mcnemar
        one["better"] = "" if p_value >= LEVEL else "left" if one["value"] > 0 else "right"
    return found


def _comparison(
    left: Row, right: Row, common: Sequence[Sequence[tuple[Step, Step]]], *, seed: int, family: int
) -> dict[str, Any]:
    ones = [[a for a, _ in steps] for steps in common]
    others = [[b for _, b in steps] for steps in common]
    difference = paired_difference(
        _right(ones), _right(others), seed=seed, strata=strata(ones), family=family
    )
    assert difference is not None  # noqa: S101 - there are two trajectories or more
    clean = [[not first_divergence(steps)[1] for steps in side] for side in (ones, others)]
    return {
        "left": left.simulator.label,
        "right": right.simulator.label,
        "mode": left.mode,
        "family": family,
        "steps": sum(map(len, common)),
        **dataclasses.asdict(difference),
        "mcnemar": dataclasses.asdict(mcnemar(*clean)),
    }


def _right(trajectories: Sequence[Sequence[Step]]) -> list[list[float]]:
    return [[float(step.outcome == RIGHT) for step in steps] for steps in trajectories]


def _common_steps(left: Row, right: Row) -> list[list[tuple[Step, Step]]]:
    others = {(step.scenario, step.turn): step for step in right.steps}
    found = [
        [
            (step, other)
            for step in steps
            if (other := others.get((step.scenario, step.turn)))
            and step.is_counted
            and other.is_counted
        ]
        for steps in left.trajectories
    ]
    return [steps for steps in found if steps]
