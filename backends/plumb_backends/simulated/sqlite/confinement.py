"""What a session's process, and its database, cannot do.

The process opens no file, writes none, takes no more than its memory, and ends with the server. The
database lets through what statements of MySQL are translated to, and no more: everything is
forbidden that is not listed here.
"""

import contextlib
import os
import re
import resource
import sqlite3
from pathlib import Path

MAX_PROCESS_BYTES = 512 * 1024 * 1024
MAX_VALUE_BYTES = 4 * 1024 * 1024
"""The largest text, binary value or row."""

_MAX_HEAP_BYTES = 160 * 1024 * 1024
_MAX_DATABASE_BYTES = 64 * 1024 * 1024
_PAGE_BYTES = 4096
_NICENESS = 10
_CPU_MARGIN = 10

_LIMITS = {
    sqlite3.SQLITE_LIMIT_LENGTH: MAX_VALUE_BYTES,
    sqlite3.SQLITE_LIMIT_SQL_LENGTH: 2 * 1024 * 1024,
    sqlite3.SQLITE_LIMIT_COLUMN: 1000,
    sqlite3.SQLITE_LIMIT_EXPR_DEPTH: 500,
    sqlite3.SQLITE_LIMIT_COMPOUND_SELECT: 500,
    sqlite3.SQLITE_LIMIT_VDBE_OP: 4_000_000,
    sqlite3.SQLITE_LIMIT_FUNCTION_ARG: 100,
    sqlite3.SQLITE_LIMIT_ATTACHED: 0,
    sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 1000,
    sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH: 50,
    sqlite3.SQLITE_LIMIT_WORKER_THREADS: 0,
}

_ALLOWED = frozenset(
    {
        sqlite3.SQLITE_ALTER_TABLE,
        sqlite3.SQLITE_ANALYZE,
        sqlite3.SQLITE_CREATE_INDEX,
        sqlite3.SQLITE_CREATE_TABLE,
        sqlite3.SQLITE_CREATE_TEMP_INDEX,
        sqlite3.SQLITE_CREATE_TEMP_TABLE,
        sqlite3.SQLITE_CREATE_TEMP_TRIGGER,
        sqlite3.SQLITE_CREATE_TEMP_VIEW,
        sqlite3.SQLITE_CREATE_TRIGGER,
        sqlite3.SQLITE_CREATE_VIEW,
        sqlite3.SQLITE_DELETE,
        sqlite3.SQLITE_DROP_INDEX,
        sqlite3.SQLITE_DROP_TABLE,
        sqlite3.SQLITE_DROP_TEMP_INDEX,
        sqlite3.SQLITE_DROP_TEMP_TABLE,
        sqlite3.SQLITE_DROP_TEMP_TRIGGER,
        sqlite3.SQLITE_DROP_TEMP_VIEW,
        sqlite3.SQLITE_DROP_TRIGGER,
        sqlite3.SQLITE_DROP_VIEW,
        sqlite3.SQLITE_INSERT,
        sqlite3.SQLITE_READ,
        sqlite3.SQLITE_RECURSIVE,
        sqlite3.SQLITE_REINDEX,
        sqlite3.SQLITE_SAVEPOINT,
        sqlite3.SQLITE_SELECT,
        sqlite3.SQLITE_TRANSACTION,
        sqlite3.SQLITE_UPDATE,
    }
)
_FUNCTIONS = frozenset(
    re.findall(
        r"\S+",
        """
    -> ->> abs acos acosh asin asinh atan atan2 atanh avg ceil ceiling changes char coalesce concat
    cos cosh count cume_dist current_date current_time current_timestamp date datetime degrees
    dense_rank exp first_value floor glob group_concat hex ifnull iif instr json json_array
    json_array_length json_extract json_group_array json_group_object json_insert json_object
    json_patch json_quote json_remove json_replace json_set json_type json_valid julianday lag
    last_insert_rowid last_value lead length like likelihood likely ln log log10 log2 lower ltrim
    max min mod nth_value ntile nullif percent_rank pi pow power quote radians random rank
    repeat replace round row_number rtrim sign sin sinh sleep soundex sqlite_drop_column
    sqlite_rename_column sqlite_rename_quotefix sqlite_rename_table sqlite_rename_test sqrt strftime
    substr substring sum tan tanh time timediff total total_changes trim trunc typeof unhex unicode
    unixepoch unlikely upper
    """,
    )
)
"""What may be called: a new version of SQLite brings nothing that was not looked at. `printf` and
`format` are not among them: MySQL has neither, and they work for minutes where nothing stops them.
The names that begin with `sqlite_` belong to ALTER TABLE; SQLite itself refuses them to others."""


def confine_database(connection: sqlite3.Connection) -> None:
    """Limits a connection, for good: afterwards no PRAGMA is let through."""
    for pragma in (
        f"hard_heap_limit = {_MAX_HEAP_BYTES}",
        f"page_size = {_PAGE_BYTES}",
        f"max_page_count = {_MAX_DATABASE_BYTES // _PAGE_BYTES}",
        f"temp.max_page_count = {_MAX_DATABASE_BYTES // _PAGE_BYTES}",
        "temp_store = MEMORY",
        "cell_size_check = ON",
        "foreign_keys = ON",
    ):
        connection.execute(f"PRAGMA {pragma}").fetchall()
    for limit, value in _LIMITS.items():
        connection.setlimit(limit, value)
    connection.set_authorizer(_authorize)


def _authorize(action: int, first: str | None, second: str | None, *_: str | None) -> int:
    if action == sqlite3.SQLITE_FUNCTION:
        allowed = (second or "").lower() in _FUNCTIONS
    else:
        allowed = action in _ALLOWED
    return sqlite3.SQLITE_OK if allowed else sqlite3.SQLITE_DENY


def confine_process() -> None:
    """Takes away files and memory, for good. What is to be imported must have been."""
    os.nice(_NICENESS)
    with contextlib.suppress(OSError):  # the kernel's choice when memory is short: this one first
        Path("/proc/self/oom_score_adj").write_text("500", encoding="ascii")
    for limit, value in (
        (resource.RLIMIT_AS, MAX_PROCESS_BYTES),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, 0),
        (resource.RLIMIT_NPROC, 0),
    ):
        resource.setrlimit(limit, (value, value))


def limit_processor(seconds: float) -> None:
    """Has this process killed once it has worked for so many seconds more, and a few."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    most = int(used.ru_utime + used.ru_stime + seconds) + _CPU_MARGIN
    resource.setrlimit(resource.RLIMIT_CPU, (most, resource.getrlimit(resource.RLIMIT_CPU)[1]))
