"""What a statement returned, as the server sent it: the input of every rendering."""

import dataclasses
from collections.abc import Sequence

Cell = bytes | None
"""One value in the text protocol; None for NULL."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """What the server says about a column.

    Attributes:
        name: Its name or alias.
        type_code: The type on the wire, a `mysql.connector.FieldType`.
        flags: The bits of `mysql.connector.constants.FieldFlag`.
        charset: The collation's number; 63 for binary data.
    """

    name: str
    type_code: int
    flags: int = 0
    charset: int = 255


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RawRows:
    """A result with columns; it may have no rows.

    Attributes:
        columns: At least one.
        rows: As many cells as columns each.
        total_rows: How many rows the server sent; more than `rows` where some were dropped.
        kept_bytes: How large `rows` are, together.
        dropped_bytes: How large the others were.
        is_complete: False where the statement was stopped in the middle; its error follows.
        warnings: How many warnings the statement raised.
        duration: Seconds from sending to the last row.
    """

    columns: tuple[Column, ...]
    rows: Sequence[tuple[Cell, ...]]
    total_rows: int
    kept_bytes: int = 0
    dropped_bytes: int = 0
    is_complete: bool = True
    warnings: int = 0
    duration: float = 0.0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RawOk:
    """A statement without columns that succeeded.

    Attributes:
        affected_rows: How many rows it changed.
        last_insert_id: The first AUTO_INCREMENT value made; 0 for none.
        warnings: How many warnings it raised.
        info: What the server adds, such as `Rows matched: 1  Changed: 1  Warnings: 0`.
        changed_database: Whether it was `USE`; the client says `Database changed` then.
        duration: Seconds.
    """

    affected_rows: int = 0
    last_insert_id: int = 0
    warnings: int = 0
    info: str = ""
    changed_database: bool = False
    duration: float = 0.0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RawError:
    """A statement that failed, by the server's or the client's own word.

    Attributes:
        errno: MySQL's error number.
        sqlstate: Five characters; empty for the client's own errors.
        message: What the server said.
    """

    errno: int
    sqlstate: str
    message: str


RawResult = RawRows | RawOk | RawError
