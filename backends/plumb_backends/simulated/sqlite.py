"""The baseline `sqlite`: SQLite answering as MySQL, its statements translated by sqlglot.

It has a state and computes, and knows nothing of what makes MySQL MySQL: types, modes, coercions,
messages, information_schema. The rendering is that of the real backend, so that only the database
differs.
"""

import asyncio
import functools
import json
import logging
import math
import re
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping, Sequence

from mysql.connector import FieldType

from plumb_backends.environment import Action, Provenance
from plumb_backends.kind import Reply
from plumb_backends.kinds.mysql import MysqlOptions
from plumb_backends.simulated.asking import check_installed
from plumb_backends.simulated.options import BASELINE_PREFIX
from plumb_backends.simulated.stage import Acted
from plumb_backends.sql.rendering import Shown, render_all
from plumb_backends.sql.result import Cell, Column, RawError, RawOk, RawResult, RawRows
from plumb_backends.sql.statements import Statement, split, words_of

_SERVER_MAJOR = 8
_TEXT_CHARSET = 255
_SILENT_WORDS = (b"SET", b"USE", b"LOCK", b"UNLOCK", b"FLUSH", b"GRANT")
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
}
"""What SQLite says -> MySQL's number, state and words."""

_NEAR = re.compile(r"near \"(.+)\": syntax error", re.DOTALL)
_QUOTED_BY_MYSQL = 80


class Sqlite:
    """Plays MySQL; an `Actor`. Its work is done in threads, one statement at a time.

    Args:
        options: The session's.
        scripts: The init scripts; what SQLite cannot do of them is left out.
    """

    def __init__(self, options: MysqlOptions, scripts: Sequence[str]) -> None:
        check_installed("sqlglot")
        self._options = options
        self._scripts = scripts
        self._world: _World | None = None

    async def act(self, action: Action) -> Acted:
        """Runs the action's statements; see `Actor.act`."""
        world = await self._opened()
        shown, timed_out = await _within(
            action.timeout, world, functools.partial(world.run, action.text)
        )
        text = render_all(shown, self._options.rendering, server_major=_SERVER_MAJOR)
        errors = [one.result.errno for one in shown if isinstance(one.result, RawError)]
        facts = {"errno": errors[0] if errors else 0, "seconds": math.inf if timed_out else 0.0}
        return Acted(
            Reply(text, facts),
            Provenance(backend="simulated", model=BASELINE_PREFIX + "sqlite"),
        )

    async def answer(self, suite: str) -> Mapping[str, str]:
        """Answers `schema`, `counts` and `rows`; see `Actor.answer`."""
        world = await self._opened()
        return await asyncio.to_thread(world.facts, suite, self._options.database)

    async def restart(self) -> None:
        """Makes the grounded state anew."""
        await self.close()
        await self._opened()

    async def close(self) -> None:
        """Lets go of the database."""
        world, self._world = self._world, None
        if world is not None:
            await asyncio.to_thread(world.close)

    async def _opened(self) -> "_World":
        if self._world is None:
            world = self._world = _World(self._options.database)
            for script in self._scripts:
                await asyncio.to_thread(world.run, script.encode())
        return self._world


async def _within(
    timeout: float, world: "_World", work: Callable[[], list[Shown]]
) -> tuple[list[Shown], bool]:
    """Works in a thread; at the timeout the statement is stopped, and what came before is given."""
    running = asyncio.create_task(asyncio.to_thread(work))
    done, _ = await asyncio.wait({running}, timeout=timeout)
    if done:
        return running.result(), False
    world.stop()
    return await running, True


