"""Figures with their intervals, against scipy, enumeration, published numbers and simulation."""

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from plumb_fidelity import statistics
from plumb_fidelity.statistics import Interval

Mean = Callable[..., Interval | None]
both_means = pytest.mark.parametrize("mean", [statistics.mean_of, statistics.macro_mean_of])


def drawn(seed: int, count: int, size: int = 8, spread: float = 2.0) -> list[list[float]]:
    """Trajectories of equal length whose chances are Beta distributed around a half."""
    rng = np.random.default_rng(seed)
    chances = rng.beta(spread, spread, size=count)
    return [[float(step) for step in rng.random(size) < chance] for chance in chances]


def known(found: Interval | None) -> Interval:
    assert found is not None
    return found


# Means


def test_the_mean_is_over_steps_and_the_macro_mean_over_trajectories() -> None:
    clusters = [[1.0, 1.0, 1.0, 0.0], [0.0, 0.0], []]
    micro = known(statistics.mean_of(clusters, seed=1))
    macro = known(statistics.macro_mean_of(clusters, seed=1))
    assert (micro.value, micro.clusters, micro.steps) == (3 / 6, 2, 6)
    assert (macro.value, macro.clusters, macro.steps) == (3 / 8, 2, 6)


@both_means
def test_clusters_of_one_step_have_scipys_own_bootstrap(mean: Mean) -> None:
    steps = np.random.default_rng(3).random(50)
    found = known(mean([[float(step)] for step in steps], seed=5, resamples=500, confidence=0.9))
    expected = stats.bootstrap(
        (steps,),
        np.mean,
        n_resamples=500,
        confidence_level=0.9,
        method="percentile",
        rng=np.random.default_rng(5),
    ).confidence_interval
    assert found.method == "cluster bootstrap"
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_the_bootstrap_draws_trajectories_whole() -> None:
    clusters = [[1.0] * size if size % 3 else [0.0] * size for size in range(1, 41)]
    rng = np.random.default_rng(0)
    means = []
    for _ in range(4000):
        chosen = [clusters[at] for at in rng.integers(len(clusters), size=len(clusters))]
        means.append(sum(map(sum, chosen)) / sum(map(len, chosen)))
    found = known(statistics.mean_of(clusters, seed=1, resamples=4000))
    assert (found.low, found.high) == pytest.approx(np.percentile(means, [2.5, 97.5]), abs=0.02)


@both_means
@pytest.mark.parametrize(("count", "method"), [(12, "t, clustered"), (40, "cluster bootstrap")])
def test_of_a_hundred_intervals_95_hold_the_true_mean(mean: Mean, count: int, method: str) -> None:
    found = [known(mean(drawn(seed, count), seed=seed, resamples=500)) for seed in range(400)]
    held = sum(one.low <= 0.5 <= one.high for one in found)
    assert {one.method for one in found} == {method}
    assert 0.91 <= held / len(found) <= 0.985  # a standard error is 1.1 points


def test_intervals_of_steps_taken_for_independent_would_hold_it_far_less_often() -> None:
    found = [
        known(statistics.wilson(int(sum(map(sum, clusters))), 40 * 8))
        for clusters in (drawn(seed, 40, spread=0.5) for seed in range(400))
    ]
    assert sum(one.low <= 0.5 <= one.high for one in found) / len(found) < 0.75


def test_with_few_clusters_of_one_step_it_is_students_interval() -> None:
    steps = [0.1, 0.4, 0.5, 0.7, 0.2]
    found = known(statistics.mean_of([[step] for step in steps], seed=1))
    expected = stats.t.interval(0.95, 4, loc=np.mean(steps), scale=stats.sem(steps))
    assert (found.low, found.high) == pytest.approx(expected)
    assert found.method == "t, clustered"


def test_the_clustered_error_is_that_of_a_ratio_of_sums() -> None:
    sums, sizes = np.array([3.0, 0.0, 2.0]), np.array([4.0, 2.0, 2.0])
    residuals = [3 - 4 * 5 / 8, 0 - 2 * 5 / 8, 2 - 2 * 5 / 8]
    by_hand = math.sqrt(3 / 2 * sum(one**2 for one in residuals)) / 8
    assert statistics.clustered_error(sums, sizes) == pytest.approx(by_hand)


@both_means
@pytest.mark.parametrize("count", [10, 40])
def test_the_same_seed_gives_the_same_interval(mean: Mean, count: int) -> None:
    clusters = drawn(1, count)
    assert mean(clusters, seed=7) == mean(clusters, seed=7)


