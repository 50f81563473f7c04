"""The terminal signature: what a terminal adds round a command's output, and how to take it off.

`TextRenderer` turns the bytes that a program wrote to a terminal into what a person would read
there in the end: colour, titles and modes are gone, text that was overwritten or erased shows as it
ended, lines end with LF. The terminal has no lower end and begins where the output begins; it is
120 columns wide for the cursor, while text goes on in its line. The cursor reaches the last
`screen.MAX_ROWS` rows and `cells.MAX_COLUMNS` columns; what lies before them is passed on.

It works on pieces of any size, with the same result. Memory is constant. Time is linear: text
without control characters takes some 5 ns a byte, a control character up to 5 µs. Who renders
what somebody else wrote asks `weight` first, and keeps `without_controls` for what is too heavy.

Escape sequences are as in ECMA-48, section 5, and xterm's control sequences.
"""

import codecs
import re
from collections.abc import Callable

from plumb_fidelity.cells import MAX_COLUMNS
from plumb_fidelity.screen import Screen

MAX_LINE_BYTES = MAX_COLUMNS
"""Overwriting reaches back this far in a line; a longer one is passed on in pieces."""

_MOST = 4096
"""A control sequence longer than this is taken for rubbish, and its characters for text."""

_EDIT = r"[0-9;]{0,64}[@-MPXZ`abdefsu]|4[hl]|\?(?:1049|1047|47)[hl]"  # changes what is shown
_BODY = rf"[^\x07\x1b]{{0,{_MOST}}}"
_STRING_BODY = rf"[^\x1b]{{0,{_MOST}}}"
_INERT = re.compile(
    rf"\x1b(?:\[(?!{_EDIT})[0-?]{{0,{_MOST}}}[ -/]{{0,16}}[@-~]"  # CSI: colour, modes
    rf"|\]{_BODY}(?:\x07|\x1b\\)"  # OSC: title, working directory, marks
    rf"|[PX^_]{_STRING_BODY}\x1b\\"  # DCS, SOS, PM, APC
    r"|(?![78DEM]|\([0B])[ -/]{0,16}[0-OQ-WYZ`-~\\])"  # two characters, or a character set
)
_UNFINISHED = re.compile(
    rf"(?:\x1b(?:\[[0-?]{{0,{_MOST}}}[ -/]{{0,16}}|\]{_BODY}\x1b?|[PX^_]{_STRING_BODY}\x1b?"
    r"|[ -/]{0,16})|\r)\Z"
)
_FURTHEST_UNFINISHED = _MOST + 64
_TOKEN = re.compile(
    r"(?P<text>[^\x00-\x08\x0b-\x1f\x7f]+)|(?P<control>[\r\b\x0b\x0c])"
    r"|\x1b\[(?P<parameters>[0-9;]{0,64})(?P<edit>[@-MPXZ`abdefhlsu])"
    r"|\x1b\[\?(?:1049|1047|47)(?P<full>[hl])|\x1b(?P<two>[78DEM]|\([0B])|(?P<other>[\x00-\x1f\x7f])"
)
_CONTROL = re.compile(r"[\x01-\x08\x0b-\x1f\x7f]")
_SEQUENCE = re.compile(rf"\x1b(?:\[(?:{_EDIT})|[78DEM]|\([0B])|{_INERT.pattern}")
_CONTROL_BYTES = bytes([*range(1, 9), *range(11, 32), 127])
_TO_NOTHING = dict.fromkeys([0, *_CONTROL_BYTES])
_LIGHT = re.compile(rb"\x1b\[[0-9;]{0,64}m(?:\x1b\[K)?")
_LONG_LINE = re.compile(rb"[^\n]{512,}")  # its characters are counted
_COUNTED = 16  # bytes, in the time of one control character
_RETURN_OF_NOTHING = re.compile(r"(?:(?<=[\n\r])|\A)\r")
_MOST_DIGITS = 4


