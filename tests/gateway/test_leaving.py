"""Sessions of a browser's own: they end with their last page, unless they are to be kept."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from plumb_client import SessionNotFound
from plumb_gateway.leaving import Leaving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.gateway.conftest import Kit

    from plumb_client import aio

NAME = "sessions/1"


class Plumb:
    """A client that notes which sessions it ends."""

    def __init__(self) -> None:
        self.ended: list[str] = []
        self.has_ended = asyncio.Event()
        self.is_gone = False

    async def attach(self, name: str) -> Any:
        if self.is_gone:
            self.has_ended.set()
            raise SessionNotFound("it has ended")
        return _Attached(self, name)


class _Attached:
    def __init__(self, plumb: Plumb, name: str) -> None:
        self._plumb = plumb
        self._name = name

    async def close(self) -> None:
        self._plumb.ended.append(self._name)
        self._plumb.has_ended.set()


@pytest.fixture
def fake() -> Plumb:
    return Plumb()


@pytest.fixture
def plumb(fake: Plumb) -> aio.Plumb:
    return fake  # type: ignore[return-value]  # all that is asked of one


@pytest.fixture
async def at_once() -> AsyncIterator[Leaving]:
    """One that waits for nobody."""
    async with Leaving(0) as leaving:
        yield leaving


async def test_a_session_ends_when_its_page_is_gone(
    at_once: Leaving, fake: Plumb, plumb: aio.Plumb, kit: type[Kit]
) -> None:
    at_once.arrive(NAME)
    at_once.leave(NAME, plumb, keep=False)
    await kit.soon(fake.has_ended.wait())
    assert fake.ended == [NAME]


async def after_shutdown(*pages: bool | None, plumb: aio.Plumb) -> None:
    """All pages come, then leave in this order with these wishes; then the gateway goes down."""
    async with Leaving(3600) as leaving:
        for _ in pages:
            leaving.arrive(NAME)
        for keep in pages:
            leaving.leave(NAME, plumb, keep=keep)


@pytest.mark.parametrize(
    ("pages", "ends"),
    [
        ((False,), True),
        ((True,), False),
        ((None,), False),
        ((None, False), True),
        ((False, None), True),  # whoever watches keeps nothing
        ((True, None), False),
        ((False, True), False),  # the owner's last wish
        ((True, False), True),
    ],
)
async def test_the_owner_s_last_wish_counts_when_the_last_page_is_gone(
    fake: Plumb, plumb: aio.Plumb, pages: tuple[bool | None, ...], ends: bool
) -> None:
    await after_shutdown(*pages, plumb=plumb)
    assert fake.ended == ([NAME] if ends else [])


async def test_while_a_page_is_there_nothing_ends(fake: Plumb, plumb: aio.Plumb) -> None:
    async with Leaving(0) as leaving:
        leaving.arrive(NAME)
        leaving.arrive(NAME)
        leaving.leave(NAME, plumb, keep=False)
    assert fake.ended == []


async def test_a_reload_in_time_finds_its_session(fake: Plumb, plumb: aio.Plumb) -> None:
    async with Leaving(3600) as leaving:
        leaving.arrive(NAME)
        leaving.leave(NAME, plumb, keep=False)
        leaving.arrive(NAME)
    assert fake.ended == []


async def test_a_watcher_who_comes_in_time_does_not_change_the_owner_s_wish(
    fake: Plumb, plumb: aio.Plumb
) -> None:
    async with Leaving(3600) as leaving:
        leaving.arrive(NAME)
        leaving.leave(NAME, plumb, keep=False)
        leaving.arrive(NAME)
        leaving.leave(NAME, plumb, keep=None)
    assert fake.ended == [NAME]


async def test_it_is_the_owner_who_ends_it_and_not_whoever_left_last(
    fake: Plumb, plumb: aio.Plumb
) -> None:
    watcher: Any = Plumb()
    async with Leaving(3600) as leaving:
        leaving.arrive(NAME)
        leaving.arrive(NAME)
        leaving.leave(NAME, plumb, keep=False)
        leaving.leave(NAME, watcher, keep=None)
    assert (fake.ended, watcher.ended) == ([NAME], [])


async def test_a_kept_session_is_nobody_s_to_end_later(fake: Plumb, plumb: aio.Plumb) -> None:
    async with Leaving(3600) as leaving:
        for keep in (False, True, None):
            leaving.arrive(NAME)
            leaving.leave(NAME, plumb, keep=keep)
    assert fake.ended == []


async def test_going_down_ends_at_once_what_was_to_end(
    fake: Plumb, plumb: aio.Plumb, kit: type[Kit]
) -> None:
    async with Leaving(3600) as leaving:
        for name in ("sessions/1", "sessions/2"):
            leaving.arrive(name)
            leaving.leave(name, plumb, keep=False)
    assert sorted(fake.ended) == ["sessions/1", "sessions/2"]


async def test_a_session_that_is_gone_already_is_no_error(
    at_once: Leaving, fake: Plumb, plumb: aio.Plumb, kit: type[Kit]
) -> None:
    fake.is_gone = True
    at_once.arrive(NAME)
    at_once.leave(NAME, plumb, keep=False)
    await kit.soon(fake.has_ended.wait())
    assert fake.ended == []
