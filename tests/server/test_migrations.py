"""A journal of any age is brought to this version, once, and never further back."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import sqlalchemy as sql
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from plumb_backends.errors import JournalUnavailable
from plumb_server.journal import StepRecord, open_journal
from plumb_server.journal_tables import tables
from plumb_server.migrations import HEAD, VERSION_TABLE, alembic_config, migrate

BEFORE_REVISIONS = (
    "CREATE TABLE sessions (name VARCHAR(64) NOT NULL PRIMARY KEY, kind VARCHAR(64) NOT NULL, "
    "backend VARCHAR(64) NOT NULL, request {bytes} NOT NULL, created_at {time} NOT NULL, "
    "ended_at {time}, ended_because VARCHAR(200))",
    "CREATE TABLE steps (session VARCHAR(64) NOT NULL, step_index BIGINT NOT NULL, "
    "action {bytes} NOT NULL, observation {bytes}, ending VARCHAR(20), exit_code INTEGER, "
    "error TEXT, answered_at {time} NOT NULL, PRIMARY KEY (session, step_index))",
    "INSERT INTO sessions VALUES ('sessions/a', 'shell', 'real', {some}, '2026-11-01 12:00:00', "
    "NULL, NULL)",
    "INSERT INTO steps VALUES ('sessions/a', 1, {some}, {some}, 'EXITED', 0, NULL, "
    "'2026-11-01 12:00:00')",
)
"""What journals looked like first: without nonces, verdicts, reports, resets and owners."""

TYPES = {
    "sqlite": {"bytes": "BLOB", "time": "DATETIME", "some": "x'61'"},
    "postgresql": {"bytes": "BYTEA", "time": "TIMESTAMP", "some": "'a'"},
}


def make_old(url: str) -> None:
    engine = sql.create_engine(url)
    with engine.begin() as connection:
        for statement in BEFORE_REVISIONS:
            connection.exec_driver_sql(statement.format(**TYPES[engine.dialect.name]))
    engine.dispose()


def differences(url: str) -> list[Any]:
    """How a journal differs from the tables that this version writes."""
    engine = sql.create_engine(url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
        found: list[Any] = compare_metadata(context, tables)
    engine.dispose()
    return found


def revision(url: str) -> str:
    engine = sql.create_engine(url)
    with engine.connect() as connection:
        found = connection.exec_driver_sql(f"SELECT version_num FROM {VERSION_TABLE}").scalar_one()
    engine.dispose()
    return str(found)


async def test_a_new_journal_is_made_whole(journal_url: str) -> None:
    async with open_journal(journal_url):
        pass
    assert differences(journal_url) == []
    assert revision(journal_url) == HEAD


async def test_an_old_journal_is_migrated_and_keeps_what_it_holds(journal_url: str) -> None:
    make_old(journal_url)
    async with open_journal(journal_url) as journal:
        assert await journal.steps_of("sessions/a") == [
            StepRecord(
                session="sessions/a", step_index=1, action=b"a", observation=b"a",
                ending="EXITED", exit_code=0, error=None,
            )
        ]  # fmt: skip
    assert differences(journal_url) == []
    assert revision(journal_url) == HEAD


async def test_a_journal_of_a_newer_version_is_refused_and_left_alone(journal_url: str) -> None:
    async with open_journal(journal_url):
        pass
    engine = sql.create_engine(journal_url)
    with engine.begin() as connection:
        connection.exec_driver_sql(f"UPDATE {VERSION_TABLE} SET version_num = '9999'")
    engine.dispose()
    with pytest.raises(JournalUnavailable, match=r"revision '9999'.*upgrade plumb"):
        async with open_journal(journal_url):
            pass
    assert revision(journal_url) == "9999"


@pytest.mark.parametrize("is_old", [False, True])
async def test_servers_that_open_a_journal_at_once_migrate_it_once(
    journal_url: str, is_old: bool
) -> None:
    if is_old:
        make_old(journal_url)
    engines = [sql.create_engine(journal_url) for _ in range(4)]
    await asyncio.gather(*(asyncio.to_thread(migrate, engine) for engine in engines))
    for engine in engines:
        engine.dispose()
    assert differences(journal_url) == []


async def test_two_servers_write_one_journal(journal_url: str) -> None:
    async with open_journal(journal_url) as one, open_journal(journal_url) as other:
        journals = {"sessions/a": one, "sessions/b": other}
        for name, journal in journals.items():
            await journal.session_created(name, "shell", "real", b"")

        async def play(name: str) -> None:
            for index in range(1, 51):
                await journals[name].step_answered(
                    StepRecord(
                        session=name, step_index=index, action=b"a", observation=b"o",
                        ending="EXITED", exit_code=0, error=None,
                    )
                )  # fmt: skip

        await asyncio.gather(*map(play, journals))
        assert [len(await other.steps_of(name)) for name in journals] == [50, 50]


def test_the_newest_revision_is_the_one_that_new_journals_have() -> None:
    engine = sql.create_engine("sqlite://")
    with engine.connect() as connection:
        script = ScriptDirectory.from_config(alembic_config(connection))
    assert script.get_current_head() == HEAD
