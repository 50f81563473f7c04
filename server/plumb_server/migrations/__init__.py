"""Brings a journal's tables to this version: new ones are created whole, older ones are migrated.

To change a table, change `journal_tables`, add a file to `versions/`, and set `HEAD`.
"""

from typing import Any

import sqlalchemy as sql

from plumb_backends.errors import JournalUnavailable
from plumb_server.journal_tables import sessions, tables

HEAD = "0001"
"""The newest revision in `versions/`."""

VERSION_TABLE = "journal_version"

_LOCK = 0x706C756D62  # "plumb": the number of PostgreSQL's advisory lock
_LOCKS = {"sqlite": "BEGIN IMMEDIATE", "postgresql": f"SELECT pg_advisory_xact_lock({_LOCK})"}
"""Servers that open one journal at once migrate it one after another."""

_version = sql.Table(
    VERSION_TABLE, sql.MetaData(), sql.Column("version_num", sql.String(32), primary_key=True)
)


def migrate(engine: sql.Engine) -> None:
    """Migrates a journal to `HEAD`.

    Raises:
        JournalUnavailable: A newer version of plumb has migrated it further.
    """
    with engine.connect() as connection:
        if _revision(connection) == HEAD:
            return
        if lock := _LOCKS.get(engine.dialect.name):
            connection.exec_driver_sql(lock)
        revision = _revision(connection)  # another server may have been here meanwhile
        if revision is None and not sql.inspect(connection).has_table(sessions.name):
            _create(connection)
        elif revision != HEAD:
            _upgrade(connection, revision)
        connection.commit()


def _revision(connection: sql.Connection) -> str | None:
    """The revision that a journal has; None for an empty one and for one without a record of it."""
    if not sql.inspect(connection).has_table(VERSION_TABLE):
        return None
    found: str | None = connection.execute(sql.select(_version.c.version_num)).scalar()
    return found


def _create(connection: sql.Connection) -> None:
    tables.create_all(connection)
    _version.create(connection)
    connection.execute(sql.insert(_version), {"version_num": HEAD})


def _upgrade(connection: sql.Connection, revision: str | None) -> None:
    # Imported where they are used: few servers ever meet an older journal.
    from alembic import command
    from alembic.script import ScriptDirectory

    config = alembic_config(connection)
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if revision is not None and revision not in known:
        raise JournalUnavailable(
            f"the journal has revision {revision!r}, and this version of plumb knows none newer "
            f"than {HEAD!r}; upgrade plumb, or set PLUMB_JOURNAL to another journal"
        )
    command.upgrade(config, "head")


def alembic_config(connection: sql.Connection) -> Any:
    """Alembic's configuration for a connection whose transaction is already open."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "plumb_server:migrations")
    config.attributes["connection"] = connection
    return config