@both_means
def test_another_seed_gives_another_interval_of_the_same_mean(mean: Mean) -> None:
    clusters = [[float(x) for x in row] for row in np.random.default_rng(1).random((40, 5))]
    one, other = known(mean(clusters, seed=7)), known(mean(clusters, seed=8))
    assert one.value == other.value
    assert (one.low, one.high) != (other.low, other.high)


@both_means
@pytest.mark.parametrize("count", [10, 40])
def test_more_confidence_is_a_wider_interval(mean: Mean, count: int) -> None:
    wide = known(mean(drawn(2, count), seed=1, confidence=0.99))
    narrow = known(mean(drawn(2, count), seed=1, confidence=0.8))
    assert wide.low < narrow.low < narrow.value < narrow.high < wide.high


@both_means
@pytest.mark.parametrize("clusters", [[], [[]], [[], []]])
def test_no_steps_have_no_mean(mean: Mean, clusters: list[list[float]]) -> None:
    assert mean(clusters, seed=1) is None


@both_means
def test_one_trajectory_has_no_interval_but_the_bounds(mean: Mean) -> None:
    share = mean([[1.0, 0.0], []], seed=1)
    assert share == Interval(0.5, 0.0, 1.0, 1, 2, "one trajectory: no interval")
    real = mean([[-1.0, 2.0]], seed=1, bounds=(-2.0, 2.0))
    assert real == Interval(0.5, -2.0, 2.0, 1, 2, "one trajectory: no interval")


@both_means
@pytest.mark.parametrize(
    ("outcome", "count", "low", "high"),
    [(0.0, 10, 0.0, 0.3), (1.0, 10, 0.7, 1.0), (1.0, 60, 0.95, 1.0), (0.0, 2, 0.0, 1.0)],
)
def test_outcomes_that_are_all_the_same_have_the_rule_of_three(
    mean: Mean, outcome: float, count: int, low: float, high: float
) -> None:
    found = known(mean([[outcome] * (1 + at % 3) for at in range(count)], seed=1))
    assert (found.value, found.low, found.high) == pytest.approx((outcome, low, high))
    assert found.method == "rule of three"


def test_the_rule_of_three_is_near_the_exact_bound_at_other_confidences() -> None:
    for confidence in (0.9, 0.95, 0.99):
        found = known(statistics.mean_of([[0.0]] * 100, seed=1, confidence=confidence))
        assert found.high == pytest.approx(1 - (1 - confidence) ** (1 / 100), rel=0.03)


@both_means
@pytest.mark.parametrize("count", [2, 40])
def test_means_that_are_all_the_same_inside_the_bounds_are_said_to_be(
    mean: Mean, count: int
) -> None:
    found = known(mean([[1.0, 0.0]] * count, seed=1))
    assert (found.low, found.value, found.high) == (0.5, 0.5, 0.5)
    assert found.method == "all trajectories alike"


def test_a_mean_of_zero_between_its_bounds_is_no_rule_of_three() -> None:
    found = known(statistics.mean_of([[1.0, -1.0]] * 3, seed=1, bounds=(-1.0, 1.0)))
    assert (found.value, found.method) == (0.0, "all trajectories alike")


def test_an_interval_ends_at_the_bounds() -> None:
    clusters = [[1.0], [0.0], [1.0]]
    found = known(statistics.mean_of(clusters, seed=1))
    assert (found.low, found.high) == (0.0, 1.0)
    wide = known(statistics.mean_of(clusters, seed=1, bounds=(-9.0, 9.0)))
    assert wide.low < 0.0
    assert wide.high > 1.0


@both_means
@pytest.mark.parametrize("outcome", [-0.1, 1.5, math.nan, math.inf])
def test_an_outcome_outside_the_bounds_is_refused(mean: Mean, outcome: float) -> None:
    with pytest.raises(ValueError, match=r"not within 0\.0 to 1\.0; give its bounds"):
        mean([[1.0], [outcome]], seed=1)


# Design effect


def test_the_design_effect_of_steps_that_are_all_alike_is_the_length_of_a_trajectory() -> None:
    clusters = [[float(at % 2)] * 5 for at in range(200)]
    assert statistics.design_effect(clusters) == pytest.approx(5, rel=0.01)


