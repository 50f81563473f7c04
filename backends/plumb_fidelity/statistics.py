"""Figures that survive review: the trajectory is the unit, never the step.

Steps of one trajectory depend on each other (a design effect of 5.7 was measured on agents'
trajectories), so whole trajectories are resampled: the cluster bootstrap (Cameron, Gelbach and
Miller 2008). One outcome a trajectory has Wilson's interval (1927), two simulators on the same
trajectories McNemar's exact test (1947), turns of first divergence Kaplan and Meier's estimate
(1958). scipy and lifelines compute them. Which outcomes count, and how a figure is shown, is
not decided here.
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
SHARE = (0.0, 1.0)
"""Between what a share lies; the `bounds` of outcomes that are 0 or 1."""

FEWEST_SIGN_FLIPS = 9999
"""All flips are tried while there are no more (13 trajectories), else so many random ones."""

_Array: TypeAlias = "np.typing.NDArray[np.float64]"

Clusters: TypeAlias = Sequence[Sequence[float]]
"""The outcomes of the steps, 0 or 1 or between `bounds`, of each trajectory."""


@dataclasses.dataclass(frozen=True, slots=True)
class Interval:
    """A mean and how sure it is.

    Attributes:
        value: The mean, in the unit of the outcomes; never NaN.
        low: The lower end of the interval, within the outcomes' bounds; `high` is the upper one.
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


def mean_of(
    clusters: Clusters,
    *,
    seed: int,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
    bounds: tuple[float, float] = SHARE,
) -> Interval | None:
    """The mean over all steps; None where there are none.

    The interval is the percentile cluster bootstrap's (Cameron, Gelbach and Miller 2008), and with
    fewer than `FEWEST_FOR_BOOTSTRAP` trajectories Student's t on the clustered standard error with
    one degree of freedom less than there are trajectories; `method` says which.

    Args:
        clusters: Empty ones are left out.
        seed: The same seed gives the same interval.
        resamples: How often trajectories are drawn anew.
        confidence: Above 0, below 1.
        bounds: The least and the greatest that an outcome can be; the interval ends there.

    Raises:
        ValueError: An outcome is not within the bounds.
    """
    filled = _filled(clusters, bounds)
    if not filled:
        return None
    sums, sizes = _sums_and_sizes(filled)
    return _ratio(sums, sizes, _Asked(seed, resamples, confidence, bounds))


def macro_mean_of(
    clusters: Clusters,
    *,
    seed: int,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
    bounds: tuple[float, float] = SHARE,
) -> Interval | None:
    """The mean over trajectories of their means; as `mean_of` otherwise.

    Raises:
        ValueError: An outcome is not within the bounds.
    """
    filled = _filled(clusters, bounds)
    if not filled:
        return None
    sums, sizes = _sums_and_sizes(filled)
    asked = _Asked(seed, resamples, confidence, bounds)
    found = _ratio(sums / sizes, np.ones(len(sums)), asked)
    return dataclasses.replace(found, steps=int(sizes.sum()))


@dataclasses.dataclass(frozen=True, slots=True)
class _Asked:
    seed: int
    resamples: int
    confidence: float
    bounds: tuple[float, float] = SHARE


def _filled(clusters: Clusters, bounds: tuple[float, float]) -> list[Sequence[float]]:
    low, high = bounds
    for step in (step for cluster in clusters for step in cluster):
        if not low <= step <= high:  # so that a NaN is refused too
            raise ValueError(f"the outcome {step} is not within {low} to {high}; give its bounds")
    return [cluster for cluster in clusters if cluster]


def _sums_and_sizes(filled: Clusters) -> tuple[_Array, _Array]:
    sums = np.array([sum(cluster) for cluster in filled], dtype=float)
    return sums, np.array([len(cluster) for cluster in filled], dtype=float)


def _ratio(sums: _Array, sizes: _Array, asked: _Asked) -> Interval:
    value = float(sums.sum() / sizes.sum())
    low, high, method = _reach(sums, sizes, value, asked)
    least, greatest = asked.bounds
    return Interval(
        value, max(least, low), min(greatest, high), len(sums), int(sizes.sum()), method
    )


def _reach(sums: _Array, sizes: _Array, value: float, asked: _Asked) -> tuple[float, float, str]:
    if len(sums) == 1:
        return *asked.bounds, "one trajectory: no interval"
    if np.allclose(sums / sizes, value):
        return _reach_of_alike(value, len(sums), asked)
    if len(sums) < FEWEST_FOR_BOOTSTRAP:
        quantile = float(stats.t.ppf(0.5 + asked.confidence / 2, len(sums) - 1))
        reach = clustered_error(sums, sizes) * quantile
        return value - reach, value + reach, "t, clustered"
    return *_bootstrapped(sums, sizes, asked), "cluster bootstrap"


def _reach_of_alike(value: float, count: int, asked: _Asked) -> tuple[float, float, str]:
    """Where all trajectories are the same, no resampling can tell how far the mean may be."""
    least, greatest = asked.bounds
    # Nothing seen in n is below 3/n, with 95 %: -ln(1 - 0.95) is 3.0, rounded as the rule is.
    edge = (greatest - least) * round(-math.log(1 - asked.confidence), 1) / count
    if math.isclose(value, least, abs_tol=1e-12):
        return least, least + edge, "rule of three"
    if math.isclose(value, greatest, abs_tol=1e-12):
        return greatest - edge, greatest, "rule of three"
    return value, value, "all trajectories alike"


