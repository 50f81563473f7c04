"""One action of a MySQL session under way."""

import asyncio

from plumb_backends.environment import Ending
from plumb_backends.sql.rendering import Shown
from plumb_backends.sql.result import RawError, RawResult, RawRows

_RESULT_BYTES, _ROWS_BYTES = 1024, 8192
"""What a result takes beside its rows and columns, without and with columns."""

_COLUMN_BYTES = 1024
"""What a column takes beside its name, work included: a result may have thousands, and no row."""

_ROW_BYTES = 32
"""What a row takes beside its cells, at least."""


class SqlTurn:
    """One action under way: what it has shown so far, and why somebody wants it to stop."""

    def __init__(self, *, stops_at_errors: bool = False) -> None:
        self.shown: list[Shown] = []
        self.size = 0  # bytes of rows and columns that it has, about
        self.sent = 0  # those that are not kept, too, and what each result takes beside them
        self.error: RawError | None = None  # the first
        self.stops_at_errors = stops_at_errors
        self.stop_because: Ending | None = None
        self.woken = asyncio.Event()

    def add(self, result: RawResult, *, vertical: bool = False) -> None:
        """Takes a result."""
        shown = Shown(result, vertical)
        self.shown.append(shown)
        kept, beside = shown.kept_bytes, _RESULT_BYTES
        if isinstance(result, RawRows):
            kept += sum(_COLUMN_BYTES + len(column.name) for column in result.columns)
            beside = _ROWS_BYTES + _ROW_BYTES * len(result.rows)
        self.size += kept
        self.sent += kept + shown.dropped_bytes + beside
        if self.error is None and isinstance(result, RawError):
            self.error = result

    def ask_to_stop(self, because: Ending) -> None:
        """Wakes whoever waits; only the first reason counts."""
        self.stop_because = self.stop_because or because
        self.woken.set()
