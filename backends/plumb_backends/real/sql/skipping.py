"""Skips what a stopped statement has sent already: megabytes of results may be on their way.

The text protocol of MySQL, with EOF packets: see "Command Response" and "Text Resultset" of the
MySQL internals documentation. Nothing is kept of a packet but its first bytes.
"""

import enum

from mysql.connector.constants import ServerFlag
from mysql.connector.utils import read_lc_int

from plumb_backends.real.sql.packets import END, ERROR, FULL, HEADER, LONGEST_END, OK

_NEEDED = 24  # of a body: its kind, two numbers of up to 9 bytes, the status
_LONGEST_ERROR = 1024


class _Next(enum.Enum):
    RESULT = "result"  # an OK, an error, or how many columns there are
    COLUMN = "column"
    ROW = "row"
    NOTHING = "nothing"


class Skipper:
    """Reads packets from the beginning of a result on, up to the end of the last one.

    Attributes:
        error: The packet that ended them, if it was an error; else empty.
        status: The server's status flags, from the last packet that had any.
    """

    def __init__(self) -> None:
        self.error = b""
        self.status = 0
        self._next = _Next.RESULT
        self._columns = 0
        self._held = b""
        self._skip = 0  # bytes of a packet that is known already
        self._goes_on = False

    @property
    def is_done(self) -> bool:
        """Whether the last result has ended; the server waits for a command."""
        return self._next is _Next.NOTHING

    def feed(self, data: bytes) -> None:
        """Takes the next bytes, cut anywhere."""
        data = self._held + data
        at, size = 0, len(data)
        while not self.is_done:
            skipped = min(self._skip, size - at)
            at += skipped
            self._skip -= skipped
            start = at + HEADER
            if self._skip or start > size:
                break
            length = data[at] | data[at + 1] << 8 | data[at + 2] << 16
            if start + length > size and start + _needed(data, start, length) > size:
                break
            if not self._goes_on:
                self._see(data, start, length)
            self._goes_on = length == FULL
            at, self._skip = start, length
        self._held = data[at:]

    def _see(self, data: bytes, start: int, length: int) -> None:
        kind = data[start] if length else -1
        if self._next is _Next.COLUMN:
            self._columns -= 1
            if self._columns < 0:  # the EOF behind the columns
                self._next = _Next.ROW
        elif kind == ERROR:
            self._next = _Next.NOTHING
            self.error = data[start - HEADER : start + min(length, _LONGEST_ERROR)]
        elif self._next is _Next.ROW:
            if kind == END and length <= LONGEST_END:
                self._end(int.from_bytes(data[start + 3 : start + 5], "little"))
        elif kind == OK:
            self._end(_status_of_ok(data[start : start + _NEEDED]))
        else:
            self._next, self._columns = _Next.COLUMN, read_lc_int(data[start : start + 9])[1] or 0

    def _end(self, status: int) -> None:
        self.status = status
        self._next = _Next.RESULT if status & ServerFlag.MORE_RESULTS_EXISTS else _Next.NOTHING


def _needed(data: bytes, start: int, length: int) -> int:
    """How much of a packet is looked at."""
    is_error = data[start : start + 1] == bytes([ERROR])
    return min(length, _LONGEST_ERROR if is_error else _NEEDED)


def _status_of_ok(body: bytes) -> int:
    rest, _ = read_lc_int(body[1:])
    rest, _ = read_lc_int(rest)
    return int.from_bytes(rest[:2], "little")
