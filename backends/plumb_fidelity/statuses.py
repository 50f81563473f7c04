"""Success and failure of both sides: rates where some statuses are unknown, and error classes.

An unknown status is never right: it counts against the simulator, and where more than one in twenty
is unknown a rate has bounds and no value.
"""

import collections
import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence

LEAST_KNOWN = 0.95
"""Where a smaller share of the statuses is known, a rate has no value."""

SUCCESS, FAILURE, UNKNOWN = "success", "failure", "unknown"
NAMES = (SUCCESS, FAILURE, UNKNOWN)


@dataclasses.dataclass(frozen=True, slots=True)
class Rate:
    """How often something wrong was done.

    Attributes:
        count: How often it is known to have been done.
        unknown: How often nobody can tell.
        of: How often it could have been done.
        known_value: The share among those of which it is known; None where there are none.
        low: The share if nothing unknown was; `high` if all was. None where there are none.
        value: `high` where at least `LEAST_KNOWN` is known; None elsewhere.
    """

    count: int
    unknown: int
    of: int
    known_value: float | None
    low: float | None
    high: float | None
    value: float | None


def rate(count: int, unknown: int, of: int) -> Rate:
    """Computes a rate with its bounds."""
    if not of:
        return Rate(count, unknown, of, None, None, None, None)
    known, high = of - unknown, (count + unknown) / of
    return Rate(
        count, unknown, of,
        known_value=count / known if known else None,
        low=count / of, high=high, value=high if known >= LEAST_KNOWN * of else None,
    )  # fmt: skip


Table = Mapping[str, Mapping[str, int]]
"""How often a simulated status (the inner key) met a real one (the outer)."""


def status_table(pairs: Iterable[tuple[str, str]]) -> dict[str, dict[str, int]]:
    """Counts pairs of a real and a simulated status, each one of `NAMES`."""
    counts = collections.Counter(pairs)
    return {real: {one: counts[real, one] for one in NAMES} for real in (SUCCESS, FAILURE)}


def false_rate(table: Table, real: str) -> Rate:
    """How often a real status was answered with the other one."""
    other = FAILURE if real == SUCCESS else SUCCESS
    row = table[real]
    return rate(row[other], row[UNKNOWN], sum(row.values()))


@dataclasses.dataclass(frozen=True, slots=True)
class Correlation:
    """Matthews' correlation of failing with failing, -1 to 1.

    Attributes:
        value: With what is unknown as wrong; None where too much of it is, or one never varies.
        low: With all that is unknown as wrong; `high` with all of it as right.
    """

    value: float | None
    low: float | None
    high: float | None


def correlation(table: Table) -> Correlation:
    """Correlates failing with failing, with bounds for what is unknown."""
    succeeded, failed = table[SUCCESS], table[FAILURE]
    right = matthews(
        failed[FAILURE] + failed[UNKNOWN], failed[SUCCESS], succeeded[FAILURE],
        succeeded[SUCCESS] + succeeded[UNKNOWN],
    )  # fmt: skip
    wrong = matthews(
        failed[FAILURE], failed[SUCCESS] + failed[UNKNOWN],
        succeeded[FAILURE] + succeeded[UNKNOWN], succeeded[SUCCESS],
    )  # fmt: skip
    unknown = succeeded[UNKNOWN] + failed[UNKNOWN]
    total = sum(succeeded.values()) + sum(failed.values())
    is_known = total - unknown >= LEAST_KNOWN * total
    return Correlation(wrong if is_known else None, wrong, right)


def matthews(both: int, only_real: int, only_simulated: int, neither: int) -> float | None:
    """Matthews' correlation (1975) of a table of two by two; None where one never varies."""
    real, simulated = both + only_real, both + only_simulated
    real_not, simulated_not = only_simulated + neither, only_real + neither
    scale = math.sqrt(real * real_not) * math.sqrt(simulated * simulated_not)
    return (both * neither - only_real * only_simulated) / scale if scale else None


@dataclasses.dataclass(frozen=True, slots=True)
class Confusion:
    """Which class of error stood where which was due.

    Attributes:
        classes: The names of rows (real) and columns (simulated).
        counts: By row, then column.
        kappa: Cohen's κ (1960), 1 for the same, 0 for chance; None where nothing varies.
    """

    classes: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]
    kappa: float | None


def confusion(pairs: Sequence[tuple[str, str]]) -> Confusion:
    """Counts pairs of a real and a simulated class, step by step."""
    names = tuple(sorted({name for pair in pairs for name in pair}))
    counts = collections.Counter(pairs)
    table = tuple(tuple(counts[real, simulated] for simulated in names) for real in names)
    return Confusion(names, table, kappa(pairs))


def kappa(pairs: Sequence[tuple[str, str]]) -> float | None:
    """Cohen's κ: agreement of two raters beyond chance, 1 for all; None where it is undefined."""
    if not pairs:
        return None
    left = collections.Counter(one for one, _ in pairs)
    right = collections.Counter(other for _, other in pairs)
    observed = sum(one == other for one, other in pairs) / len(pairs)
    by_chance = sum(count * right[name] for name, count in left.items()) / len(pairs) ** 2
    return None if by_chance >= 1 else (observed - by_chance) / (1 - by_chance)
