"""A terminal's screen without a lower end: the rows that can still change, and the cursor.

As long as text is only added, rows are kept as text, uncounted; a row becomes cells when the cursor
is moved in it. Rows that the cursor cannot reach any more are released, in order.
"""

from plumb_fidelity import cells
from plumb_fidelity.cells import MAX_COLUMNS, TAB_STOP, Cells, is_simple

MAX_ROWS = 128
"""How many rows, from the last one up, the cursor can reach."""

COLUMNS, ROWS = 120, 40
"""The size of the terminal. Only the cursor is bound by it: text goes on in its line."""

_HALF = MAX_COLUMNS // 2
_UNCOUNTED = MAX_COLUMNS // 8  # a text of this length has at most MAX_COLUMNS cells
_GRAPHICS = dict(
    zip(
        map(ord, "`afgjklmnopqrstuvwxyz{|}~"),
        "\u25c6\u2592\u00b0\u00b1\u2518\u2510\u250c\u2514\u253c\u23ba\u23bb\u2500\u23bc\u23bd"
        "\u251c\u2524\u2534\u252c\u2502\u2264\u2265\u03c0\u2260\u00a3\u00b7",
        strict=True,
    )
)


class _Text(str):
    """A row that is no cells yet, and cannot be taken for them."""

    __slots__ = ()


