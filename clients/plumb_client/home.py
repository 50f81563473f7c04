"""Where a connection may be used: in its process, on its event loop, until it is closed.

gRPC does not survive a fork: its threads are not in the child, which would wait for them for ever.
"""

import asyncio
import os
from typing import NoReturn

from plumb_client.errors import (
    ConnectionClosed,
    ForkedProcess,
    UnusableConnection,
    WrongEventLoop,
)

_SPAWN = (
    'start the process with multiprocessing.get_context("spawn"), or '
    'ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn")), and connect in it'
)


class _Process:
    """What became of this process.

    Attributes:
        uses_grpc: Whether a connection was ever made.
        is_forked: Whether it was forked from a process that had made one.
    """

    uses_grpc = False
    is_forked = False

    @classmethod
    def note_fork(cls) -> None:
        """Is called in each child."""
        cls.is_forked = cls.is_forked or cls.uses_grpc


if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(after_in_child=_Process.note_fork)


def is_forked() -> bool:
    """Whether this process was forked from one that had used the client."""
    return _Process.is_forked


def refuse_fork() -> None:
    """Refuses a process in which every call would hang.

    Raises:
        ForkedProcess: It was forked from one that had used the client.
    """
    if _Process.is_forked:
        raise ForkedProcess(
            f"process {os.getpid()} was forked from one that had used plumb_client, and gRPC does "
            f"not survive that; {_SPAWN}"
        )


class Home:
    """The process and the event loop of one connection.

    Raises:
        ForkedProcess: See `refuse_fork`.
        WrongEventLoop: No loop is running.
    """

    def __init__(self) -> None:
        refuse_fork()
        try:
            self._loop = asyncio.get_running_loop()
        except RuntimeError:
            raise WrongEventLoop(
                "no event loop is running; call aio.connect in a coroutine, or use "
                "plumb_client.connect"
            ) from None
        _Process.uses_grpc = True
        self._is_closed = False

    def close(self) -> None:
        """Notes that the connection is closed."""
        self._is_closed = True

    def check(self) -> None:
        """Refuses a call that could not be answered.

        Raises:
            UnusableConnection: Its subclasses say why.
        """
        refuse_fork()
        if self._is_closed:
            raise ConnectionClosed("the connection is closed; make another one with connect()")
        if asyncio.get_running_loop() is not self._loop:
            raise WrongEventLoop(
                "the connection belongs to another event loop; connect in each loop that uses it"
            )


class StaysHere:
    """What cannot be sent to another process, and says so when it is tried."""

    def __reduce__(self) -> NoReturn:
        raise UnusableConnection(
            f"a {type(self).__name__} cannot be copied or sent to another process; send the "
            "session's name, and connect and attach(name) there"
        )
