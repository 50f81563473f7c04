"""Structured logs on standard error."""

import contextlib
import io
import logging
import sys
from collections.abc import MutableMapping
from typing import Any, TextIO

import structlog

_TRACEBACKS = structlog.processors.ExceptionRenderer(
    structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
)
"""The usual one writes every frame's variables, and a password may be one of them."""


def configure_logs(log_format: str, level: str = "INFO") -> None:
    """Sets how to log.

    Args:
        log_format: `console` for people, `json` for machines.
        level: The least that is logged.
    """
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: list[structlog.typing.Processor] = [
        _escape_values,
        structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=_plain_traceback
        ),
    ]
    if log_format == "json":
        last = [_TRACEBACKS, structlog.processors.JSONRenderer()]
    structlog.configure(
        processors=[*shared, *last],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=structlog.PrintLoggerFactory(
            file=_Lossy(sys.stderr)  # type: ignore[arg-type]  # it is only written and flushed
        ),
        cache_logger_on_first_use=True,
    )


def _escaped(text: str) -> str:
    """The text with what a terminal would obey, or a reader take for a new line, written out."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _escape_values(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Escapes what others have chosen: names, paths, and the words of errors."""
    for key, value in event.items():
        if isinstance(value, str):
            event[key] = _escaped(value)
    return event


def _plain_traceback(file: TextIO, exc_info: Any) -> None:
    """Writes a traceback, indented: what an error says cannot pass for a line of the log."""
    whole = io.StringIO()
    structlog.dev.plain_traceback(whole, exc_info)
    file.write("\n".join(f"  {_escaped(line)}" for line in whole.getvalue().split("\n")))


class _Lossy(io.TextIOBase):
    """Writes what can be written: no call may fail because the disk of the log is full."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError):
            return self._file.write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            self._file.flush()