def test_the_design_effect_of_single_steps_is_one() -> None:
    assert statistics.design_effect(drawn(1, 50, size=1)) == pytest.approx(1)


def test_the_design_effect_follows_the_correlation_within_a_trajectory() -> None:
    # Beta(a, a) makes the correlation 1 / (2a + 1): 1 + (8 - 1) / 5.
    assert statistics.design_effect(drawn(1, 5000)) == pytest.approx(2.4, rel=0.05)


@pytest.mark.parametrize(
    "clusters", [[], [[]], [[1.0, 0.0]], [[1.0], [1.0]], [[0.1] * 3, [0.1] * 7]]
)
def test_no_design_effect_where_there_is_nothing_to_compare(clusters: list[list[float]]) -> None:
    assert statistics.design_effect(clusters) is None


# One outcome a trajectory


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [  # the first four: Newcombe 1998, table I, method 3; the last mirrors none of 29
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
        (29, 29, 0.8830, 1.0),
    ],
)
def test_wilsons_interval_has_the_published_ends(
    successes: int, n: int, low: float, high: float
) -> None:
    found = known(statistics.wilson(successes, n))
    assert (found.low, found.high) == pytest.approx((low, high), abs=5e-5)
    assert (found.value, found.clusters, found.steps) == (successes / n, n, n)


def test_wilsons_interval_follows_the_confidence() -> None:
    z = stats.norm.ppf(0.95)
    expected = z**2 / (10 + z**2)
    assert known(statistics.wilson(0, 10, 0.9)).high == pytest.approx(expected)


def test_no_trajectories_have_no_wilson_interval() -> None:
    assert statistics.wilson(0, 0) is None


@pytest.mark.parametrize(
    ("only_left", "only_right", "p_value"),
    [(0, 0, 1.0), (5, 0, 2 / 32), (1, 9, 22 / 1024), (4, 4, 1.0), (10, 2, 158 / 4096)],
)
def test_mcnemars_p_is_the_binomials(only_left: int, only_right: int, p_value: float) -> None:
    left = [True] * only_left + [False] * only_right + [True, False]
    right = [False] * only_left + [True] * only_right + [True, False]
    found = statistics.mcnemar(left, right)
    assert (found.only_left, found.only_right) == (only_left, only_right)
    assert found.p_value == pytest.approx(p_value)


def test_mcnemars_test_wants_pairs() -> None:
    with pytest.raises(ValueError):
        statistics.mcnemar([True], [True, False])


# Two simulators on the same steps


def enumerated(sums: list[float]) -> float:
    """The share of sign flips whose sum is at least as far from 0."""
    flips = itertools.product((1, -1), repeat=len(sums))
    reached = [abs(sum(sign * one for sign, one in zip(flip, sums, strict=True))) for flip in flips]
    return sum(one >= abs(sum(sums)) - 1e-9 for one in reached) / len(reached)


@pytest.mark.parametrize("seed", range(4))
def test_with_few_trajectories_p_is_that_of_all_sign_flips(seed: int) -> None:
    left, right = drawn(seed, 9), drawn(seed + 100, 9)
    found = statistics.paired_difference(left, right, seed=1)
    assert found is not None
    sums = [sum(a) - sum(b) for a, b in zip(left, right, strict=True)]
    assert found.p_value == pytest.approx(enumerated(sums))
    assert found.value == pytest.approx(sum(sums) / (9 * 8))


def test_with_many_trajectories_p_is_near_that_of_students_test() -> None:
    rng = np.random.default_rng(1)
    left, right = rng.random(60), rng.random(60) - 0.1
    found = statistics.paired_difference([[x] for x in left], [[x] for x in right], seed=1)
    assert found is not None
    assert found.p_value == pytest.approx(stats.ttest_rel(left, right).pvalue, abs=0.02)


def test_the_difference_of_single_steps_has_scipys_own_bootstrap() -> None:
    rng = np.random.default_rng(1)
    left, right = rng.random(35), rng.random(35)
    found = statistics.paired_difference(
        [[x] for x in left], [[x] for x in right], seed=4, resamples=500, confidence=0.9
    )
    expected = stats.bootstrap(
        (left - right,),
        np.mean,
        n_resamples=500,
        confidence_level=0.9,
        method="percentile",
        rng=np.random.default_rng(4),
    ).confidence_interval
    assert found is not None
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_a_real_difference_is_found_and_changes_sign_with_the_sides() -> None:
    worse = drawn(1, 40)
    better = [[1.0 if at % 2 else step for at, step in enumerate(steps)] for steps in worse]
    found = statistics.paired_difference(better, worse, seed=1)
    turned = statistics.paired_difference(worse, better, seed=1)
    assert found is not None
    assert turned is not None
    assert 0 < found.low < found.value < found.high
    assert found.p_value < 0.001
    assert (turned.value, turned.low, turned.high) == pytest.approx(
        (-found.value, -found.high, -found.low), abs=0.02
    )


