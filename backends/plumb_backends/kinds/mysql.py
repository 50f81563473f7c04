"""The kind `mysql`: a MySQL server, a database on it, and a client connected to that."""

import dataclasses
import enum
import math
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, TypeVar

from plumb_backends.environment import Action, Ending, Observation, SqlCell, SqlDetail, SqlResult
from plumb_backends.errors import InvalidInput
from plumb_backends.kind import Kind, Reply, card_line
from plumb_fidelity import client_table, rules
from plumb_fidelity.client_table import PrintedResult

DEFAULT_DATABASE = "plumb"
DEFAULT_TEXT_BYTES = 64 * 1024
MIN_TEXT_BYTES, MAX_TEXT_BYTES = 1024, 1024 * 1024
DEFAULT_ROWS = 1000
MAX_ROWS = 100_000

SYSTEM_SCHEMAS = ("information_schema", "mysql", "performance_schema", "sys")

MAX_DATABASE_NAME = 46
"""MySQL allows 64 bytes, of which a name on a shared server takes 13 for what makes it unique."""

_DATABASE = re.compile(r"[^\x00-\x1f`/\\.]*[^\x00-\x20`/\\.]")


class Isolation(enum.Enum):
    """How a session is kept apart from others."""

    SHARED = "shared"
    DEDICATED = "dedicated"


class Rendering(enum.Enum):
    """How results become text."""

    CLIENT = "client"
    TUPLES = "tuples"
    JSON = "json"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class MysqlOptions:
    """What a session of this kind can be told.

    Attributes:
        database: The database's name; on a shared server the beginning of it.
        isolation: `DEDICATED`: a server of its own, as root. `SHARED`: one database on a server
            that others use, too: for agents that one trusts. None for the usual one: dedicated,
            unless sessions are on a server that somebody else runs.
        rendering: `CLIENT`: what the interactive `mysql` client prints. `TUPLES`: what AgentBench
            shows, `str(rows)`. `JSON`: one document a result.
        max_text_bytes: The most bytes of `Observation.text` and of `Observation.raw`, each.
        max_rows: The most typed rows of each result.

    Raises:
        InvalidInput: A value is out of its range.
    """

    database: str = DEFAULT_DATABASE
    isolation: Isolation | None = None
    rendering: Rendering = Rendering.CLIENT
    max_text_bytes: int = DEFAULT_TEXT_BYTES
    max_rows: int = DEFAULT_ROWS

    def __post_init__(self) -> None:
        _check_database(self.database)
        if not MIN_TEXT_BYTES <= self.max_text_bytes <= MAX_TEXT_BYTES:
            raise InvalidInput(
                f"mysql.max_text_bytes is {self.max_text_bytes}; "
                f"use {MIN_TEXT_BYTES} to {MAX_TEXT_BYTES}"
            )
        if not 1 <= self.max_rows <= MAX_ROWS:
            raise InvalidInput(f"mysql.max_rows is {self.max_rows}; use 1 to {MAX_ROWS}")


def _check_database(name: str) -> None:
    if len(name.encode()) > MAX_DATABASE_NAME or not _DATABASE.fullmatch(name):
        raise InvalidInput(
            f"mysql.database is {name!r}; use 1 to {MAX_DATABASE_NAME} bytes without control "
            "characters, backticks, dots and slashes"
        )
    if name.lower() in SYSTEM_SCHEMAS:
        raise InvalidInput(f"mysql.database is {name!r}, which is the server's own; use another")


Choice = TypeVar("Choice", bound=enum.Enum)


def choose(field: str, value: str, default: Choice) -> Choice:
    """Reads one of a field's words; empty means the default.

    Raises:
        InvalidInput: There is no such word.
    """
    return _read(field, value, type(default)) if value else default


def choose_isolation(value: str) -> Isolation | None:
    """Reads an isolation; empty means the usual one. Raises as `choose` does."""
    return _read("isolation", value, Isolation) if value else None


def _read(field: str, value: str, words: type[Choice]) -> Choice:
    try:
        return words(value)
    except ValueError:
        allowed = ", ".join(str(choice.value) for choice in words)
        raise InvalidInput(f"mysql.{field} is {value!r}; use one of: {allowed}") from None


_RENDERINGS = {
    Rendering.CLIENT: "Results are printed as the interactive `mysql` client prints them: tables "
    "with borders and `N rows in set (0.00 sec)`, `Empty set (0.00 sec)`, `Query OK, N rows "
    "affected (0.00 sec)` with `Rows matched: ...` where MySQL says so, `Database changed`, "
    "`ERROR 1146 (42S02): Table 'shop.nope' doesn't exist`. An empty line stands between "
    "a result and what follows it, but none behind an error or `Database changed`.",
    Rendering.TUPLES: "Results are printed as Python's `str(cursor.fetchall())`: `[(1, 'a'), "
    "(2, None)]`, `[]` for a statement without rows, and an error as `1146 (42S02): Table "
    "'shop.nope' doesn't exist`.",
    Rendering.JSON: 'Each result is printed as one line of JSON: `{"columns": ["a"], "rows": '
    '[[1]], "total_rows": 1, "warnings": 0}`, `{"affected_rows": 1, "last_insert_id": 0, '
    '"warnings": 0}`, or `{"error": {"errno": 1146, "sqlstate": "42S02", "message": "..."}}`.',
}
_ERRNO = re.compile(r"(?:^|\n)(?:ERROR )?(\d{4}) \((\w{5})\):")
_MOST_ERRNO = 65535
_ENDINGS = (Ending.EXITED, Ending.TIMED_OUT, Ending.OUTPUT_LIMIT, Ending.INTERRUPTED)
_MOST_DIGITS = 400
"""MySQL prints no number longer than that; what claims to be one is a text."""


