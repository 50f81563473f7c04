"""A bound on how many sandboxes are made at the same time; others wait for their turn, in order.

An engine that is asked for everything at once makes nothing sooner, and everybody times out.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from plumb_backends.errors import LimitReached
from plumb_backends.real.watcher import Watcher

SETTING = "PLUMB_MAX_CREATIONS"
WAIT_WITHIN = 60.0
"""Seconds that a creation waits for its turn: as long as the engine has for an answer."""

_MEMORY = 0.2
"""How much the last creation counts in what one is expected to take."""


class Creations:
    """The turns of one kind's creations.

    Args:
        kind: For whoever watches.
        most: How many have one at the same time.
        watcher: Is told how many wait.
        wait_within: Seconds after which one that waits is refused.
    """

    def __init__(
        self, kind: str, most: int, watcher: Watcher, *, wait_within: float = WAIT_WITHIN
    ) -> None:
        self._kind = kind
        self._most = most
        self._watcher = watcher
        self._wait_within = wait_within
        self._free = asyncio.Semaphore(most)
        self._waiting = 0
        self._takes = 0.0  # seconds, on average

    @asynccontextmanager
    async def turn(self, *, is_patient: bool = False) -> AsyncIterator[None]:
        """Waits for a turn, and has it as long as this lasts.

        Args:
            is_patient: Whether to wait for ever: for what nobody waits for.

        Raises:
            LimitReached: It would not come in time, or did not.
        """
        expected = self._expected_wait()
        if expected > self._wait_within and not is_patient:
            raise self._refusal(expected)
        await self._wait(is_patient=is_patient)
        started = time.monotonic()
        try:
            yield
        finally:
            self._free.release()
            took = time.monotonic() - started
            self._takes += (took - self._takes) * (_MEMORY if self._takes else 1.0)

    async def _wait(self, *, is_patient: bool) -> None:
        if not self._free.locked():
            await self._free.acquire()
            return
        self._count(1)
        try:
            async with asyncio.timeout(None if is_patient else self._wait_within):
                await self._free.acquire()
        except TimeoutError:
            raise self._refusal(self._expected_wait()) from None
        finally:
            self._count(-1)

    def _expected_wait(self) -> float:
        """How long somebody who comes now will wait."""
        if not self._free.locked():
            return 0.0
        return (self._waiting + 1) * self._takes / self._most

    def _count(self, change: int) -> None:
        self._waiting += change
        self._watcher.creations_wait(self._kind, self._waiting)

    def _refusal(self, expected: float) -> LimitReached:
        return LimitReached(
            f"the server makes {self._most} {self._kind} sandboxes at the same time, its most "
            f"({SETTING}), and {self._waiting} more wait for their turn; create fewer at once, or "
            "try again later",
            limit=SETTING,
            retry_after=max(1.0, expected),
        )
