"""A pool, on things that a test makes: nothing here needs an engine."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from plumb_backends.errors import InvalidInput, SandboxUnavailable
from plumb_backends.real.pool import Pool, PoolSettings, Rhythm, kept
from plumb_backends.real.watcher import Nobody

SOON = 60.0
HOUR = 3600.0


class Thing:
    """Something that can die, and remembers its end."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.is_alive = True
        self.removals = 0

    async def remove(self) -> None:
        self.removals += 1


class Maker:
    """Makes things, as fast and as well as it is told; remembers when."""

    def __init__(self) -> None:
        self.made: list[Thing] = []
        self.times: list[tuple[float, float]] = []  # when each began, and ended
        self.at_once = 0
        self.most_at_once = 0
        self.takes = 0.0
        self.may_make = asyncio.Event()
        self.may_make.set()
        self.error: Exception | None = None
        self.makes_dead = False

    async def __call__(self) -> Thing:
        began = time.monotonic()
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await self.may_make.wait()
            await asyncio.sleep(self.takes)
            if self.error:
                raise self.error
            self.made.append(Thing(len(self.made)))
            self.made[-1].is_alive = not self.makes_dead
            return self.made[-1]
        finally:
            self.at_once -= 1
            self.times.append((began, time.monotonic()))


class Watcher(Nobody):
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.size = 0
        self.looks = 0
        self.asked: list[str] = []
        self.failures: list[str] = []
        self.recoveries = 0

    def pool_holds(self, pool: str, count: int) -> None:
        self.size = count
        self.looks += 1

    def pool_asked(self, pool: str, outcome: str) -> None:
        self.asked.append(outcome)

    def pool_fails(self, pool: str, why: str) -> None:
        self.failures.append(why)

    def pool_recovered(self, pool: str) -> None:
        self.recoveries += 1


@pytest.fixture
def maker() -> Maker:
    return Maker()


@pytest.fixture
def watcher() -> Watcher:
    return Watcher()


@asynccontextmanager
async def pool_of(
    maker: Maker,
    watcher: Watcher,
    size: int,
    *,
    rhythm: Rhythm | None = None,
) -> AsyncIterator[Pool[Thing]]:
    """A pool that looks often, and starts again at once, unless told otherwise."""
    rhythm = rhythm or Rhythm(look_every=0.005, breath=0, first_wait=0.005)
    settings = PoolSettings(size=size, idle_timeout=HOUR)
    pool = Pool("things", maker, settings, watcher, rhythm)
    async with kept(pool):
        yield pool


async def until(holds: Callable[[], object]) -> None:
    """Waits for what the pool's own task does."""
    async with asyncio.timeout(SOON):
        while not holds():  # noqa: ASYNC110 - no event tells it
            await asyncio.sleep(0.001)


async def several_looks(watcher: Watcher) -> None:
    """Waits until the pool has looked at what it holds a few times more."""
    before = watcher.looks
    await until(lambda: watcher.looks > before + 5)


async def itself(thing: Thing) -> Thing:
    return thing


def use_that_fails(*numbers: int) -> Callable[[Thing], Awaitable[Thing]]:
    """A use that finds things with these numbers dead."""

    async def use(thing: Thing) -> Thing:
        if thing.number in numbers:
            raise SandboxUnavailable("it is gone")
        return thing

    return use


async def test_a_pool_fills_itself_and_no_further(maker: Maker, watcher: Watcher) -> None:
    async with pool_of(maker, watcher, 3):
        await until(lambda: watcher.size == 3)
        await several_looks(watcher)
        assert len(maker.made) == 3


async def test_what_is_drawn_is_the_oldest_and_is_replaced(maker: Maker, watcher: Watcher) -> None:
    async with pool_of(maker, watcher, 2) as pool:
        await until(lambda: watcher.size == 2)
        assert await pool.draw(itself) is maker.made[0]
        await until(lambda: watcher.size == 2)
        assert len(maker.made) == 3
    assert watcher.asked == ["hit"]


async def test_nothing_is_given_away_twice_and_what_is_given_away_is_never_removed_by_the_pool(
    maker: Maker, watcher: Watcher
) -> None:
    async with pool_of(maker, watcher, 4) as pool:
        drawn: list[Thing] = []
        while len(drawn) < 20:
            found = await asyncio.gather(*(pool.draw(itself) for _ in range(3)))
            drawn += [thing for thing in found if thing]
            await asyncio.sleep(0)
    assert len({thing.number for thing in drawn}) == len(drawn)
    assert {thing.removals for thing in drawn} == {0}
    assert {thing.removals for thing in maker.made if thing not in drawn} <= {1}


async def test_an_empty_pool_says_so_and_keeps_nobody_waiting(
    maker: Maker, watcher: Watcher
) -> None:
    maker.may_make.clear()
    async with pool_of(maker, watcher, 2) as pool:
        assert await asyncio.wait_for(pool.draw(itself), SOON) is None
    assert watcher.asked == ["empty"]


