"""Runs the gateway: inside `plumb serve`, or alone against a server elsewhere."""

import asyncio
import contextlib
import dataclasses
import resource
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import uvicorn

from plumb_client import Tls
from plumb_gateway.app import make_app
from plumb_gateway.callers import own_hosts
from plumb_gateway.connections.accepting import Tls as AcceptTls
from plumb_gateway.connections.accepting import accepting
from plumb_gateway.connections.http import BoundedHttp
from plumb_gateway.connections.patience import Patience
from plumb_gateway.connections.places import Place, Places
from plumb_gateway.settings import GatewaySettings
from plumb_gateway.upstream import open_upstream

_LET_FINISH = 3
"""Seconds that requests get when the gateway goes down."""

_SHARE_OF_DESCRIPTORS = 4
"""One in so many may be a connection's: `plumb serve` needs them for sandboxes, too."""

_BACKLOG = 64
"""Connections that the kernel may hold before they are accepted."""


class CannotServe(Exception):
    """The gateway cannot listen where it was told to."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ServerTls:
    """What HTTPS needs: paths of PEM files; with `client_ca` clients must show a certificate."""

    cert: str
    key: str
    client_ca: str = ""


class _Server(uvicorn.Server):
    """Leaves signals to whoever runs it, and says when it is ready."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def run_gateway(
    settings: GatewaySettings,
    *,
    server: str,
    server_tls: Tls | None = None,
    tls: ServerTls | None = None,
) -> AsyncIterator[str]:
    """Serves HTTP for as long as this lasts, and gives the URL.

    Args:
        settings: Where to listen, and what to show.
        server: The gRPC server's address.
        server_tls: How to speak to it; None plainly.
        tls: For HTTPS; None for HTTP.

    Raises:
        CannotServe: The port is taken, the address is not here, or a file of TLS is not what it
            must be.
    """
    context = _context(tls) if tls else None
    host, _, port = settings.listen.rpartition(":")
    async with open_upstream(server, server_tls) as upstream:
        listening = _listen(host.strip("[]"), int(port))
        hosts = own_hosts(host.strip("[]"), settings.own_hosts)
        bound = listening.getsockname()[1]
        http = _Server(_config(make_app(upstream, settings, hosts)))
        serving = asyncio.create_task(http.serve(sockets=[]))  # it accepts nothing by itself
        try:
            await _ready(http, serving)
            async with _accepting(http, listening, settings, context):
                yield f"{'https' if tls else 'http'}://{host}:{bound}"
        finally:
            listening.close()
            http.should_exit = True
            await serving


def _accepting(
    http: _Server,
    listening: socket.socket,
    settings: GatewaySettings,
    context: ssl.SSLContext | None,
) -> AbstractAsyncContextManager[None]:
    """Accepts what there is room for, and hands it to uvicorn."""
    patience = Patience(request=settings.request_timeout, stall=settings.stall_timeout)

    def make(place: Place) -> BoundedHttp:
        return BoundedHttp(http.config, http.server_state, http.lifespan.state, place, patience)

    most = most_connections(settings.max_connections)
    places = Places(most, min(most, settings.max_connections_per_address))
    tls = AcceptTls(context=context, handshake_timeout=patience.request) if context else None
    return accepting(listening, places, make, tls)


def most_connections(wanted: int) -> int:
    """How many connections there may be, so that descriptors are left for all else.

    Args:
        wanted: What is set.
    """
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return wanted if soft == resource.RLIM_INFINITY else min(wanted, soft // _SHARE_OF_DESCRIPTORS)


async def _ready(http: _Server, serving: "asyncio.Task[None]") -> None:
    """Waits until it serves; what keeps it from that is raised."""
    ready = asyncio.create_task(http.ready.wait())
    await asyncio.wait({ready, serving}, return_when=asyncio.FIRST_COMPLETED)
    if serving.done():
        ready.cancel()
        await serving


def _context(tls: ServerTls) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(tls.cert, tls.key, password="")  # or it asks the terminal
        if tls.client_ca:
            context.load_verify_locations(tls.client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
    except OSError as error:
        files = ", ".join(filter(None, (tls.cert, tls.key, tls.client_ca)))
        raise CannotServe(
            f"cannot serve HTTPS with {files} ({error}); give PEM files, the key unencrypted"
        ) from None
    return context


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise CannotServe(
            f"cannot serve HTTP on {host}:{port} ({error.strerror}); set PLUMB_HTTP_LISTEN to "
            "another address"
        ) from error


def _config(app: object) -> uvicorn.Config:
    return uvicorn.Config(
        app,  # type: ignore[arg-type]  # FastAPI's is an ASGI application
        log_config=None,
        log_level="critical",  # what fails is told once, by the guard
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=_LET_FINISH,
        http=BoundedHttp,
        ws_max_size=2 * 1024 * 1024,
        ws_per_message_deflate=False,  # a few bytes may unfold to megabytes
    )
