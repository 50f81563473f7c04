"""Probes: what is in a session's databases, read by the administrator, off the record.

Uncommitted changes count: the agent sees them. Nothing that the session can ask about (its last
error, row counts, found rows) changes, for the session's connection is not used.
"""

import hashlib
import json
from collections.abc import Sequence

from plumb_backends.kinds.mysql import SYSTEM_SCHEMAS
from plumb_backends.real.sql.server import Server

_MOST_ROWS = 100_000
_CAPTURED_ROWS = 50
_SEE_UNCOMMITTED = "SET SESSION TRANSACTION ISOLATION LEVEL READ UNCOMMITTED"


async def probe_tables(server: Server, prefix: str) -> dict[str, str]:
    """How each table and view is made: `shop.orders` -> its CREATE statement."""
    facts = {}
    for database, table in await _tables(server, prefix):
        (row,) = await server.ask(f"SHOW CREATE TABLE {_quoted(database)}.{_quoted(table)}")
        facts[_key(database, table, prefix)] = str(row[1]).replace(prefix, "")
    return facts


async def probe_rows(server: Server, prefix: str) -> dict[str, str]:
    """What each table holds: `shop.orders` -> how many rows, and a digest that ignores order."""
    facts = {}
    for database, table in await _tables(server, prefix):
        rows = await server.ask(
            _SEE_UNCOMMITTED,
            f"SELECT * FROM {_quoted(database)}.{_quoted(table)} LIMIT {_MOST_ROWS}",  # noqa: S608
        )
        facts[_key(database, table, prefix)] = f"{len(rows)} rows, sha256 {_digest(rows)}"
    return facts


async def capture_tables(server: Server, prefix: str) -> str:
    """How each table and view is made, and its first rows, as the table itself orders them."""
    parts = []
    for database, table in await _tables(server, prefix):
        name = f"{_quoted(database)}.{_quoted(table)}"
        (made,) = await server.ask(f"SHOW CREATE TABLE {name}")
        rows = await server.ask(f"SELECT * FROM {name} LIMIT {_CAPTURED_ROWS + 1}")  # noqa: S608
        shown = [f"    {json.dumps(row, default=_plain, ensure_ascii=False)}"
                 for row in rows[:_CAPTURED_ROWS]]  # fmt: skip
        if len(rows) > _CAPTURED_ROWS:
            shown.append(f"    (and more; the first {_CAPTURED_ROWS} are shown)")
        key = _key(database, table, prefix)
        create = str(made[1]).replace(prefix, "")
        parts.append("\n".join([f"{key}:", create, f"rows of {key}:", *(shown or ["    (none)"])]))
    return "\n\n".join(parts)


def _plain(cell: object) -> str:
    """A value that JSON has not."""
    return f"0x{cell.hex().upper()}" if isinstance(cell, (bytes, bytearray)) else str(cell)


async def _tables(server: Server, prefix: str) -> list[tuple[str, str]]:
    rows = await server.ask(
        "SELECT TABLE_SCHEMA, TABLE_NAME FROM information_schema.TABLES ORDER BY 1, 2"
    )
    names = [(str(schema), str(table)) for schema, table in rows]
    return [
        (schema, table)
        for schema, table in names
        if schema.startswith(prefix) and schema.lower() not in SYSTEM_SCHEMAS
    ]


def _digest(rows: Sequence[tuple[object, ...]]) -> str:
    return hashlib.sha256("\n".join(sorted(map(repr, rows))).encode()).hexdigest()


def _key(database: str, table: str, prefix: str) -> str:
    return f"{database.removeprefix(prefix)}.{table}"


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"
