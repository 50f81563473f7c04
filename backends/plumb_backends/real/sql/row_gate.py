"""How much of a result is let into memory: what is beyond it is read, counted and thrown away.

A row can be larger than this process, and there can be any number of them. So the bound lies where
packets are read, below the connector, which would join them first.
"""

import asyncio
import dataclasses
from collections.abc import Callable

from mysql.connector.aio.network import NetworkBrokerPlain

from plumb_backends.real.sql.skipping import Skipper
from plumb_backends.time_slice import TimeSlice

_HEADER = 4
_FULL = 0xFFFFFF
"""A packet of this length goes on in the next one."""

_PIECE = 64 * 1024
_NULL = b"\xfb"
_END, _LONGEST_END = 0xFE, 9
_ERROR = 0xFF


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RowLimits:
    """How much of a statement's rows is read.

    Attributes:
        keep_bytes: Rows beyond this are counted and dropped; the first may be larger.
        first_bytes: The most that the first row may be; below 16 MiB.
        stop_bytes: A statement that sends more is stopped.
    """

    keep_bytes: int = 1024**2
    first_bytes: int = 8 * 1024**2
    stop_bytes: int = 32 * 1024**2


class RowGate(NetworkBrokerPlain):
    """Reads packets; while it counts rows, those that do not fit come as rows of NULLs.

    Attributes:
        kept_rows: Of the result, from its first on without a gap.
        kept_bytes: How large they are.
        dropped_bytes: How large the others are.
    """

    def __init__(self) -> None:
        super().__init__()
        self._width = 0  # columns; 0 while no rows are read
        self._limits = RowLimits()
        self._on_flood: Callable[[], None] = lambda: None
        self._sent = 0  # of the statement, all its results together
        self._slice = TimeSlice()
        self.kept_rows = self.kept_bytes = self.dropped_bytes = 0

    def begin(self, limits: RowLimits, on_flood: Callable[[], None]) -> None:
        """Starts counting for a statement; `on_flood` is called once, if it sends too much."""
        self._limits, self._on_flood = limits, on_flood
        self._sent = 0

    def open(self, width: int) -> None:
        """Starts counting for a result with so many columns."""
        self._width = width
        self.kept_rows = self.kept_bytes = self.dropped_bytes = 0

    def close(self) -> None:
        """Stops counting: what comes next are no rows."""
        self._width = 0

    async def read(
        self, reader: asyncio.StreamReader, address: str, read_timeout: int | None = None
    ) -> bytearray:
        """Receives one packet, or what stands for one that is not kept."""
        await self._slice.yield_if_used()
        if not self._width:
            return await super().read(reader, address, read_timeout)
        header = await self._read_chunk(reader, _HEADER, read_timeout)
        length, self._pktnr = self.get_header(bytes(header))
        if length == _FULL or not self._fits(length):
            return await self._skip(reader, header, length)
        body = await self._read_chunk(reader, length, read_timeout)
        if not _is_row(body):
            return header + body
        self._count(length)
        if length > self._room:  # it was read to see whether it is a row
            self.dropped_bytes += length
            return self._stand_in(header)
        self.kept_rows += 1
        self.kept_bytes += length
        return header + body

    async def skip_results(self, reader: asyncio.StreamReader) -> bytes:
        """Reads results to the end of the last one, and keeps nothing.

        Returns:
            The packet of the error that ended them; empty where none did.

        Raises:
            asyncio.IncompleteReadError: The server hung up.
        """
        skipper = Skipper()
        while not skipper.is_done:
            await self._slice.yield_if_used()
            piece = await reader.read(_PIECE)
            if not piece:
                raise asyncio.IncompleteReadError(b"", None)
            skipper.feed(piece)
        return skipper.error

    @property
    def _room(self) -> int:
        if self.dropped_bytes:
            return 0
        if not self.kept_rows:
            return max(self._limits.first_bytes, self._limits.keep_bytes)
        return self._limits.keep_bytes - self.kept_bytes

    def _fits(self, length: int) -> bool:
        """Whether to read a packet whole: errors and ends are small, and are no rows."""
        return length <= max(self._room, _PIECE)

    async def _skip(
        self, reader: asyncio.StreamReader, header: bytearray, length: int
    ) -> bytearray:
        """Reads a row, all packets of it, piece by piece, and keeps nothing."""
        while True:
            left = length
            while left:
                piece = len(await self._read_chunk(reader, min(left, _PIECE)))
                self._count(piece)
                left -= piece
            self.dropped_bytes += max(1, length)
            if length < _FULL:
                return self._stand_in(header)
            length, self._pktnr = self.get_header(bytes(await self._read_chunk(reader, _HEADER)))

    def _count(self, size: int) -> None:
        before, self._sent = self._sent, self._sent + size
        if before <= self._limits.stop_bytes < self._sent:
            self._on_flood()

    def _stand_in(self, header: bytearray) -> bytearray:
        return bytearray(self._width.to_bytes(3, "little") + header[3:4] + _NULL * self._width)


def _is_row(body: bytearray) -> bool:
    first = body[0] if body else 0
    return first != _ERROR and not (first == _END and len(body) < _LONGEST_END)
