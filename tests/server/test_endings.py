"""Whatever an environment does when it is to end: its place is free, and its end is written."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest

from plumb_backends.environment import Action, Observation, OutputSink
from plumb_backends.errors import SessionNotFound
from plumb_backends.registry import Backends, Grounded, Spec
from plumb_server.journal import Journal
from plumb_server.sessions import SessionLimits, Sessions, open_sessions

if TYPE_CHECKING:
    from tests.server.conftest import Kit


class Hostile:
    """An environment that raises or hangs where it is told to.

    Attributes:
        close_errors: What the next closings raise.
        hangs: Whether a closing, or an action that is cut off, never ends.
    """

    def __init__(self) -> None:
        self.close_errors: list[BaseException] = []
        self.hangs = False
        self.closes = 0
        self.stepping = asyncio.Event()
        self.never = asyncio.Event()

    async def step(self, action: Action, *, on_output: OutputSink | None = None) -> Observation:
        self.stepping.set()
        if action.text == b"lie":
            return Observation(text="half \ud800", ending=None, provenance=None)  # type: ignore[arg-type]
        if action.text == b"raise":
            raise RecursionError("deep")
        while True:  # cutting it off does not end it
            try:
                await self.never.wait()
                raise RuntimeError("over")
            except asyncio.CancelledError:
                if not self.hangs:
                    raise

    async def reset(self) -> None:
        raise ValueError("a pid of 5000 digits")

    async def probe(self, suite: str) -> object:
        raise ValueError("no")

    async def close(self) -> None:
        self.closes += 1
        if self.close_errors:
            raise self.close_errors.pop()
        if self.hangs:
            await self.never.wait()


class Provider:
    """Makes such environments."""

    def __init__(self) -> None:
        self.made: list[Hostile] = []

    async def create(self, spec: Spec) -> Grounded:
        self.made.append(Hostile())
        return Grounded(self.made[-1], ())  # type: ignore[arg-type]

    async def check(self) -> None: ...

    async def sweep(self) -> int:
        return 0


@pytest.fixture
def hostile() -> Provider:
    return Provider()


@pytest.fixture
async def sessions(hostile: Provider, journal: Journal) -> AsyncIterator[Sessions]:
    """One place, and little patience."""
    limits = SessionLimits(most=1, close_within=0.05)
    backends = Backends({("shell", "real"): hostile})
    async with open_sessions(backends, journal, limits, sweep_interval=3600) as opened:
        yield opened
        for environment in hostile.made:
            environment.hangs = False
            environment.never.set()


@pytest.mark.parametrize("error", [ValueError("\\8"), MemoryError(), asyncio.CancelledError()])
async def test_a_close_that_raises_gives_its_place_back_and_is_tried_again(
    sessions: Sessions, hostile: Provider, journal: Journal, kit: Kit, error: BaseException
) -> None:
    made = await sessions.create(kit.wish())
    hostile.made[0].close_errors = [error]
    assert not await kit.soon(sessions.delete(made.name))  # something is left, and that is said
    assert await journal.why_ended(made.name) == "it was deleted"
    await kit.soon(sessions.create(kit.wish()))
    await kit.soon(sessions.sweep())
    assert hostile.made[0].closes == 2
    assert await kit.soon(sessions.delete(made.name))


async def test_a_close_that_hangs_is_bounded_and_handed_to_the_sweep(
    sessions: Sessions, hostile: Provider, journal: Journal, kit: Kit
) -> None:
    made = await sessions.create(kit.wish())
    hostile.made[0].hangs = True
    assert not await kit.soon(sessions.delete(made.name))
    assert await journal.why_ended(made.name) == "it was deleted"
    await kit.soon(sessions.create(kit.wish()))
    await kit.soon(sessions.sweep())
    assert not await kit.soon(sessions.delete(made.name))
    hostile.made[0].hangs = False
    await kit.soon(sessions.sweep())
    assert await kit.soon(sessions.delete(made.name))


async def test_a_session_that_hangs_at_its_end_does_not_keep_others_from_being_swept(
    hostile: Provider, journal: Journal, kit: Kit
) -> None:
    limits = SessionLimits(close_within=0.05, max_life=0.01)
    backends = Backends({("shell", "real"): hostile})
    async with open_sessions(backends, journal, limits, sweep_interval=3600) as sessions:
        names = [(await sessions.create(kit.wish())).name for _ in range(3)]
        hostile.made[0].hangs = True
        hostile.made[1].close_errors = [RuntimeError("no")]
        await asyncio.sleep(0.02)
        await kit.soon(sessions.sweep())
        assert [await journal.why_ended(name) for name in names] == [
            "it reached its longest life"
        ] * 3


async def test_a_step_that_ignores_its_end_does_not_hold_up_its_caller_or_its_session(
    sessions: Sessions,
    hostile: Provider,
    journal: Journal,
    kit: Kit,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("plumb_server.episode._CUT_OFF_WITHIN", 0.01)
    made = await sessions.create(kit.wish())
    hostile.made[0].hangs = True
    step = made.begin_step(1, kit.action(b"hang"))
    await kit.soon(hostile.made[0].stepping.wait())
    await kit.soon(sessions.delete(made.name))
    assert isinstance(await kit.fails_soon(step.answer()), SessionNotFound)
    assert await journal.why_ended(made.name) == "it was deleted"
    await kit.soon(sessions.create(kit.wish()))


@pytest.mark.parametrize("action", [b"raise", b"lie"])
async def test_whatever_a_step_raises_or_returns_its_caller_gets_an_answer(
    sessions: Sessions, kit: Kit, action: bytes
) -> None:
    made = await sessions.create(kit.wish())
    await kit.fails_soon(made.begin_step(1, kit.action(action)).answer())
    await kit.fails_soon(made.begin_step(2, kit.action(b"raise")).answer())
    assert await kit.soon(sessions.delete(made.name))


async def test_a_reset_that_raises_leaves_a_session_that_can_be_ended(
    sessions: Sessions, kit: Kit
) -> None:
    made = await sessions.create(kit.wish())
    assert isinstance(await kit.fails_soon(sessions.reset(made.name)), ValueError)
    assert made.is_broken
    assert not made.is_busy
    assert await kit.soon(sessions.delete(made.name))


async def test_a_creation_that_is_given_up_and_cannot_be_closed_gives_its_place_back(
    sessions: Sessions,
    hostile: Provider,
    journal: Journal,
    kit: Kit,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def no(*_: object) -> None:
        hostile.made[0].hangs = True
        raise ValueError("the journal's own words")

    with monkeypatch.context() as patch:
        patch.setattr(journal, "session_created", no)
        assert str(await kit.fails_soon(sessions.create(kit.wish()))) == "the journal's own words"
    await kit.soon(sessions.create(kit.wish()))


async def test_a_server_goes_down_whatever_hangs(
    hostile: Provider, journal: Journal, kit: Kit
) -> None:
    limits = SessionLimits(close_within=0.02)
    backends = Backends({("shell", "real"): hostile})

    async def serve() -> str:
        async with open_sessions(backends, journal, limits, sweep_interval=3600) as sessions:
            made = await sessions.create(kit.wish())
            hostile.made[0].hangs = True
            return made.name

    name = await kit.soon(serve())
    assert await journal.why_ended(name) == "the server went down"
