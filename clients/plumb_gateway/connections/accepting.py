"""Accepts connections, as many as there are places for."""

import asyncio
import contextlib
import dataclasses
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


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """How HTTPS is served.

    Attributes:
        context: Certificates, and what is asked of clients.
        handshake_timeout: Seconds that a handshake may take.
    """

    context: ssl.SSLContext
    handshake_timeout: float


class _Handshake:
    """Holds a connection from its beginning until its protocol does.

    Without TLS that is a moment, and nothing ends it: a transport that is given up just as its
    protocol begins is closed, and its protocol never told.
    """

    def __init__(
        self, connection: socket.socket, place: Place, make: MakeProtocol, tls: Tls | None
    ) -> None:
        self._connection = connection
        self._place = place
        self._make = make
        self._has_transport = False
        self._is_slow = tls is not None
        self.task = asyncio.create_task(self._shake(tls))
        self.task.add_done_callback(self._settle)

    def waits(self) -> bool:
        return self._is_slow

    def look(self, now: float) -> None:
        pass  # the event loop ends a handshake that takes too long

    def end(self) -> None:
        if self._is_slow and self._place.holder is self:
            self.task.cancel()

    async def _shake(self, tls: Tls | None) -> None:
        await asyncio.get_running_loop().connect_accepted_socket(
            self._begin,
            self._connection,
            ssl=tls.context if tls else None,
            ssl_handshake_timeout=tls.handshake_timeout if tls else None,
        )

    def _begin(self) -> asyncio.Protocol:
        self._has_transport = True
        return self._make(self._place)

    def _settle(self, task: "asyncio.Task[None]") -> None:
        """Gives back what a handshake held that failed, or was ended before it began."""
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, OSError):
            _log.error("a connection failed as none should", exc_info=error)
        if task.cancelled() or error is not None:
            self._place.give_back()
            if not self._has_transport:
                self._connection.close()


class Accepting:
    """Accepts connections between `start` and `stop`.

    Args:
        listening: Where.
        places: How many.
        make: Makes the protocol of a connection that has a place.
        tls: For HTTPS; None for HTTP.
    """

    def __init__(
        self, listening: socket.socket, places: Places, make: MakeProtocol, tls: Tls | None
    ) -> None:
        self._listening = listening
        self._places = places
        self._make = make
        self._tls = tls
        self._loop = asyncio.get_running_loop()
        self._timers: dict[Callable[[], None], asyncio.TimerHandle] = {}
        self._begun: set[_Handshake] = set()

    def start(self) -> None:
        """Begins."""
        self._listening.setblocking(False)
        self._listen()
        self._look()

    async def stop(self) -> None:
        """Accepts nothing more; connections that are held by their protocols go on."""
        self._loop.remove_reader(self._listening)
        for timer in self._timers.values():
            timer.cancel()
        for handshake in self._begun:
            handshake.end()
        await asyncio.gather(*(one.task for one in self._begun), return_exceptions=True)

    def _listen(self) -> None:
        self._loop.add_reader(self._listening, self._accept)

    def _accept(self) -> None:
        """Accepts one; the event loop calls again for the next, and serves others between."""
        try:
            connection, address = self._listening.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return  # the peer has gone already
        except OSError as error:
            _log.warning("a connection was not accepted", why=error.strerror)
            self._loop.remove_reader(self._listening)
            self._later(_REST_AFTER_FAILURE, self._listen)
            return
        connection.setblocking(False)
        place = self._places.take(str(address[0]))
        if place is None:
            self._refuse(connection)
        else:
            self._hold(connection, place)

    def _refuse(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):  # the peer may be gone
            if self._tls is None:
                connection.send(_FULL)

    def _hold(self, connection: socket.socket, place: Place) -> None:
        with contextlib.suppress(OSError):  # the peer may be gone; that is found out by reading
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        place.holder = handshake = _Handshake(connection, place, self._make, self._tls)
        self._begun.add(handshake)
        handshake.task.add_done_callback(lambda _: self._begun.discard(handshake))

    def _look(self) -> None:
        self._places.look()
        self._later(_LOOK_EVERY, self._look)

    def _later(self, seconds: float, act: Callable[[], None]) -> None:
        self._timers[act] = self._loop.call_later(seconds, act)


@asynccontextmanager
async def accepting(
    listening: socket.socket, places: Places, make: MakeProtocol, tls: Tls | None
) -> AsyncIterator[None]:
    """Accepts connections for as long as this lasts; see `Accepting`."""
    accepts = Accepting(listening, places, make, tls)
    accepts.start()
    try:
        yield
    finally:
        await accepts.stop()
