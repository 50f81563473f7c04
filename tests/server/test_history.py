"""What people ask of the journal: sessions by the page, filtered, and the steps of one."""

from __future__ import annotations

import datetime
import sqlite3
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from plumb_server.history import Filter, History, PastSession
from plumb_server.journal import Journal, StepRecord, open_journal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


NOON = datetime.datetime(2026, 11, 26, 12)


@pytest_asyncio.fixture
async def journal(journal_url: str) -> AsyncIterator[Journal]:
    """A journal in each kind of database."""
    async with open_journal(journal_url) as opened:
        yield opened


def record(session: str, index: int, verdict: str | None = None, **changes: Any) -> StepRecord:
    fields: dict[str, Any] = {
        "session": session,
        "step_index": index,
        "action": b"ls",
        "observation": b"seen",
        "ending": "EXITED",
        "exit_code": 0,
        "error": None,
        "verdict": verdict,
    }
    return StepRecord(**(fields | changes))


@pytest.fixture
def history(journal: Journal) -> History:
    return History(journal)


async def everything(history: History, wanted: Filter, page: int) -> list[list[str]]:
    """The names on each page."""
    pages: list[list[PastSession]] = []
    before = None
    while found := await history.sessions(wanted, before, page):
        pages.append(found)
        before = found[-1].created_at, found[-1].name
    return [[session.name for session in page] for page in pages]


async def test_pages_have_every_session_once_and_the_newest_first(
    journal: Journal, history: History
) -> None:
    names = [f"sessions/{number}" for number in range(5)]
    for name in names:
        await journal.session_created(name, "shell", "real", b"")
    assert await everything(history, Filter(), 2) == [
        ["sessions/4", "sessions/3"],
        ["sessions/2", "sessions/1"],
        ["sessions/0"],
    ]


async def test_sessions_of_one_moment_are_neither_lost_nor_doubled_between_pages(
    journal: Journal, history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("plumb_server.journal._now", lambda: NOON)
    for number in range(5):
        await journal.session_created(f"sessions/{number}", "shell", "real", b"")
    pages = await everything(history, Filter(), 2)
    assert sorted(name for page in pages for name in page) == [f"sessions/{n}" for n in range(5)]


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        (Filter(kind="shell"), {"a", "b"}),
        (Filter(backend="paired"), {"b", "c"}),
        (Filter(kind="mysql", backend="paired"), {"c"}),
        (Filter(verdict="EMPTY"), {"b"}),
        (Filter(verdict="OMITTED"), set()),
        (Filter(among=["a", "c"]), {"a", "c"}),
        (Filter(among=[]), set()),
        (Filter(not_among=["a"]), {"b", "c"}),
    ],
)
async def test_filters(journal: Journal, history: History, wanted: Filter, names: set[str]) -> None:
    for name, kind, backend in (
        ("a", "shell", "real"),
        ("b", "shell", "paired"),
        ("c", "mysql", "paired"),
    ):
        await journal.session_created(name, kind, backend, b"")
    await journal.step_answered(record("b", 1, "AGREES"))
    await journal.step_answered(record("b", 2, "EMPTY"))
    await journal.step_answered(record("c", 1, "AGREES"))
    assert {session.name for session in await history.sessions(wanted, None, 10)} == names
    assert await history.count(wanted) == len(names)


async def test_a_session_tells_its_steps_its_verdicts_and_its_first_divergence(
    journal: Journal, history: History
) -> None:
    await journal.session_created("sessions/a", "shell", "paired", b"asked")
    for index, verdict in enumerate(("AGREES", "AGREES", "EMPTY", "AGREES", "WRONG_VALUE"), 1):
        await journal.step_answered(record("sessions/a", index, verdict))
    await journal.step_answered(record("sessions/a", 6, observation=None, error="gone"))
    await journal.session_ended("sessions/a", "it was deleted")
    found = await history.session("sessions/a")
    assert found is not None
    assert (found.steps, found.first_divergence) == (6, 3)
    assert found.verdicts == {"AGREES": 3, "EMPTY": 1, "WRONG_VALUE": 1}
    assert (found.request, found.ended_because) == (b"asked", "it was deleted")
    assert found.ended_at is not None


async def test_there_is_no_session_of_an_unknown_name(history: History) -> None:
    assert await history.session("sessions/nobody") is None


async def test_steps_begin_where_they_are_asked_for_and_tell_resets(
    journal: Journal, history: History
) -> None:
    for index in range(1, 6):
        await journal.step_answered(record("sessions/a", index))
        if index == 3:
            await journal.session_reset("sessions/a", 3)
    found = await history.steps("sessions/a", 2, 3)
    assert [(step.step_index, step.after_reset) for step in found] == [
        (2, False),
        (3, False),
        (4, True),
    ]


async def test_a_verdict_and_its_step_are_written_together_or_not_at_all(
    journal: Journal, history: History
) -> None:
    await journal.session_created("sessions/a", "shell", "paired", b"")
    await journal.step_answered(record("sessions/a", 1, "AGREES"))
    with pytest.raises(Exception, match=r"UNIQUE|unique constraint"):
        await journal.step_answered(record("sessions/a", 1, "EMPTY"))
    found = await history.session("sessions/a")
    assert found is not None
    assert found.verdicts == {"AGREES": 1}


async def test_a_journal_from_before_there_were_verdicts_is_read_and_goes_on(
    tmp_path: Path,
) -> None:
    url = f"sqlite:///{tmp_path}/journal"
    async with open_journal(url) as journal:
        await journal.session_created("sessions/old", "shell", "paired", b"")
        await journal.step_answered(record("sessions/old", 1))
    with sqlite3.connect(tmp_path / "journal") as connection:
        connection.execute("DROP TABLE journal_version")
        connection.execute("DROP TABLE verdicts")
        connection.execute("DROP INDEX sessions_by_time")
    connection.close()
    async with open_journal(url) as journal:
        await journal.step_answered(record("sessions/old", 2, "EMPTY"))
        found = await History(journal).session("sessions/old")
    assert found is not None
    assert (found.steps, found.verdicts) == (2, {"EMPTY": 1})
