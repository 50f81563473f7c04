"""Two simulators on the same steps: how far they are apart, and whether that can be chance.

The trajectory is the unit. Differences have Student's interval on the clustered error and a p value
by flipping the signs of whole trajectories; trajectories without an error have McNemar's exact test
(1947); many comparisons are decided by Holm's procedure (1979).
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
from scipy import stats

from plumb_fidelity.statistics import (
    CONFIDENCE,
    Array,
    Clusters,
    Strata,
    stratified_variance,
    sums_and_sizes,
)

FEWEST_SIGN_FLIPS = 9999
"""All flips are tried while there are no more (13 trajectories), else at least so many random."""

FLIPS_A_COMPARISON = 200
"""So many flips for each comparison of a family keep Holm's least p value below 0.5 %."""


@dataclasses.dataclass(frozen=True, slots=True)
class Difference:
    """How two simulators differ on the same steps: left minus right, with an interval.

    Attributes:
        value: The mean over steps, -1 to 1 for shares.
        low: The lower end of the interval; `high` is the upper one.
        p_value: Two-sided, by flipping the signs of whole trajectories' differences.
        clusters: How many trajectories it stands on.
    """

    value: float
    low: float
    high: float
    p_value: float
    clusters: int


@dataclasses.dataclass(frozen=True, slots=True)
class McNemar:
    """One outcome a trajectory, of two simulators.

    Attributes:
        only_left: How many only the left one has right; `only_right` the other way round.
        p_value: Exact, two-sided.
    """

    only_left: int
    only_right: int
    p_value: float


def paired_difference(
    left: Clusters,
    right: Clusters,
    *,
    seed: int,
    strata: Strata = None,
    family: int = 1,
    confidence: float = CONFIDENCE,
) -> Difference | None:
    """How much more often the left one is right, on the same steps of the same trajectories.

    The interval is simultaneous over the family (Bonferroni): all of them hold together with the
    confidence. None with fewer than two trajectories that have steps.

    Args:
        left: The one's outcomes, 0 to 1.
        right: The other's, the same trajectories in the same order.
        seed: Of the flips; the same seed gives the same figures.
        strata: Of each trajectory, its stratum.
        family: How many comparisons are made at once.
        confidence: Of all intervals of the family together; above 0, below 1.

    Raises:
        ValueError: The two have not the same steps.
    """
    if [len(cluster) for cluster in left] != [len(cluster) for cluster in right]:
        raise ValueError("the two have not the same steps; compare those that both have")
    used = [at for at, cluster in enumerate(left) if cluster]
    if len(used) < 2:
        return None
    sums, sizes = sums_and_sizes(
        [[a - b for a, b in zip(left[at], right[at], strict=True)] for at in used]
    )
    value = float(sums.sum() / sizes.sum())
    names = [strata[at] if strata else "" for at in used]
    reach = _reach((sums - value * sizes) / sizes.sum(), names, 1 - (1 - confidence) / family)
    p_value = _sign_flips(sums, seed, family) if sums.any() else 1.0
    return Difference(value, max(-1.0, value - reach), min(1.0, value + reach), p_value, len(used))


def _reach(influence: Array, strata: Sequence[str], confidence: float) -> float:
    """Half of Student's interval; where trajectories are alike, as far as as many could hide."""
    variance, freedom = stratified_variance(influence, strata)
    hidden = 1 - (1 - confidence) ** (1 / len(influence))  # the exact rule of three
    if freedom < 1 or np.allclose(influence, 0):
        return float(hidden)
    return float(np.sqrt(variance) * stats.t.ppf(0.5 + confidence / 2, freedom))


def _sign_flips(sums: Array, seed: int, family: int) -> float:
    """The two-sided p value of sums as far from 0, were each as likely to be the other way."""
    found = stats.permutation_test(
        (sums,),
        lambda drawn, axis: drawn.sum(axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=max(FEWEST_SIGN_FLIPS, FLIPS_A_COMPARISON * family),
        batch=10_000,
        rng=np.random.default_rng(seed),
    )
    return float(found.pvalue)


def mcnemar(left: Sequence[bool], right: Sequence[bool]) -> McNemar:
    """Whether one has more trajectories right than the other (McNemar 1947); exact.

    Args:
        left: Of each trajectory, whether the one has it right.
        right: Whether the other has; the same trajectories in the same order.

    Raises:
        ValueError: The two have not the same number of trajectories.
    """
    only_left = sum(a and not b for a, b in zip(left, right, strict=True))
    only_right = sum(b and not a for a, b in zip(left, right, strict=True))
    apart = only_left + only_right
    p_value = float(stats.binomtest(only_left, apart).pvalue) if apart else 1.0
    return McNemar(only_left, only_right, p_value)


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """P values adjusted for their number (Holm 1979), 0 to 1, in the order given.

    Here, as scipy has only Benjamini and Hochberg's, which bounds another error.
    """
    order = sorted(range(len(p_values)), key=lambda at: p_values[at])
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, at in enumerate(order):
        largest = max(largest, min(1.0, p_values[at] * (len(p_values) - rank)))
        adjusted[at] = largest
    return tuple(adjusted)
