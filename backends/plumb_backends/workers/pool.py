"""The workers that all sessions of a server share: as many as there are cores."""

import asyncio
import os
import weakref
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar, TypeVarTuple

from plumb_backends.workers.worker import MEMORY_BYTES, WorkCut, Worker

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_LEAST = 2


class Workers:
    """A bounded number of worker processes, started when they are first wanted.

    An owner has one job at a time: its others wait for that one, and not in the others' way.

    Args:
        count: How many there are at most; as many as cores, and at least 2, if not given.
        memory_bytes: How much address space each has.
    """

    def __init__(self, count: int | None = None, memory_bytes: int = MEMORY_BYTES) -> None:
        count = count or max(_LEAST, os.cpu_count() or _LEAST)
        # The last one that was used is the next: the others need not have been started.
        self._free: asyncio.LifoQueue[Worker] = asyncio.LifoQueue()
        self._all = [Worker(memory_bytes) for _ in range(count)]
        for worker in self._all:
            self._free.put_nowait(worker)
        self._turns: weakref.WeakValueDictionary[str, asyncio.Lock] = weakref.WeakValueDictionary()
        self._is_closed = False

    async def run(self, function: Callable[[*Ts], T], *args: *Ts, deadline: float, owner: str) -> T:
        """Calls a function in a worker; see `Worker.run`.

        Args:
            function: A function of a module.
            args: Its arguments.
            deadline: Seconds that waiting for a worker and the call may take together.
            owner: Whose work it is, for example a session's id.

        Raises:
            WorkCut: No worker was free in time, or see `Worker.run`.
            Exception: Whatever the function raises.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + deadline
        turn = self._turns.setdefault(owner, asyncio.Lock())
        try:
            async with asyncio.timeout_at(until):
                await turn.acquire()
        except TimeoutError:
            raise WorkCut(f"other work of this session took {deadline:.3g} s") from None
        try:
            worker = await self._taken(until, deadline)
            try:
                if self._is_closed:
                    raise WorkCut("the server is going down")
                return await worker.run(function, *args, deadline=max(0.0, until - loop.time()))
            finally:
                self._free.put_nowait(worker)
        finally:
            turn.release()

    async def _taken(self, until: float, deadline: float) -> Worker:
        try:
            async with asyncio.timeout_at(until):
                return await self._free.get()
        except TimeoutError:
            raise WorkCut(f"no worker was free for {deadline:.3g} s") from None

    async def close(self) -> None:
        """Kills all workers; work that is under way is cut. Never raises."""
        self._is_closed = True
        await asyncio.gather(*(worker.close() for worker in self._all))


_open: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Workers] = weakref.WeakKeyDictionary()


@asynccontextmanager
async def open_workers() -> AsyncIterator[Workers]:
    """Gives the workers of this event loop; whoever was first closes them."""
    loop = asyncio.get_running_loop()
    if loop in _open:
        yield _open[loop]
        return
    workers = _open[loop] = Workers()
    try:
        yield workers
    finally:
        del _open[loop]
        await asyncio.shield(workers.close())


async def run(function: Callable[[*Ts], T], *args: *Ts, deadline: float, owner: str) -> T:
    """Calls a function in a worker of this event loop; see `Workers.run`.

    Where none are open, as in a test of a part, one is started for this call alone.
    """
    async with open_workers() as workers:
        return await workers.run(function, *args, deadline=deadline, owner=owner)
