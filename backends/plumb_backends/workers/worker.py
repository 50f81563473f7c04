"""One worker process, as its parent sees it."""

import asyncio
import contextlib
import dataclasses
import os
import pickle
import signal
import socket
import sys
from collections.abc import Callable
from typing import Any, TypeVar, TypeVarTuple

from plumb_backends.children import environment
from plumb_backends.workers import child

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

MEMORY_BYTES = 1024 * 1024 * 1024
"""How much address space a worker has, unless it is told otherwise."""

_PASSED_ON = ("PATH", "LANG", "LC_ALL", "TZ")  # no keys, no tokens
_LAST_MOMENT = 1.0


class WorkCut(Exception):
    """Work was ended before it was done. The message is a clause that says why: `it took …`."""


class Worker:
    """A process that calls functions, one at a time.

    It may be used alone, where one session wants a process of its own: what a function leaves
    behind is there in the next call, until the process is lost. The process ends with its parent.

    Args:
        memory_bytes: How much address space it has.
    """

    def __init__(self, memory_bytes: int = MEMORY_BYTES) -> None:
        self._memory_bytes = memory_bytes
        self._process: _Process | None = None
        self._is_closed = False

    async def run(self, function: Callable[[*Ts], T], *args: *Ts, deadline: float) -> T:
        """Calls a function in the process, which is started by the first call.

        Args:
            function: A function of a module, so that it can be pickled by its name.
            args: Its arguments; whatever can be pickled.
            deadline: Seconds after which the process is killed. It is killed, too, when the caller
                is cancelled.

        Raises:
            WorkCut: The deadline passed, the memory was not enough, or the process was lost. The
                next call has a new process.
            Exception: Whatever the function raises.
        """
        request = pickle.dumps((function, args))
        try:
            async with asyncio.timeout(deadline):
                kind, value, is_last = await self._ask(request)
        except TimeoutError:
            await self._end()
            raise WorkCut(f"it took longer than {deadline:.3g} s") from None
        except (asyncio.IncompleteReadError, ConnectionError):
            raise WorkCut(await self._how_it_was_lost()) from None
        except BaseException:
            await asyncio.shield(self._end())
            raise
        if is_last:
            await self._end()
        if kind == child.RAISED:
            raise value
        if kind == child.CUT:
            raise WorkCut(value)
        result: T = value
        return result

    async def _ask(self, request: bytes) -> tuple[str, Any, bool]:
        if self._process is None:
            self._process = await _start(self._memory_bytes)
        if self._is_closed:  # while it started
            raise ConnectionAbortedError
        process = self._process
        process.writer.write(child.SIZE.pack(len(request)))
        process.writer.write(request)
        await process.writer.drain()
        (size,) = child.SIZE.unpack(await process.reader.readexactly(child.SIZE.size))
        kind, value, is_last = pickle.loads(  # noqa: S301 - written by our own child
            await process.reader.readexactly(size)
        )
        return kind, value, is_last

    async def _how_it_was_lost(self) -> str:
        if self._is_closed or self._process is None:
            await self._end()
            return "it was called off"
        code = await self._process.wait()
        await self._end()
        how = signal.Signals(-code).name if code < 0 else f"status {code}"
        return f"its process ended with {how}"

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process:
            await process.kill()

    async def close(self) -> None:
        """Kills the process for good; a call that is under way is cut. Never raises."""
        self._is_closed = True
        await self._end()


@dataclasses.dataclass(frozen=True, slots=True)
class _Process:
    """A child, and the connection to it."""

    process: asyncio.subprocess.Process
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def wait(self) -> int:
        """Gives it a moment to end by itself; returns its status, -n for a signal n."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_MOMENT):
                return await self.process.wait()
        return await self.kill()

    async def kill(self) -> int:
        """Ends it; returns its status, -n for a signal n."""
        self.writer.close()
        if self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):  # it has ended just now
                self.process.kill()
        return await self.process.wait()


async def _start(memory_bytes: int) -> _Process:
    ours, theirs = socket.socketpair()
    with contextlib.ExitStack() as unless_started, theirs:
        unless_started.callback(ours.close)
        reader, writer = await asyncio.open_connection(sock=ours)
        unless_started.callback(writer.close)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", child.__file__, str(os.getpid()), str(memory_bytes)),
            stdin=theirs.fileno(),
            env=_environment(),
        )
        unless_started.pop_all()
    return _Process(process, reader, writer)


def _environment() -> dict[str, str]:
    return {**environment(_PASSED_ON), "PYTHONDONTWRITEBYTECODE": "1"}
