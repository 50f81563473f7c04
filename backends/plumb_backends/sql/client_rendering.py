"""What the interactive `mysql` client prints for one result, byte for byte.

Pure. The rules are those of MySQL's client on a terminal, learnt from what it prints: tests replay
recordings of it. Widths count bytes, not characters, and padding counts the cells of a terminal,
but none beyond the basic plane: so columns of other scripts are wider than they need be, and emoji
stand crooked, as they do in the client. Numbers stand on the right, a nullable column is at least
as wide as `NULL`, and binary data is shown as hexadecimal digits.
"""

import unicodedata
from collections.abc import Iterator, Sequence

from mysql.connector import FieldType
from mysql.connector.constants import FieldFlag

from plumb_backends.sql.result import Cell, Column, RawError, RawOk, RawResult, RawRows

MAX_BYTES = 8 * 1024 * 1024
"""What a table may take: one wide cell makes every line of it as wide."""

_NULL = "NULL"
_BINARY_CHARSET = 63
_LAST_OF_THE_BASIC_PLANE = 0xFFFF
_FRAME_LINES = 4
_STARS = 70
_NUMERIC = frozenset(
    {
        FieldType.TINY,
        FieldType.SHORT,
        FieldType.INT24,
        FieldType.LONG,
        FieldType.LONGLONG,
        FieldType.FLOAT,
        FieldType.DOUBLE,
        FieldType.DECIMAL,
        FieldType.NEWDECIMAL,
        FieldType.YEAR,
        FieldType.NULL,
    }
)
_BINARY = frozenset(
    {
        FieldType.BIT,
        FieldType.BLOB,
        FieldType.GEOMETRY,
        FieldType.LONG_BLOB,
        FieldType.MEDIUM_BLOB,
        FieldType.STRING,
        FieldType.TINY_BLOB,
        FieldType.VARCHAR,
        FieldType.VAR_STRING,
        FieldType.VECTOR,
    }
)


def duration_decimals(server_major: int) -> int:
    """How exact the client of a server's version prints durations: milliseconds since 9."""
    return 3 if server_major >= 9 else 2


def render(
    result: RawResult,
    *,
    vertical: bool = False,
    decimals: int = 3,
    max_bytes: int = MAX_BYTES,
) -> str:
    r"""What the client prints for a result, without the line end behind it.

    Args:
        result: What the server sent.
        vertical: Whether the statement ended with `\G`.
        decimals: Of durations; see `duration_decimals`.
        max_bytes: What the rows may take; further ones are cut, and counted.
    """
    match result:
        case RawRows():
            return _render_rows(result, vertical, decimals, max_bytes)
        case RawOk():
            return _render_ok(result, decimals)
        case RawError(errno=0):  # the client's own
            return f"ERROR: \n{result.message}"
        case RawError():
            return f"ERROR {result.errno} ({result.sqlstate}): {result.message}"


def _render_ok(result: RawOk, decimals: int) -> str:
    if result.changed_database:
        return "Database changed"
    rows = _counted(result.affected_rows, "row")
    text = f"Query OK, {rows} affected{_warnings(result.warnings)} {_took(result, decimals)}"
    return f"{text}\n{result.info}" if result.info else text


def _render_rows(result: RawRows, vertical: bool, decimals: int, max_bytes: int) -> str:
    if not result.total_rows and result.is_complete:
        return f"Empty set{_warnings(result.warnings)} {_took(result, decimals)}"
    table = _vertical(result, max_bytes) if vertical else _table(result, max_bytes)
    if not result.is_complete:
        return table
    rows = _counted(result.total_rows, "row")
    return f"{table}\n{rows} in set{_warnings(result.warnings)} {_took(result, decimals)}"


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _warnings(number: int) -> str:
    return f", {_counted(number, 'warning')}" if number else ""


def _took(result: RawOk | RawRows, decimals: int) -> str:
    return f"({format_duration(result.duration, decimals)})"


