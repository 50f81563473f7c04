"""Figures with their intervals, against scipy, enumeration, published numbers and simulation."""

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from plumb_fidelity import differences, statistics, statuses
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
    micro = known(statistics.mean_of(clusters))
    macro = known(statistics.macro_mean_of(clusters))
    assert (micro.value, micro.clusters, micro.steps) == (3 / 6, 2, 6)
    assert (macro.value, macro.clusters, macro.steps) == (3 / 8, 2, 6)


def unequal(rng: np.random.Generator, count: int, share: float) -> list[list[float]]:
    """Trajectories of 3 to 20 steps whose steps correlate with 0.13: a design effect of 2."""
    scale = 1 / 0.13 - 1
    chances = rng.beta(share * scale, (1 - share) * scale, size=count)
    sizes = rng.integers(3, 21, size=count)
    return [
        (rng.random(size) < chance).astype(float).tolist()
        for size, chance in zip(sizes, chances, strict=True)
    ]


@pytest.mark.parametrize(("count", "share"), [(12, 0.9), (29, 0.98), (48, 0.98), (48, 0.99)])
def test_of_a_hundred_intervals_93_or_more_hold_the_true_share(count: int, share: float) -> None:
    rng = np.random.default_rng(20_261_130)
    found = [known(statistics.mean_of(unequal(rng, count, share))) for _ in range(300)]
    assert sum(one.low <= share <= one.high for one in found) / len(found) >= 0.93


@both_means
def test_in_the_middle_95_of_a_hundred_intervals_hold_the_true_mean(mean: Mean) -> None:
    found = [known(mean(drawn(seed, 40))) for seed in range(300)]
    held = sum(one.low <= 0.5 <= one.high for one in found)
    assert 0.92 <= held / len(found) <= 0.985  # a standard error is 1.3 points


@pytest.mark.parametrize("count", [3, 12, 48, 200])
@pytest.mark.parametrize("size", [1, 8, 30])
def test_one_more_error_never_raises_the_lower_end(count: int, size: int) -> None:
    clusters = [[1.0] * size for _ in range(count)]
    ends = [known(statistics.mean_of(clusters)).low]
    for trajectory in range(min(4, count)):
        clusters[trajectory][0] = 0.0
        ends.append(known(statistics.mean_of(clusters)).low)
    assert ends == sorted(ends, reverse=True)
    mirrored = [[1 - step for step in steps] for steps in clusters]
    found, other = known(statistics.mean_of(clusters)), known(statistics.mean_of(mirrored))
    assert (found.low, found.high) == pytest.approx((1 - other.high, 1 - other.low))


def test_independent_steps_without_an_error_have_nearly_clopper_and_pearsons_end() -> None:
    found = known(statistics.mean_of([[1.0]] * 100))
    exact = stats.binomtest(100, 100).proportion_ci(method="exact")
    assert found.low == pytest.approx(exact.low, abs=0.001)
    assert (found.value, found.high) == (1, 1)


def test_independent_steps_have_clopper_and_pearsons_interval() -> None:
    found = known(statistics.mean_of([[float(at < 70)] for at in range(100)]))
    exact = stats.binomtest(70, 100).proportion_ci(method="exact")
    assert (found.low, found.high) == pytest.approx((exact.low, exact.high), abs=0.003)
    assert found.method == "Korn-Graubard"


def test_strata_take_what_lies_between_them_out_of_the_interval() -> None:
    easy, hard = [[1.0] * 7 + [0.0]] * 20, [[0.0] * 7 + [1.0]] * 20
    mixed = known(statistics.mean_of([*easy, *hard]))
    kinds = ["shell"] * 20 + ["mysql"] * 20
    apart = known(statistics.mean_of([*easy, *hard], strata=kinds))
    assert apart.value == mixed.value
    assert apart.high - apart.low < 0.7 * (mixed.high - mixed.low)


def test_a_stratum_of_one_trajectory_is_put_to_the_largest() -> None:
    influence = np.array([0.1, -0.2, 0.3, -0.2])
    alone = statistics.stratified_variance(influence, ["a", "a", "a", "b"])
    assert alone == statistics.stratified_variance(influence, [""] * 4)
    pairs = statistics.stratified_variance(influence, ["a", "a", "b", "c"])
    assert pairs == statistics.stratified_variance(influence, ["a", "a", "b", "b"])
    assert pairs[1] == 2


