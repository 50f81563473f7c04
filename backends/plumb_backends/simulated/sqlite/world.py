"""One session's database: statements of MySQL, run by SQLite. Only in a session's process."""

import json
import sqlite3
import time
from collections.abc import Sequence
from functools import partial

import sqlglot

from plumb_backends.kinds.mysql import Rendering
from plumb_backends.simulated.sqlite.clock import Clock
from plumb_backends.simulated.sqlite.confinement import MAX_VALUE_BYTES, confine_database
from plumb_backends.simulated.sqlite.results import (
    OUT_OF_MEMORY,
    Kept,
    syntax_error,
    to_error,
)
from plumb_backends.sql.rendering import Shown, render_all
from plumb_backends.sql.result import RawError, RawOk, RawResult
from plumb_backends.sql.statements import DEFAULT_DELIMITER, Rules, Statement, split, words_of

_SERVER_MAJOR = 8
_RULES = Rules(sends_comments=False, has_dollar_quotes=False)
_SILENT_WORDS = (b"SET", b"USE", b"LOCK", b"UNLOCK", b"FLUSH", b"GRANT")
_KEEP_BYTES = 2 * 1024 * 1024
"""What the rows of one action may take together; further ones are counted and dropped."""

_FACTS_BYTES = 2 * 1024 * 1024
_INSTRUCTIONS_BETWEEN_CHECKS = 10_000
_LONGEST_SLEEP = 86_400.0


