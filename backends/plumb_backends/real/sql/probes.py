"""What is in a session's databases, read by the administrator, off the record.

Uncommitted changes count: the agent sees them. Nothing that the session can ask about (its last
error, row counts, found rows) changes, for the session's connection is not used.
"""

import json

from plumb_backends.kinds.mysql import SYSTEM_SCHEMAS
from plumb_backends.real.sql.server import Refused, Server
from plumb_backends.snapshot import Entry, Snapshot

_CAPTURED_ROWS = 50
_PROBED_ROWS = 10_000
_MOST_ROW_CHARACTERS = 1000
_SEE_UNCOMMITTED = "SET SESSION TRANSACTION ISOLATION LEVEL READ UNCOMMITTED"
_OBJECTS = {
    "TRIGGER": "SELECT TRIGGER_SCHEMA, TRIGGER_NAME FROM information_schema.TRIGGERS",
    "PROCEDURE": "SELECT ROUTINE_SCHEMA, ROUTINE_NAME FROM information_schema.ROUTINES "
    "WHERE ROUTINE_TYPE = 'PROCEDURE'",
    "FUNCTION": "SELECT ROUTINE_SCHEMA, ROUTINE_NAME FROM information_schema.ROUTINES "
    "WHERE ROUTINE_TYPE = 'FUNCTION'",
    "EVENT": "SELECT EVENT_SCHEMA, EVENT_NAME FROM information_schema.EVENTS",
}
"""What else there is beside tables and views -> who has it."""

_CREATE_COLUMN = {"TRIGGER": 2, "PROCEDURE": 2, "FUNCTION": 2, "EVENT": 3}


async def capture_databases(server: Server, prefix: str) -> Snapshot:
    """Captures every object: how it is made, how many rows it has, and the first of them."""
    entries = []
    for key, create in (await probe_schema(server, prefix)).items():
        entries.append(Entry(key, {"type": "made so", "content": create + "\n"}))
    for database, table in await _tables(server, prefix):
        key = _key(database, table, prefix)
        total = await _count(server, database, table)
        rows = await _rows(server, database, table, _CAPTURED_ROWS)
        content = "".join(f"{row[:_MOST_ROW_CHARACTERS]}\n" for row in rows)
        fields = {"type": f"{total} rows"} | ({"content": content} if rows else {})
        if total > len(rows):
            fields["type"] += f", of which the first {len(rows)} are told"
        entries.append(Entry(f"{key} holds", fields))
    return Snapshot(tuple(sorted(entries, key=lambda entry: entry.key)))


async def probe_schema(server: Server, prefix: str) -> dict[str, str]:
    """How each object is made: `shop.orders` -> its CREATE statement."""
    facts = {}
    for database, table in await _tables(server, prefix):
        (row,) = await server.ask(f"SHOW CREATE TABLE {_quoted(database)}.{_quoted(table)}")
        facts[_key(database, table, prefix)] = _logical(row[1], prefix)
    for kind, query in _OBJECTS.items():
        for database, name in await _owned(server, query, prefix):
            (row,) = await server.ask(f"SHOW CREATE {kind} {_quoted(database)}.{_quoted(name)}")
            key = f"{_key(database, name, prefix)} ({kind.lower()})"
            facts[key] = _logical(row[_CREATE_COLUMN[kind]], prefix)
    return facts


async def probe_counts(server: Server, prefix: str) -> dict[str, str]:
    """How many rows each table and view has: `shop.orders` -> `12 rows`."""
    return {
        _key(database, table, prefix): f"{await _count(server, database, table)} rows"
        for database, table in await _tables(server, prefix)
    }


async def probe_rows(server: Server, prefix: str) -> dict[str, str]:
    """What each table and view holds: `shop.orders 1` -> its first row, as JSON.

    In the order of the primary key, or of all columns where there is none; at most
    `_PROBED_ROWS` each.
    """
    facts: dict[str, str] = {}
    for database, table in await _tables(server, prefix):
        key = _key(database, table, prefix)
        rows = await _rows(server, database, table, _PROBED_ROWS)
        width = len(str(len(rows)))
        facts |= {f"{key} {number:0{width}}": row for number, row in enumerate(rows, 1)}
    return facts


async def _count(server: Server, database: str, table: str) -> int:
    query = f"SELECT COUNT(*) FROM {_quoted(database)}.{_quoted(table)}"  # noqa: S608
    try:
        ((count,),) = await server.ask(_SEE_UNCOMMITTED, query)
    except Refused:  # a view of what is gone
        return 0
    return int(str(count))


async def _rows(server: Server, database: str, table: str, most: int) -> list[str]:
    columns = await server.ask(
        "SELECT COLUMN_NAME, COLUMN_KEY = 'PRI' FROM information_schema.COLUMNS "  # noqa: S608
        f"WHERE TABLE_SCHEMA = {_text(database)} AND TABLE_NAME = {_text(table)} "
        "ORDER BY ORDINAL_POSITION"
    )
    keys = [str(name) for name, is_key in columns if is_key] or [str(name) for name, _ in columns]
    order = ", ".join(map(_quoted, keys))
    query = (
        f"SELECT * FROM {_quoted(database)}.{_quoted(table)} "  # noqa: S608
        f"ORDER BY {order} LIMIT {most}"
    )
    try:
        rows = await server.ask(_SEE_UNCOMMITTED, query)
    except Refused:
        return []
    return [json.dumps(row, default=_plain, ensure_ascii=False) for row in rows]


def _plain(cell: object) -> str:
    """A value that JSON has not."""
    return f"0x{cell.hex().upper()}" if isinstance(cell, (bytes, bytearray)) else str(cell)


async def _tables(server: Server, prefix: str) -> list[tuple[str, str]]:
    query = "SELECT TABLE_SCHEMA, TABLE_NAME FROM information_schema.TABLES"
    return await _owned(server, query, prefix)


async def _owned(server: Server, query: str, prefix: str) -> list[tuple[str, str]]:
    names = [(str(schema), str(name)) for schema, name in await server.ask(query)]
    return sorted(
        (schema, name)
        for schema, name in names
        if schema.startswith(prefix) and schema.lower() not in SYSTEM_SCHEMAS
    )


def _logical(create: object, prefix: str) -> str:
    text = str(create)
    return text.replace(prefix, "") if prefix else text


def _key(database: str, name: str, prefix: str) -> str:
    return f"{database.removeprefix(prefix)}.{name}"


def _text(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"