def format_duration(seconds: float, decimals: int) -> str:
    """Writes a duration as the client does: `1 hour 2 min 3.00 sec`."""
    hours, rest = divmod(seconds, 3600.0)
    minutes, rest = divmod(rest, 60.0)
    parts = []
    if hours:
        parts.append(f"{int(hours)} hour{'s' if hours > 1 else ''}")
    if hours or minutes:
        parts.append(f"{int(minutes)} min")
    parts.append(f"{rest:.{decimals}f} sec")
    return " ".join(parts)


# Tables.


def _table(result: RawRows, max_bytes: int) -> str:
    widths = list(_widths(result.columns, result.rows))
    line_bytes = sum(widths) + 3 * len(widths) + 2
    shown = result.rows[: max(0, max_bytes // line_bytes - _FRAME_LINES)]
    if not shown and line_bytes * _FRAME_LINES > max_bytes:
        return "\n".join(_cut(result, 0))
    border = "+" + "+".join("-" * (width + 2) for width in widths) + "+"
    header = _line(
        f" {_padded(column.name, width)} "
        for column, width in zip(result.columns, widths, strict=True)
    )
    is_right = [column.type_code in _NUMERIC for column in result.columns]
    body = [
        _line(
            f" {_padded(_show(column, cell), width, right=right)} "
            for column, cell, width, right in zip(
                result.columns, row, widths, is_right, strict=True
            )
        )
        for row in shown
    ]
    return "\n".join([border, header, border, *body, *_cut(result, len(shown)), border])


def _line(cells: Iterator[str]) -> str:
    return "|" + "|".join(cells) + "|"


def _cut(result: RawRows, shown: int) -> list[str]:
    """Says how many rows are not shown; the client itself never cuts."""
    cut = result.total_rows - shown
    return [f"[... {_counted(cut, 'row')} cut ...]"] if cut else []


def _widths(columns: Sequence[Column], rows: Sequence[tuple[Cell, ...]]) -> Iterator[int]:
    """The columns' widths: the client takes bytes for cells, and doubles names, too, for digits."""
    for index, column in enumerate(columns):
        least = 0 if column.flags & FieldFlag.NOT_NULL else len(_NULL)
        cells = (len(cell) for row in rows if (cell := row[index]) is not None)
        width = max(least, len(column.name.encode()), *cells, 0)
        yield 2 + 2 * width if _is_binary(column) else width


def _padded(text: str, width: int, *, right: bool = False) -> str:
    space = " " * (width - display_width(text))
    return space + text if right else text + space


def display_width(text: str) -> int:
    """How many cells of a terminal the client believes a text to take."""
    if text.isascii():
        return len(text)
    return sum(map(_cells, text))


def _cells(character: str) -> int:
    if ord(character) > _LAST_OF_THE_BASIC_PLANE:
        return 0
    return 2 if unicodedata.east_asian_width(character) in ("W", "F") else 1


def _is_binary(column: Column) -> bool:
    return column.charset == _BINARY_CHARSET and column.type_code in _BINARY


def _show(column: Column, cell: Cell) -> str:
    if cell is None:
        return _NULL
    if _is_binary(column):
        return "0x" + cell.hex().upper()
    return cell.decode(errors="replace").replace("\0", " ")


# Vertically, for \G.


def _vertical(result: RawRows, max_bytes: int) -> str:
    names = [column.name for column in result.columns]
    width = max(len(name.encode()) for name in names)  # the client takes bytes for cells here, too
    labels = [" " * (width - len(name.encode())) + name for name in names]
    lines: list[str] = []
    shown = 0
    for row in result.rows:
        texts = list(map(_show, result.columns, row))
        max_bytes -= sum(map(len, texts)) + (width + 3) * len(texts) + _STARS
        if max_bytes < 0:
            break
        shown += 1
        lines.append(f"{'*' * 27} {shown}. row {'*' * 27}")
        lines += [f"{label}: {text}" for label, text in zip(labels, texts, strict=True)]
    return "\n".join([*lines, *_cut(result, shown)])
