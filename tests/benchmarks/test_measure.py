"""Timings: percentiles by the nearest rank, ways in turns, and what becomes of those that fail."""

from __future__ import annotations

import os

import pytest

from measure import Timings, Took, WayFailed, in_turns, joined, machine


@pytest.mark.parametrize(
    ("seconds", "percent", "value"),
    [
        ((3.0, 1.0, 2.0), 50, 2.0),
        ((1.0, 2.0, 3.0, 4.0), 50, 2.0),
        ((1.0, 2.0), 50, 1.0),
        (tuple(float(n) for n in range(100)), 95, 94.0),
        ((7.0,), 99, 7.0),
        ((1.0, 2.0), 100, 2.0),
    ],
)
def test_a_percentile_is_one_of_the_values(
    seconds: tuple[float, ...], percent: int, value: float
) -> None:
    assert Timings(seconds).percentile(percent) == value


async def test_ways_take_turns_and_slow_ones_are_spread_over_the_rounds() -> None:
    order: list[str] = []

    def noting(name: str) -> object:
        async def act() -> None:
            order.append(name)

        return act

    ways = {name: noting(name) for name in ("often", "rarely")}
    timings = await in_turns(ways, {"often": 6, "rarely": 2})  # type: ignore[arg-type]
    assert order == [*["often"] * 3, "rarely", *["often"] * 3, "rarely"]
    assert [len(timings[name].seconds) for name in ways] == [6, 2]


async def test_what_was_timed_elsewhere_counts_as_it_was_there() -> None:
    async def act() -> Took:
        return Took(42.0)

    assert (await in_turns({"peer": act}, {"peer": 2}))["peer"].seconds == (42.0, 42.0)


async def test_a_way_that_fails_three_times_in_a_row_is_not_tried_again() -> None:
    tries = 0

    async def fail() -> None:
        nonlocal tries
        tries += 1
        raise WayFailed(f"try {tries}")

    timings = (await in_turns({"broken": fail}, {"broken": 10}))["broken"]
    assert (timings.seconds, timings.failures) == ((), ("try 1", "try 2", "try 3"))


async def test_a_way_that_fails_now_and_then_goes_on() -> None:
    tries = 0

    async def sometimes() -> None:
        nonlocal tries
        tries += 1
        if tries % 2:
            raise WayFailed("odd")

    timings = (await in_turns({"shaky": sometimes}, {"shaky": 10}))["shaky"]
    assert (len(timings.seconds), len(timings.failures)) == (5, 5)


async def test_a_failure_of_ours_ends_the_benchmark() -> None:
    async def break_down() -> None:
        raise RuntimeError("ours")

    with pytest.raises(RuntimeError, match="ours"):
        await in_turns({"plumb": break_down}, {"plumb": 1})


def test_parts_are_joined_by_way_whether_or_not_all_have_it() -> None:
    parts = [{"a": Timings((1.0,))}, {"a": Timings((2.0,), ("no",)), "b": Timings((3.0,))}]
    assert joined(parts) == {"a": Timings((1.0, 2.0), ("no",)), "b": Timings((3.0,))}


def test_the_machine_says_what_ratios_depend_on() -> None:
    found = machine({"Version": "20.10.24"})
    assert found["cores"] == os.cpu_count()
    assert found["engine"] == "20.10.24"
    assert float(found["memory_gb"]) > float(found["memory_available_gb"]) > 0