def test_where_nothing_differs_five_of_a_hundred_p_values_are_below_5_percent() -> None:
    found = [
        statistics.paired_difference(drawn(seed, 12), drawn(seed + 9000, 12), seed=1, resamples=50)
        for seed in range(300)
    ]
    below = sum(one.p_value <= 0.05 for one in found if one is not None)
    assert below / len(found) <= 0.08


def test_the_same_seed_gives_the_same_difference() -> None:
    pair = drawn(1, 40), drawn(2, 40)
    same = [statistics.paired_difference(*pair, seed=3) for _ in range(2)]
    assert same[0] == same[1]
    assert same[0] != statistics.paired_difference(*pair, seed=4)


def test_simulators_that_do_the_same_do_not_differ() -> None:
    found = statistics.paired_difference(drawn(1, 5), drawn(1, 5), seed=1)
    assert found == statistics.Difference(0.0, 0.0, 0.0, 1.0, 5)


@pytest.mark.parametrize(("count", "p_value"), [(2, 0.5), (5, 2 / 32), (40, 2 / 10_000)])
def test_one_that_is_always_right_against_one_that_never_is(count: int, p_value: float) -> None:
    right, wrong = [[1.0, 1.0]] * count, [[0.0, 0.0]] * count
    found = statistics.paired_difference(right, wrong, seed=1)
    assert found is not None
    assert (found.value, found.low, found.high, found.clusters) == (1.0, 1.0, 1.0, count)
    assert found.p_value == pytest.approx(p_value)


def test_empty_trajectories_are_left_out_of_a_difference() -> None:
    found = statistics.paired_difference([[1.0], [], [0.0]], [[0.0], [], [0.0]], seed=1)
    assert found is not None
    assert (found.clusters, found.value) == (2, 0.5)


@pytest.mark.parametrize("clusters", [[], [[]], [[1.0, 0.0]], [[1.0], []]])
def test_fewer_than_two_trajectories_cannot_be_compared(clusters: list[list[float]]) -> None:
    assert statistics.paired_difference(clusters, clusters, seed=1) is None


@pytest.mark.parametrize("right", [[[1.0], [1.0]], [[1.0, 0.0]], []])
def test_steps_that_are_not_the_same_are_not_compared(right: list[list[float]]) -> None:
    with pytest.raises(ValueError, match="not the same steps"):
        statistics.paired_difference([[1.0, 0.0], [1.0]], right, seed=1)


# Many classes


@pytest.mark.parametrize(
    ("p_values", "adjusted"),
    [
        ([], ()),
        ([0.03], (0.03,)),
        ([0.01, 0.04, 0.03, 0.005], (0.03, 0.06, 0.06, 0.02)),
        ([0.5, 0.6, 0.001], (1.0, 1.0, 0.003)),
        ([0.02, 0.02], (0.04, 0.04)),
    ],
)
def test_holms_adjusted_p_values(p_values: list[float], adjusted: tuple[float, ...]) -> None:
    assert statistics.holm(p_values) == pytest.approx(adjusted)


# Status and error classes


def test_matthews_correlation_by_its_own_formula() -> None:
    real = [True] * 7 + [False] * 13
    simulated = [True] * 5 + [False] * 2 + [True] * 3 + [False] * 10
    by_hand = (5 * 10 - 3 * 2) / math.sqrt((5 + 3) * (5 + 2) * (10 + 3) * (10 + 2))
    assert statistics.matthews(real, simulated) == pytest.approx(by_hand)


def test_matthews_correlation_is_one_or_minus_one_at_the_ends() -> None:
    real = [True, False, False]
    assert statistics.matthews(real, real) == pytest.approx(1)
    assert statistics.matthews(real, [not one for one in real]) == pytest.approx(-1)


@pytest.mark.parametrize(
    ("real", "simulated"),
    [([], []), ([True, True], [True, False]), ([True, False], [False, False]), ([True], [True])],
)
def test_no_correlation_with_what_never_varies(real: list[bool], simulated: list[bool]) -> None:
    assert statistics.matthews(real, simulated) is None


