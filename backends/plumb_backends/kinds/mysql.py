"""The kind `mysql`: a MySQL server, a database on it, and a client connected to that."""

import dataclasses
import enum
import re
from typing import TypeVar

from plumb_backends.errors import InvalidInput
from plumb_backends.kind import Kind

KIND = Kind(
    name="mysql",
    summary="A client connected to a database of a MySQL server.",
    probe_suites=("rows", "tables"),
)

DEFAULT_DATABASE = "plumb"
DEFAULT_TEXT_BYTES = 64 * 1024
MIN_TEXT_BYTES, MAX_TEXT_BYTES = 1024, 1024 * 1024
DEFAULT_ROWS = 1000
MAX_ROWS = 100_000

SYSTEM_SCHEMAS = ("information_schema", "mysql", "performance_schema", "sys")

MAX_DATABASE_NAME = 46
"""MySQL allows 64 bytes, of which a physical name takes 18 for the session's prefix."""

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
        database: The database's name as the agent sees it.
        isolation: `SHARED`: databases of its own on a server that others use too. `DEDICATED`: a
            server of its own, for statements about the whole server.
        rendering: `CLIENT`: what the interactive `mysql` client prints. `TUPLES`: what AgentBench
            shows, `str(rows)`. `JSON`: one document a result.
        max_text_bytes: The most bytes of `Observation.text` and of `Observation.raw`, each.
        max_rows: The most typed rows of each result.

    Raises:
        InvalidInput: A value is out of its range.
    """

    database: str = DEFAULT_DATABASE
    isolation: Isolation = Isolation.SHARED
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
    if not value:
        return default
    try:
        return type(default)(value)
    except ValueError:
        words = ", ".join(str(choice.value) for choice in type(default))
        raise InvalidInput(f"mysql.{field} is {value!r}; use one of: {words}") from None
