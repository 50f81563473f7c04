"""Outputs as sections of lines that can be compared, without what is licensed as layout.

A shell's output is one section of lines. What the `mysql` client prints becomes sections for each
result: its columns, its rows (cells joined by `CELL`), and what it says of itself. So text and rows
go through the same alignment, learning and comparison.
"""

import dataclasses
import re
from collections.abc import Sequence

from plumb_fidelity import client_table
from plumb_fidelity.action import Order, prints_inodes, prints_names, sql_order, sql_statements
from plumb_fidelity.licences import NOTHING, Licence, Licences
from plumb_fidelity.orders import order_of
from plumb_fidelity.owners import owners
from plumb_fidelity.shell_licences import of_shell
from plumb_fidelity.sql_licences import of_result

CELL = "\x1f"
"""Between two cells of a row: ASCII's unit separator."""

INFO = " info: "
"""Before what a statement adds to the number of rows; either side may leave it out."""

NULL = "\x00NULL"
"""A cell that is NULL, which the text `NULL` is not."""

QUOTES = str.maketrans("\u2018\u2019\u201c\u201d`\u00b4", "''\"\"''")
"""Typographic quotes, which programs print by their locale."""

_POSITION = re.compile(r"[0-9]{1,9}")
_NAMES_BREAK = re.compile(r"\s+")
_MESSAGE = re.compile(r"[\w./+@-]+(?:\[\d+\])?: ")
_NO_COMMAND = re.compile(
    r"-?(?:ba)?sh: (?!line \d+: |\d+: )(?=[^ ].{0,200}: (?:command )?not found$)"
)
_TRACEBACK = "Traceback (most recent call last):"
_MARKED = re.compile(r" {4,}[~^]+")
_MESSAGES = Licence(columns=True)
_CELL_ESCAPES = str.maketrans({CELL: " ", "\n": "\\n", "\x00": " "})


@dataclasses.dataclass(frozen=True, slots=True)
class Section:
    """A part of an output that is compared by itself.

    Attributes:
        name: `text` or `names` for a shell; `columns`, `rows` or `result` for SQL.
        lines: Normalised, so that equal lines are equal texts.
        order: Whether the order of the lines says anything.
        keys: For rows, the columns that they are sorted by, by index from 0.
        licences: What its lines or cells may differ in.
        owned: The same of each line, where it is known which command printed it; else empty.
    """

    name: str
    lines: tuple[str, ...]
    order: Order
    keys: tuple[int, ...] = ()
    licences: Licences = NOTHING
    owned: tuple[Licences, ...] = ()


def sections(text: str, action: str, *, is_table: bool) -> list[Section]:
    """Cuts an output into its sections; the same action gives both sides the same names."""
    if is_table and text.strip():
        return _table_sections(client_table.read(text), action)
    if prints_names(action):
        if prints_inodes(action):
            names = _with_numbers(_names(text))
            return [Section("names", names, Order(fixed=False), licences=of_shell(action))]
        return [Section("names", _names(text), Order(fixed=False))]
    licences = of_shell(action)
    lines = tuple(line_key(line, licences.at(line)) for line in body_lines(text))
    owned = tuple(map(of_shell, owners(action, lines)))
    return [Section("text", lines, order_of(action), licences=licences, owned=owned)]


def body_lines(text: str) -> list[str]:
    """The lines of a text, without what nobody sees at their ends."""
    lines = [line.rstrip() for line in text.replace("\r\n", "\n").split("\n")]
    if _TRACEBACK in text:  # which part of a line failed is marked by newer Pythons only
        lines = [line for line in lines if not _MARKED.fullmatch(line)]
    while lines and not lines[-1]:
        lines.pop()
    return lines


def line_key(line: str, licence: Licence) -> str:
    """A line without its layout, as far as its licence goes.

    Space is folded, or only the margin's; typographic quotes become plain in messages of programs.
    """
    if licence.columns:
        line = _folded(line)
    elif licence.margin and (found := licence.margin.match(line)):
        line = f"{_folded(found[0])} {line[found.end() :]}".removeprefix(" ")
    if line.endswith("not found"):
        line = _NO_COMMAND.sub("", line, count=1)  # which shell did not find it is no matter
    return line.translate(QUOTES) if not _is_plain(line) and _MESSAGE.match(line) else line


def _folded(line: str) -> str:
    return " ".join(line.split()) if "  " in line or "\t" in line else line.strip()


def _is_plain(line: str) -> bool:
    return line.isascii() and "`" not in line


def _names(text: str) -> tuple[str, ...]:
    """The names that `ls` prints, however many stand in a line; its complaints stay whole."""
    names: list[str] = []
    for line in body_lines(text):
        if line.startswith(("ls: ", "bash: ")):
            names.append(line_key(line, _MESSAGES))
        else:
            names += filter(None, _NAMES_BREAK.split(line))
    return tuple(names)


def _with_numbers(words: Sequence[str]) -> tuple[str, ...]:
    """Joins each name with the number before it; a complaint stands alone."""
    found: list[str] = []
    number = ""
    for word in words:
        if " " in word or number:
            found.append(f"{number} {word}".strip())
            number = ""
        else:
            number = word
    return (*found, number) if number else tuple(found)


def _table_sections(printed: client_table.Printed, action: str) -> list[Section]:
    statements = sql_statements(action)
    found: list[Section] = []
    for at, result in enumerate(printed.results):
        statement = statements[at] if at < len(statements) else ""
        found += _result_sections(result, statement)
    return found


def _result_sections(result: client_table.PrintedResult, statement: str) -> list[Section]:
    order = sql_order(statement)
    said = f"affected {result.affected_rows} warnings {result.warnings}"
    if result.info:
        said += INFO + " ".join(result.info.split())
    if result.errno:
        said = f"error {result.errno} {result.message}"
    fixed = Order(fixed=True)
    # Empty sets have no columns: which there would be cannot be seen, and is not compared.
    columns = tuple(" ".join(name.split()) for name in result.columns)
    return [
        Section("columns", (CELL.join(columns),) if columns else (), fixed),
        Section(
            "rows",
            tuple(map(_row, result.rows)),
            order,
            _key_columns(order, columns),
            of_result(statement, columns, result.sides),
        ),
        Section("result", (said,), fixed),
    ]


def _row(cells: tuple[client_table.Cell, ...]) -> str:
    return CELL.join(
        NULL if cell is None else cell.translate(_CELL_ESCAPES).rstrip() for cell in cells
    )


def _key_columns(order: Order, columns: tuple[str, ...]) -> tuple[int, ...]:
    """The sort keys that can be seen, up to the first that cannot."""
    names = [name.lower() for name in columns]
    found: list[int] = []
    for key in order.keys:
        plain = key.replace("`", "").rpartition(".")[2].strip().lower()
        if _POSITION.fullmatch(key) and 1 <= int(key) <= len(columns):
            found.append(int(key) - 1)
        elif plain in names and " " not in key:
            found.append(names.index(plain))
        else:
            break
    return tuple(found)


def shown(line: str) -> str:
    """A normalised line for people."""
    return line.replace(NULL, "NULL").replace(CELL, " | ")
