"""How much of a result is let into memory: what is beyond it is read, counted and thrown away.

A row can be larger than this process, and there can be any number of them. So the bound lies where
packets are read, below the connector, which would join them first.
"""

import asyncio
import dataclasses
from collections.abc import Callable

from mysql.connector import InterfaceError
from mysql.connector.aio.network import NetworkBrokerPlain

from plumb_backends.real.sql.packets import END, ERROR, FULL, HEADER, LONGEST_END, parse_error
from plumb_backends.real.sql.skipping import Skipper
from plumb_backends.sql.result import RawError
from plumb_backends.time_slice import TimeSlice

_PIECE = 64 * 1024
_LOST = 2013


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RowLimits:
    """How much of a statement's rows is read.

    Attributes:
        keep_bytes: Rows beyond this are counted and dropped; the first may be larger.
        keep_rows: The same of their number: half a million may fit into 1 MiB.
        first_bytes: The most that the first row may be; below 16 MiB.
        stop_bytes: A statement that sends more is stopped.
    """

    keep_bytes: int = 1024**2
    keep_rows: int = 100_000
    first_bytes: int = 8 * 1024**2
    stop_bytes: int = 32 * 1024**2


class RowGate(NetworkBrokerPlain):
    """Reads packets; while it counts rows, those that do not fit are not passed on.

    Attributes:
        kept_rows: Of the result, from its first on without a gap.
        kept_bytes: How large they are.
        dropped_rows: How many others there were.
        dropped_bytes: How large those are.
        error: What the server said last, where that was an error.
    """

    def __init__(self) -> None:
        super().__init__()
        self._buffer = bytearray()
        self._at = 0  # where what is not read yet begins in it
        self._slice = TimeSlice()
        self._counts = False  # rows, which are read now
        self._limits = RowLimits()
        self._on_flood: Callable[[], None] = lambda: None
        self._sent = self._flood_at = 0  # of the statement, all its results together
        self.error: RawError | None = None
        self.kept_rows = self.kept_bytes = self.dropped_rows = self.dropped_bytes = 0

    def begin(self, limits: RowLimits, on_flood: Callable[[], None]) -> None:
        """Starts counting for a statement; `on_flood` is called whenever it has sent too much."""
        self._limits, self._on_flood = limits, on_flood
        self._sent, self._flood_at = 0, limits.stop_bytes
        self.error = None

    def open(self) -> None:
        """Starts counting for a result."""
        self._counts = True
        self.kept_rows = self.kept_bytes = self.dropped_rows = self.dropped_bytes = 0

    def close(self) -> None:
        """Stops counting: what comes next are no rows."""
        self._counts = False

    async def read(
        self, reader: asyncio.StreamReader, address: str, read_timeout: int | None = None
    ) -> bytearray:
        """Receives the next packet that is passed on."""
        await self._slice.yield_if_used()
        if not self._counts:
            packet = await super().read(reader, address, read_timeout)
            self.error = parse_error(packet[HEADER:])
            return packet
        while True:
            header = await self._read_chunk(reader, HEADER, read_timeout)
            length, self._pktnr = self.get_header(bytes(header))
            if length == FULL or not self._fits(length):
                await self._skip(reader, length)
                continue
            body = await self._read_chunk(reader, length, read_timeout)
            if not _is_row(body):
                self.error = parse_error(body)
                return header + body
            self._count(length)
            if length <= self._room:
                self.kept_rows += 1
                self.kept_bytes += length
                return header + body
            self.dropped_rows += 1  # it was read to see whether it is a row
            self.dropped_bytes += length
            self._drop_buffered()

    async def skip_results(self, reader: asyncio.StreamReader) -> int:
        """Reads results to the end of the last one, and keeps nothing.

        Returns:
            The server's status flags at the end; `error` has what ended them.
        """
        skipper = Skipper()
        skipper.feed(bytes(self._buffer[self._at :]))
        self._buffer, self._at = bytearray(), 0
        while not skipper.is_done:
            skipper.feed(bytes(await self._receive(reader, _PIECE)))
        self.error = parse_error(bytearray(skipper.error[HEADER:]))
        return skipper.status

    @property
    def _room(self) -> int:
        if self.dropped_rows or self.kept_rows >= self._limits.keep_rows:
            return -1  # a row may be empty
        if not self.kept_rows:
            return max(self._limits.first_bytes, self._limits.keep_bytes)
        return self._limits.keep_bytes - self.kept_bytes

    def _fits(self, length: int) -> bool:
        """Whether to read a packet whole: errors and ends are small, and are no rows."""
        return length <= max(self._room, _PIECE)

    async def _skip(self, reader: asyncio.StreamReader, length: int) -> None:
        """Reads a row, all packets of it, piece by piece, and keeps nothing."""
        while True:
            left = length
            while left:
                piece = len(await self._read_chunk(reader, min(left, _PIECE)))
                self._count(piece)
                left -= piece
            self.dropped_bytes += length
            if length < FULL:
                self.dropped_rows += 1
                return
            length, self._pktnr = self.get_header(bytes(await self._read_chunk(reader, HEADER)))

    def _drop_buffered(self) -> None:
        """Drops the rows that are in the buffer whole: there may be millions, of a byte each."""
        buffer, at, rows, end = self._buffer, self._at, 0, len(self._buffer)
        while at + HEADER < end:
            length = buffer[at] | buffer[at + 1] << 8 | buffer[at + 2] << 16
            if buffer[at + HEADER] >= END or at + HEADER + length > end or not length:
                break
            at += HEADER + length
            rows += 1
        size = at - self._at - rows * HEADER
        self._at = at
        self.dropped_rows += rows
        self.dropped_bytes += size
        self._count(size, rows)

    async def _read_chunk(
        self, reader: asyncio.StreamReader, size: int = 0, read_timeout: int | None = None
    ) -> bytearray:
        """Receives bytes, from the buffer where they are there already."""
        end = self._at + size
        if end <= len(self._buffer):
            taken, self._at = self._buffer[self._at : end], end
            return taken
        taken = self._buffer[self._at :]
        self._buffer, self._at = bytearray(), 0
        while len(taken) < size:
            taken += await self._receive(reader, max(_PIECE, size - len(taken)))
        self._buffer = taken[size:]
        del taken[size:]
        return taken

    async def _receive(self, reader: asyncio.StreamReader, most: int) -> bytes:
        await self._slice.yield_if_used()
        piece = await reader.read(most)
        if not piece:
            raise InterfaceError(errno=_LOST)
        return piece

    def _count(self, size: int, packets: int = 1) -> None:
        self._sent += size + packets * HEADER
        if self._sent > self._flood_at:
            self._flood_at = self._sent + self._limits.stop_bytes
            self._on_flood()


def _is_row(body: bytearray) -> bool:
    first = body[0] if body else 0
    return first != ERROR and not (first == END and len(body) <= LONGEST_END)
