"""The event loop of the synchronous client, in a thread of its own."""

import asyncio
import concurrent.futures
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

from plumb_client.errors import ConnectionClosed
from plumb_client.home import is_forked, refuse_fork

_Result = TypeVar("_Result")


class LoopThread:
    """An event loop in a thread, for as long as somebody uses it.

    One for all connections of the process: gRPC's asyncio side does not like several loops.
    """

    def __init__(self) -> None:
        self._users = 0
        self._guard = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._thread: threading.Thread | None = None

    def acquire(self) -> asyncio.AbstractEventLoop:
        """Starts the loop for the first user."""
        with self._guard:
            self._users += 1
            if self._loop is None:
                runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
                self._loop, self._stop = runner.get_loop(), asyncio.Event()
                self._thread = threading.Thread(
                    target=_run_until, args=(runner, self._stop), name="plumb-client", daemon=True
                )
                self._thread.start()
            return self._loop

    def release(self) -> None:
        """Ends the loop after the last user."""
        with self._guard:
            self._users -= 1
            if self._users or self._loop is None or self._stop is None or self._thread is None:
                return
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join()
            self._loop = self._stop = self._thread = None


def _run_until(runner: asyncio.Runner, stop: asyncio.Event) -> None:
    """Runs a loop, and ends what it still runs: gRPC watches each call with a task of its own."""
    with runner:
        runner.run(stop.wait())


def run(loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, _Result]) -> _Result:
    """Runs a coroutine there, and waits for it here; Ctrl-C cancels it.

    Raises:
        ForkedProcess: The thread is in another process.
        ConnectionClosed: The loop has ended.
    """
    if is_forked() or loop.is_closed():
        coroutine.close()
        refuse_fork()
        raise ConnectionClosed("the connection is closed; make another one with connect()")
    future = asyncio.run_coroutine_threadsafe(coroutine, loop)
    try:
        return future.result()
    except concurrent.futures.CancelledError:  # the loop ended with the last connection
        raise ConnectionClosed("the connection was closed while this call ran") from None
    except BaseException:
        future.cancel()  # Ctrl-C here must not leave the call behind there
        raise
