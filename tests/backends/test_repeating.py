"""Checks that are made for ever, whatever they raise."""

from __future__ import annotations

import asyncio

import pytest
import structlog.testing

from plumb_backends.errors import SandboxUnavailable
from plumb_backends.repeating import repeated


class _Check:
    """Raises what it is told the first time; remembers how often it was made."""

    def __init__(self, error: Exception) -> None:
        self.times = 0
        self.is_made_again = asyncio.Event()
        self._error = error

    async def __call__(self) -> None:
        self.times += 1
        if self.times == 1:
            raise self._error
        self.is_made_again.set()


@pytest.mark.parametrize(
    ("error", "logged"),
    [(SandboxUnavailable("no engine"), []), (KeyError("SizeRw"), ["error"])],
)
async def test_a_check_that_fails_is_made_again(error: Exception, logged: list[str]) -> None:
    check = _Check(error)
    with structlog.testing.capture_logs() as logs:
        async with asyncio.timeout(30), repeated(check, every=0.001):
            await check.is_made_again.wait()
    assert [log["log_level"] for log in logs] == logged


async def test_no_check_is_made_after_the_end() -> None:
    check = _Check(SandboxUnavailable("no engine"))
    async with repeated(check, every=0.001):
        await asyncio.wait_for(check.is_made_again.wait(), 30)
    times = check.times
    await asyncio.sleep(0.02)
    assert check.times == times
