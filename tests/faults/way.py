"""A way to a server: a TCP port that forwards, and can be cut as networks are."""

from __future__ import annotations

import asyncio
import contextlib
import enum
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Loss(enum.Enum):
    """What a way swallows before it is cut: the other end has no means to know."""

    NOTHING = "nothing"
    REQUESTS = "requests"
    REPLIES = "replies"


class Way:
    """One port. Made by `open_way`; leads nowhere until `lead_to`.

    Attributes:
        losing: What is swallowed just now.
        is_closed: Whether new connections are broken at once.
    """

    def __init__(self) -> None:
        self.address = ""
        self.losing = Loss.NOTHING
        self.is_closed = False
        self._target = ("", 0)
        self._open: set[asyncio.StreamWriter] = set()

    def lead_to(self, address: str) -> None:
        """Forwards new connections to HOST:PORT."""
        host, _, port = address.rpartition(":")
        self._target = host, int(port)

    def cut(self) -> None:
        """Breaks every connection, without a goodbye. New ones are let through."""
        for writer in self._open:
            writer.transport.abort()
        self.losing = Loss.NOTHING

    async def forward(self, near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        """Serves one connection, to its end in either direction."""
        self._open.add(back)
        forth: asyncio.StreamWriter | None = None
        try:
            if self.is_closed:
                raise ConnectionRefusedError
            far, forth = await asyncio.open_connection(*self._target)
            self._open.add(forth)
            await asyncio.gather(
                self._pump(near, forth, Loss.REQUESTS), self._pump(far, back, Loss.REPLIES)
            )
        except OSError:
            pass  # nobody listens there just now: to whoever asks, that is a cut like any other
        finally:
            for writer in filter(None, (back, forth)):
                self._open.discard(writer)
                writer.transport.abort()

    async def _pump(
        self, source: asyncio.StreamReader, target: asyncio.StreamWriter, loss: Loss
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(65536):
                if self.losing is not loss:
                    target.write(data)
                    await target.drain()
        target.transport.abort()


@asynccontextmanager
async def open_way() -> AsyncIterator[Way]:
    """Opens a port on loopback."""
    way = Way()
    connections: set[asyncio.Task[None]] = set()

    def connected(near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(way.forward(near, back))
        connections.add(task)
        task.add_done_callback(connections.discard)

    listener = await asyncio.start_server(connected, "127.0.0.1", 0)
    way.address = f"127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    try:
        yield way
    finally:
        listener.close()
        way.cut()
        await asyncio.gather(*connections)
        await listener.wait_closed()
