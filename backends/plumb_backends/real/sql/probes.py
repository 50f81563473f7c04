"""What is in a session's databases: the probes `schema`, `counts` and `rows`, and captures.

Nothing that the session can ask about (its last error, row counts, found rows) changes, for the
session's connection is not used; temporary tables, which belong to that, are not seen.
"""

import json
from collections.abc import Callable, Coroutine

from plumb_backends.environment import SqlCell, Temporal
from plumb_backends.kinds.mysql import SYSTEM_SCHEMAS
from plumb_backends.real.sql.account import quoted, text_literal
from plumb_backends.real.sql.reader import Broken, Reader, Rows
from plumb_backends.snapshot import Entry, Snapshot

ROOM = 2 * 1024**2
"""Bytes of rows that a probe tells, all tables together."""

_CAPTURED_ROWS = 50
_PROBED_ROWS = 10_000
_MOST_ROW_CHARACTERS = 1000
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

Facts = dict[str, str]


async def capture(reader: Reader) -> Snapshot:
    """Captures every object: how it is made, how many rows it has, and the first of them."""
    entries = []
    for key, create in (await schema(reader)).items():
        entries.append(Entry(key, {"type": "made so", "content": create + "\n"}))
    for database, table in await _tables(reader):
        total = await _count(reader, database, table)
        try:
            found = await _rows(reader, database, table, _CAPTURED_ROWS)
        except Broken:  # how it is made is told all the same
            continue
        content = "".join(f"{_json(row)[:_MOST_ROW_CHARACTERS]}\n" for row in found.rows)
        fields = {"type": total} | ({"content": content} if found.rows else {})
        if total != f"{len(found.rows)} rows":
            fields["type"] += f", of which the first {len(found.rows)} are told"
        entries.append(Entry(f"{database}.{table} holds", fields))
    return Snapshot(tuple(sorted(entries, key=lambda entry: entry.key)))


async def schema(reader: Reader) -> Facts:
    """How each object is made: `shop.orders` -> its CREATE statement."""
    facts: Facts = {}
    for database, table in await _tables(reader):
        create = await _create(reader, "TABLE", database, table)
        if create:
            facts[f"{database}.{table}"] = create
    for kind, query in _OBJECTS.items():
        for database, name in await _owned(reader, query):
            create = await _create(reader, kind, database, name)
            if create:
                facts[f"{database}.{name} ({kind.lower()})"] = create
    return facts


async def counts(reader: Reader) -> Facts:
    """How many rows each table and view has: `shop.orders` -> `12 rows`."""
    return {
        f"{database}.{table}": await _count(reader, database, table)
        for database, table in await _tables(reader)
    }


async def rows(reader: Reader) -> Facts:
    """What each table and view holds: `shop.orders 1` -> its first row, as JSON.

    In the order of the primary key, or of all columns where there is none; at most
    `_PROBED_ROWS` each, and `ROOM` bytes in all. What is cut is said: `shop.orders (cut)`.
    """
    facts: Facts = {}
    for database, table in await _tables(reader):
        key = f"{database}.{table}"
        try:
            found = await _rows(reader, database, table, _PROBED_ROWS + 1)
        except Broken as error:
            facts[f"{key} (cut)"] = f"its rows cannot be read: {error}"
            continue
        told = found.rows[:_PROBED_ROWS]
        width = len(str(len(told)))
        facts |= {f"{key} {number:0{width}}": _json(row) for number, row in enumerate(told, 1)}
        if found.is_cut or len(found.rows) > len(told):
            facts[f"{key} (cut)"] = (
                f"only the first {len(told)} rows are told: a probe tells {_PROBED_ROWS} of each "
                f"table, and {ROOM} bytes of all together"
            )
    return facts


SUITES: dict[str, Callable[[Reader], Coroutine[None, None, Facts]]] = {
    "schema": schema,
    "counts": counts,
    "rows": rows,
}


async def _create(reader: Reader, kind: str, database: str, name: str) -> str:
    reader.asked = f"{database}.{name}"
    try:
        found = await reader.rows(f"SHOW CREATE {kind} {quoted(database)}.{quoted(name)}")
    except Broken:  # it went away meanwhile, or what it stands on did
        return ""
    if not found.rows:
        return "(cut: there is too much to tell)"
    return str(found.rows[0][_CREATE_COLUMN.get(kind, 1)])


async def _count(reader: Reader, database: str, table: str) -> str:
    reader.asked = f"{database}.{table}"
    query = f"SELECT COUNT(*) FROM {quoted(database)}.{quoted(table)}"  # noqa: S608
    try:
        ((count,),) = await reader.list(query)
    except Broken as error:
        # A view of what is gone has none; what cannot be counted is not empty.
        return "0 rows" if error.is_gone else f"its rows cannot be counted: {error}"
    return f"{int(str(count))} rows"


async def _rows(reader: Reader, database: str, table: str, most: int) -> Rows:
    reader.asked = f"{database}.{table}"
    columns = await reader.list(
        "SELECT COLUMN_NAME, COLUMN_KEY = 'PRI' FROM information_schema.COLUMNS "  # noqa: S608
        f"WHERE TABLE_SCHEMA = {text_literal(database)} "
        f"AND TABLE_NAME = {text_literal(table)} "
        "ORDER BY ORDINAL_POSITION"
    )
    if not columns:  # a view of what is gone
        return Rows((), is_cut=False)
    keys = [str(name) for name, is_key in columns if is_key] or [str(name) for name, _ in columns]
    order = ", ".join(map(quoted, keys))
    try:
        return await reader.rows(
            f"SELECT * FROM {quoted(database)}.{quoted(table)} "  # noqa: S608
            f"ORDER BY {order} LIMIT {most}"
        )
    except Broken as error:
        if not error.is_gone:
            raise
        return Rows((), is_cut=False)


def _json(row: tuple[SqlCell, ...]) -> str:
    return json.dumps(row, default=_plain, ensure_ascii=False)


def _plain(cell: object) -> str:
    """A value that JSON has not."""
    if isinstance(cell, Temporal):
        return cell.text
    return f"0x{cell.hex().upper()}" if isinstance(cell, bytes) else str(cell)


async def _tables(reader: Reader) -> list[tuple[str, str]]:
    return await _owned(reader, "SELECT TABLE_SCHEMA, TABLE_NAME FROM information_schema.TABLES")


async def _owned(reader: Reader, query: str) -> list[tuple[str, str]]:
    reader.asked = ""
    names = [(str(schema), str(name)) for schema, name in await reader.list(query)]
    # `SYS` is a database like any other, where names are told apart by case.
    return sorted(one for one in names if one[0] not in SYSTEM_SCHEMAS)