async def test_an_empty_pool_is_refilled_one_at_a_time_however_many_ask(
    maker: Maker, watcher: Watcher
) -> None:
    maker.takes = 0.002
    async with pool_of(maker, watcher, 8) as pool:
        for _ in range(5):
            await asyncio.gather(*(pool.draw(itself) for _ in range(20)))
        await until(lambda: watcher.size == 8)
    assert maker.most_at_once == 1


async def test_after_each_creation_the_pool_rests_as_long_as_it_took(
    maker: Maker, watcher: Watcher
) -> None:
    maker.takes = 0.02
    async with pool_of(maker, watcher, 4):
        await until(lambda: watcher.size == 4)
    for (began, ended), (then, _) in zip(maker.times, maker.times[1:], strict=False):
        assert then - ended >= (ended - began) * 0.9


async def test_whoever_has_just_drawn_goes_before_the_refill(
    maker: Maker, watcher: Watcher
) -> None:
    async with pool_of(maker, watcher, 1, rhythm=Rhythm(breath=0.05)) as pool:
        await until(lambda: watcher.size == 1)
        drawn = time.monotonic()
        await pool.draw(itself)
        await until(lambda: watcher.size == 1)
    assert maker.times[1][0] - drawn >= 0.05 * 0.95


async def test_failures_are_told_once_and_tried_again_later_each_time(
    maker: Maker, watcher: Watcher
) -> None:
    maker.error = SandboxUnavailable("the engine is gone")
    rhythm = Rhythm(look_every=0.002, first_wait=0.01, longest_wait=0.04)
    async with pool_of(maker, watcher, 4, rhythm=rhythm) as pool:
        await until(lambda: len(maker.times) >= 6)
        assert await pool.draw(itself) is None
        await until(lambda: len(maker.times) >= 8)
    waits = [then - ended for (_, ended), (then, _) in zip(maker.times, maker.times[1:])]  # noqa: B905
    for wait, least in zip(waits, [0.01, 0.02, 0.04, 0.04, 0.04], strict=False):
        assert wait >= least * 0.95
    assert watcher.failures == ["the engine is gone"]
    assert maker.most_at_once == 1


async def test_those_who_ask_do_not_shorten_the_wait_after_a_failure(
    maker: Maker, watcher: Watcher
) -> None:
    maker.error = InvalidInput("the engine refuses")
    rhythm = Rhythm(look_every=0.002, first_wait=HOUR, longest_wait=HOUR)
    async with pool_of(maker, watcher, 2, rhythm=rhythm) as pool:
        await until(lambda: maker.times)
        for _ in range(20):
            assert await pool.draw(itself) is None
            await asyncio.sleep(0.001)
        assert len(maker.times) == 1


async def test_what_dies_when_a_refill_is_about_to_begin_puts_that_off(
    maker: Maker, watcher: Watcher
) -> None:
    rhythm = Rhythm(look_every=0.002, breath=1, first_wait=HOUR, longest_wait=HOUR)
    async with pool_of(maker, watcher, 2, rhythm=rhythm) as pool:
        await until(lambda: watcher.size == 2)
        assert await pool.draw(itself)
        for _ in range(10):  # of the event loop: the pool notices it, and takes its breath
            await asyncio.sleep(0)
        assert await pool.draw(use_that_fails(1)) is None
        await several_looks(watcher)
        assert len(maker.made) == 2


async def test_a_pool_that_can_be_filled_again_says_so_and_begins_to_count_anew(
    maker: Maker, watcher: Watcher
) -> None:
    maker.error = SandboxUnavailable("the engine is gone")
    async with pool_of(maker, watcher, 2) as pool:
        await until(lambda: len(maker.times) >= 3)
        maker.error = None
        await until(lambda: watcher.recoveries == 1)
        maker.error = SandboxUnavailable("the engine is gone again")
        await pool.draw(itself)
        await until(lambda: len(watcher.failures) == 2)
    assert watcher.failures == ["the engine is gone", "the engine is gone again"]


async def test_what_was_made_before_a_failure_does_not_end_the_waiting(
    maker: Maker, watcher: Watcher
) -> None:
    rhythm = Rhythm(look_every=0.005, breath=0, first_wait=HOUR)
    async with pool_of(maker, watcher, 2, rhythm=rhythm) as pool:
        await until(lambda: watcher.size == 2)
        maker.error = SandboxUnavailable("no room")
        assert await pool.draw(itself)
        await until(lambda: watcher.failures == ["no room"])
        await several_looks(watcher)
        assert (watcher.size, watcher.recoveries, len(maker.times)) == (1, 0, 3)


async def test_a_fault_of_the_maker_does_not_end_the_pool(maker: Maker, watcher: Watcher) -> None:
    maker.error = RuntimeError("a fault")
    async with pool_of(maker, watcher, 1):
        await until(lambda: watcher.failures == ["a fault"])
        maker.error = None
        await until(lambda: watcher.size == 1)


