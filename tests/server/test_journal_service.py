"""What the journal's service tells of sessions, whatever moment they are asked in."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from plumb.v1 import journal_pb2 as wire
from plumb_backends.errors import JournalUnavailable
from plumb_server.history import History
from plumb_server.journal_service import JournalService
from plumb_server.sessions import SessionLimits, open_sessions

if TYPE_CHECKING:
    from tests.server.conftest import FakeProvider, Kit

    from plumb_backends.registry import Backends
    from plumb_server.journal import Journal
    from plumb_server.session import Session
    from plumb_server.sessions import Sessions, Wish

NO_CONTEXT: Any = None


def hold_back(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> tuple[asyncio.Event, asyncio.Event]:
    """Holds creations back once the journal has them: when one is, and to let it go on."""
    write = journal.session_created
    is_written, go_on = asyncio.Event(), asyncio.Event()

    async def write_and_wait(*values: Any) -> None:
        await write(*values)
        is_written.set()
        await go_on.wait()

    monkeypatch.setattr(journal, "session_created", write_and_wait)
    return is_written, go_on


async def begin(
    sessions: Sessions, wish: Wish, is_written: asyncio.Event
) -> tuple[str, asyncio.Task[Session]]:
    """Begins a creation that is held back; returns when the journal has it."""
    creation = asyncio.create_task(sessions.create(wish))
    async with asyncio.timeout(60):
        await is_written.wait()
    return f"sessions/{wish.spec.session_id}", creation


async def told(sessions: Sessions, journal: Journal, name: str) -> wire.JournaledSession:
    service = JournalService(History(journal), sessions)
    request = wire.GetJournaledSessionRequest(name=name)
    alone = (await service.GetJournaledSession(request, NO_CONTEXT)).session
    page = await service.ListJournaledSessions(wire.ListJournaledSessionsRequest(), NO_CONTEXT)
    assert list(page.sessions) == [alone]
    return alone


async def test_a_session_lives_is_being_removed_and_has_ended_and_it_is_known_why(
    sessions: Sessions, journal: Journal, provider: FakeProvider, kit: Kit
) -> None:
    made = await sessions.create(kit.wish())
    lives = await told(sessions, journal, made.name)
    assert (lives.live, lives.end_reason, lives.HasField("end_time")) == (True, "", False)
    environment = provider.made[0]
    environment.waits_in_close = True
    end = asyncio.create_task(sessions.delete(made.name, "it was idle too long"))
    await kit.soon(environment.entered.wait())
    ends = await told(sessions, journal, made.name)
    assert (ends.live, ends.end_reason) == (False, "it was idle too long")
    environment.release.set()
    await kit.soon(end)
    ended = await told(sessions, journal, made.name)
    assert (ended.live, ended.end_reason) == (False, "it was idle too long")
    assert ended.HasField("end_time")


async def test_a_creation_that_was_written_and_given_up_has_its_end_written_by_the_sweep(
    sessions: Sessions, journal: Journal, kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = journal.session_created

    async def written_but_not_told(*values: Any) -> None:
        await write(*values)
        raise JournalUnavailable("as if the caller were gone")

    monkeypatch.setattr(journal, "session_created", written_but_not_told)
    with pytest.raises(JournalUnavailable):
        await sessions.create(kit.wish())
    await sessions.sweep()
    service = JournalService(History(journal), sessions)
    page = await service.ListJournaledSessions(wire.ListJournaledSessionsRequest(), NO_CONTEXT)
    assert [one.end_reason for one in page.sessions] == ["its creation was given up"]
    assert page.sessions[0].HasField("end_time")


async def test_a_session_lives_as_soon_as_the_journal_has_it(
    sessions: Sessions, journal: Journal, kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_written, go_on = hold_back(journal, monkeypatch)
    name, creation = await begin(sessions, kit.wish(), is_written)
    assert (await told(sessions, journal, name)).live
    go_on.set()
    await kit.soon(creation)


async def test_a_creation_whose_caller_goes_away_once_it_is_written_has_an_end_and_a_reason(
    sessions: Sessions, journal: Journal, kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_written, _ = hold_back(journal, monkeypatch)
    name, creation = await begin(sessions, kit.wish(), is_written)
    creation.cancel()
    await asyncio.wait({creation})
    given_up = await told(sessions, journal, name)
    assert (given_up.live, given_up.end_reason) == (False, "its creation was given up")
    await sessions.sweep()
    assert (await told(sessions, journal, given_up.name)).HasField("end_time")


async def test_a_creation_that_the_server_s_end_cuts_off_once_it_is_written_has_its_end_written(
    backends: Backends, journal: Journal, kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_written, _ = hold_back(journal, monkeypatch)
    async with open_sessions(backends, journal, SessionLimits(), sweep_interval=3600) as sessions:
        name, creation = await begin(sessions, kit.wish("once"), is_written)
    await asyncio.wait({creation})
    assert await journal.why_ended(name)
