"""One session's connection: runs a statement, keeps what fits of its rows, and can be stopped."""

import asyncio
import contextlib
import struct
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import mysql.connector

from plumb_backends.errors import SandboxUnavailable
from plumb_backends.real.sql.access import LOST, connect, shut
from plumb_backends.real.sql.account import Account
from plumb_backends.real.sql.door import opened
from plumb_backends.real.sql.row_gate import RowGate, RowLimits
from plumb_backends.real.sql.server import Server
from plumb_backends.real.sql.wire import WireConnection
from plumb_backends.sql.result import Cell, Column, RawError, RawOk, RawResult, RawRows

_ROWS_AT_ONCE, _BYTES_AT_ONCE = 500, 256 * 1024
"""What is read at a time; rows that were being read are lost where a result breaks off."""
_KILL_AGAIN_AFTER = 0.5  # seconds
_UNREADABLE = (asyncio.IncompleteReadError, struct.error, ValueError, IndexError)
"""What the connector raises at packets that it does not understand."""

CLIENT_LOST = RawError(
    errno=2013, sqlstate="HY000", message="Lost connection to MySQL server during query"
)


class Connection:
    """A connection as one account. Made by `open_connection`."""

    def __init__(self, server: Server, account: Account, raw: WireConnection) -> None:
        self._server = server
        self._account = account
        self._raw = raw
        self.is_lost = False
        self.stopped_for_size = False
        self._is_stopped = False
        self._stopping: list[asyncio.Task[None]] = []

    @property
    def id(self) -> int:
        """The server's number for it."""
        return int(self._raw.connection_id or 0)

    @property
    def has_escapes(self) -> bool:
        """Whether a backslash escapes in a quote, by the session's `sql_mode`."""
        return self._raw.has_escapes

    async def run(self, statement: bytes, limits: RowLimits) -> AsyncIterator[RawResult]:
        """Runs one statement; yields its results, the last of which may be an error.

        Where it is stopped between two results, the later ones are left out.
        """
        started = time.monotonic()
        self.stopped_for_size = self._is_stopped = False
        self._raw.gate.begin(limits, self._stop_for_size)
        try:
            async with contextlib.aclosing(self._raw.cmd_query_iter(statement)) as results:
                async for result in results:
                    if "columns" in result:
                        reading = _Reading(_described(result), self._raw.gate)
                        try:
                            await self._read(reading)
                        except mysql.connector.Error:
                            if self._is_stopped:  # as partial output; else the error is all
                                yield reading.result(time.monotonic() - started)
                            raise
                        yield reading.result(time.monotonic() - started)
                    else:
                        yield _to_ok(result, time.monotonic() - started)
                    if self._is_stopped:
                        await self._skip_results()
                        if self._raw.gate.error is not None:
                            yield self._error()
                        break
        except (mysql.connector.Error, OSError, *_UNREADABLE):
            yield self._error()
        except BaseException:  # an answer that is read in part is no answer to the next statement
            self.is_lost = True
            raise
        finally:
            self._raw.gate.close()
            await asyncio.gather(*self._stopping)
            self._stopping.clear()

    async def _read(self, reading: "_Reading") -> None:
        gate = self._raw.gate
        gate.open()
        try:
            count = 1
            while reading.end is None:
                rows, reading.end = await self._raw.get_rows(count=count, raw=True)
                reading.add(rows)
                row_bytes = gate.kept_bytes // max(1, gate.kept_rows)
                count = max(1, min(_ROWS_AT_ONCE, _BYTES_AT_ONCE // max(1, row_bytes)))
        finally:
            gate.close()

    async def _skip_results(self) -> None:
        """Throws away what a stopped statement still sends; a kill may be lost, and is repeated."""
        skipping = asyncio.create_task(self._raw.skip_results())
        try:
            while not (await asyncio.wait({skipping}, timeout=_KILL_AGAIN_AFTER))[0]:
                await self.stop()
            skipping.result()
        finally:
            skipping.cancel()
            await asyncio.gather(skipping, return_exceptions=True)

    def _stop_for_size(self) -> None:
        self.stopped_for_size = True
        self._stopping.append(asyncio.create_task(self.stop()))

    def _error(self) -> RawError:
        """What the server said; where it said nothing, what comes next on the wire is unknown."""
        error = self._raw.gate.error
        if error is None or error.errno in LOST:
            self.is_lost = True
            return CLIENT_LOST
        return error

    async def stop(self) -> None:
        """Stops what runs; the statement's own answer says so."""
        self._is_stopped = True
        with contextlib.suppress(SandboxUnavailable):  # it may have ended, or the server has
            await self._server.ask(f"KILL QUERY {self.id}")

    async def end(self) -> None:
        """Ends the connection from the server's side, whatever runs on it."""
        with contextlib.suppress(SandboxUnavailable):
            await self._server.ask(f"KILL {self.id}")

    async def answers(self) -> bool:
        """Whether it is there just now; not while a statement runs."""
        try:
            await self._raw.cmd_ping()
        except (mysql.connector.Error, OSError, asyncio.IncompleteReadError):
            self.is_lost = True
        return not self.is_lost

    async def close(self) -> None:
        """Hangs up."""
        await shut(self._raw)


class _Reading:
    """The rows of one result, as they come: the first are kept, the others counted."""

    def __init__(self, described: Sequence[tuple[Any, ...]], gate: RowGate) -> None:
        self.end: Mapping[str, Any] | None = None  # what the server says behind the last row
        self._columns = tuple(map(_to_column, described))
        self._gate = gate
        self._rows: list[tuple[Cell, ...]] = []

    def add(self, rows: Sequence[tuple[Cell, ...]]) -> None:
        """Takes the next rows."""
        self._rows += rows

    def result(self, duration: float) -> RawRows:
        """What there is; marked where the server broke off."""
        return RawRows(
            columns=self._columns,
            rows=self._rows,
            total_rows=self._gate.kept_rows + self._gate.dropped_rows,
            kept_bytes=self._gate.kept_bytes,
            dropped_bytes=self._gate.dropped_bytes,
            is_complete=self.end is not None,
            warnings=int(self.end.get("warning_count", 0)) if self.end else 0,
            duration=duration,
        )


async def open_connection(server: Server, account: Account) -> Connection:
    """Connects as an account.

    Raises:
        SandboxUnavailable: The server does not let it in.
    """
    try:
        raw = await connect(account.access, collation=server.collation)
    except (mysql.connector.Error, OSError, TimeoutError) as error:
        raise SandboxUnavailable(
            f"the MySQL server does not let the session in ({error}); reset the session"
        ) from error
    return Connection(server, account, raw)


async def reopen_connection(server: Server, account: Account) -> Connection:
    """Connects again as an account that was let in before.

    Raises:
        SandboxUnavailable: The server is gone, or has no such account any more.
    """
    try:
        return await open_connection(server, account)
    except SandboxUnavailable:
        if not server.is_own or not await server.answers():
            raise
    async with opened(server):
        return await open_connection(server, account)


def _to_column(described: tuple[Any, ...]) -> Column:
    name, type_code, *_, flags, charset = described
    return Column(name=name, type_code=type_code, flags=flags, charset=charset)


def _described(result: Mapping[str, Any]) -> Sequence[tuple[Any, ...]]:
    return list(result["columns"])


def _to_ok(packet: Mapping[str, object], duration: float) -> RawOk:
    return RawOk(
        affected_rows=int(str(packet.get("affected_rows", 0))),
        last_insert_id=int(str(packet.get("insert_id", 0))),
        warnings=int(str(packet.get("warning_count", 0))),
        info=str(packet.get("info_msg", "")),
        duration=duration,
    )
