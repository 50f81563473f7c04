"""Skips what a stopped statement has sent already: megabytes of results may be on their way.

The text protocol of MySQL, with EOF packets: see "Command Response" and "Text Resultset" of the
MySQL internals documentation. Nothing is kept of a packet but its first bytes.
"""

import enum

_HEADER = 4
_FULL = 0xFFFFFF
"""A packet of this length goes on in the next one."""

_NEEDED = 24  # of a body: its kind, two numbers of up to 9 bytes, the status
_LONGEST_ERROR = 1024
_OK, _EOF, _ERROR = 0x00, 0xFE, 0xFF
_MORE_RESULTS = 0x0008
_LONGEST_EOF = 8


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
            start = at + _HEADER
            if self._skip or start > size:
                break
            length = data[at] | data[at + 1] << 8 | data[at + 2] << 16
            if start + length > size and start + _needed(data, start, length) > size:
                break
            if not self._goes_on:
                self._see(data, start, length)
            self._goes_on = length == _FULL
            at, self._skip = start, length
        self._held = data[at:]

    def _see(self, data: bytes, start: int, length: int) -> None:
        kind = data[start] if length else -1
        if self._next is _Next.COLUMN:
            self._columns -= 1
            if self._columns < 0:  # the EOF behind the columns
                self._next = _Next.ROW
        elif kind == _ERROR:
            self._next = _Next.NOTHING
            self.error = data[start - _HEADER : start + min(length, _LONGEST_ERROR)]
        elif self._next is _Next.ROW:
            if kind == _EOF and length <= _LONGEST_EOF:
                self._end(int.from_bytes(data[start + 3 : start + 5], "little"))
        elif kind == _OK:
            self._end(_status_of_ok(data[start : start + _NEEDED]))
        else:
            self._next, self._columns = _Next.COLUMN, _number(data[start : start + 9], 0)[0]

    def _end(self, status: int) -> None:
        self.status = status
        self._next = _Next.RESULT if status & _MORE_RESULTS else _Next.NOTHING


def _needed(data: bytes, start: int, length: int) -> int:
    """How much of a packet is looked at."""
    is_error = data[start : start + 1] == bytes([_ERROR])
    return min(length, _LONGEST_ERROR if is_error else _NEEDED)


def _status_of_ok(body: bytes) -> int:
    _, after = _number(body, 1)
    _, after = _number(body, after)
    return int.from_bytes(body[after : after + 2], "little")


def _number(body: bytes, at: int) -> tuple[int, int]:
    """A length-encoded integer, and where it ends."""
    first = body[at]
    width = {0xFC: 2, 0xFD: 3, 0xFE: 8}.get(first)
    if width is None:
        return first, at + 1
    return int.from_bytes(body[at + 1 : at + 1 + width], "little"), at + 1 + width
