"""The channel to a server: what is tried again, and what every call carries."""

import json
from typing import Any

import grpc

from plumb_client import checks
from plumb_client.errors import InvalidInput, InvalidType
from plumb_client.home import Home, is_forked
from plumb_client.tls import Tls

_SERVICE = "plumb.v1.EnvironmentService"
# Exec is left out: it is not idempotent; and ResetSession, because a reset that fails for want of
# the engine ends the session: asked again, the reason would be lost. All others carry their own
# identity, or only ask.
_RETRIED = ("ListKinds", "CreateSession", "GetSession", "ListSessions", "Step", "StreamStep",
            "Interrupt", "Probe", "DeleteSession")  # fmt: skip
_SERVICE_CONFIG = json.dumps(
    {
        "methodConfig": [
            {
                "name": [{"service": _SERVICE, "method": method} for method in _RETRIED],
                "retryPolicy": {
                    "maxAttempts": 4,
                    "initialBackoff": "0.1s",
                    "maxBackoff": "1s",
                    "backoffMultiplier": 2,
                    "retryableStatusCodes": ["UNAVAILABLE"],
                },
            }
        ]
    }
)
_CHANNEL_OPTIONS = [
    ("grpc.service_config", _SERVICE_CONFIG),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2_000),  # a server that is back is found, not after minutes
    ("grpc.max_send_message_length", -1),  # the server says what is too large, with a sentence
]


def open_channel(address: str, token: str | None, tls: Tls | None) -> "_Channel":
    """Makes a channel of the running event loop; nothing is sent yet.

    Raises:
        InvalidInput: The address or the token cannot be one, or a file of TLS is missing.
        UnusableConnection: No loop is running, or the process was forked.
    """
    _check_address(address)
    if token:
        _check_token(token)
    if tls is not None and not isinstance(tls, Tls):
        raise InvalidType(f"tls is {checks.shown(tls)}; give plumb_client.Tls(…)")
    home = Home()  # before gRPC does anything in this process
    if tls is None:
        channel = grpc.aio.insecure_channel(address, options=_CHANNEL_OPTIONS)
    else:
        options = list(_CHANNEL_OPTIONS)
        if tls.server_name:
            options.append(("grpc.ssl_target_name_override", tls.server_name))
        channel = grpc.aio.secure_channel(address, tls.credentials(), options=options)
    return _Channel(channel, token or "", home, address)


def with_token(channel: grpc.aio.Channel, token: str) -> "_Channel":
    """Makes all calls over a channel carry a token; the channel below stays as it is.

    Raises:
        InvalidInput: That cannot be a token.
    """
    _check_token(token)
    known = bound(channel)
    return _Channel(channel, token, known.home, known.address)


def bound(channel: grpc.aio.Channel) -> "_Channel":
    """Makes a channel check where it is used, unless it does already."""
    return channel if isinstance(channel, _Channel) else _Channel(channel, "", Home())


def _check_address(address: str) -> None:
    checks.text("address", address)
    is_one = address.isprintable() and not any(one.isspace() for one in address)
    if not address or not is_one or address.startswith(("http://", "https://", "grpc://")):
        raise InvalidInput(f"address is {checks.shown(address)}; give HOST:PORT")


def _check_token(token: str) -> None:
    if not isinstance(token, str):
        raise InvalidType(f"the token is a {type(token).__name__}; give a str")
    if not token.isascii() or not token.isprintable() or " " in token:
        raise InvalidInput("the token is not printable ASCII without spaces; give it as it is")


class _Channel(grpc.aio.Channel):
    """A channel whose calls carry a token, and are refused where they could not be answered.

    gRPC's own way, call credentials, refuses to work without TLS, which loopback has no need of;
    its interceptors take a share of every message of a stream, and this none. Closing it closes
    the one below.
    """

    def __init__(
        self, channel: grpc.aio.Channel, token: str, home: Home, address: str = "over a channel"
    ) -> None:
        self.home = home
        self.address = address
        self._channel = channel
        self._metadata = (("authorization", f"Bearer {token}"),) if token else None

    def _bound(self, call: Any) -> Any:
        check, metadata = self.home.check, self._metadata

        def checked(*args: Any, **options: Any) -> Any:
            check()
            if metadata:
                options.setdefault("metadata", metadata)
            return call(*args, **options)

        return checked

    def unary_unary(self, *args: Any, **options: Any) -> Any:
        return self._bound(self._channel.unary_unary(*args, **options))

    def unary_stream(self, *args: Any, **options: Any) -> Any:
        return self._bound(self._channel.unary_stream(*args, **options))

    def stream_unary(self, *args: Any, **options: Any) -> Any:
        return self._bound(self._channel.stream_unary(*args, **options))

    def stream_stream(self, *args: Any, **options: Any) -> Any:
        return self._bound(self._channel.stream_stream(*args, **options))

    async def __aenter__(self) -> "_Channel":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self, grace: float | None = None) -> None:
        """Closes it; may be called again. In a forked process it does nothing: it is not its."""
        if not is_forked():
            self.home.close()
            await self._channel.close(grace)

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        return self._channel.get_state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        await self._channel.wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        await self._channel.channel_ready()
