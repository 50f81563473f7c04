"""The cells of a terminal's line, held in a string: one character for each column.

Strings are cut and joined at the speed of memory, so no sequence of edits is expensive. What does
not take one column is held by lone surrogates, which decoded text never has: the further columns
of a tab or a wide character, and characters that have others on top of them.
"""

import functools
import re
import unicodedata

MAX_COLUMNS = 4096
"""The longest line that can still be changed."""

TAB_STOP = 8

_REST = "\udc00"
"""A further column of the wide character or tab before it."""

_FIRST_STAND_IN, _LAST_STAND_IN = 0xD800, 0xDBFF
_MOST_ON_TOP = 16
_STAND_IN = re.compile("[\ud800-\udbff]")
_TAB = re.compile("(\t)")


def is_simple(text: str) -> bool:
    """Whether a text is its own cells."""
    return text.isascii() and "\t" not in text


def delete(line: str, start: int, end: int) -> str:
    """Takes columns out; what stands behind them moves up."""
    line = _parted(_parted(line, start), end)
    return line[:start] + line[end:]


def blank(line: str, start: int, end: int) -> str:
    """Makes columns blank, as far as the line goes."""
    if end >= len(line):
        return _parted(line, start)[:start]
    return put(line, start, " " * (end - start))


def insert(line: str, column: int, cells: str) -> str:
    """Moves what is there to the right; what leaves the terminal is lost."""
    line = _parted(line.ljust(column), column)
    return (line[:column] + cells + line[column:])[:MAX_COLUMNS]


def put(line: str, column: int, cells: str) -> str:
    """Writes cells into a line."""
    if column >= len(line):
        return line.ljust(column) + cells
    end = column + len(cells)
    line = _parted(_parted(line, column), end)
    return line[:column] + cells + line[end:]


def _parted(line: str, column: int) -> str:
    """The line with nothing that lies across the beginning of a column: spaces are there then."""
    if column >= len(line) or line[column] != _REST:
        return line
    end = column + 1
    while end < len(line) and line[end] == _REST:
        end += 1
    start = _head(line, column)
    return line[:start] + " " * (end - start) + line[end:]


def _head(line: str, column: int) -> int:
    """Where the character begins that takes a column."""
    while column > 0 and line[column] == _REST:
        column -= 1
    return column


class Cells:
    """Makes cells of text, and text of cells; one for all lines of a terminal."""

    def __init__(self) -> None:
        self._shown: dict[str, str] = {}  # by their stand-ins: characters with others on top
        self._stand_ins: dict[str, str] = {}

    def of(self, text: str) -> str:
        """The cells of a line's text, from its beginning."""
        return text if is_simple(text) else self._made(text, 0)

    def text(self, cells: str) -> str:
        """What the cells show."""
        if cells.isascii():
            return cells
        cells = cells.replace(_REST, "")
        return _STAND_IN.sub(lambda found: self._shown[found[0]], cells) if self._shown else cells

    def write(self, line: str, column: int, text: str, *, inserts: bool) -> tuple[str, int]:
        """Writes a text into a line.

        Args:
            line: The line's cells.
            column: Where to write.
            text: It has no control characters but tabs; over what is there a tab only moves.
            inserts: Whether what is there moves to the right.

        Returns:
            The line's new cells, and the column behind the text.
        """
        if not inserts and is_simple(text):
            return put(line, column, text), column + len(text)
        parts = _TAB.split(text) if "\t" in text and column < len(line) else [text]
        for at, part in enumerate(parts):
            if column >= len(line):
                return self._write(line, column, "".join(parts[at:]), inserts=False)
            if part == "\t":
                column += _to_next_stop(column)
            elif part:
                line, column = self._write(line, column, part, inserts=inserts)
        return line, column

    def _write(self, line: str, column: int, text: str, *, inserts: bool) -> tuple[str, int]:
        line = line.ljust(column)
        start = column
        if text and column and not text[0].isascii() and _width(text[0]) == 0:
            start = _head(line, column - 1)  # it goes on top of what is there
        cells = text if is_simple(text) else self._made(text, start, line[start:column])
        if not inserts:
            return put(line, start, cells), start + len(cells)
        line = insert(line[:start] + line[column:], start, cells)
        return line, min(start + len(cells), MAX_COLUMNS)

    def _made(self, text: str, start: int, first: str = "") -> str:
        """The cells of a text that begins in a column; `first` are cells that stand before it."""
        cells = list(first)
        for character in text:
            match _width(character):
                case 0:
                    self._put_on_top(cells, character)
                case 1:
                    cells.append(character)
                case 2:
                    cells += (character, _REST)
                case _:
                    columns = _to_next_stop(start + len(cells))
                    cells += ("\t", *[_REST] * (columns - 1))
        return "".join(cells)

    def _put_on_top(self, cells: list[str], mark: str) -> None:
        """Puts a mark on the last character; beside it, where that cannot be."""
        at = len(cells) - 1
        while at > 0 and cells[at] == _REST:
            at -= 1
        stand_in = self._stand_in(cells[at], mark) if at >= 0 and cells[at] != "\t" else None
        if stand_in is None:
            cells.append(mark)
        else:
            cells[at] = stand_in

    def _stand_in(self, cell: str, mark: str) -> str | None:
        shown = self._shown.get(cell, cell) + mark
        if shown not in self._stand_ins:
            code = _FIRST_STAND_IN + len(self._shown)
            if code > _LAST_STAND_IN or len(shown) > _MOST_ON_TOP:
                return None
            self._stand_ins[shown] = chr(code)
            self._shown[chr(code)] = shown
        return self._stand_ins[shown]


def _to_next_stop(column: int) -> int:
    return TAB_STOP - column % TAB_STOP


@functools.lru_cache(maxsize=8192)
def _width(character: str) -> int:
    """How many columns a character takes; -1 for a tab."""
    if character == "\t":
        return -1
    if unicodedata.category(character) in ("Mn", "Me", "Cf") and character != "\xad":
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