async def test_what_died_is_removed_replaced_and_never_given_away(
    maker: Maker, watcher: Watcher
) -> None:
    async with pool_of(maker, watcher, 2) as pool:
        await until(lambda: watcher.size == 2)
        maker.made[0].is_alive = False
        await until(lambda: maker.made[0].removals == 1)
        await until(lambda: watcher.size == 2)
        drawn = [await pool.draw(itself), await pool.draw(itself)]
    assert drawn == maker.made[1:3]


async def test_all_that_dies_at_the_same_time_is_one_failure(
    maker: Maker, watcher: Watcher
) -> None:
    rhythm = Rhythm(look_every=0.005, first_wait=0.02, longest_wait=HOUR)
    async with pool_of(maker, watcher, 6, rhythm=rhythm):
        await until(lambda: watcher.size == 6)
        for thing in maker.made:
            thing.is_alive = False
        await until(lambda: watcher.size == 6 and len(maker.made) == 12)  # not after an hour
    assert len(watcher.failures) == 1


async def test_what_dies_again_and_again_is_made_ever_less_often(
    maker: Maker, watcher: Watcher
) -> None:
    maker.makes_dead = True
    rhythm = Rhythm(look_every=0.002, first_wait=0.01, longest_wait=HOUR)
    async with pool_of(maker, watcher, 1, rhythm=rhythm):
        await until(lambda: len(maker.made) == 6)
    waits = [then - ended for (_, ended), (then, _) in zip(maker.times, maker.times[1:])]  # noqa: B905
    for wait, least in zip(waits, [0.01, 0.02, 0.04, 0.08], strict=False):
        assert wait >= least * 0.95
    assert len(watcher.failures) == 1


async def test_what_turns_out_to_be_dead_is_removed_and_the_next_one_given(
    maker: Maker, watcher: Watcher
) -> None:
    async with pool_of(maker, watcher, 3) as pool:
        await until(lambda: watcher.size == 3)
        assert await pool.draw(use_that_fails(0, 1)) is maker.made[2]
        await until(lambda: [thing.removals for thing in maker.made[:3]] == [1, 1, 0])
    assert watcher.asked == ["dead", "dead", "hit"]


async def test_where_all_are_dead_nothing_is_given(maker: Maker, watcher: Watcher) -> None:
    async with pool_of(maker, watcher, 2) as pool:
        await until(lambda: watcher.size == 2)
        assert await pool.draw(use_that_fails(0, 1)) is None
    assert watcher.asked == ["dead", "dead", "empty"]


async def test_what_was_to_be_used_by_somebody_who_went_away_is_removed(
    maker: Maker, watcher: Watcher
) -> None:
    reached = asyncio.Event()

    async def use(thing: Thing) -> Thing:
        reached.set()
        await asyncio.Event().wait()
        return thing

    async with pool_of(maker, watcher, 1) as pool:
        await until(lambda: watcher.size == 1)
        drawing = asyncio.create_task(pool.draw(use))
        await reached.wait()
        drawing.cancel()
        await asyncio.wait({drawing})
        assert drawing.cancelled()
        await until(lambda: maker.made[0].removals == 1)
    assert watcher.asked == []


async def test_a_pool_that_nobody_draws_from_empties_itself_until_somebody_does(
    maker: Maker, watcher: Watcher
) -> None:
    async with pool_of(maker, watcher, 2) as pool:
        await until(lambda: watcher.size == 2)
        pool._drawn -= 2 * HOUR
        await until(lambda: watcher.size == 0)
        await until(lambda: [thing.removals for thing in maker.made] == [1, 1])
        await several_looks(watcher)
        assert len(maker.made) == 2
        assert await pool.draw(itself) is None
        await until(lambda: watcher.size == 2)


async def test_those_who_want_something_else_do_not_keep_a_pool_from_emptying(
    maker: Maker, watcher: Watcher
) -> None:
    async with pool_of(maker, watcher, 1) as pool:
        await until(lambda: watcher.size == 1)
        pool._drawn -= 2 * HOUR
        async with asyncio.timeout(SOON):
            while watcher.size:
                pool.pass_by()
                await asyncio.sleep(0.001)
    assert set(watcher.asked) == {"unfit"}


async def test_what_is_too_old_is_replaced(maker: Maker, watcher: Watcher) -> None:
    rhythm = Rhythm(look_every=0.005, most_age=0.05)
    async with pool_of(maker, watcher, 1, rhythm=rhythm):
        await until(lambda: len(maker.made) >= 3)
        await until(lambda: maker.made[0].removals == 1)
    assert watcher.failures == []


async def test_at_its_end_a_pool_removes_what_it_holds_and_makes_nothing_more(
    maker: Maker, watcher: Watcher
) -> None:
    async with pool_of(maker, watcher, 3):
        await until(lambda: watcher.size == 3)
        maker.may_make.clear()
    assert [thing.removals for thing in maker.made] == [1, 1, 1]
    assert watcher.size == 0