def _bootstrapped(sums: _Array, sizes: _Array, asked: _Asked) -> tuple[float, float]:
    """Percentiles of the ratio of sums, trajectories drawn whole."""
    found = stats.bootstrap(
        (sums, sizes),
        lambda drawn, of, axis: drawn.sum(axis=axis) / of.sum(axis=axis),
        paired=True,  # a trajectory's sum is drawn with its size
        vectorized=True,
        n_resamples=asked.resamples,
        confidence_level=asked.confidence,
        method="percentile",
        rng=np.random.default_rng(asked.seed),
    ).confidence_interval
    return float(found.low), float(found.high)


def clustered_error(sums: _Array, sizes: _Array) -> float:
    """The standard error of a ratio of sums over clusters, corrected for few clusters (CR1).

    Args:
        sums: Of each trajectory, two or more, the sum of its outcomes.
        sizes: Of each trajectory, its number of steps.
    """
    count = len(sums)
    residuals = sums - sizes * (sums.sum() / sizes.sum())
    return float(np.sqrt(count / (count - 1) * (residuals**2).sum()) / sizes.sum())


def design_effect(clusters: Clusters) -> float | None:
    """How many times as large the clustered variance is as that of independent steps (Kish 1965).

    0 or more; 1 where steps are as good as independent. None with fewer than two trajectories, or
    where all steps are the same.
    """
    filled = [cluster for cluster in clusters if cluster]
    if len(filled) < 2:
        return None
    steps = np.array([step for cluster in filled for step in cluster], dtype=float)
    if np.ptp(steps) == 0:
        return None
    naive = float(steps.std(ddof=1) / math.sqrt(len(steps)))
    return (clustered_error(*_sums_and_sizes(filled)) / naive) ** 2


def wilson(successes: int, n: int, confidence: float = CONFIDENCE) -> Interval | None:
    """One outcome a trajectory: Wilson's score interval (1927); None without any.

    Args:
        successes: How many of the `n` trajectories have it.
        n: How many trajectories.
        confidence: Above 0, below 1.
    """
    if not n:
        return None
    found = stats.binomtest(successes, n).proportion_ci(confidence, method="wilson")
    return Interval(successes / n, float(found.low), float(found.high), n, n, "Wilson")


def paired_difference(
    left: Clusters,
    right: Clusters,
    *,
    seed: int,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
) -> Difference | None:
    """How much more often the left one is right, on the same steps of the same trajectories.

    The interval is the cluster bootstrap's, with few trajectories too, where it is too narrow; go
    by the p value there, which is exact. None with fewer than two trajectories that have steps.

    Args:
        left: The one's outcomes.
        right: The other's, the same trajectories in the same order.
        seed: The same seed gives the same figures.
        resamples: How often trajectories are drawn anew.
        confidence: Above 0, below 1.

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
    if not sums.any():
        return Difference(0.0, 0.0, 0.0, 1.0, len(pairs))
    low, high = _bootstrapped(sums, sizes, _Asked(seed, resamples, confidence))
    value = float(sums.sum() / sizes.sum())
    return Difference(value, low, high, _sign_flips(sums, seed, resamples), len(pairs))


def _sign_flips(sums: _Array, seed: int, resamples: int) -> float:
    """The two-sided p value of sums as far from 0, were each as likely to be the other way."""
    found = stats.permutation_test(
        (sums,),
        lambda drawn, axis: drawn.sum(axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=max(resamples, FEWEST_SIGN_FLIPS),
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


def matthews(real_failed: Sequence[bool], simulated_failed: Sequence[bool]) -> float | None:
    """Matthews' correlation (1975) of two outcomes a step, -1 to 1.

    Steps are pooled: it has no interval here. None where one of the two never varies.

    Raises:
        ValueError: The two have not the same number of steps.
    """
    if len(real_failed) != len(simulated_failed):
        raise ValueError("the two have not the same steps; compare those that both have")
    if len(set(real_failed)) < 2 or len(set(simulated_failed)) < 2:
        return None
    real, simulated = np.array(real_failed, dtype=float), np.array(simulated_failed, dtype=float)
    return float(np.corrcoef(real, simulated)[0, 1])


def survival(turns: Sequence[int], diverged: Sequence[bool]) -> Survival | None:
    """Kaplan and Meier's estimate (1958) of staying undiverged; None without trajectories.

    The interval, of 95 %, is Greenwood's on the log-log scale. It has no width where the share is
    1 or 0, however few the trajectories.

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
    """How far the simulator's mix of error classes is from the real one (Kullback, Leibler 1951).

    In bits, 0 or more; 0 where the mixes are the same. Half a count is added to each class, so that
    one that is never used is not infinitely far. None where one of the two has no errors at all.

    Args:
        real: How often each class occurred; those of the other count as 0.
        simulated: Likewise.
    """
    names = sorted({*real, *simulated})
    if not sum(real.values()) or not sum(simulated.values()):
        return None
    p = np.array([real.get(name, 0) + 0.5 for name in names])
    q = np.array([simulated.get(name, 0) + 0.5 for name in names])
    return float(stats.entropy(p, q, base=2))
