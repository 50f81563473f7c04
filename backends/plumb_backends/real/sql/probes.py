"""Probes: what is in a session's databases, read by the administrator, off the record.

Uncommitted changes count: the agent sees them. Nothing that the session can ask about (its last
error, row counts, found rows) changes, for the session's connection is not used.
"""

import hashlib
from collections.abc import Sequence

from plumb_backends.kinds.mysql import SYSTEM_SCHEMAS
from plumb_backends.real.sql.server import Server

_MOST_ROWS = 100_000
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
