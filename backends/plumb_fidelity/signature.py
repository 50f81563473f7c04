"""The terminal signature: what a terminal adds round a command's output, and how to take it off.

`TextRenderer` turns the bytes that a program wrote to a terminal into what a person would read
there: colour, titles and modes are gone, text that was overwritten (carriage return, backspace,
erase in line) shows as it ended, lines end with LF. It works on pieces of any size, in time
linear in the input and in constant memory. Movement between lines is not followed: full-screen
programs leave their text in the order in which they wrote it.

Escape sequences are as in ECMA-48, section 5, and xterm's control sequences.
"""

import re

_ESCAPE = re.compile(
    rb"\x1b(?:"
    rb"\[[0-?]*[ -/]*[@-~]"  # CSI: colour, cursor, modes
    rb"|\][^\x07\x1b]*(?:\x07|\x1b\\)"  # OSC: title, working directory, marks
    rb"|[PX^_][^\x1b]*\x1b\\"  # DCS, SOS, PM, APC
    rb"|[ -/]*[0-OQ-WYZ`-~\\]"  # two characters, or a character set
    rb")"
)
_UNFINISHED_ESCAPE = re.compile(
    rb"\x1b(?:\[[0-?]*[ -/]*|\][^\x07\x1b]*\x1b?|[PX^_][^\x1b]*\x1b?|[ -/]*)?\Z"
)
_COLOUR = re.compile(rb"\x1b\[[0-9;:]*m")
_NEEDS_RENDERING = re.compile(rb"[\x00-\x08\x0b-\x1f\x7f]")
_LINE_TOKEN = re.compile(
    r"(?P<text>[^\x00-\x08\x0b-\x1f\x7f]+)|(?P<control>[\r\b])"
    r"|\x1b\[(?P<count>[0-9]*)(?P<edit>[KCDGP])|(?P<other>[\x00-\x1f\x7f])"
)
_EDIT = re.compile(rb"\x1b\[[0-9]*[KCDGP]\Z")

MAX_UNFINISHED_BYTES = 4096
"""A control sequence longer than this is taken for rubbish, and its bytes for text."""

MAX_LINE_BYTES = 64 * 1024
"""Overwriting reaches back this far; a longer line is passed on in pieces."""


class TextRenderer:
    """Renders a stream of terminal output, piece by piece."""

    def __init__(self) -> None:
        self._unfinished = b""  # the beginning of a control sequence
        self._line = b""  # the last line, as long as it can still be overwritten

    def feed(self, data: bytes) -> bytes:
        """Takes the next piece; returns what is certain now."""
        data = self._unfinished + data
        data, self._unfinished = _split_unfinished(data)
        if not data:
            return b""
        head, newline, tail = (self._line + data).rpartition(b"\n")
        rendered = _render_lines(head) + newline if newline else b""
        self._line = tail
        return rendered + self._shorten_line()

    def finish(self) -> bytes:
        """Returns the rest: the last line, if it has no end."""
        line, self._line, self._unfinished = self._line, b"", b""
        return _render_lines(line)

    def _shorten_line(self) -> bytes:
        if len(self._line) <= MAX_LINE_BYTES:
            return b""
        line = _Line()
        line.write(self._line)
        if len(line.cells) > MAX_LINE_BYTES // 2:
            self._line = b""
            return line.content()
        self._line = (
            line.content() + b"\r\x1b[%dC" % line.column if line.column else line.content() + b"\r"
        )
        return b""


def render(data: bytes) -> str:
    """Renders a whole output at once; bytes that are not UTF-8 become U+FFFD."""
    renderer = TextRenderer()
    return (renderer.feed(data) + renderer.finish()).decode(errors="replace")


def _split_unfinished(data: bytes) -> tuple[bytes, bytes]:
    # A sequence cannot have begun before the last 4 KiB and still be taken for one.
    start = max(0, len(data) - MAX_UNFINISHED_BYTES)
    found = _UNFINISHED_ESCAPE.search(data, start)
    if found is None:
        return data, b""
    return data[: found.start()], data[found.start() :]


def _render_lines(block: bytes) -> bytes:
    block = _COLOUR.sub(b"", block.replace(b"\r\n", b"\n"))
    if _NEEDS_RENDERING.search(block) is None:
        return block
    return b"\n".join(map(_render_line, block.split(b"\n")))


def _render_line(data: bytes) -> bytes:
    if _NEEDS_RENDERING.search(data) is None:
        return data
    line = _Line()
    line.write(data)
    return line.content()


class _Line:
    """One line of a terminal: its characters, and where the cursor stands."""

    def __init__(self) -> None:
        self.cells: list[str] = []
        self.column = 0

    def write(self, data: bytes) -> None:
        data = _ESCAPE.sub(_keep_edits, data)
        for token in _LINE_TOKEN.finditer(data.decode(errors="surrogateescape")):
            match token.lastgroup:
                case "text":
                    self._put(token["text"])
                case "control":
                    self.column = 0 if token["control"] == "\r" else max(0, self.column - 1)
                case "edit":
                    self._edit(token["edit"], token["count"])

    def content(self) -> bytes:
        return "".join(self.cells).encode(errors="surrogateescape")

    def _put(self, text: str) -> None:
        if self.column > len(self.cells):
            self.cells.extend(" " * (self.column - len(self.cells)))
        self.cells[self.column : self.column + len(text)] = text
        self.column += len(text)

    def _edit(self, what: str, count_text: str) -> None:
        count = min(int(count_text[:6] or "0"), MAX_LINE_BYTES)
        match what:
            case "K":
                self._erase(count)
            case "C":
                self.column = min(self.column + max(count, 1), MAX_LINE_BYTES)
            case "D":
                self.column = max(0, self.column - max(count, 1))
            case "G":
                self.column = max(count, 1) - 1
            case "P":
                del self.cells[self.column : self.column + max(count, 1)]

    def _erase(self, part: int) -> None:
        if part in (1, 2):
            end = min(self.column + 1, len(self.cells))
            self.cells[:end] = " " * end
        if part in (0, 2):
            del self.cells[self.column :]


def _keep_edits(found: re.Match[bytes]) -> bytes:
    return found[0] if _EDIT.match(found[0]) else b""