def test_a_balanced_mean_weighs_its_parts_alike_and_has_an_interval() -> None:
    errors, contents = [[0.0], [], [0.0]] * 8, [[1.0] * 9, [1.0] * 9, [1.0] * 8 + [0.0]] * 8
    found = known(statistics.balanced_mean_of([errors, contents, [[]] * 24]))
    assert found.value == pytest.approx((0 + 26 / 27) / 2)
    assert found.low < found.value < found.high
    assert (found.clusters, found.steps) == (24, 16 + 216)


def test_intervals_of_steps_taken_for_independent_would_hold_it_far_less_often() -> None:
    found = [
        known(statistics.wilson(int(sum(map(sum, clusters))), 40 * 8))
        for clusters in (drawn(seed, 40, spread=0.5) for seed in range(400))
    ]
    assert sum(one.low <= 0.5 <= one.high for one in found) / len(found) < 0.75


def test_the_clustered_error_is_that_of_a_ratio_of_sums() -> None:
    sums, sizes = np.array([3.0, 0.0, 2.0]), np.array([4.0, 2.0, 2.0])
    residuals = [3 - 4 * 5 / 8, 0 - 2 * 5 / 8, 2 - 2 * 5 / 8]
    by_hand = math.sqrt(3 / 2 * sum(one**2 for one in residuals)) / 8
    assert statistics.clustered_error(sums, sizes) == pytest.approx(by_hand)


@both_means
@pytest.mark.parametrize("count", [10, 40])
def test_more_confidence_is_a_wider_interval(mean: Mean, count: int) -> None:
    wide = known(mean(drawn(2, count), confidence=0.99))
    narrow = known(mean(drawn(2, count), confidence=0.8))
    assert wide.low < narrow.low < narrow.value < narrow.high < wide.high


@both_means
@pytest.mark.parametrize("clusters", [[], [[]], [[], []]])
def test_no_steps_have_no_mean(mean: Mean, clusters: list[list[float]]) -> None:
    assert mean(clusters) is None


@both_means
def test_one_trajectory_has_no_interval(mean: Mean) -> None:
    share = mean([[1.0, 0.0], []])
    assert share == Interval(0.5, 0.0, 1.0, 1, 2, "one trajectory: no interval")


@pytest.mark.parametrize("count", [2, 40])
def test_trajectories_that_are_alike_by_chance_have_an_interval_all_the_same(count: int) -> None:
    found = known(statistics.mean_of([[1.0, 0.0]] * count))
    assert found.low < 0.5 < found.high
    assert found.low == pytest.approx(1 - found.high)


@both_means
@pytest.mark.parametrize("outcome", [-0.1, 1.5, math.nan, math.inf])
def test_an_outcome_that_is_no_share_is_refused(mean: Mean, outcome: float) -> None:
    with pytest.raises(ValueError, match="not within 0 to 1"):
        mean([[1.0], [outcome]])


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
    found = differences.mcnemar(left, right)
    assert (found.only_left, found.only_right) == (only_left, only_right)
    assert found.p_value == pytest.approx(p_value)


def test_mcnemars_test_wants_pairs() -> None:
    with pytest.raises(ValueError):
        differences.mcnemar([True], [True, False])


# Two simulators on the same steps


def enumerated(sums: list[float]) -> float:
    """The share of sign flips whose sum is at least as far from 0."""
    flips = itertools.product((1, -1), repeat=len(sums))
    reached = [abs(sum(sign * one for sign, one in zip(flip, sums, strict=True))) for flip in flips]
    return sum(one >= abs(sum(sums)) - 1e-9 for one in reached) / len(reached)


@pytest.mark.parametrize("seed", range(4))
def test_with_few_trajectories_p_is_that_of_all_sign_flips(seed: int) -> None:
    left, right = drawn(seed, 9), drawn(seed + 100, 9)
    found = differences.paired_difference(left, right, seed=1)
    assert found is not None
    sums = [sum(a) - sum(b) for a, b in zip(left, right, strict=True)]
    assert found.p_value == pytest.approx(enumerated(sums))
    assert found.value == pytest.approx(sum(sums) / (9 * 8))


def test_single_steps_have_students_interval_and_nearly_his_p_value() -> None:
    rng = np.random.default_rng(1)
    left, right = rng.random(60), rng.random(60) * 0.9
    found = differences.paired_difference([[x] for x in left], [[x] for x in right], seed=1)
    assert found is not None
    expected = stats.ttest_rel(left, right)
    assert found.p_value == pytest.approx(expected.pvalue, abs=0.02)
    ends = expected.confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((ends.low, ends.high))


