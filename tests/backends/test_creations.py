"""Turns of creations: how many at once, in which order, and what whoever waits too long is told."""

from __future__ import annotations

import asyncio

import pytest

from plumb_backends.errors import LimitReached
from plumb_backends.real.creations import Creations
from plumb_backends.real.watcher import Nobody


class Watcher(Nobody):
    """Remembers how many waited."""

    def __init__(self) -> None:
        self.waiting: list[int] = []

    def creations_wait(self, kind: str, count: int) -> None:
        self.waiting.append(count)


class Work:
    """Creations that end when they are told to."""

    def __init__(self, creations: Creations) -> None:
        self._creations = creations
        self.begun: list[int] = []
        self.tasks: list[asyncio.Task[None]] = []
        self._may_end: list[asyncio.Event] = []

    async def begin(self, *, is_patient: bool = False) -> None:
        """Begins one more, and lets it come as far as it can."""
        may_end = asyncio.Event()
        self._may_end.append(may_end)
        number = len(self.tasks)

        async def create() -> None:
            async with self._creations.turn(is_patient=is_patient):
                self.begun.append(number)
                await may_end.wait()

        self.tasks.append(asyncio.create_task(create()))
        for _ in range(3):
            await asyncio.sleep(0)

    async def end(self, number: int) -> None:
        self._may_end[number].set()
        await self.tasks[number]
        for _ in range(3):
            await asyncio.sleep(0)

    async def end_all(self) -> None:
        for may_end in self._may_end:
            may_end.set()
        await asyncio.gather(*self.tasks, return_exceptions=True)


async def test_so_many_have_a_turn_and_the_others_wait_in_their_order() -> None:
    watcher = Watcher()
    work = Work(Creations("shell", 2, watcher))
    for _ in range(5):
        await work.begin()
    assert work.begun == [0, 1]
    await work.end(1)
    assert work.begun == [0, 1, 2]
    await work.end(0)
    assert work.begun == [0, 1, 2, 3]
    await work.end_all()
    assert work.begun == [0, 1, 2, 3, 4]
    assert max(watcher.waiting) == 3
    assert watcher.waiting[-1] == 0


async def test_one_that_waits_too_long_is_refused_with_the_limit_and_when_to_retry() -> None:
    work = Work(Creations("shell", 1, Nobody(), wait_within=0.02))
    await work.begin()
    await work.begin()
    with pytest.raises(LimitReached, match=r"makes 1 shell sandboxes.*PLUMB_MAX_CREATIONS") as told:
        await work.tasks[1]
    assert told.value.metadata == {"limit": "PLUMB_MAX_CREATIONS"}
    assert told.value.retry_after >= 1
    await work.end_all()
    assert work.begun == [0]


async def test_one_that_would_wait_too_long_is_refused_at_once_and_told_how_long() -> None:
    creations = Creations("shell", 1, Nobody(), wait_within=0.05)
    async with creations.turn():
        await asyncio.sleep(0.1)  # so long one takes here
    work = Work(creations)
    await work.begin()
    await work.begin()
    assert work.tasks[1].done()
    with pytest.raises(LimitReached):
        await work.tasks[1]
    await work.end_all()


async def test_what_is_made_for_nobody_waits_as_long_as_it_takes() -> None:
    creations = Creations("shell", 1, Nobody(), wait_within=0.01)
    work = Work(creations)
    await work.begin()
    await work.begin(is_patient=True)
    await asyncio.sleep(0.05)
    await work.end(0)
    assert work.begun == [0, 1]
    await work.end_all()


async def test_one_that_goes_away_while_it_waits_takes_no_turn() -> None:
    watcher = Watcher()
    work = Work(Creations("shell", 1, watcher))
    for _ in range(3):
        await work.begin()
    work.tasks[1].cancel()
    await asyncio.wait({work.tasks[1]})
    assert watcher.waiting[-1] == 1
    await work.end(0)
    assert work.begun == [0, 2]
    await work.end_all()


async def test_a_creation_that_fails_gives_its_turn_back() -> None:
    creations = Creations("shell", 1, Nobody())
    with pytest.raises(RuntimeError):
        async with creations.turn():
            raise RuntimeError("no")
    async with asyncio.timeout(30), creations.turn():
        pass
