"""Checks that are made again and again as long as something is up: a backend, or the server."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import structlog

from plumb_backends.errors import SandboxUnavailable

_log = structlog.get_logger(__name__)


@asynccontextmanager
async def repeated(check: Callable[[], Awaitable[None]], *, every: float) -> AsyncIterator[None]:
    """Makes a check every so many seconds as long as this lasts, whatever it raises."""
    repeating = asyncio.create_task(_repeat(check, every))
    try:
        yield
    finally:
        repeating.cancel()
        await asyncio.gather(repeating, return_exceptions=True)


async def _repeat(check: Callable[[], Awaitable[None]], every: float) -> None:
    while True:
        await asyncio.sleep(every)
        try:
            await check()
        except SandboxUnavailable:
            pass  # health says so already
        except Exception:  # noqa: BLE001 - whatever it was, the next check must come
            _log.exception("a check failed; it is made again")
