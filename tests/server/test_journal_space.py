"""The journal's room: budgets, the reserve, pruning, modes, and journals of older versions."""

from __future__ import annotations

import contextlib
import datetime
import os
import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from plumb_backends.errors import LimitReached, SessionNotFound
from plumb_backends.registry import Backends
from plumb_server.journal import Journal, StepRecord, open_journal
from plumb_server.journal_files import Room
from plumb_server.journal_space import JournalLimits, JournalSpace
from plumb_server.sessions import SessionLimits, open_sessions
from plumb_server.steps import AskedStep

if TYPE_CHECKING:
    from tests.server.conftest import FakeProvider, Kit


def record(session: str, index: int, observation: bytes = b"o") -> StepRecord:
    return StepRecord(
        session=session,
        step_index=index,
        action=b"a",
        observation=observation,
        ending="EXITED",
        exit_code=0,
        error=None,
    )


@pytest.fixture
def open_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def modes(folder: Path) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}


@pytest.mark.usefixtures("open_umask")
@pytest.mark.parametrize("url", ["sqlite:///{}/journal", "sqlite:///file:{}/journal?uri=true"])
async def test_nobody_else_may_read_the_journal_whatever_the_umask(
    tmp_path: Path, url: str
) -> None:
    async with open_journal(url.format(tmp_path)) as journal:
        await journal.step_answered(record("sessions/a", 1))
        assert modes(tmp_path) == {"journal": 0o600, "journal-wal": 0o600, "journal-shm": 0o600}


@pytest.mark.usefixtures("open_umask")
async def test_a_journal_that_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    for name in ("journal", "journal-wal"):
        (tmp_path / name).touch(0o666)
    async with open_journal(f"sqlite:///{tmp_path}/journal") as journal:
        await journal.step_answered(record("sessions/a", 1))
        assert set(modes(tmp_path).values()) == {0o600}


async def test_a_journal_that_is_older_than_nonces_is_read_and_written(tmp_path: Path) -> None:
    file = tmp_path / "journal"
    async with open_journal(f"sqlite:///{file}") as journal:
        await journal.step_answered(record("sessions/a", 1))
    with contextlib.closing(sqlite3.connect(file)) as old:
        old.execute("DROP TABLE journal_version")
        old.execute("ALTER TABLE steps DROP COLUMN nonce")
        old.commit()
    for _ in range(2):
        async with open_journal(f"sqlite:///{file}") as journal:
            found = await journal.step_of("sessions/a", 1)
            assert found is not None
            assert found.nonce == ""
    async with open_journal(f"sqlite:///{file}") as journal:
        await journal.step_answered(record("sessions/a", 2))


async def test_the_journal_is_measured_and_room_that_is_empty_again_is_free(
    tmp_path: Path,
) -> None:
    async with open_journal(f"sqlite:///{tmp_path}/journal") as journal:
        empty = (await journal.measure()).used
        await journal.session_created("sessions/a", "shell", "real", b"")
        await journal.step_answered(record("sessions/a", 1, b"x" * 3_000_000))
        full = (await journal.measure()).used
        assert empty is not None
        assert full is not None
        assert full - empty >= 3_000_000
        assert await journal.size_of("sessions/a") >= 3_000_000
        await journal.session_ended("sessions/a", "it was deleted")
        await journal.forget(["sessions/a"])
        with contextlib.closing(sqlite3.connect(tmp_path / "journal")) as other:
            other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        pruned = (await journal.measure()).used
        assert pruned is not None
        assert pruned < empty + 1_000_000


@pytest.mark.parametrize(
    ("room", "limit"),
    [
        (Room(used=100, free=10**9), "PLUMB_JOURNAL_BYTES"),
        (Room(used=1, free=9), "PLUMB_JOURNAL_RESERVE_BYTES"),
    ],
)
async def test_a_journal_without_room_refuses_what_is_new_and_names_the_setting(
    journal: Journal, room: Room, limit: str
) -> None:
    space = JournalSpace(journal, JournalLimits(most=100, reserve=10))
    journal.room = room
    with pytest.raises(LimitReached, match=f"{limit}.*make room") as told:
        space.check()
    assert told.value.metadata == {"limit": limit}
    journal.room = Room(used=99, free=10)
    space.check()
    journal.room = Room()  # of a database that is measured elsewhere
    space.check()


