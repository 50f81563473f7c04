"""Reads what the interactive `mysql` client prints back into results, and says what cannot be.

For simulated and recorded output, where nothing else is known of a result. It is lenient in what it
reads and exact in what it reports: columns that do not match their header, a footer that counts
other rows than there are, borders of another width, text that the client never prints.
"""

import dataclasses
import itertools
import re
from collections.abc import Iterator, Sequence

_BORDER = re.compile(r"\+(?:-+\+)+")
_FOOTER = re.compile(r"(\d{1,18}) rows? in set(?:, (\d{1,18}) warnings?)? \([^()]* sec\)")
_EMPTY = re.compile(r"Empty set(?:, (\d{1,18}) warnings?)? \([^()]* sec\)")
_OK = re.compile(r"Query OK, (-?\d{1,18}) rows? affected(?:, (\d{1,18}) warnings?)? \([^()]* sec\)")
_INFO = re.compile(r"(?:Rows matched|Records): \d+  .*")
_ERROR = re.compile(r"ERROR (\d{1,9}) \((\w{5})\)(?: at line \d+)?: (.*)")
_OWN_ERROR = re.compile(r"ERROR: ?")
_CHANGED = re.compile(r"Database changed")
_CUT = re.compile(r"\[\.\.\. .* cut \.\.\.\]")
_VERTICAL = re.compile(r"\*{20,} \d+\. row \*{20,}")
_FIELD = re.compile(r" *+([^:]+): ?(.*)")
_NUMBER = re.compile(r"-?\d+(\.\d+)?(e[+-]?\d+)?", re.IGNORECASE)

Cell = str | None
"""One value as printed; None where it says NULL."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PrintedResult:
    """What one statement printed.

    Attributes:
        columns: The columns' names; empty for a statement without rows, or that failed.
        numeric: Of each column, whether its values stand on the right as numbers do.
        sides: Of each column, where its values stand: `left`, `right`, or `full` where they are
            as wide as it is; `right` are numbers.
        rows: As many cells as columns each.
        affected_rows: How many rows it says that it changed.
        warnings: How many warnings it says that there were.
        info: What it adds to them, as `Rows matched: 2  Changed: 1  Warnings: 0`.
        errno: MySQL's number; 0 without an error.
        sqlstate: Its five characters.
        message: What it says, on one line.
    """

    columns: tuple[str, ...] = ()
    numeric: tuple[bool, ...] = ()
    sides: tuple[str, ...] = ()
    rows: tuple[tuple[Cell, ...], ...] = ()
    affected_rows: int = 0
    warnings: int = 0
    info: str = ""
    errno: int = 0
    sqlstate: str = ""
    message: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Printed:
    """What an action printed.

    Attributes:
        results: In order.
        problems: What the client would not have printed so, one sentence each.
    """

    results: tuple[PrintedResult, ...]
    problems: tuple[str, ...]

    @property
    def error(self) -> PrintedResult | None:
        """The first that failed."""
        return next((result for result in self.results if result.errno), None)


def read(text: str) -> Printed:
    """Reads an action's output; empty output is a statement that says nothing, and no problem."""
    reader = _Reader(text.split("\n"))
    reader.read()
    return Printed(tuple(reader.results), tuple(reader.problems))


def is_vertical(text: str) -> bool | None:
    """Whether all rows are listed field below field; None where that is unclear."""
    found = {
        bool(_VERTICAL.fullmatch(line))
        for line in text.split("\n")
        if _VERTICAL.fullmatch(line) or _BORDER.fullmatch(line)
    }
    return found.pop() if len(found) == 1 else None


