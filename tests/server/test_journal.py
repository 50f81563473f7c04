"""The journal: what was answered is in it, whatever happens to the process."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from plumb_backends.errors import JournalUnavailable
from plumb_server import journal_writer as module
from plumb_server.journal import Journal, StepRecord, open_journal
from plumb_server.journal_writer import JournalWriter

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.server.conftest import Kit


@pytest_asyncio.fixture
async def journal(journal_url: str) -> AsyncIterator[Journal]:
    """A journal in each kind of database."""
    async with open_journal(journal_url) as opened:
        yield opened


def record(index: int, session: str = "sessions/a", **changes: Any) -> StepRecord:
    fields: dict[str, Any] = {
        "session": session,
        "step_index": index,
        "action": b"echo \xff",
        "observation": b"\x00seen\xff",
        "ending": "EXITED",
        "exit_code": 0,
        "error": None,
    }
    return StepRecord(**(fields | changes))


async def test_what_is_written_is_read_back_unchanged(journal: Journal) -> None:
    written = [
        record(1),
        record(2, observation=None, ending=None, exit_code=None, error="gone ☃"),
        record(3, exit_code=255, ending="SIGNALED"),
    ]
    for step in written:
        await journal.step_answered(step)
    assert await journal.steps_of("sessions/a") == written


async def test_steps_are_read_in_order_and_each_session_has_its_own(journal: Journal) -> None:
    for index in (3, 1, 2):
        await journal.step_answered(record(index))
        await journal.step_answered(record(index, "sessions/b"))
    assert [step.step_index for step in await journal.steps_of("sessions/a")] == [1, 2, 3]
    assert {step.session for step in await journal.steps_of("sessions/b")} == {"sessions/b"}
    assert await journal.steps_of("sessions/c") == []


async def test_what_is_written_to_a_file_is_there_after_it_was_closed_and_opened_again(
    tmp_path: Path,
) -> None:
    url = f"sqlite:///{tmp_path}/journal"
    async with open_journal(url) as journal:
        await journal.session_created("sessions/a", "shell", "real", b"request")
        await journal.step_answered(record(1))
        await journal.session_reset("sessions/a", 1)
        await journal.session_ended("sessions/a", "it was deleted")
    async with open_journal(url) as journal:
        assert await journal.steps_of("sessions/a") == [record(1)]
        assert await journal.why_ended("sessions/a") == "it was deleted"


async def test_a_journal_of_sqlite_survives_a_crash_of_the_process_by_its_settings(
    tmp_path: Path,
) -> None:
    async with open_journal(f"sqlite:///{tmp_path}/journal") as journal:
        with journal._engine.connect() as connection:
            asked = [
                connection.exec_driver_sql(f"PRAGMA {pragma}").scalar()
                for pragma in ("journal_mode", "synchronous")
            ]
    assert asked == ["wal", 1]


async def test_why_a_session_ended_is_told_and_none_for_one_that_never_was(
    journal: Journal,
) -> None:
    await journal.session_created("sessions/a", "shell", "real", b"")
    assert await journal.why_ended("sessions/a") == "the server that had it ended without a word"
    await journal.session_ended("sessions/a", "it was idle too long")
    assert await journal.why_ended("sessions/a") == "it was idle too long"
    assert await journal.why_ended("sessions/b") is None


async def test_one_step_is_read_by_its_index_and_none_where_there_is_none(
    journal: Journal,
) -> None:
    await journal.step_answered(record(1))
    await journal.step_answered(record(2, action=b"other"))
    assert await journal.step_of("sessions/a", 2) == record(2, action=b"other")
    assert await journal.step_of("sessions/a", 3) is None
    assert await journal.step_of("sessions/b", 1) is None


async def test_sessions_whose_owner_has_ended_or_whose_time_is_over_are_ended_and_no_others(
    journal: Journal,
) -> None:
    owners = {"a": ("gone", "9"), "b": ("lives", "9"), "c": ("elsewhere", "1"), "d": ("gone", "9")}
    for name, (owner, expiry) in owners.items():
        await journal.session_owned(f"sessions/{name}", owner, expiry)
        await journal.session_created(f"sessions/{name}", "shell", "real", b"")
    await journal.session_created("sessions/e", "shell", "real", b"")  # from before there were any
    await journal.session_ended("sessions/d", "it was deleted")

    def is_over(owner: str, expiry: str) -> bool:
        return owner == "gone" or expiry == "1"

    assert await journal.end_abandoned(is_over) == 2
    assert await journal.end_abandoned(is_over) == 0
    assert ended(journal) == {
        "sessions/a": "the server that had it ended without a word",
        "sessions/c": "the server that had it ended without a word",
        "sessions/d": "it was deleted",
    }


def ended(journal: Journal) -> dict[str, str]:
    query = "SELECT name, ended_because FROM sessions WHERE ended_at IS NOT NULL"
    with journal._engine.connect() as connection:
        return {row.name: row.ended_because for row in connection.exec_driver_sql(query)}


async def test_a_long_reason_is_cut_and_does_not_fail(journal: Journal) -> None:
    await journal.session_created("sessions/a", "shell", "real", b"")
    await journal.session_ended("sessions/a", "x" * 10_000)
    assert await journal.why_ended("sessions/a") == "x" * 200


async def test_text_may_hold_what_a_database_does_not_take(journal: Journal) -> None:
    """PostgreSQL takes no NUL in a text."""
    await journal.session_created("sessions/a", "shell", "real", b"\0")
    await journal.session_ended("sessions/a", "a\0b")
    assert await journal.why_ended("sessions/a") == "a\ufffdb"
    await journal.step_answered(record(1, observation=None, error="c\0d\ud800"))
    [step] = await journal.steps_of("sessions/a")
    assert step.error == "c\ufffdd?"


async def test_a_journal_that_cannot_be_read_is_unavailable_and_no_fault(journal: Journal) -> None:
    with journal._engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE steps RENAME TO gone")
    with pytest.raises(
        JournalUnavailable, match=r"cannot be read .*(no such table|does not exist)"
    ):
        await journal.step_of("sessions/a", 1)


async def test_many_at_once_are_committed_in_groups(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    groups: list[int] = []
    commit = JournalWriter._commit

    def counted(writer: JournalWriter, group: Any) -> Exception | None:
        groups.append(len(group))
        return commit(writer, group)

    monkeypatch.setattr(JournalWriter, "_commit", counted)
    async with open_journal(f"sqlite:///{tmp_path}/journal") as journal:
        await asyncio.gather(*(journal.step_answered(record(n)) for n in range(1000)))
        assert len(await journal.steps_of("sessions/a")) == 1000
    assert sum(groups) == 1000
    assert len(groups) < 500
    assert max(groups) <= module._MAX_GROUP


BAD = [
    record(1),  # is there already
    record(2, step_index=2**70),  # larger than any column
    record(2, action="no bytes: \ud800"),  # cannot be encoded
    record(2, action=None),  # may not be empty
]


async def test_readers_undo_nothing_that_a_journal_in_memory_has_written() -> None:
    async with open_journal("sqlite://") as journal:

        async def look() -> None:
            while not written.done():
                await journal.steps_of("sessions/nobody")

        async def write() -> None:
            for index in range(1, 301):
                await journal.step_answered(record(index))

        written = asyncio.create_task(write())
        await asyncio.gather(written, *(look() for _ in range(4)))
        assert len(await journal.steps_of("sessions/a")) == 300


@pytest.mark.parametrize("bad", BAD, ids=["duplicate", "too-large", "no-text", "null"])
async def test_a_bad_entry_fails_alone_and_does_not_take_others_with_it(
    journal: Journal, kit: Kit, bad: StepRecord
) -> None:
    await journal.step_answered(record(1))
    others = [record(n) for n in range(10, 20)]
    entries = [*others[:5], bad, *others[5:]]
    outcomes = await kit.soon(
        asyncio.gather(*map(journal.step_answered, entries), return_exceptions=True)
    )
    assert [isinstance(outcome, Exception) for outcome in outcomes] == [
        entry is bad for entry in entries
    ]
    assert [step.step_index for step in await journal.steps_of("sessions/a")] == [
        1,
        *range(10, 20),
    ]


async def test_a_caller_that_goes_away_does_not_disturb_the_writer(
    journal: Journal, kit: Kit
) -> None:
    gone = asyncio.create_task(journal.step_answered(record(1)))
    await asyncio.sleep(0)
    gone.cancel()
    await kit.soon(journal.step_answered(record(2)))
    assert len(await journal.steps_of("sessions/a")) == 2


async def test_a_journal_that_fails_says_so_and_works_again_when_it_can(
    tmp_path: Path, kit: Kit
) -> None:
    async with open_journal(f"sqlite:///{tmp_path}/journal") as journal:
        with sqlite3.connect(tmp_path / "journal") as connection:
            connection.execute("ALTER TABLE steps RENAME TO elsewhere")
        assert "no such table" in str(await kit.fails_soon(journal.step_answered(record(1))))
        with sqlite3.connect(tmp_path / "journal") as other:
            other.execute("ALTER TABLE elsewhere RENAME TO steps")
        connection.close()
        other.close()
        await kit.soon(journal.step_answered(record(1)))
        assert await journal.steps_of("sessions/a") == [record(1)]


async def test_closing_writes_what_is_left(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/journal"
    async with open_journal(url) as journal:
        writes = [asyncio.create_task(journal.step_answered(record(n))) for n in range(100)]
        await asyncio.sleep(0)  # they are in the queue, and none is awaited
    async with open_journal(url) as journal:
        assert len(await journal.steps_of("sessions/a")) == 100
    await asyncio.gather(*writes)


async def test_after_kill_9_every_answered_step_is_in_the_journal(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/journal"
    program = textwrap.dedent(
        """
        import asyncio, os, signal, sys
        from plumb_server.journal import StepRecord, open_journal

        async def main():
            async with open_journal(sys.argv[1]) as journal:
                for index in range(1, 201):
                    await journal.step_answered(StepRecord(
                        session="sessions/a", step_index=index, action=b"a", observation=b"o",
                        ending="EXITED", exit_code=0, error=None))
                    os.write(1, b"%d\\n" % index)
                    if index == 137:
                        os.kill(os.getpid(), signal.SIGKILL)
        asyncio.run(main())
        """
    )
    ended = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", program, url],
        stdout=subprocess.PIPE,
        env=os.environ,
        timeout=60,
        check=False,
    )
    assert ended.returncode == -9
    answered = int(ended.stdout.split()[-1])
    assert answered == 137
    async with open_journal(url) as journal:
        steps = await journal.steps_of("sessions/a")
    assert [step.step_index for step in steps] == list(range(1, answered + 1))