async def test_a_full_server_begins_nothing_and_goes_on_when_there_is_room(
    backends: Backends, journal: Journal, kit: Kit, provider: FakeProvider
) -> None:
    async with open_sessions(
        backends, journal, SessionLimits(), JournalLimits(most=10**6), sweep_interval=3600
    ) as sessions:
        made = await sessions.create(kit.wish())
        running = await sessions.begin_step(AskedStep(made.name, 1, kit.action(b"wait x")))
        await kit.soon(provider.made[0].entered.wait())
        journal.room = Room(used=10**6)
        provider.made[0].release.set()
        assert (await kit.soon(running.answer())).text == "x"  # type: ignore[union-attr]
        again = await sessions.begin_step(AskedStep(made.name, 1, kit.action(b"wait x")))
        assert again is running
        with pytest.raises(LimitReached):
            await sessions.begin_step(AskedStep(made.name, 2, kit.action(b"say y")))
        with pytest.raises(LimitReached):
            await sessions.create(kit.wish())
        assert provider.asked == 1
        journal.room = Room(used=1)
        await sessions.begin_step(AskedStep(made.name, 2, kit.action(b"say y")))


async def test_a_session_that_has_used_its_share_ends_and_keeps_its_answers(
    backends: Backends, journal: Journal, kit: Kit
) -> None:
    limits = SessionLimits(journal_bytes=2000, most=1)
    async with open_sessions(backends, journal, limits, sweep_interval=3600) as sessions:
        made = await sessions.create(kit.wish())
        first = AskedStep(made.name, 1, kit.action(b"say " + b"x" * 2000))
        step = await sessions.begin_step(first)
        await step.answer()
        assert made.budget.used >= made.budget.most
        with pytest.raises(LimitReached, match="PLUMB_SESSION_JOURNAL_BYTES") as told:
            await sessions.begin_step(AskedStep(made.name, 2, kit.action(b"say y")))
        assert told.value.metadata == {"limit": "PLUMB_SESSION_JOURNAL_BYTES"}
        await kit.soon(sessions.delete(made.name))
        past = await sessions.begin_step(first)
        assert past.message.text == "x" * 2000
        with pytest.raises(SessionNotFound, match="PLUMB_SESSION_JOURNAL_BYTES"):
            await sessions.begin_step(AskedStep(made.name, 2, kit.action(b"say y")))
        await sessions.create(kit.wish())  # its place is free


async def ended(journal: Journal, *names: str) -> None:
    for name in names:
        await journal.session_created(name, "shell", "real", b"")
        await journal.step_answered(record(name, 1, b"x" * 100_000))
        await journal.session_ended(name, "it was deleted")


async def test_nothing_is_pruned_unless_that_is_asked(journal: Journal) -> None:
    await ended(journal, "sessions/a")
    await JournalSpace(journal, JournalLimits(most=1000)).sweep()
    assert await journal.step_of("sessions/a", 1) is not None


async def test_the_sessions_that_ended_first_are_pruned_until_there_is_room(
    journal: Journal,
) -> None:
    await journal.session_created("sessions/live", "shell", "real", b"")
    await journal.step_answered(record("sessions/live", 1))
    await ended(journal, *(f"sessions/{number:02}" for number in range(40)))
    await JournalSpace(journal, JournalLimits(most=3_000_000, prunes=True)).sweep()
    left = await journal.oldest_ended(100)
    assert 0 < len(left) < 40
    assert left[-1] == "sessions/39"
    assert await journal.step_of("sessions/00", 1) is None
    assert await journal.why_ended("sessions/00") is None
    assert await journal.step_of("sessions/live", 1) is not None


async def test_sessions_that_ended_long_ago_are_pruned(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    long_ago = datetime.datetime(2020, 1, 1)
    with monkeypatch.context() as patch:
        patch.setattr("plumb_server.journal._now", lambda: long_ago)
        await ended(journal, "sessions/old")
    await ended(journal, "sessions/new")
    await JournalSpace(journal, JournalLimits(keep=3600)).sweep()
    assert await journal.oldest_ended(100) == ["sessions/new"]
