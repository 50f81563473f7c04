"""Alignment: every line once, in order, equal ones first, in time linear in the lines."""

from __future__ import annotations

import collections
import cProfile
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plumb_fidelity.align import Pair, align, match_in_any_order
from plumb_fidelity.likeness import likeness

LINES = st.lists(st.sampled_from(["a", "b", "c 1", "c 2", "d x y"]), max_size=30)


def aligned(left: list[str], right: list[str]) -> list[Pair]:
    return align(left, right, likeness(left, right))


@given(left=LINES, right=LINES)
def test_every_line_is_in_one_pair_and_pairs_are_in_order(
    left: list[str], right: list[str]
) -> None:
    pairs = aligned(left, right)
    assert [i for i, _ in pairs if i is not None] == list(range(len(left)))
    assert [j for _, j in pairs if j is not None] == list(range(len(right)))


@given(lines=LINES)
def test_equal_outputs_are_aligned_line_by_line(lines: list[str]) -> None:
    assert aligned(lines, lines) == [(at, at) for at in range(len(lines))]


@given(lines=LINES, seed=st.integers())
def test_in_any_order_equal_lines_find_each_other(lines: list[str], seed: int) -> None:
    mixed = random.Random(seed).sample(lines, len(lines))
    pairs = match_in_any_order(lines, mixed, likeness(lines, mixed))
    assert all(i is not None and j is not None and lines[i] == mixed[j] for i, j in pairs)
    assert sorted(j for _, j in pairs if j is not None) == list(range(len(lines)))


@pytest.mark.parametrize(
    ("left", "right", "pairs"),
    [
        (["a", "b", "c"], ["a", "c"], [(0, 0), (1, None), (2, 1)]),
        (["a", "c"], ["a", "b", "c"], [(0, 0), (None, 1), (1, 2)]),
        (["n = 1", "x"], ["n = 2", "x"], [(0, 0), (1, 1)]),  # alike but for a digit
        (["foo one", "bar"], ["baz two", "bar"], [(0, None), (None, 0), (1, 1)]),
    ],
)
def test_what_stands_for_what(left: list[str], right: list[str], pairs: list[Pair]) -> None:
    assert aligned(left, right) == pairs


def calls(lines: int, kind: str) -> int:
    """What it costs, in calls: of seconds a busy machine takes as many as it likes."""
    rng = random.Random(1)
    left = [f"{rng.random()} {at}" for at in range(lines)]
    right = [f"{rng.random()} {at}" for at in range(lines)] if kind == "all differ" else left[::-1]
    with cProfile.Profile() as profile:
        aligned(left, right)
        match_in_any_order(left, right, likeness(left, right))
    return sum(entry.callcount for entry in profile.getstats())


@pytest.mark.parametrize("kind", ["all differ", "reversed"])
def test_work_grows_with_the_lines_and_not_with_their_square(kind: str) -> None:
    assert calls(20_000, kind) < 15 * calls(2_000, kind)  # the square would be a hundred times


FIELDS = st.lists(st.sampled_from("abc"), min_size=1)


@given(one=FIELDS, other=FIELDS)
def test_lines_are_alike_by_the_fields_that_both_have_however_these_are_counted(
    one: list[str], other: list[str]
) -> None:
    shared = sum((collections.Counter(one) & collections.Counter(other)).values())
    ratio = 2 * shared / ((len(one) + len(other)) or 1)
    found = likeness([" ".join(one), "x"], [" ".join(other), "y"])(0, 0)
    assert found == (ratio if ratio >= 0.5 else 0.0)
