"""uvicorn's HTTP connection, which ends when its peer lets it wait for too long."""

import asyncio
import functools
import time
from typing import Any

import h11
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from plumb_gateway.connections.patience import Patience, Stage, Watch
from plumb_gateway.connections.places import Place
from plumb_gateway.connections.websocket import BoundedSocket

_TOO_SLOW = b"the request did not arrive in time; send it faster, or over a new connection\n"


class BoundedHttp(H11Protocol):
    """One connection.

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
        place: Place,
        patience: Patience,
    ) -> None:
        super().__init__(config, server_state, app_state)
        self.ws_protocol_class = functools.partial(BoundedSocket, place=place, patience=patience)  # type: ignore[assignment]  # it is only called
        self._place = place
        self._watch = Watch(patience)
        self._received = 0
        self._served = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begins, and holds its place from here on."""
        super().connection_made(transport)
        self._place.holder = self
        self.look(time.monotonic())

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends, and gives its place back."""
        self._place.give_back()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Takes what has come."""
        self._received += len(data)
        super().data_received(data)

    def on_response_complete(self) -> None:
        """Makes ready for the next request."""
        self._served += 1
        self._place.refresh()
        super().on_response_complete()

    def shutdown(self) -> None:
        """Ends with the gateway: at once where a body is missing, which nobody waits for now."""
        if self._stage() is Stage.BODY:
            self.end()
        else:
            super().shutdown()

    def waits(self) -> bool:
        """Tells whether it waits for its peer."""
        return self._stage() is not Stage.SERVED

    def look(self, now: float) -> None:
        """Ends what waits for too long; a request that never became whole is told so."""
        stage = self._stage()
        if not self._watch.is_over(stage, self._served, self._moved(stage), now):
            return
        if stage in (Stage.HEAD, Stage.BODY) and self.conn.our_state in _MAY_ANSWER:
            self._answer_too_slow()
        else:
            self.end()

    def end(self) -> None:
        """Ends it at once."""
        self.transport.abort()

    def _stage(self) -> Stage:
        if self.transport.is_closing():
            return Stage.CLOSING
        if self.flow.write_paused:
            return Stage.UNREAD
        if self.conn.their_state is h11.IDLE:
            return Stage.HEAD
        is_awaited = self.conn.their_state is h11.SEND_BODY and not self.flow.read_paused
        return Stage.BODY if is_awaited else Stage.SERVED

    def _moved(self, stage: Stage) -> int:
        """Bytes that have come along."""
        if stage in (Stage.HEAD, Stage.BODY):
            return self._received
        return -self.transport.get_write_buffer_size()

    def _answer_too_slow(self) -> None:
        headers = [
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"content-length", str(len(_TOO_SLOW)).encode()),
            (b"connection", b"close"),
        ]
        events = (
            h11.Response(status_code=408, headers=headers, reason=b"Request Timeout"),
            h11.Data(data=_TOO_SLOW),
            h11.EndOfMessage(),
        )
        self.transport.write(b"".join(self.conn.send(event) or b"" for event in events))
        self.transport.close()


_MAY_ANSWER = (h11.IDLE, h11.SEND_RESPONSE)