class World:
    """One database in memory.

    Args:
        database: Its name, as errors say it.
        clock: Stops what takes too long.
    """

    def __init__(self, database: str, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._delimiter = DEFAULT_DELIMITER
        self._connection = sqlite3.connect(":memory:", isolation_level=None)
        self._connection.create_function("SLEEP", 1, _sleep)
        self._connection.create_function("REPEAT", 2, _repeat)
        self._connection.create_function("CONCAT", -1, _concat, deterministic=True)
        self._connection.set_progress_handler(clock.check, _INSTRUCTIONS_BETWEEN_CHECKS)
        confine_database(self._connection)

    def close(self) -> None:
        """Lets go of the database."""
        self._connection.close()

    def run(self, action: bytes, seconds: float) -> list[Shown]:
        """Runs an action's statements, until its time is over; that one has no result."""
        shown: list[Shown] = []
        self._clock.limit(seconds, lambda: self._run_all(action, shown))
        return shown

    def _run_all(self, action: bytes, shown: list[Shown]) -> None:
        found = split(action, self._delimiter, _RULES)
        self._delimiter = found.delimiter
        left = _KEEP_BYTES
        for statement in found.statements:
            result, cost = self._run(statement, left)
            if self._clock.is_over:
                return
            left -= cost
            shown.append(Shown(result, statement.vertical))

    def _run(self, statement: Statement, left: int) -> tuple[RawResult, int]:
        """One statement's result, and what its rows cost."""
        if not statement.text:
            return RawError(errno=0, sqlstate="", message=statement.problem), 0
        if next(words_of(statement.text, 1), b"") in _SILENT_WORDS:
            return RawOk(changed_database=statement.text[:3].upper() == b"USE"), 0
        text = statement.text.decode(errors="replace")
        try:
            return self._execute(_translated(text), left)
        except _Untranslatable as error:
            return syntax_error(text, error.near), 0
        except MemoryError:
            return OUT_OF_MEMORY, 0
        except (sqlite3.Error, sqlite3.Warning, OverflowError) as error:
            return to_error(str(error), text, self._database), 0

    def _execute(self, translated: str, left: int) -> tuple[RawResult, int]:
        started = time.monotonic()
        cursor = self._connection.execute(translated)
        if cursor.description is None:
            return RawOk(
                affected_rows=max(0, cursor.rowcount),
                last_insert_id=cursor.lastrowid or 0,
                duration=time.monotonic() - started,
            ), 0
        kept = Kept(left)
        for row in cursor:
            kept.add(row)
        names = [column[0] for column in cursor.description]
        return kept.result(names, time.monotonic() - started), kept.cost

    # Probes.

    def facts(self, suite: str, seconds: float) -> dict[str, str]:
        """What a probe suite asks; of what cannot be read in time, that it cannot."""
        facts: dict[str, str] = {}
        left = _FACTS_BYTES
        ends = time.monotonic() + seconds
        for name, made in self._tables():
            key = f"{self._database}.{name}"
            found = {key: made} if suite == "schema" else {key: "cannot be read in time"}
            if suite != "schema":
                read = partial(self._read, name, key, suite, left, found)
                self._clock.limit(ends - time.monotonic(), read)
            left -= sum(len(fact) + len(value) for fact, value in found.items())
            facts |= found
        return facts

    def _tables(self) -> list[tuple[str, str]]:
        rows = self._connection.execute(
            "SELECT name, sql FROM sqlite_master WHERE type IN ('table', 'view') "
            "AND name NOT LIKE 'sqlite_%'"
        )
        return [(str(name), str(made)) for name, made in rows]

    def _read(self, name: str, key: str, suite: str, left: int, found: dict[str, str]) -> None:
        """Reads one table or view, and says in `found` what came of it."""
        try:
            facts = self._facts_of(name, key, suite, left)
        except (sqlite3.Error, MemoryError) as error:
            facts = {key: f"cannot be read: {error or 'out of memory'}"}
        if not self._clock.is_over:
            found.clear()
            found |= facts

    def _facts_of(self, name: str, key: str, suite: str, left: int) -> dict[str, str]:
        quoted = '"' + name.replace('"', '""') + '"'
        if suite == "counts":
            (count,) = self._connection.execute(f"SELECT COUNT(*) FROM {quoted}").fetchone()  # noqa: S608
            return {key: f"{count} rows"}
        return _rows_of(
            self._connection.execute(f"SELECT * FROM {quoted} ORDER BY 1"),  # noqa: S608
            key,
            left,
        )


def _rows_of(cursor: sqlite3.Cursor, key: str, left: int) -> dict[str, str]:
    rows: list[str] = []
    for row in cursor:
        rows.append(json.dumps(row, default=str))
        left -= len(rows[-1]) + len(key)
        if left < 0:
            rows[-1] = "[... further rows cut ...]"
            break
    width = len(str(len(rows)))
    return {f"{key} {number:0{width}}": row for number, row in enumerate(rows, 1)}


class _Untranslatable(Exception):
    """A statement that is not MySQL's, or that SQLite has nothing for."""

    def __init__(self, near: str) -> None:
        super().__init__(near)
        self.near = near


def _translated(text: str) -> str:
    try:
        translated = sqlglot.transpile(text, read="mysql", write="sqlite")
    except sqlglot.errors.ParseError as error:
        near = str(error.errors[0]["highlight"]) if error.errors else ""
        raise _Untranslatable(near) from None
    except (sqlglot.errors.SqlglotError, RecursionError):
        raise _Untranslatable("") from None
    if not any(translated):
        raise _Untranslatable("")
    return ";".join(translated)


def render(shown: Sequence[Shown], rendering: Rendering) -> str:
    """What the client prints for an action."""
    return render_all(shown, rendering, server_major=_SERVER_MAJOR)


def errno_of(shown: Sequence[Shown]) -> int:
    """The number of the first error; 0 without one."""
    errors = (one.result.errno for one in shown if isinstance(one.result, RawError))
    return next(errors, 0)


# MySQL's functions that SQLite has not. What would be too large is NULL, as in MySQL.


def _sleep(seconds: object) -> int:
    if isinstance(seconds, (int, float)):
        time.sleep(min(max(0.0, float(seconds)), _LONGEST_SLEEP))
    return 0


def _repeat(text: object, count: object) -> str | None:
    if text is None or not isinstance(count, (int, float)):
        return None
    once = str(text)
    times = max(0, min(int(count), MAX_VALUE_BYTES + 1))
    return once * times if len(once) * times <= MAX_VALUE_BYTES else None


def _concat(*parts: object) -> str | None:
    if None in parts:
        return None
    texts = list(map(str, parts))
    return "".join(texts) if sum(map(len, texts)) <= MAX_VALUE_BYTES else None
