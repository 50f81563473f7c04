"""uvicorn's WebSocket connection, which ends when its peer does not read."""

import asyncio
import time
from asyncio.transports import BaseTransport
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState

from plumb_gateway.connections.patience import Patience, Stage, Watch
from plumb_gateway.connections.places import Place

_MOST_UNREAD = 32 * 1024 * 1024
"""Bytes that may wait for a peer that goes on sending; more than any message of ours."""


class BoundedSocket(WebSocketsSansIOProtocol):
    """One socket.

    Args:
        config: uvicorn's.
        server_state: uvicorn's.
        app_state: What the application keeps.
        place: The connection's.
        patience: How long its peer may let it wait.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        *,
        place: Place,
        patience: Patience,
    ) -> None:
        super().__init__(config, server_state, app_state)
        self._place = place
        self._watch = Watch(patience)

    def connection_made(self, transport: BaseTransport) -> None:
        """Takes over from HTTP, and its place."""
        super().connection_made(transport)
        self._place.holder = self
        self.look(time.monotonic())

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends, and gives its place back."""
        self._place.give_back()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Takes what has come; not from a peer that has answers pile up, as to pings."""
        if self.transport.get_write_buffer_size() > _MOST_UNREAD:
            self.end()
        else:
            super().data_received(data)

    def waits(self) -> bool:
        """Tells whether it waits for its peer to read."""
        return self._stage() is not Stage.SERVED

    def look(self, now: float) -> None:
        """Ends what is not read for too long."""
        moved = -self.transport.get_write_buffer_size()
        if self._watch.is_over(self._stage(), 0, moved, now):
            self.end()

    def end(self) -> None:
        """Ends it at once."""
        assert isinstance(self.transport, asyncio.Transport)  # noqa: S101 - uvicorn casts it, too
        self.transport.abort()

    def _stage(self) -> Stage:
        if self.transport.is_closing():
            return Stage.CLOSING
        return Stage.SERVED if self.writable.is_set() else Stage.UNREAD