class TextRenderer:
    """Renders a stream of terminal output, piece by piece. Can be pickled."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._unfinished = ""  # the beginning of a control sequence
        self._screen = Screen()

    def feed(self, data: bytes) -> bytes:
        """Takes the next piece; returns what cannot change any more."""
        self._take(self._decoder.decode(data))
        return self._screen.take_released().encode()

    def finish(self) -> bytes:
        """Returns the rest."""
        self._take(self._decoder.decode(b"", final=True))
        return self._screen.finish().encode()

    def _take(self, text: str) -> None:
        text = self._unfinished + text
        found = _UNFINISHED.search(text, max(0, len(text) - _FURTHEST_UNFINISHED))
        end = found.start() if found else len(text)
        text, self._unfinished = text[:end], text[end:]
        if "\x1b" in text:
            text = _INERT.sub("\x00", text)  # what stands round it must not become a sequence
        text = text.replace("\r\n", "\n")
        if _CONTROL.search(text) is None:
            self._screen.write(text.replace("\x00", ""))
        else:
            self._follow(text)

    def _follow(self, text: str) -> None:
        screen = self._screen
        for token in _TOKEN.finditer(text):
            match token.lastgroup:
                case "text":
                    screen.write(token[0])
                case "control":
                    _CONTROL_ACTIONS[token[0]](screen)
                case "edit":
                    _edit(screen, token["edit"], token["parameters"])
                case "two":
                    _ESCAPE_ACTIONS[token["two"]](screen)
                case "full" if token["full"] == "h":
                    screen.begin_full_screen()
                case "full":
                    screen.end_full_screen()


def render(data: bytes) -> str:
    """Renders a whole output at once; bytes that are not UTF-8 become U+FFFD."""
    renderer = TextRenderer()
    return (renderer.feed(data) + renderer.finish()).decode()


def weight(data: bytes) -> int:
    """How much work it is to render this: about the control characters to follow, 5 µs each."""
    heavy = 0
    plain = data.replace(b"\r\n", b"\n")  # most of what is light, at the speed of a copy
    if len(plain.translate(None, _CONTROL_BYTES)) < len(plain):
        edits = _LIGHT.sub(b"", plain)
        heavy += len(edits) - len(edits.translate(None, _CONTROL_BYTES))
        heavy += data.count(b"\n") if b"\x1b(0" in data or b"\x1b[4h" in data else 0
    if b"\t" in data or not data.isascii():
        heavy += sum(map(len, _LONG_LINE.findall(data))) // _COUNTED
    return heavy


def without_controls(data: bytes) -> bytes:
    """Takes control characters off without following them, at the speed of a search.

    A return that is no line's end becomes one, so that what would be overwritten can be read.
    """
    text = _SEQUENCE.sub("", data.decode(errors="replace"))
    text = _RETURN_OF_NOTHING.sub("", text.replace("\r\n", "\n")).replace("\r", "\n")
    return text.translate(_TO_NOTHING).encode()


def _set_draws(screen: Screen, *, draws: bool) -> None:
    screen.draws = draws


def _set_inserts(screen: Screen, *, inserts: bool) -> None:
    screen.inserts = inserts


def _edit(screen: Screen, letter: str, parameters: str) -> None:
    first, _, others = parameters.partition(";")
    _EDITS[letter](screen, _number(first), _number(others.partition(";")[0]))


def _number(digits: str) -> int:
    return int(digits[:_MOST_DIGITS] or "0")


_CONTROL_ACTIONS: dict[str, Callable[[Screen], None]] = {
    "\r": Screen.carriage_return,
    "\b": lambda screen: screen.move(0, -1),
    "\x0b": Screen.index,
    "\x0c": Screen.index,
}

_ESCAPE_ACTIONS: dict[str, Callable[[Screen], None]] = {
    "7": Screen.save,
    "8": Screen.restore,
    "D": Screen.index,
    "E": Screen.line_feed,
    "M": Screen.reverse_index,
    "(0": lambda screen: _set_draws(screen, draws=True),
    "(B": lambda screen: _set_draws(screen, draws=False),
}

# Where no number stands, it is 0 for those that erase, and 1 for all others; so is a 0 for them.
_EDITS: dict[str, Callable[[Screen, int, int], None]] = {
    "@": lambda screen, count, _: screen.insert_characters(count or 1),
    "A": lambda screen, count, _: screen.move(-(count or 1), 0),
    "B": lambda screen, count, _: screen.move(count or 1, 0),
    "C": lambda screen, count, _: screen.move(0, count or 1),
    "D": lambda screen, count, _: screen.move(0, -(count or 1)),
    "E": lambda screen, count, _: screen.move_line(count or 1),
    "F": lambda screen, count, _: screen.move_line(-(count or 1)),
    "G": lambda screen, column, _: screen.move_to(None, (column or 1) - 1),
    "H": lambda screen, row, column: screen.move_to((row or 1) - 1, (column or 1) - 1),
    "I": lambda screen, count, _: screen.move_by_stops(count or 1),
    "J": lambda screen, part, _: screen.erase_display(part),
    "K": lambda screen, part, _: screen.erase_line(part),
    "L": lambda screen, count, _: screen.insert_lines(count or 1),
    "M": lambda screen, count, _: screen.delete_lines(count or 1),
    "P": lambda screen, count, _: screen.delete_characters(count or 1),
    "X": lambda screen, count, _: screen.erase_characters(count or 1),
    "Z": lambda screen, count, _: screen.move_by_stops(-(count or 1)),
    "b": lambda screen, count, _: screen.repeat(count or 1),
    "d": lambda screen, row, _: screen.move_to((row or 1) - 1, None),
    "h": lambda screen, *_: _set_inserts(screen, inserts=True),
    "l": lambda screen, *_: _set_inserts(screen, inserts=False),
    "s": lambda screen, *_: screen.save(),
    "u": lambda screen, *_: screen.restore(),
}
_EDITS |= {"`": _EDITS["G"], "a": _EDITS["C"], "e": _EDITS["B"], "f": _EDITS["H"]}
