"""How good the differ itself is: errors of every class, planted in the run's own real outputs."""

import random
from collections.abc import Mapping, Sequence
from typing import Any

from plumb_fidelity import Truth
from plumb_fidelity.mutate import PLANTS, plant

LEAST_RECALL = 0.95
MOST_FALSE_ALARMS = 0.01


def mutation_table(
    truths: Mapping[str, Sequence[Truth]], *, seed: int
) -> dict[str, dict[str, dict[str, Any]]]:
    """Plants one error of each class wherever there is a place for it.

    Args:
        truths: The real runs, by scenario.
        seed: The same seed plants the same errors.

    Returns:
        By kind (`shell`, `mysql`) and class: how many were `planted`, how many were `found` (the
        class is among the verdict's flags), and the `recall`; None where none could be planted.
    """
    table: dict[str, dict[str, dict[str, Any]]] = {}
    rng = random.Random(seed)  # noqa: S311 - nothing is secret here
    for kind in ("shell", "mysql"):
        counts = {name: [0, 0] for name in PLANTS}
        for truth in (t for found in truths.values() for t in found if _is_of(t, kind)):
            for name, count in counts.items():
                made = plant(name, truth, rng)
                if made is not None:
                    count[0] += 1
                    count[1] += name in truth.judge(made).flags
        if any(planted for planted, _ in counts.values()):
            table[kind] = {
                name: {
                    "planted": planted,
                    "found": found,
                    "recall": found / planted if planted else None,
                }
                for name, (planted, found) in counts.items()
            }
    return table


def _is_of(truth: Truth, kind: str) -> bool:
    is_scored = not truth.unstable and not truth.veil.hides_all
    return truth.is_table == (kind == "mysql") and is_scored


def shortfalls(table: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> list[str]:
    """The classes of which too few are found, a sentence each."""
    return [
        f"{kind}: {row['found']} of {row['planted']} planted {name} are found"
        for kind, rows in table.items()
        for name, row in rows.items()
        if row["recall"] is not None and row["recall"] < LEAST_RECALL
    ]
