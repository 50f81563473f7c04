"""Structured logs on standard error."""

import contextlib
import io
import logging
import sys
from typing import TextIO

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
        structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
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
