r"""What a session may not say on a server that others are on, because nothing there isolates it.

A server of a session's own refuses nothing.

`XA` and its verb are looked for anywhere, also where a quote may hold them: what is a quote depends
on modes that the session sets. Between the two there may be spaces and comments; of a version
comment (`/*!80000 … */`) the inside may count, or not. All readings are followed at once, in one
pass: a statement may have any number of them.
"""

import collections
import re

from plumb_backends.sql.result import RawError

_START = re.compile(rb"(?<![\w$.`])XA(?![\w$])", re.IGNORECASE)
_EVENT = re.compile(rb"(?P<xa>(?<![\w$.`])XA(?![\w$]))|(?P<line>\n)|(?P<block>\*/)", re.IGNORECASE)
"""Behind what a gap may begin: `XA`, the end of a line's comment, the end of a block's."""

_GAP = re.compile(rb"(?:\s|\*/|/\*!\d*+)*+")
_BEHIND = re.compile(
    rb"(?P<verb>(?:START|BEGIN|END|PREPARE|COMMIT|ROLLBACK|RECOVER)(?![\w$]))"
    rb"|(?P<line>--\s|#)|(?P<block>/\*)",
    re.IGNORECASE,
)
_NOT_SUPPORTED = 1235


def refusal(statement: bytes) -> RawError | None:
    """The error for a statement that is refused, None for any other."""
    first = _START.search(statement)
    if first is None or not _Readings(statement).find(first.start()):
        return None
    return RawError(
        errno=_NOT_SUPPORTED,
        sqlstate="42000",
        message="XA transactions would outlive this session on the server that it shares; "
        "use isolation 'dedicated'",
    )


class _Readings:
    """Every way to read a statement between `XA` and a verb."""

    def __init__(self, statement: bytes) -> None:
        self._statement = statement
        self._read = 0  # up to here a gap has been followed
        self._lines: collections.deque[int] = collections.deque()  # where open ones' texts begin
        self._block: int | None = None  # where the text of the first open block begins

    def find(self, start: int) -> bool:
        """Whether a verb stands behind `XA`, from a position on."""
        return any(self._see(event) for event in _EVENT.finditer(self._statement, start))

    def _see(self, event: re.Match[bytes]) -> bool:
        """Follows the gap that may begin behind an event; whether it leads to a verb."""
        match event.lastgroup:
            case "line":
                is_end = bool(self._lines) and self._lines[0] <= event.start()
                while self._lines and self._lines[0] <= event.start():
                    self._lines.popleft()
            case "block":
                is_end = self._block is not None and self._block <= event.start()
            case _:
                is_end = True
        # What lies within a gap that was followed already has been followed.
        return is_end and event.end() > self._read and self._follow(event)

    def _follow(self, event: re.Match[bytes]) -> bool:
        gap = _GAP.match(self._statement, event.end())
        assert gap is not None  # noqa: S101 - nothing matches, too
        self._read = gap.end()
        inside = gap[0].find(b"/*!")
        if inside >= 0:
            self._open_block(gap.start() + inside)
        behind = _BEHIND.match(self._statement, gap.end())
        if behind is None:
            return False
        if behind.lastgroup == "line":
            self._lines.append(behind.end())
        elif behind.lastgroup == "block":
            self._open_block(behind.start())
        # `XAEND` is a name: a verb stands behind a gap.
        return behind.lastgroup == "verb" and (event.lastgroup != "xa" or bool(gap[0]))

    def _open_block(self, start: int) -> None:
        if self._block is None:
            self._block = start + len("/*")