@pytest.mark.parametrize("count", [6, 12, 48])
def test_of_a_hundred_intervals_of_a_difference_94_hold_it(count: int) -> None:
    rng = np.random.default_rng(5)
    held = 0
    for _ in range(300):
        clusters = unequal(rng, count, 0.8)
        other = [(rng.random(len(steps)) < 0.8).astype(float).tolist() for steps in clusters]
        names = [""] * count
        sums, sizes = statistics.sums_and_sizes(
            [
                [a - b for a, b in zip(x, y, strict=True)]
                for x, y in zip(clusters, other, strict=True)
            ]
        )
        value = sums.sum() / sizes.sum()
        reach = differences._reach((sums - value * sizes) / sizes.sum(), names, 0.95)
        held += abs(value) <= reach
    assert 0.92 <= held / 300 <= 0.985


def test_of_five_equal_simulators_hardly_any_run_claims_a_difference() -> None:
    claimed = 0
    for run in range(8):
        drawn_ones = [drawn(1000 * run + at, 16) for at in range(5)]
        found = [
            differences.paired_difference(a, b, seed=run, family=10)
            for a, b in itertools.combinations(drawn_ones, 2)
        ]
        p_values = differences.holm([one.p_value for one in found if one is not None])
        claimed += any(p_value < 0.05 for p_value in p_values)
    assert claimed <= 2


def test_a_family_makes_intervals_wider_and_flips_more() -> None:
    left, right = drawn(1, 40), drawn(2, 40)
    one = differences.paired_difference(left, right, seed=1)
    many = differences.paired_difference(left, right, seed=1, family=10)
    assert one is not None
    assert many is not None
    assert many.low < one.low < one.value < one.high < many.high
    always, never = [[1.0]] * 40, [[0.0]] * 40
    least = differences.paired_difference(always, never, seed=1, family=100)
    assert least is not None
    assert least.p_value == pytest.approx(2 / 20_000, rel=0.01)


def test_a_real_difference_is_found_and_changes_sign_with_the_sides() -> None:
    worse = drawn(1, 40)
    better = [[1.0 if at % 2 else step for at, step in enumerate(steps)] for steps in worse]
    found = differences.paired_difference(better, worse, seed=1)
    turned = differences.paired_difference(worse, better, seed=1)
    assert found is not None
    assert turned is not None
    assert 0 < found.low < found.value < found.high
    assert found.p_value < 0.001
    assert (turned.value, turned.low, turned.high) == pytest.approx(
        (-found.value, -found.high, -found.low), abs=0.02
    )


def test_where_nothing_differs_five_of_a_hundred_p_values_are_below_5_percent() -> None:
    found = [
        differences.paired_difference(drawn(seed, 9), drawn(seed + 9000, 9), seed=1)
        for seed in range(200)
    ]
    below = sum(one.p_value <= 0.05 for one in found if one is not None)
    assert below / len(found) <= 0.08


def test_the_same_seed_gives_the_same_difference() -> None:
    pair = drawn(1, 40), drawn(2, 40)
    same = [differences.paired_difference(*pair, seed=3) for _ in range(2)]
    assert same[0] == same[1]
    assert same[0] != differences.paired_difference(*pair, seed=4)


def test_simulators_that_do_the_same_do_not_differ_as_far_as_five_trajectories_tell() -> None:
    found = differences.paired_difference(drawn(1, 5), drawn(1, 5), seed=1)
    assert found is not None
    assert (found.value, found.p_value, found.clusters) == (0, 1, 5)
    assert found.high == -found.low == pytest.approx(1 - 0.05 ** (1 / 5))


@pytest.mark.parametrize(("count", "p_value"), [(2, 0.5), (5, 2 / 32), (40, 2 / 10_000)])
def test_one_that_is_always_right_against_one_that_never_is(count: int, p_value: float) -> None:
    right, wrong = [[1.0, 1.0]] * count, [[0.0, 0.0]] * count
    found = differences.paired_difference(right, wrong, seed=1)
    assert found is not None
    assert (found.value, found.high, found.clusters) == (1.0, 1.0, count)
    assert found.low == pytest.approx(0.05 ** (1 / count))
    assert found.p_value == pytest.approx(p_value)


def test_empty_trajectories_are_left_out_of_a_difference() -> None:
    found = differences.paired_difference([[1.0], [], [0.0]], [[0.0], [], [0.0]], seed=1)
    assert found is not None
    assert (found.clusters, found.value) == (2, 0.5)


