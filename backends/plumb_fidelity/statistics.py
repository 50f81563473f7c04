"""Figures that survive review: the trajectory is the unit, never the step.

Steps of one trajectory depend on each other (a design effect of 5.7 was measured on agents'
trajectories), so whole trajectories are resampled: the cluster bootstrap (Cameron, Gelbach and
Miller 2008). One outcome a trajectory has Wilson's interval (1927), two simulators on the same
trajectories McNemar's exact test (1947), turns of first divergence Kaplan and Meier's estimate
(1958). scipy and lifelines compute them.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
from scipy import stats

FEWEST_FOR_BOOTSTRAP = 30
"""Below so many trajectories the bootstrap is too narrow, and Student's t is used."""

RESAMPLES = 2000
CONFIDENCE = 0.95

_Array: TypeAlias = "np.typing.NDArray[np.float64]"

Clusters: TypeAlias = Sequence[Sequence[float]]
"""The outcomes of the steps, 0 or 1, of each trajectory."""


@dataclasses.dataclass(frozen=True, slots=True)
class Interval:
    """A mean and how sure it is.

    Attributes:
        value: The mean.
        low: The lower end of the interval; `high` is the upper one.
        clusters: How many trajectories it stands on.
        steps: How many steps.
        method: How the interval was made, for people.
    """

    value: float
    low: float
    high: float
    clusters: int
    steps: int
    method: str


@dataclasses.dataclass(frozen=True, slots=True)
class Difference:
    """How two simulators differ on the same steps: left minus right, with an interval.

    Attributes:
        p_value: Two-sided, by flipping the signs of whole trajectories' differences.
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


@dataclasses.dataclass(frozen=True, slots=True)
class Survival:
    """How many trajectories have not diverged by a turn.

    Attributes:
        turns: From 0.
        surviving: The share, 1 to 0, after each of those turns.
        low: Its interval's lower end; `high` is the upper one.
        at_risk: How many trajectories reached the turn undiverged.
        median: The turn by which half have diverged; None where fewer do.
    """

    turns: tuple[int, ...]
    surviving: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    at_risk: tuple[int, ...]
    median: float | None


def mean_of(clusters: Clusters, *, seed: int, resamples: int = RESAMPLES) -> Interval | None:
    """The mean over all steps; None where there are none.

    Args:
        clusters: Empty ones are left out.
        seed: The same seed gives the same interval.
        resamples: How often trajectories are drawn anew.
    """
    filled = [cluster for cluster in clusters if cluster]
    sums = np.array([sum(cluster) for cluster in filled], dtype=float)
    sizes = np.array([len(cluster) for cluster in filled], dtype=float)
    return _ratio(sums, sizes, seed, resamples) if filled else None


def macro_mean_of(clusters: Clusters, *, seed: int, resamples: int = RESAMPLES) -> Interval | None:
    """The mean over trajectories of their means; as `mean_of` otherwise."""
    filled = [cluster for cluster in clusters if cluster]
    if not filled:
        return None
    means = np.array([sum(cluster) / len(cluster) for cluster in filled])
    found = _ratio(means, np.ones(len(means)), seed, resamples)
    return dataclasses.replace(found, steps=sum(map(len, filled)))


def _ratio(sums: _Array, sizes: _Array, seed: int, resamples: int) -> Interval:
    count, steps = len(sums), int(sizes.sum())
    value = float(sums.sum() / sizes.sum())
    if count == 1:
        return Interval(value, 0.0, 1.0, 1, steps, "one trajectory: no interval")
    if np.allclose(sums / sizes, value) and value in (0.0, 1.0):
        edge = min(1.0, 3 / count)  # the rule of three: nothing seen in n is below 3/n
        low, high = (0.0, edge) if value == 0.0 else (1.0 - edge, 1.0)
        return Interval(value, low, high, count, steps, "rule of three")
    if np.allclose(sums / sizes, value):
        return Interval(value, value, value, count, steps, "all trajectories alike")
    if count < FEWEST_FOR_BOOTSTRAP:
        reach = clustered_error(sums, sizes) * stats.t.ppf(0.5 + CONFIDENCE / 2, count - 1)
        low, high = value - reach, value + reach
        method = "t, clustered"
    else:
        found = stats.bootstrap(
            (sums, sizes),
            lambda drawn, of, axis: drawn.sum(axis=axis) / of.sum(axis=axis),
            paired=True,
            vectorized=True,
            n_resamples=resamples,
            confidence_level=CONFIDENCE,
            method="percentile",
            rng=np.random.default_rng(seed),
        ).confidence_interval
        low, high, method = float(found.low), float(found.high), "cluster bootstrap"
    return Interval(value, max(0.0, float(low)), min(1.0, float(high)), count, steps, method)


def clustered_error(sums: _Array, sizes: _Array) -> float:
    """The standard error of a ratio of sums over clusters, corrected for few clusters."""
    count = len(sums)
    residuals = sums - sizes * (sums.sum() / sizes.sum())
    return float(np.sqrt(count / (count - 1) * (residuals**2).sum()) / sizes.sum())


def design_effect(clusters: Clusters) -> float | None:
    """How much larger the clustered variance is than that of independent steps."""
    filled = [cluster for cluster in clusters if cluster]
    if len(filled) < 2:
        return None
    steps = np.array([step for cluster in filled for step in cluster], dtype=float)
    naive = float(steps.std(ddof=1) / math.sqrt(len(steps))) if len(steps) > 1 else 0.0
    sums = np.array([sum(cluster) for cluster in filled], dtype=float)
    sizes = np.array([len(cluster) for cluster in filled], dtype=float)
    return (clustered_error(sums, sizes) / naive) ** 2 if naive else None


def wilson(successes: int, trials: int) -> Interval | None:
    """One outcome a trajectory: Wilson's interval; None without any."""
    if not trials:
        return None
    found = stats.binomtest(successes, trials).proportion_ci(CONFIDENCE, method="wilson")
    return Interval(
        successes / trials, float(found.low), float(found.high), trials, trials, "Wilson"
    )


