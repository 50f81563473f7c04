"""The database of the journal: opened, for nobody else to read, and measured."""

import contextlib
import dataclasses
import os
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import sqlalchemy as sql
from sqlalchemy.pool import StaticPool

from plumb_backends.errors import JournalUnavailable
from plumb_server.migrations import migrate

_WAL_KEPT_BYTES = 64 * 1024**2
"""SQLite cuts its write-ahead log down to this once its content has been taken over."""


@dataclasses.dataclass(frozen=True, slots=True)
class Room:
    """How much room a journal takes, and how much there is. None where that is not known.

    Attributes:
        used: Bytes that hold something.
        free: Bytes that can be written: what the disk has, and what is empty in the file.
    """

    used: int | None = None
    free: int | None = None


def open_engine(url: str) -> sql.Engine:
    """Opens a journal's database, and migrates it to this version.

    Raises:
        JournalUnavailable: It cannot be opened; the message hides the URL's password.
    """
    options: dict[str, Any] = {}
    if url in ("sqlite://", "sqlite:///:memory:"):
        # One connection, or every thread would have a database of its own.
        options = {"poolclass": StaticPool, "connect_args": {"check_same_thread": False}}
    try:
        engine = sql.create_engine(url, **options)
        try:
            if engine.dialect.name == "sqlite":
                sql.event.listen(engine, "connect", _set_pragmas)
                _keep_private(file_of(engine))
            migrate(engine)
        except BaseException:
            engine.dispose()
            raise
    except (sql.exc.SQLAlchemyError, ModuleNotFoundError, OSError) as error:
        raise JournalUnavailable(
            f"the journal {_without_password(url)} cannot be opened "
            f"({str(error).partition(chr(10))[0]}); set PLUMB_JOURNAL to a URL that can"
        ) from error
    return engine


def file_of(engine: sql.Engine) -> Path | None:
    """The file of an SQLite database; None for any other, and for one in memory."""
    name = engine.url.database or ""
    if engine.dialect.name != "sqlite" or name in ("", ":memory:"):
        return None
    if not name.startswith("file:"):
        return Path(name)
    parts = urlsplit(name)
    in_memory = parts.path == ":memory:" or engine.url.query.get("mode") == "memory"
    return None if in_memory else Path(parts.path)


def _keep_private(file: Path | None) -> None:
    """Sees to it that only its owner reads the file; SQLite gives those beside it the same mode.

    Raises:
        OSError: The file cannot be made.
    """
    if file is None:
        return
    with contextlib.suppress(FileExistsError):
        os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    for name in (file, *(file.with_name(file.name + end) for end in ("-wal", "-shm", "-journal"))):
        with contextlib.suppress(FileNotFoundError, PermissionError):  # PermissionError: another's
            name.chmod(0o600)


def measure(connection: sql.Connection, file: Path | None) -> Room:
    """Measures an SQLite journal; for any other its own server must keep watch."""
    if connection.dialect.name != "sqlite":
        return Room()
    page, pages, empty = (
        int(connection.exec_driver_sql(f"PRAGMA {name}").scalar_one())
        for name in ("page_size", "page_count", "freelist_count")
    )
    if file is None:
        return Room(used=(pages - empty) * page)
    log = file.with_name(f"{file.name}-wal")
    log_size = log.stat().st_size if log.exists() else 0
    free = shutil.disk_usage(file.absolute().parent).free
    return Room(used=(pages - empty) * page + log_size, free=free + empty * page)


def _without_password(url: str) -> str:
    try:
        return sql.make_url(url).render_as_string(hide_password=True)
    except sql.exc.ArgumentError:
        return "URL"


def _set_pragmas(connection: Any, _: object) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.execute("PRAGMA busy_timeout=5000")
    cursor.execute(f"PRAGMA journal_size_limit={_WAL_KEPT_BYTES}")
    cursor.close()