class _Part:
    """How a MySQL client is played; see `Part`."""

    facts: Mapping[str, Mapping[str, object]] = {
        "errno": {"type": "integer", "description": "MySQL's number of the first error, or 0"},
        "seconds": {
            "type": "number",
            "description": "how long it runs by itself, were it not stopped; 999999 if it would "
            "never end",
        },
        "ending": {
            "type": "string",
            "enum": [ending.value for ending in _ENDINGS],
            "description": "how it ends: `exited` by itself, with an error or without; "
            "`timed_out`: stopped when its time is up; `output_limit`: stopped because it prints "
            "without end; `interrupted`: stopped from outside by Ctrl-C before its time was up, "
            "which only who watches can do",
        },
    }
    endings_how = """\
- Statements that still run when their time is up are stopped: the output is what was printed \
until then, and what would have come later never happens. The session goes on."""
    questions: Mapping[str, str] = {
        "counts": "How many rows does each table and view of the user's databases have? One entry "
        "for each: key `database.table`, value `N rows`.",
        "rows": "What does each table and view of the user's databases hold? One entry for each "
        "row, in the order of the primary key (of all columns without one): key "
        "`database.table 1`, `database.table 2` and so on, value the row as a JSON list, decimals "
        'and dates as texts: `[1, "2.50", null]`.',
        "schema": "Which tables, views, triggers, procedures, functions and events do the user's "
        "databases have? One entry for each: key `database.name` for tables and views, "
        "`database.name (trigger)` and so on for others, value its CREATE statement as SHOW CREATE "
        "prints it.",
    }

    scripts_how = "Each script is SQL: statements for the database in use, ended by semicolons."
    check_how = "a SELECT of one value that is 1 if it is, and 0 if not."

    def role(self, options: MysqlOptions, card: str = "") -> str:
        version = card_line(card, "version") or "8 or later"
        return (
            f"a MySQL server, version {version} with its usual sql_mode, together with the client "
            f"that is connected to it. The database `{options.database}` is in use. "
            f"{_RENDERINGS[options.rendering]} Statements end with `;` (or what DELIMITER "
            "says, or `\\G`), and several give several results, one after the other. One that "
            "fails does not stop those behind it: they run all the same, and give their results."
        )

    def prompt(self, options: MysqlOptions) -> str:
        return rules.mysql(rendering=options.rendering.value).prompt

    def is_table(self, options: MysqlOptions) -> bool:
        return rules.mysql(rendering=options.rendering.value).is_table

    def reads_like_recordings(self, options: MysqlOptions) -> bool:
        return options.rendering is Rendering.CLIENT

    def check(self, action: Action) -> None:
        """Everything can be sent."""

    def check_facts(self, facts: Mapping[str, Any]) -> str:
        if not 0 <= facts.get("errno", 0) <= _MOST_ERRNO:
            return f"errno is {facts['errno']}, not 0 to {_MOST_ERRNO}"
        return ""

    def settle(self, ending: Ending, facts: Mapping[str, Any]) -> Mapping[str, Any]:
        return {**facts, "ending": ending.value}

    def recall(self, text: str, facts: Mapping[str, Any]) -> Mapping[str, Any]:
        said = _ERRNO.search(text)
        errno = int(said[1]) if said else 0
        return {"errno": errno, "seconds": 0, "ending": Ending.EXITED.value, **facts}

    def at_rest(self, facts: Mapping[str, Any], options: MysqlOptions) -> Mapping[str, Any]:
        return {"errno": 0}

    def tidy(self, text: str, ending: Ending) -> str:
        return text.rstrip("\n")

    def printed(self, output: bytes, ending: Ending, options: MysqlOptions) -> bytes:
        text = output.rstrip(b"\n")
        if not text or options.rendering is not Rendering.CLIENT:
            return text
        # The client leaves a line free behind a result, but not behind an error.
        last = text[text.rfind(b"\n") + 1 :]
        is_short = last.startswith(b"ERROR ") or last == b"Database changed"
        return text + (b"\n" if is_short else b"\n\n")

    def on_terminal(
        self, printed: bytes, action: Action, seen: Observation, options: MysqlOptions
    ) -> bytes:
        return printed

    def complete(self, seen: Observation, reply: Reply, options: MysqlOptions) -> Observation:
        printed = client_table.read(seen.text).results if self.is_table(options) else ()
        said = _ERRNO.search(seen.text)
        errno = int(said[1]) if said else int(reply.facts.get("errno", 0))
        detail = SqlDetail(
            results=tuple(_typed(result, options.max_rows) for result in printed),
            errno=errno,
            sqlstate=said[2] if said else "",
        )
        return dataclasses.replace(seen, sql=detail)


def _typed(result: PrintedResult, max_rows: int) -> SqlResult:
    """A printed result with values: numbers are told by standing on the right."""
    rows = tuple(
        tuple(_cell(text, number) for text, number in zip(row, result.numeric, strict=True))
        for row in result.rows[:max_rows]
    )
    return SqlResult(
        columns=result.columns,
        rows=rows,
        total_rows=len(result.rows),
        affected_rows=max(0, result.affected_rows),
        warnings=result.warnings,
    )


def _cell(text: client_table.Cell, is_number: bool) -> SqlCell:
    if text is None or not is_number or len(text) > _MOST_DIGITS:
        return text
    if "e" in text.lower():
        value = float(text)
        return value if math.isfinite(value) else text
    return Decimal(text) if "." in text else int(text)


KIND = Kind(
    name="mysql",
    summary="A client connected to a database of a MySQL server.",
    probe_suites=tuple(sorted(_Part.questions)),
    options_type=MysqlOptions,
    part=_Part(),
)