def paired_difference(
    left: Clusters, right: Clusters, *, seed: int, resamples: int = RESAMPLES
) -> Difference | None:
    """How much more often the left one is right, on the same steps of the same trajectories.

    Raises:
        ValueError: The two have not the same steps.
    """
    if [len(cluster) for cluster in left] != [len(cluster) for cluster in right]:
        raise ValueError("the two have not the same steps; compare those that both have")
    pairs = [(a, b) for a, b in zip(left, right, strict=True) if a]
    if len(pairs) < 2:
        return None
    sums = np.array([sum(a) - sum(b) for a, b in pairs], dtype=float)
    sizes = np.array([len(a) for a, _ in pairs], dtype=float)
    value = float(sums.sum() / sizes.sum())
    if not sums.any():
        return Difference(0.0, 0.0, 0.0, 1.0, len(pairs))
    interval = stats.bootstrap(
        (sums, sizes),
        lambda drawn, of, axis: drawn.sum(axis=axis) / of.sum(axis=axis),
        paired=True,
        vectorized=True,
        n_resamples=resamples,
        confidence_level=CONFIDENCE,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    test = stats.permutation_test(
        (sums,),
        lambda drawn, axis: drawn.sum(axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=max(resamples, 9999),
        rng=np.random.default_rng(seed),
    )
    return Difference(
        value, float(interval.low), float(interval.high), float(test.pvalue), len(pairs)
    )


def mcnemar(left: Sequence[bool], right: Sequence[bool]) -> McNemar:
    """Whether one has more trajectories right than the other; exact."""
    only_left = sum(a and not b for a, b in zip(left, right, strict=True))
    only_right = sum(b and not a for a, b in zip(left, right, strict=True))
    apart = only_left + only_right
    p_value = float(stats.binomtest(only_left, apart).pvalue) if apart else 1.0
    return McNemar(only_left, only_right, p_value)


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """P values adjusted for their number (Holm 1979), in the order given."""
    order = sorted(range(len(p_values)), key=lambda at: p_values[at])
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, at in enumerate(order):
        largest = max(largest, min(1.0, p_values[at] * (len(p_values) - rank)))
        adjusted[at] = largest
    return tuple(adjusted)


def matthews(real: Sequence[bool], simulated: Sequence[bool]) -> float | None:
    """Matthews' correlation of two outcomes, -1 to 1; None where one of them never varies."""
    if len(set(real)) < 2 or len(set(simulated)) < 2:
        return None
    return float(np.corrcoef(np.array(real, dtype=float), np.array(simulated, dtype=float))[0, 1])


def survival(turns: Sequence[int], diverged: Sequence[bool]) -> Survival | None:
    """Kaplan and Meier's estimate of staying undiverged; None without trajectories.

    Args:
        turns: Of each trajectory, the turn of its first divergence, or its last turn.
        diverged: Whether it diverged; one that did not is censored at its last turn.
    """
    if not turns:
        return None
    from lifelines import KaplanMeierFitter  # here: it brings pandas, and takes over a second

    fitter = KaplanMeierFitter(alpha=1 - CONFIDENCE).fit(turns, diverged)
    table, bounds = fitter.survival_function_, fitter.confidence_interval_
    median = float(fitter.median_survival_time_)
    at_risk = [sum(turn >= at for turn in turns) for at in table.index]
    return Survival(
        turns=tuple(int(at) for at in table.index),
        surviving=tuple(float(share) for share in table.iloc[:, 0]),
        low=tuple(float(share) for share in bounds.iloc[:, 0].fillna(1.0)),
        high=tuple(float(share) for share in bounds.iloc[:, 1].fillna(1.0)),
        at_risk=tuple(at_risk),
        median=None if math.isinf(median) else median,
    )


def kullback_leibler(real: Mapping[str, int], simulated: Mapping[str, int]) -> float | None:
    """How far the simulator's mix of error classes is from the real one, in bits.

    Half a count is added to each class, so that one that is never used is not infinitely far. None
    where one of the two has no errors at all.
    """
    names = sorted({*real, *simulated})
    if not sum(real.values()) or not sum(simulated.values()):
        return None
    p = np.array([real.get(name, 0) + 0.5 for name in names])
    q = np.array([simulated.get(name, 0) + 0.5 for name in names])
    return float(stats.entropy(p, q, base=2))
