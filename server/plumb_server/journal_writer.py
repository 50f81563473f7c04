"""Writes the journal: one thread that commits in groups, and measures what it has written."""

import asyncio
import dataclasses
import queue
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, TypeAlias

import sqlalchemy as sql
import structlog

from plumb_backends.errors import JournalUnavailable

_log = structlog.get_logger(__name__)

_MAX_GROUP = 256
_MEASURE_AFTER = 4 * 1024**2
"""Bytes that are written before it is measured again."""

Write: TypeAlias = tuple[sql.Executable, Mapping[str, object]]


@dataclasses.dataclass(frozen=True, slots=True)
class _Entry:
    writes: Sequence[Write]
    loop: asyncio.AbstractEventLoop
    written: "asyncio.Future[None]"

    @property
    def size(self) -> int:
        return sum(
            len(value)
            for _, values in self.writes
            for value in values.values()
            if isinstance(value, (bytes, str))
        )


class JournalWriter:
    """The writer of one journal. Its thread has a connection of its own, and keeps it.

    Args:
        engine: The database.
        turn: Is held while the database is used.
        measure: Is called in the thread with the connection, from time to time and when asked.
    """

    def __init__(
        self,
        engine: sql.Engine,
        turn: "AbstractContextManager[Any]",
        measure: Callable[[sql.Connection], None],
    ) -> None:
        self._engine = engine
        self._turn = turn
        self._measure = measure
        self._unmeasured = _MEASURE_AFTER  # the first group is measured
        self._connection: sql.Connection | None = None
        self._entries: queue.SimpleQueue[_Entry | None] = queue.SimpleQueue()
        self._thread = threading.Thread(
            target=self._write_groups, name="plumb-journal", daemon=True
        )
        self._thread.start()

    async def write(self, *writes: Write) -> None:
        """Writes all of them, or none; without any it only measures."""
        loop = asyncio.get_running_loop()
        entry = _Entry(writes, loop, loop.create_future())
        self._entries.put(entry)
        with translated("written"):
            await entry.written

    def close(self) -> None:
        """Writes what is left, and closes. Blocks for a moment."""
        self._entries.put(None)
        self._thread.join()
        self._disconnect()

    # In the thread.

    def _write_groups(self) -> None:
        while group := self._next_group():
            if self._commit(group) is None or len(group) == 1:
                continue
            for entry in group:  # one bad entry must not take the others with it
                self._commit([entry])

    def _next_group(self) -> list[_Entry]:
        """Waits for an entry and takes what else is there; empty at the end."""
        first = self._entries.get()
        group = [first] if first else []
        while group and len(group) < _MAX_GROUP and not self._entries.empty():
            entry = self._entries.get()
            if entry is None:
                self._entries.put(None)  # the end comes after this group
                break
            group.append(entry)
        return group

    def _commit(self, group: Sequence[_Entry]) -> Exception | None:
        """Writes a group and tells those who wait; a failed group of several is told nothing."""
        error: Exception | None = None
        try:
            with self._turn:
                self._write_group(group)
        except Exception as failure:  # noqa: BLE001 - the writer must outlive every bad entry
            _log.error("the journal could not be written", error=str(failure))
            self._disconnect()
            error = failure
        else:
            self._measure_when_due(group)
        if error is None or len(group) == 1:
            for entry in group:
                entry.loop.call_soon_threadsafe(_settle, entry.written, error)
        return error

    def _write_group(self, group: Sequence[_Entry]) -> None:
        if self._connection is None:
            self._connection = self._engine.connect()
        with self._connection.begin():
            for statement, values in (write for entry in group for write in entry.writes):
                self._connection.execute(statement, values)

    def _measure_when_due(self, group: Sequence[_Entry]) -> None:
        self._unmeasured += sum(entry.size for entry in group)
        if self._unmeasured < _MEASURE_AFTER and all(entry.writes for entry in group):
            return
        self._unmeasured = 0
        try:
            with self._turn, self._engine.connect() as connection:
                self._measure(connection)
        except (sql.exc.SQLAlchemyError, OSError) as error:  # what was written is written
            _log.error("the journal could not be measured", error=str(error))

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with self._turn:
                connection.close()


def _settle(written: "asyncio.Future[None]", error: Exception | None) -> None:
    if written.done():
        return
    if error is None:
        written.set_result(None)
    else:
        written.set_exception(error)


_UNAVAILABLE = (
    sql.exc.OperationalError, sql.exc.ProgrammingError, sql.exc.InterfaceError,
    sql.exc.InternalError,
)  # fmt: skip
"""What a database says of itself. What it says of the values that it was given is a fault."""


@contextmanager
def translated(how: str) -> Iterator[None]:
    """Says what is the matter with the disk, or the database."""
    try:
        yield
    except _UNAVAILABLE as error:
        raise JournalUnavailable(
            f"the journal cannot be {how} ({error.orig}); see to its disk or its database, and "
            "ask again"
        ) from error
