"""The gRPC server behind the gateway: one connection, and every caller's own token on it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from plumb_client import Tls, aio
from plumb_client.channel import open_channel, with_token

_READY_WITHIN = 5.0


class Upstream:
    """The connection. Made by `open_upstream`."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._channel = channel

    def channel(self, token: str) -> grpc.aio.Channel:
        """The channel of one caller.

        Raises:
            InvalidInput: That cannot be a token.
        """
        return with_token(self._channel, token) if token else self._channel

    def plumb(self, token: str) -> aio.Plumb:
        """The client of one caller; not to be closed.

        Raises:
            InvalidInput: That cannot be a token.
        """
        return aio.Plumb(self.channel(token))

    async def is_serving(self) -> bool:
        """Whether the server says that it serves; it is asked now."""
        health = health_pb2_grpc.HealthStub(self._channel)
        try:
            answer = await health.Check(health_pb2.HealthCheckRequest(), timeout=_READY_WITHIN)
        except grpc.RpcError:
            return False
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


@asynccontextmanager
async def open_upstream(address: str, tls: Tls | None) -> AsyncIterator[Upstream]:
    """Connects, as soon as something is asked."""
    async with open_channel(address, None, tls) as channel:
        yield Upstream(channel)
