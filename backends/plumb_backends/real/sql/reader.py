"""Reads what is in a session's databases, as the session, on a connection of its own.

Nothing of the session's is evaluated with rights that the session has not: a view may call whatever
its maker wrote. What that could cost is bounded: rows are read one after the other and kept up to a
number of bytes, locks are waited for a second, and the whole has a few seconds, after which what
still runs is killed.
"""

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from typing import TypeVar

import mysql.connector

from plumb_backends.environment import SqlCell
from plumb_backends.errors import LimitReached, SandboxUnavailable
from plumb_backends.real.sql.account import Account
from plumb_backends.real.sql.connection import Connection, open_connection
from plumb_backends.real.sql.row_gate import RowLimits
from plumb_backends.real.sql.server import Server
from plumb_backends.sql.result import RawError, RawRows
from plumb_backends.sql.values import to_value

READ_WITHIN = 8.0
"""Seconds that all questions of one probe or capture may take together."""

_OBEY_WITHIN = 3.0
_LOCKED, _STOPPED = 1205, (1317, 3024)
_GONE = (1049, 1146, 1305, 1356, 1449)
_AT_ONCE = 64 * 1024**2
"""Bytes that one statement may send before it is stopped, most of which are not kept."""

_ROOM_FOR_A_LIST = 4 * 1024**2

_PREPARE = (
    # The session may have set any of these for the whole server. Rows are sorted whole: with less
    # room, those of a megabyte could not be told.
    "SET SESSION sql_mode = '', time_zone = '+00:00', autocommit = ON, sql_safe_updates = OFF, "
    "sql_select_limit = 18446744073709551615, max_join_size = 18446744073709551615, "
    "sql_big_selects = ON, sql_quote_show_create = ON, lock_wait_timeout = 1, "
    "wait_timeout = 604800, max_sort_length = 1024, sort_buffer_size = 33554432",
    "SET SESSION TRANSACTION ISOLATION LEVEL READ UNCOMMITTED",
    "START TRANSACTION READ ONLY",
)
"""Uncommitted changes count: the session sees them. Nothing can be changed."""

_PREPARE_MYSQL = (
    f"SET SESSION max_execution_time = {READ_WITHIN * 1000:.0f}, "
    "show_create_table_verbosity = OFF, show_create_table_skip_secondary_engine = OFF"
    "/*!80030 , show_gipk_in_create_table_and_information_schema = ON */"
)
"""What MariaDB has not; the first stops most of what takes too long without another connection."""

Read = TypeVar("Read")


class Disobeyed(SandboxUnavailable):
    """What a probe asked could not be stopped: the server must go."""


class Broken(Exception):
    """A question was answered with an error.

    Attributes:
        is_gone: Whether what was asked about, or what it stands on, is not there.
    """

    def __init__(self, error: RawError) -> None:
        super().__init__(error.message)
        self.is_gone = error.errno in _GONE


@dataclasses.dataclass(frozen=True, slots=True)
class Rows:
    """The first rows of an answer.

    Attributes:
        rows: Typed.
        is_cut: Whether there were more.
    """

    rows: Sequence[tuple[SqlCell, ...]]
    is_cut: bool


class Reader:
    """Asks questions. Made by `reading`.

    Attributes:
        room: How many bytes of rows may be kept yet.
    """

    def __init__(self, connection: Connection, room: int) -> None:
        self._connection = connection
        self.room = room
        self.asked = ""  # about which object, for an error

    async def list(self, query: str) -> Sequence[tuple[SqlCell, ...]]:
        """Asks the server about itself.

        Raises:
            Broken: It answers with an error.
        """
        return (await self._ask(query, _ROOM_FOR_A_LIST)).rows

    async def rows(self, query: str) -> Rows:
        """Asks for rows, which take of the room that there is.

        Raises:
            Broken: The server answers with an error.
        """
        found = await self._ask(query, self.room)
        self.room = max(0, self.room - sum(map(_size, found.rows)))
        return found

    async def _ask(self, query: str, room: int) -> Rows:
        limits = RowLimits(keep_bytes=room, first_bytes=room, stop_bytes=room + _AT_ONCE)
        found = Rows((), is_cut=False)
        async for result in self._connection.run(query.encode(), limits):
            if isinstance(result, RawRows):
                typed = [tuple(map(to_value, result.columns, row)) for row in result.rows]
                found = Rows(typed, is_cut=result.total_rows > len(typed))
            elif isinstance(result, RawError) and not self._connection.stopped_for_size:
                raise _failure(result, self.asked)
        return Rows(found.rows, is_cut=found.is_cut or self._connection.stopped_for_size)


def _failure(error: RawError, asked: str) -> Exception:
    if error.errno == _LOCKED:
        return LimitReached(
            f"{asked} cannot be read: the session has locked it; it must unlock it first",
            limit="probe",
        )
    if error.errno in _STOPPED:
        return _too_slow(asked)
    return Broken(error)


def _too_slow(asked: str) -> LimitReached:
    return LimitReached(
        f"the probe was stopped after {READ_WITHIN:g} s, when it read {asked or 'the server'}; "
        "it is locked, or a view that takes so long",
        limit="probe",
    )


def _size(row: Sequence[SqlCell]) -> int:
    return sum(len(cell) if isinstance(cell, (str, bytes)) else 8 for cell in row)


@asynccontextmanager
async def reading(server: Server, account: Account, room: int) -> AsyncIterator[Reader]:
    """Opens a reader; what it leaves on the server is gone afterwards.

    Raises:
        LimitReached: Something is locked, or takes too long.
        SandboxUnavailable: The server does not answer.
    """
    async with _connected(server, account) as connection:
        for statement in _PREPARE if server.is_mariadb else (_PREPARE_MYSQL, *_PREPARE):
            async for result in connection.run(statement.encode(), RowLimits()):
                if isinstance(result, RawError):
                    raise SandboxUnavailable(
                        f"the MySQL server refused a probe: {result.message}; reset the session"
                    )
        yield Reader(connection, room)


@asynccontextmanager
async def _connected(server: Server, account: Account) -> AsyncIterator[Connection]:
    if not server.is_own:
        connection = await open_connection(server, account)
        try:
            yield connection
        finally:
            await connection.close()
        return
    async with server.connection() as raw:  # as root, which the session is
        yield Connection(server, account, raw)
        with suppress(mysql.connector.Error, OSError):  # lost, with all that it had
            await raw.cmd_reset_connection()


async def read(
    server: Server,
    account: Account,
    room: int,
    work: Callable[[Reader], Coroutine[None, None, Read]],
) -> Read:
    """Does some reading within its time; raises as `reading` does."""
    async with reading(server, account, room) as reader:
        task = asyncio.create_task(work(reader))
        try:
            await asyncio.wait({task}, timeout=READ_WITHIN)
            if not task.done():
                await _kill(reader._connection, task)
            if not task.done():
                raise Disobeyed(
                    "the MySQL server did not obey when a probe was stopped, and the session's "
                    "database was removed; reset the session"
                )
            return task.result()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def _kill(connection: Connection, task: "asyncio.Future[Read]") -> None:
    for kill in (connection.stop, connection.end):
        await kill()
        await asyncio.wait({task}, timeout=_OBEY_WITHIN)
        if task.done():
            return
