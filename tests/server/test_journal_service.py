"""What the journal's service tells of sessions, whatever moment they are asked in."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from plumb.v1 import journal_pb2 as wire
from plumb_backends.errors import JournalUnavailable
from plumb_server.history import History
from plumb_server.journal_service import JournalService

if TYPE_CHECKING:
    from tests.server.conftest import FakeProvider, Kit

    from plumb_server.journal import Journal
    from plumb_server.sessions import Sessions

NO_CONTEXT: Any = None


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
