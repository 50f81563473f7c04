"""Accepts connections, as many as there are places for."""

import asyncio
import contextlib
import dataclasses
import functools
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import structlog

from plumb_gateway.connections.places import Place, Places

_log = structlog.get_logger(__name__)

_LOOK_EVERY = 0.5
"""Seconds between two looks at connections that wait for their peers."""

_REST_AFTER_FAILURE = 0.2
"""Seconds until accepting is tried again, for example without a free descriptor."""

_FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: text/plain; charset=utf-8\r\n"
    b"retry-after: 1\r\nconnection: close\r\ncontent-length: 50\r\n\r\n"
    b"every connection is in use; try again in a moment\n"
)

MakeProtocol = Callable[[Place], asyncio.Protocol]


@dataclasses.dataclass(slots=True)
class _Handshake:
    """Holds a connection until HTTP does."""

    task: "asyncio.Task[None]"

    def waits(self) -> bool:
        return True

    def look(self, now: float) -> None:
        pass  # the event loop ends a handshake that takes too long

    def end(self) -> None:
        self.task.cancel()


class Accepting:
    """Accepts connections for as long as it runs.

    Args:
        listening: Where; it is closed at the end.
        places: How many.
        make: Makes the protocol of a connection that has a place.
        context: For HTTPS; None for HTTP.
        handshake_timeout: Seconds that TLS may take to begin.
    """

    def __init__(
        self,
        listening: socket.socket,
        places: Places,
        make: MakeProtocol,
        context: ssl.SSLContext | None,
        handshake_timeout: float,
    ) -> None:
        self._listening = listening
        self._places = places
        self._make = make
        self._context = context
        self._handshake_timeout = handshake_timeout
        self._begun: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Accepts until it is cancelled."""
        looking = asyncio.create_task(self._look_for_ever())
        try:
            await self._accept_for_ever()
        finally:
            self._listening.close()
            tasks = [looking, *self._begun]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _accept_for_ever(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, address = await loop.sock_accept(self._listening)
            except OSError as error:
                _log.warning("a connection was not accepted", why=error.strerror)
                await asyncio.sleep(_REST_AFTER_FAILURE)
                continue
            self._admit(connection, str(address[0]))
            await asyncio.sleep(0)  # a queue of connections is accepted without a pause otherwise

    def _admit(self, connection: socket.socket, address: str) -> None:
        connection.setblocking(False)
        place = self._places.take(address)
        if place is None:
            self._refuse(connection)
            return
        task = asyncio.create_task(self._begin(connection, place))
        place.holder = _Handshake(task)
        self._begun.add(task)
        task.add_done_callback(self._begun.discard)

    def _refuse(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):  # the peer may be gone
            if self._context is None:
                connection.send(_FULL)

    async def _begin(self, connection: socket.socket, place: Place) -> None:
        """Shakes hands, where there is TLS, and hands the connection to its protocol."""
        is_held = False

        def make() -> asyncio.Protocol:
            nonlocal is_held
            is_held = True
            return self._make(place)

        try:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            await asyncio.get_running_loop().connect_accepted_socket(
                make,
                connection,
                ssl=self._context,
                ssl_handshake_timeout=self._handshake_timeout if self._context else None,
            )
        except OSError:  # of TLS, of time, or of a peer that went away
            place.give_back()
        except asyncio.CancelledError:
            place.give_back()
            raise
        finally:
            if not is_held:
                connection.close()

    async def _look_for_ever(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_EVERY)
            self._places.look()


@asynccontextmanager
async def accepting(
    listening: socket.socket,
    places: Places,
    make: MakeProtocol,
    context: ssl.SSLContext | None,
    handshake_timeout: float,
) -> AsyncIterator[None]:
    """Accepts connections for as long as this lasts; see `Accepting`."""
    listening.setblocking(False)
    run = Accepting(listening, places, make, context, handshake_timeout).run
    task = asyncio.create_task(run())
    task.add_done_callback(functools.partial(_tell_end))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _tell_end(task: "asyncio.Task[None]") -> None:
    if not task.cancelled() and task.exception() is not None:
        _log.error("no connection is accepted any more", exc_info=task.exception())