class _World:
    """One SQLite database in memory. Not for the event loop's thread."""

    def __init__(self, database: str) -> None:
        self._database = database
        self._stopped = threading.Event()
        self._connection = sqlite3.connect(
            ":memory:", check_same_thread=False, isolation_level=None
        )
        self._connection.execute("PRAGMA foreign_keys = ON")
        logging.getLogger("sqlglot").setLevel(logging.ERROR)  # it warns of all it cannot translate
        self._connection.create_function("SLEEP", 1, self._sleep)
        self._connection.create_function("REPEAT", 2, lambda text, count: str(text) * int(count))
        self._connection.create_function("CONCAT", -1, _concat, deterministic=True)

    def run(self, action: bytes) -> list[Shown]:
        """Runs statements until the end, the first error of a script, or `stop`."""
        self._stopped.clear()
        shown: list[Shown] = []
        for statement in split(action):
            if self._stopped.is_set():
                break
            result = self._run(statement)
            if result is None:
                break
            shown.append(Shown(result, statement.vertical))
        return shown

    def stop(self) -> None:
        """Stops what runs; from any thread."""
        self._stopped.set()
        self._connection.interrupt()

    def close(self) -> None:
        self._connection.close()

    def facts(self, suite: str, database: str) -> dict[str, str]:
        """What a probe suite asks."""
        tables = self._connection.execute(
            "SELECT name, sql FROM sqlite_master WHERE type IN ('table', 'view') "
            "AND name NOT LIKE 'sqlite_%'"
        ).fetchall()
        if suite == "schema":
            return {f"{database}.{name}": str(made) for name, made in tables}
        facts = {}
        for name, _ in tables:
            rows = self._connection.execute(f'SELECT * FROM "{name}" ORDER BY 1').fetchall()  # noqa: S608
            key, width = f"{database}.{name}", len(str(len(rows)))
            if suite == "counts":
                facts[key] = f"{len(rows)} rows"
            else:
                facts |= {
                    f"{key} {number:0{width}}": json.dumps(row, default=str)
                    for number, row in enumerate(rows, 1)
                }
        return facts

    def _run(self, statement: Statement) -> RawResult | None:
        """One statement's result; None where it was stopped."""
        import sqlglot  # here, in a thread: it takes a third of a second

        if next(words_of(statement.text, 1), b"") in _SILENT_WORDS:
            return RawOk(changed_database=statement.text.upper().startswith(b"USE"))
        started = time.monotonic()
        text = statement.text.decode(errors="replace")
        try:
            translated = sqlglot.transpile(text, read="mysql", write="sqlite")
        except sqlglot.errors.ParseError as error:
            return _syntax_error(text, str(error.errors[0]["highlight"]) if error.errors else "")
        except (sqlglot.errors.SqlglotError, RecursionError):
            return _syntax_error(text, "")
        if not any(translated):  # SQLite has nothing like it
            return _syntax_error(text, "")
        try:
            cursor = self._connection.execute(";".join(translated))
            rows = cursor.fetchall() if cursor.description else None
        except (sqlite3.Error, sqlite3.Warning, OverflowError) as error:
            return None if self._stopped.is_set() else self._error(error, text)
        duration = time.monotonic() - started
        if rows is None:
            return RawOk(
                affected_rows=max(0, cursor.rowcount),
                last_insert_id=cursor.lastrowid or 0,
                duration=duration,
            )
        return _rows([column[0] for column in cursor.description], rows, duration)

    def _error(self, error: Exception, statement: str) -> RawError:
        for pattern, (errno, sqlstate, message) in _FROM_SQLITE.items():
            if found := re.search(pattern, str(error)):
                text = message.format(found[1], database=self._database)
                return RawError(errno=errno, sqlstate=sqlstate, message=text)
        near = _NEAR.search(str(error))
        return _syntax_error(statement, near[1] if near else "")

    def _sleep(self, seconds: float) -> int:
        self._stopped.wait(float(seconds))
        return 0


def _syntax_error(statement: str, near: str) -> RawError:
    """MySQL quotes the statement from where it does not understand it."""
    start = max(0, statement.find(near)) if near else 0
    line = statement.count("\n", 0, start) + 1
    return RawError(
        errno=1064,
        sqlstate="42000",
        message="You have an error in your SQL syntax; check the manual that corresponds to your "
        "MySQL server version for the right syntax to use near "
        f"'{statement[start:][:_QUOTED_BY_MYSQL]}' at line {line}",
    )


def _rows(names: Sequence[str], rows: Sequence[Sequence[object]], duration: float) -> RawRows:
    columns = tuple(_column(name, [row[index] for row in rows]) for index, name in enumerate(names))
    cells = [tuple(map(_cell, row)) for row in rows]
    size = sum(len(cell) for row in cells for cell in row if cell is not None)
    return RawRows(
        columns=columns, rows=cells, total_rows=len(cells), kept_bytes=size, duration=duration
    )


def _column(name: str, values: Sequence[object]) -> Column:
    known = [value for value in values if value is not None]
    if known and all(isinstance(value, int) for value in known):
        return Column(name=name, type_code=FieldType.LONGLONG)
    if known and all(isinstance(value, (int, float)) for value in known):
        return Column(name=name, type_code=FieldType.DOUBLE)
    return Column(name=name, type_code=FieldType.VAR_STRING, charset=_TEXT_CHARSET)


def _cell(value: object) -> Cell:
    if value is None:
        return None
    return value if isinstance(value, bytes) else str(value).encode(errors="replace")


def _concat(*parts: object) -> str | None:
    return None if None in parts else "".join(map(str, parts))