class _Reader:
    def __init__(self, lines: Sequence[str]) -> None:
        self._lines = lines
        self._at = 0
        self.results: list[PrintedResult] = []
        self.problems: list[str] = []

    def read(self) -> None:
        while self._at < len(self._lines):
            line = self._lines[self._at]
            if not line.strip():
                self._at += 1
            elif _BORDER.fullmatch(line):
                self._table()
            elif _VERTICAL.fullmatch(line):
                self._vertical()
            else:
                self._at += 1
                self._line(line)

    def _line(self, line: str) -> None:
        if found := _OK.fullmatch(line):
            self.results.append(
                PrintedResult(affected_rows=int(found[1]), warnings=int(found[2] or 0))
            )
        elif found := _EMPTY.fullmatch(line):
            self.results.append(PrintedResult(warnings=int(found[1] or 0)))
        elif found := _ERROR.match(line):
            rest = self._skip_message()
            message = " ".join([found[3], *rest])
            self.results.append(
                PrintedResult(errno=int(found[1]), sqlstate=found[2], message=message)
            )
        elif _OWN_ERROR.fullmatch(line):
            self._skip_message()
        elif _CHANGED.fullmatch(line):
            self.results.append(PrintedResult())
        elif _INFO.fullmatch(line):
            if self.results and not self.results[-1].errno:
                self.results[-1] = dataclasses.replace(self.results[-1], info=line)
        else:
            self.problems.append(f"the client does not print {_short(line)}")

    def _skip_message(self) -> list[str]:
        """An error's message may have several lines, where it quotes the statement."""
        skipped: list[str] = []
        while self._at < len(self._lines) and self._lines[self._at].strip():
            if _begins_result(self._lines[self._at]):
                break
            skipped.append(self._lines[self._at].strip())
            self._at += 1
        return skipped

    def _table(self) -> None:
        border = self._lines[self._at]
        self._at += 1
        ends = [found.start() for found in re.finditer(r"\+", border)]
        header = self._take_row()
        if header is None or self._peek() != border:
            self.problems.append("a table has no header between two borders of its width")
            return
        self._at += 1
        names = [cell.strip() for cell in self._cells(header, ends)]
        rows: list[list[str]] = []
        while (row := self._take_row()) is not None:
            cells = self._cells(row, ends)
            if len(cells) != len(names):
                self.problems.append(
                    f"a row has {len(cells)} cells under {len(names)} columns: {_short(row)}"
                )
            else:
                rows.append(cells)
        cut = self._at < len(self._lines) and bool(_CUT.fullmatch(self._lines[self._at]))
        self._at += cut
        if self._peek() != border:
            self.problems.append("a table does not end with a border of its width")
        else:
            self._at += 1
        self._footer(names, rows, cut=cut)

    def _footer(self, names: list[str], rows: list[list[str]], *, cut: bool) -> None:
        found = _FOOTER.fullmatch(self._peek())
        warnings = 0
        if found is None:
            self.problems.append("no line under the table says how many rows are in the set")
        else:
            self._at += 1
            warnings = int(found[2] or 0)
            if int(found[1]) != len(rows) and not cut:
                self.problems.append(f"it says {found[1]} rows in set under {len(rows)} rows")
        self.results.append(
            PrintedResult(
                columns=tuple(names),
                numeric=tuple(_numeric(rows, index) for index in range(len(names))),
                sides=tuple(_side(rows, index) for index in range(len(names))),
                rows=tuple(tuple(map(_value, row)) for row in rows),
                warnings=warnings,
            )
        )

    def _vertical(self) -> None:
        columns: list[str] = []
        rows: list[list[str]] = []
        while self._at < len(self._lines) and _VERTICAL.fullmatch(self._lines[self._at]):
            self._at += 1
            fields = list(self._fields())
            columns = [name for name, _ in fields]
            rows.append([value for _, value in fields])
        if any(len(row) != len(columns) for row in rows):
            self.problems.append("not every row has the same columns")
            rows = [row for row in rows if len(row) == len(columns)]
        self._footer(columns, rows, cut=False)

    def _fields(self) -> Iterator[tuple[str, str]]:
        while self._at < len(self._lines):
            line = self._lines[self._at]
            found = _FIELD.fullmatch(line)
            if found is None or _VERTICAL.fullmatch(line) or _FOOTER.fullmatch(line):
                return
            self._at += 1
            yield found[1], found[2]

    def _take_row(self) -> str | None:
        """The next row; a value with line ends goes over several lines."""
        if not self._peek().startswith("|"):
            return None
        start = self._at
        self._at += 1
        while not self._lines[self._at - 1].endswith("|") and self._at < len(self._lines):
            if _BORDER.fullmatch(self._peek()):
                break
            self._at += 1
        return "\n".join(self._lines[start : self._at])

    def _cells(self, row: str, ends: Sequence[int]) -> list[str]:
        """A row's cells, by the border's columns; where it is of another width, by its bars."""
        if len(row) == ends[-1] + 1 and all(row[end] == "|" for end in ends):
            return [row[a + 1 : b] for a, b in itertools.pairwise(ends)]
        return row.strip("|").split("|")

    def _peek(self) -> str:
        return self._lines[self._at] if self._at < len(self._lines) else ""


def _begins_result(line: str) -> bool:
    return any(
        pattern.match(line) for pattern in (_BORDER, _EMPTY, _OK, _ERROR, _CHANGED, _VERTICAL)
    )


def _value(cell: str) -> Cell:
    text = cell[1:] if cell.startswith(" ") else cell
    text = text.strip() if _NUMBER.fullmatch(text.strip()) else text.rstrip()
    return None if text.strip() == "NULL" else text


def _numeric(rows: Sequence[Sequence[str]], index: int) -> bool:
    values = [row[index] for row in rows if row[index].strip() != "NULL"]
    return bool(values) and all(
        _NUMBER.fullmatch(value.strip()) and value.endswith(" ") and not value.endswith("  ")
        for value in values
    )


def _side(rows: Sequence[Sequence[str]], index: int) -> str:
    values = [row[index] for row in rows if row[index].strip()]
    if any(value.endswith("  ") for value in values):
        return "left"
    return "right" if any(value.startswith("  ") for value in values) else "full"


def _short(line: str) -> str:
    return repr(line if len(line) <= 60 else line[:57] + "...")
