"""A time slice on the event loop, for readers whose data is there before they ask.

A read that finds its data in a buffer does not suspend its task. A peer that sends faster than its
data is handled keeps that buffer full, and the reader keeps the event loop from everybody else.
"""

import asyncio
import time

SLICE = 0.005
"""Seconds; what CPython gives a thread before another may run (`sys.getswitchinterval`)."""


class TimeSlice:
    """How long a task has run since it last gave way to others."""

    def __init__(self) -> None:
        self._began = 0.0

    async def yield_if_used(self) -> None:
        """Lets every other ready task run once, if the slice is used up."""
        now = time.monotonic()
        if now - self._began < SLICE:
            return
        await asyncio.sleep(0)
        self._began = time.monotonic()