@pytest.mark.parametrize("simulated", [[], [True], [True, False, True]])
def test_matthews_correlation_wants_the_same_steps(simulated: list[bool]) -> None:
    with pytest.raises(ValueError, match="not the same steps"):
        statistics.matthews([True, False], simulated)


def test_kullback_and_leiblers_divergence_by_hand() -> None:
    # (3 + 1/2, 1/2) of 4 and (1/2, 1 + 1/2) of 2
    by_hand = 3.5 / 4 * math.log2((3.5 / 4) / (0.5 / 2)) + 0.5 / 4 * math.log2((0.5 / 4) / 0.75)
    assert statistics.kullback_leibler({"ENOENT": 3}, {"EACCES": 1}) == pytest.approx(by_hand)


def test_the_same_mix_is_not_apart_and_another_is() -> None:
    mix = {"ENOENT": 3, "EACCES": 4}
    assert statistics.kullback_leibler(mix, mix) == pytest.approx(0)
    far = statistics.kullback_leibler(mix, {"ENOENT": 7})
    assert far is not None
    assert far > 0.1


@pytest.mark.parametrize(("real", "simulated"), [({}, {}), ({"a": 1}, {}), ({"a": 0}, {"a": 2})])
def test_no_errors_have_no_mix(real: dict[str, int], simulated: dict[str, int]) -> None:
    assert statistics.kullback_leibler(real, simulated) is None


# The turn of first divergence


def test_kaplan_and_meiers_estimate_by_hand() -> None:
    found = statistics.survival([2, 3, 3, 5, 8, 8], [True, True, False, True, False, False])
    assert found is not None
    assert found.turns == (0, 2, 3, 5, 8)
    assert found.at_risk == (6, 6, 5, 3, 2)
    shares = (1, 5 / 6, 5 / 6 * 4 / 5, 5 / 6 * 4 / 5 * 2 / 3, 5 / 6 * 4 / 5 * 2 / 3)
    assert found.surviving == pytest.approx(shares)
    assert found.median == 5.0  # the first turn at which no more than half survive


def test_greenwoods_interval_on_the_log_log_scale_by_hand() -> None:
    found = statistics.survival([2, 3, 3, 5, 8, 8], [True, True, False, True, False, False])
    assert found is not None
    share, variance = 5 / 6 * 4 / 5, 1 / (6 * 5) + 1 / (5 * 4)
    reach = stats.norm.ppf(0.975) * math.sqrt(variance) / math.log(share)
    ends = sorted(share ** math.exp(sign * reach) for sign in (1, -1))
    assert (found.low[2], found.high[2]) == pytest.approx(ends)


def test_the_estimate_is_scipys_own() -> None:
    rng = np.random.default_rng(2)
    turns, diverged = rng.integers(1, 20, size=60), rng.random(60) < 0.6
    found = statistics.survival(turns.tolist(), diverged.tolist())
    expected = stats.ecdf(stats.CensoredData.right_censored(turns, ~diverged)).sf
    assert found is not None
    assert found.turns[1:] == tuple(expected.quantiles)
    assert found.surviving[1:] == pytest.approx(expected.probabilities)


def test_half_have_diverged_by_the_median() -> None:
    found = statistics.survival([1, 2, 3, 4], [True] * 4)
    assert found is not None
    assert found.median == 2.0
    assert found.surviving == pytest.approx((1, 0.75, 0.5, 0.25, 0))


def test_trajectories_that_never_diverge_have_no_median() -> None:
    found = statistics.survival([3, 5], [False, False])
    assert found is not None
    assert (found.surviving, found.median) == ((1.0, 1.0, 1.0), None)


@pytest.mark.parametrize(
    ("turns", "diverged"),
    [([1], [True]), ([1], [False]), ([4, 4], [True, True]), ([0, 2], [True, False])],
)
def test_each_turn_has_a_share_within_its_interval(turns: list[int], diverged: list[bool]) -> None:
    found = statistics.survival(turns, diverged)
    assert found is not None
    assert found.turns[0] == 0
    ends = zip(found.low, found.surviving, found.high, found.at_risk, strict=True)
    assert all(0 <= low <= share <= high <= 1 for low, share, high, _ in ends)


def test_no_trajectories_have_no_survival() -> None:
    assert statistics.survival([], []) is None