@pytest.mark.parametrize("clusters", [[], [[]], [[1.0, 0.0]], [[1.0], []]])
def test_fewer_than_two_trajectories_cannot_be_compared(clusters: list[list[float]]) -> None:
    assert differences.paired_difference(clusters, clusters, seed=1) is None


@pytest.mark.parametrize("right", [[[1.0], [1.0]], [[1.0, 0.0]], []])
def test_steps_that_are_not_the_same_are_not_compared(right: list[list[float]]) -> None:
    with pytest.raises(ValueError, match="not the same steps"):
        differences.paired_difference([[1.0, 0.0], [1.0]], right, seed=1)


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
    assert differences.holm(p_values) == pytest.approx(adjusted)


# Status and error classes


def table(*pairs: tuple[str, str]) -> dict[str, dict[str, int]]:
    return statuses.status_table(pairs)


def test_a_rate_is_over_what_is_known_with_bounds_for_what_is_not() -> None:
    found = statuses.rate(1, 2, 10)
    assert (found.known_value, found.low, found.high) == pytest.approx((1 / 8, 0.1, 0.3))
    assert found.value is None  # a fifth is unknown
    assert statuses.rate(3, 1, 20).value == pytest.approx(4 / 20)
    assert statuses.rate(0, 0, 0).value is statuses.rate(0, 0, 0).high is None


@pytest.mark.parametrize("dropped", range(1, 9))
def test_an_unknown_status_is_never_taken_as_right(dropped: int) -> None:
    pairs = [("failure", "success")] * 6 + [("failure", "failure")] * 2 + [("success",) * 2] * 4
    hidden = [(real, "unknown") for real, _ in pairs[:dropped]] + pairs[dropped:]
    before, after = table(*pairs), table(*hidden)
    was, now = (statuses.false_rate(one, "failure") for one in (before, after))
    assert was.high is not None
    assert now.high is not None
    assert now.high >= was.high
    assert now.value is None or now.value >= was.high
    known, blurred = statuses.correlation(before), statuses.correlation(after)
    assert known.value is not None
    assert blurred.value is None
    assert blurred.low is None or blurred.low <= known.value


def test_matthews_correlation_by_its_own_formula() -> None:
    by_hand = (5 * 10 - 3 * 2) / math.sqrt((5 + 3) * (5 + 2) * (10 + 3) * (10 + 2))
    assert statuses.matthews(5, 2, 3, 10) == pytest.approx(by_hand)
    assert statuses.matthews(5, 0, 0, 10) == pytest.approx(1)
    assert statuses.matthews(0, 5, 10, 0) == pytest.approx(-1)


@pytest.mark.parametrize("counts", [(0, 0, 0, 0), (1, 1, 0, 0), (0, 1, 0, 1), (3, 0, 0, 0)])
def test_no_correlation_with_what_never_varies(counts: tuple[int, int, int, int]) -> None:
    assert statuses.matthews(*counts) is None


def test_the_confusion_matrix_has_cohens_kappa() -> None:
    # Cohen's own example (1960): 200 cases, 3 classes, 0.7 observed.
    counts = [[88, 14, 18], [10, 40, 10], [2, 6, 12]]
    names = ("a", "b", "c")
    pairs = [
        (names[row], names[column])
        for row in range(3)
        for column in range(3)
        for _ in range(counts[row][column])
    ]
    found = statuses.confusion(pairs)
    assert found.classes == names
    assert [list(row) for row in found.counts] == counts
    by_chance = 0.6 * 0.5 + 0.3 * 0.3 + 0.1 * 0.2
    assert found.kappa == pytest.approx((0.7 - by_chance) / (1 - by_chance))


def test_kappa_is_one_for_the_same_and_none_where_nothing_varies() -> None:
    assert statuses.confusion([("a", "a"), ("b", "b")]).kappa == pytest.approx(1)
    assert statuses.confusion([("a", "a")] * 3).kappa is None
    assert statuses.confusion([]).kappa is None
    assert statuses.confusion([("a", "none"), ("none", "none")]).kappa == pytest.approx(0)


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


@pytest.mark.parametrize("diverged", [True, False])
def test_a_share_of_one_or_none_has_an_interval_by_those_at_risk(diverged: bool) -> None:
    found = statistics.survival([3] * 10, [diverged] * 10)
    assert found is not None
    edge = 0.025 ** (1 / 10)
    assert (found.low[-1], found.high[-1]) == pytest.approx(
        (0, 1 - edge) if diverged else (edge, 1)
    )


def test_no_trajectories_have_no_survival() -> None:
    assert statistics.survival([], []) is None