class Screen:
    """Rows and cursor. Columns and rows count from 0 here."""

    def __init__(self) -> None:
        self._cells = Cells()
        self._rows: list[str] = [""]  # cells, or `_Text`
        self._row = 0  # may lie below the last row, which is made when something is written there
        self._column: int | None = None  # None: behind the last row's text, uncounted
        self._saved = (0, 0)
        self._gone = 0  # how many rows have been released
        self._home = 0  # the row, with those released, that the cursor's addresses count from
        self._released: list[str] = []
        self.inserts = False
        self.draws = False

    def take_released(self) -> str:
        """Gives what has been released since it was last asked."""
        released = "".join(self._released)
        self._released.clear()
        return released

    def finish(self) -> str:
        """Gives all that is left."""
        self._release(len(self._rows) - 1)
        self._released.append(self._shown(self._rows.pop()))
        return self.take_released()

    # Text.

    def write(self, text: str) -> None:
        """Writes text at the cursor; it has no control characters but tabs and line ends."""
        start = 0
        while not self._is_plain():
            end = text.find("\n", start)
            self._put(text[start:] if end < 0 else text[start:end])
            if end < 0:
                return
            self.line_feed()
            start = end + 1
        if start < len(text):
            self._append(text[start:] if start else text)

    def repeat(self, count: int) -> None:
        """Writes the character before the cursor again."""
        line, column = self._line()
        if column:
            self._put(self._cells.text(line[column - 1 : column]) * min(count, COLUMNS))

    def _is_plain(self) -> bool:
        return self._column is None and not self.inserts and not self.draws

    def _append(self, text: str) -> None:
        """Adds text behind the last row."""
        if text.count("\n") > MAX_ROWS:
            head, *others = text.rsplit("\n", MAX_ROWS)
            self._release(len(self._rows) - 1)
            self._released += (self._shown(self._rows[0]), head, "\n")
            self._gone += 1 + head.count("\n")
            self._rows.clear()
        else:
            first, *others = text.split("\n")
            self._rows[-1] = _kept(self._rows[-1] + first)
            self._row = len(self._rows) - 1
            self._shorten()
        for line in others:
            self._rows.append(_kept(line))
            self._row, self._column = len(self._rows) - 1, None
            self._shorten()
        self._trim()

    def _put(self, text: str) -> None:
        """Writes within a line."""
        if not text:
            return
        if self.draws:
            text = text.translate(_GRAPHICS)
        line, column = self._line()
        self._rows[self._row], self._column = self._cells.write(
            line, column, text, inserts=self.inserts
        )
        self._shorten()

    # Control characters and sequences.

    def line_feed(self) -> None:
        """Goes to the beginning of the next line."""
        self._line()
        self._row += 1
        self._column = 0
        if self._row == len(self._rows):
            self._rows.append("")
            self._column = None
            self._trim()

    def index(self) -> None:
        """Goes down a line in the same column."""
        column = self._line()[1]
        self.line_feed()
        self._move(self._row, column)

    def reverse_index(self) -> None:
        """Goes up a line in the same column; at the top, puts a blank line in instead."""
        row, column = self._row, self._at()
        if row == max(0, self._home - self._gone):
            self.insert_lines(1)
            self._column = column
        else:
            self._move(row - 1, column)

    def carriage_return(self) -> None:
        """Goes to the beginning of the line."""
        self._column = 0

    def move(self, rows: int, columns: int) -> None:
        """Moves the cursor by so many rows and columns."""
        self._move(self._row + rows, self._at() + columns)

    def move_by_stops(self, count: int) -> None:
        """Moves the cursor by so many tab stops, backwards where that is negative."""
        column = self._at()
        begun = column // TAB_STOP if count > 0 else -(-column // TAB_STOP)
        self._move(self._row, (begun + count) * TAB_STOP)

    def move_line(self, rows: int) -> None:
        """Moves the cursor by so many rows, to the beginning of the line."""
        self._move(self._row + rows, 0)

    def move_to(self, row: int | None, column: int | None) -> None:
        """Moves the cursor to an address, counted from the screen's top; None: as it is."""
        top = max(0, self._home - self._gone)
        self._move(
            self._row if row is None else top + row, self._at() if column is None else column
        )

    def save(self) -> None:
        """Notes where the cursor is."""
        self._saved = (self._gone + self._row, self._at())

    def restore(self) -> None:
        """Goes to where the cursor was; to the top, where that was not noted."""
        row, column = self._saved
        self._move(max(row, self._home) - self._gone, column)

    def erase_line(self, part: int) -> None:
        """Erases to the line's end (0), from its beginning (1), or all of it (2)."""
        if part == 0 and self._column is None:
            return
        line, column = self._line(makes=False)
        match part:
            case 0:
                line = cells.blank(line, column, len(line))
            case 1:
                line = cells.put(line, 0, " " * min(column + 1, len(line)))
            case 2:
                line = ""
        self._set(line)

    def erase_display(self, part: int) -> None:
        """Erases to the screen's end (0), from its beginning (1), or all of it (2)."""
        if part not in (0, 1, 2):
            return  # 3 is for the lines that have left the screen
        top = min(max(0, self._home - self._gone), self._row)
        self.erase_line(part)
        if part == 0:
            del self._rows[self._row + 1 :]
        elif part == 1:
            above = min(self._row, len(self._rows))
            self._rows[top:above] = [""] * (above - top)
        else:
            self._rows[top:] = [] if top else [""]

    def erase_characters(self, count: int) -> None:
        """Makes characters from the cursor on blank."""
        line, column = self._line(makes=False)
        self._set(cells.blank(line, column, column + count))

    def delete_characters(self, count: int) -> None:
        """Takes characters out; the rest of the line moves to the left."""
        if self._column is None:
            return
        line, column = self._line(makes=False)
        self._set(cells.delete(line, column, column + count))

    def insert_characters(self, count: int) -> None:
        """Puts blanks in; the rest of the line moves to the right."""
        line, column = self._line(makes=False)
        if column < len(line):
            self._set(cells.insert(line, column, " " * min(count, COLUMNS)))

    def delete_lines(self, count: int) -> None:
        """Takes lines out, from the cursor's on; those below move up."""
        self._column = 0
        del self._rows[self._row : self._row + count]
        if not self._rows:
            self._rows.append("")

    def insert_lines(self, count: int) -> None:
        """Puts blank lines in above the cursor's; that one and those below move down."""
        self._column = 0
        if self._row < len(self._rows):
            self._rows[self._row : self._row] = [""] * min(count, ROWS)
            self._trim()

    def begin_full_screen(self) -> None:
        """Begins a screen below what is there, for a program that addresses its cursor."""
        self._go_below()
        self._home = self._gone + self._row

    def end_full_screen(self) -> None:
        """Leaves what is on such a screen, and goes on below it."""
        self._go_below()
        self._home = 0

    def _go_below(self) -> None:
        self._row = len(self._rows) - 1
        self._column = 0
        if self._rows[-1]:
            self.line_feed()

    # Rows.

    def _at(self) -> int:
        return self._line(makes=False)[1]

    def _line(self, *, makes: bool = True) -> tuple[str, int]:
        """The cursor's line as cells, and its column; where there is no line yet, makes it."""
        if self._row >= len(self._rows):
            if not makes:
                return "", self._column or 0
            self._rows += [""] * (self._row + 1 - len(self._rows))
            self._trim()
        line = self._rows[self._row]
        if type(line) is _Text:
            line = self._rows[self._row] = self._cells.of(line)
        if self._column is None:
            self._column = len(line)
        return line, self._column

    def _set(self, line: str) -> None:
        if self._row < len(self._rows):
            self._rows[self._row] = line

    def _move(self, row: int, column: int) -> None:
        self._row = min(max(0, row), len(self._rows) - 1 + ROWS)
        self._column = 0
        if column >= COLUMNS:  # as far as a longer line goes
            column = min(column, max(COLUMNS - 1, len(self._line(makes=False)[0])))
        self._column = max(0, column)

    def _shown(self, row: str) -> str:
        return row if type(row) is _Text else self._cells.text(row)

    def _shorten(self) -> None:
        """Releases the beginning of a line that is too long, and with it all above."""
        line = self._rows[self._row]
        if len(line) <= _UNCOUNTED:
            return
        if type(line) is _Text:
            line = self._rows[self._row] = self._cells.of(line)
            self._column = len(line)
        if len(line) <= MAX_COLUMNS:
            return
        cut = _HALF * -(-(len(line) - MAX_COLUMNS) // _HALF)
        self._release(self._row)
        self._released.append(self._cells.text(line[:cut]))
        self._rows[0] = line[cut:]
        if self._column is not None:
            self._column = max(0, self._column - cut)

    def _trim(self) -> None:
        self._release(len(self._rows) - MAX_ROWS)

    def _release(self, count: int) -> None:
        """Releases the first rows."""
        if count <= 0:
            return
        self._released.append("\n".join([*map(self._shown, self._rows[:count]), ""]))
        del self._rows[:count]
        self._row = max(0, self._row - count)
        self._gone += count


def _kept(line: str) -> str:
    return line if is_simple(line) else _Text(line)
