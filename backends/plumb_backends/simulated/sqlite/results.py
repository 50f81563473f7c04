"""From SQLite's rows and errors to MySQL's."""

import re
from collections.abc import Sequence

from mysql.connector import FieldType

from plumb_backends.sql.result import Cell, Column, RawError, RawRows

_TEXT_CHARSET = 255
_CELL_BYTES = 16
"""What a cell costs beside its content, so that empty ones are not for nothing."""

_QUOTED_BY_MYSQL = 80
_MAX_SAID = 1000
_FROM_SQLITE = {
    r"no such table: (?:\w+\.)?(.+)": (1146, "42S02", "Table '{database}.{0}' doesn't exist"),
    r"no such column: (.+)": (1054, "42S22", "Unknown column '{0}' in 'field list'"),
    r"table [`\"]?(\w+)[`\"]? already exists": (1050, "42S01", "Table '{0}' already exists"),
    r"UNIQUE constraint failed: (.+)": (1062, "23000", "Duplicate entry for key '{0}'"),
    r"NOT NULL constraint failed: \w+\.(.+)": (1048, "23000", "Column '{0}' cannot be null"),
    r"FOREIGN KEY constraint failed()": (
        1452,
        "23000",
        "Cannot add or update a child row: a foreign key constraint fails",
    ),
    r"ambiguous column name: (.+)": (1052, "23000", "Column '{0}' in field list is ambiguous"),
    r"no such function: (.+)": (1305, "42000", "FUNCTION {database}.{0} does not exist"),
    r"not authorized to use function: (.+)": (
        1305,
        "42000",
        "FUNCTION {database}.{0} does not exist",
    ),
    r"not authorized()|prohibited()": (
        1227,
        "42000",
        "Access denied; you need (at least one of) the SUPER privilege(s) for this operation",
    ),
    r"string or blob too big()": (
        1153,
        "08S01",
        "Got a packet bigger than 'max_allowed_packet' bytes",
    ),
    r"database or disk is full()": (1114, "HY000", "The table is full"),
}
"""What SQLite says -> MySQL's number, state and words."""

_NEAR = re.compile(r"near \"(.+)\": syntax error", re.DOTALL)

OUT_OF_MEMORY = RawError(
    errno=1037,
    sqlstate="HY001",
    message="Out of memory; restart server and try again",
)


class Kept:
    """Collects a result's rows; beyond a budget they are counted and dropped.

    Args:
        budget: How many bytes may be kept.
    """

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self._rows: list[Sequence[object]] = []
        self._kept = self._dropped = self._total = 0
        self._is_full = False

    @property
    def cost(self) -> int:
        """What the kept rows take of the budget."""
        return self._kept

    def add(self, row: Sequence[object]) -> None:
        """Takes the next row."""
        self._total += 1
        size = sum(map(_size, row))
        if self._is_full or self._kept + size > self._budget:
            self._is_full = True
            self._dropped += size
            return
        self._kept += size
        self._rows.append(row)

    def result(self, names: Sequence[str], duration: float) -> RawRows:
        """The result so far."""
        cells = [tuple(map(_cell, row)) for row in self._rows]
        return RawRows(
            columns=tuple(_column(name, index, self._rows) for index, name in enumerate(names)),
            rows=cells,
            total_rows=self._total,
            kept_bytes=self._kept,
            dropped_bytes=self._dropped,
            duration=duration,
        )


def _size(value: object) -> int:
    return _CELL_BYTES + (len(value) if isinstance(value, (str, bytes)) else 0)


def _column(name: str, index: int, rows: Sequence[Sequence[object]]) -> Column:
    known = [row[index] for row in rows if row[index] is not None]
    if known and all(isinstance(value, int) for value in known):
        return Column(name=name, type_code=FieldType.LONGLONG)
    if known and all(isinstance(value, (int, float)) for value in known):
        return Column(name=name, type_code=FieldType.DOUBLE)
    return Column(name=name, type_code=FieldType.VAR_STRING, charset=_TEXT_CHARSET)


def _cell(value: object) -> Cell:
    if value is None:
        return None
    return value if isinstance(value, bytes) else str(value).encode(errors="replace")


def to_error(said: str, statement: str, database: str) -> RawError:
    """What MySQL would say where SQLite said this."""
    said = said[:_MAX_SAID]
    for pattern, (errno, sqlstate, message) in _FROM_SQLITE.items():
        if found := re.search(pattern, said):
            text = message.format(found[1], database=database)
            return RawError(errno=errno, sqlstate=sqlstate, message=text)
    near = _NEAR.search(said)
    return syntax_error(statement, near[1] if near else "")


def syntax_error(statement: str, near: str) -> RawError:
    """MySQL quotes the statement from where it does not understand it."""
    start = max(0, statement.find(near)) if near else 0
    line = statement.count("\n", 0, start) + 1
    return RawError(
        errno=1064,
        sqlstate="42000",
        message="You have an error in your SQL syntax; check the manual that corresponds to your "
        "MySQL server version for the right syntax to use near "
        f"'{statement[start : start + _QUOTED_BY_MYSQL]}' at line {line}",
    )
