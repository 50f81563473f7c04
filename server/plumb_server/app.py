"""Puts the server together, and takes it apart in the right order."""

import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import structlog

from plumb_backends.registry import open_backends
from plumb_server import metrics
from plumb_server.auth import Authentication, Tokens
from plumb_server.health import watch_health
from plumb_server.interceptors import Guard
from plumb_server.journal import open_journal
from plumb_server.listening import CannotListen, bind, check_may_listen, read_token
from plumb_server.peers import server_options
from plumb_server.services import Parts, add_services
from plumb_server.sessions import open_sessions
from plumb_server.settings import Settings
from plumb_server.watching import PoolWatcher

_log = structlog.get_logger(__name__)


@dataclasses.dataclass(frozen=True, slots=True)
class Running:
    """A server that runs, and where."""

    address: str


@asynccontextmanager
async def run_server(settings: Settings, *, private_address: str = "") -> AsyncIterator[Running]:
    """Runs the server; at the end lets running steps finish for a while and removes everything.

    Args:
        settings: All that can be set.
        private_address: Where to listen without TLS, too: `unix:PATH`, in a folder that nobody else
            can enter. Tokens are asked for there as anywhere.

    Raises:
        CannotListen: See there.
        JournalUnavailable: The journal cannot be opened.
    """
    token = read_token(settings)
    check_may_listen(settings.listen, settings, token)
    tokens = Tokens(token)
    if settings.metrics_port:
        _serve_metrics(settings.metrics_port)
    server = grpc.aio.server(
        interceptors=[Guard(), Authentication(tokens)], options=server_options()
    )
    address = bind(server, settings)  # before anything is swept or made: else it was for nothing
    if private_address:
        server.add_insecure_port(private_address)
    async with (
        open_journal(settings.journal) as journal,
        open_backends(_backend_settings(settings)) as backends,
        open_sessions(
            backends,
            journal,
            settings.session_limits(),
            settings.journal_limits(),
            sweep_interval=settings.sweep_interval,
        ) as sessions,
        watch_health(backends, settings.health_interval) as health_servicer,
    ):
        parts = Parts(
            settings=settings,
            backends=backends,
            journal=journal,
            sessions=sessions,
            tokens=tokens,
            health=health_servicer,
        )
        add_services(server, parts)
        await server.start()
        _log.info("listening", address=address)
        try:
            yield Running(address)
        finally:
            _log.info("going down", grace=settings.shutdown_grace)
            await sessions.drain(settings.shutdown_grace)
            await server.stop(0.5)


def _backend_settings(settings: Settings) -> list[object]:
    simulator = dataclasses.replace(settings.simulator(), on_call=metrics.model_called)
    watcher = PoolWatcher()
    shell = dataclasses.replace(settings.real_shell(), watcher=watcher)
    mysql = dataclasses.replace(settings.real_mysql(), watcher=watcher)
    return [shell, mysql, simulator]


def _serve_metrics(port: int) -> None:
    try:
        metrics.serve(port)
    except OSError as error:
        raise CannotListen(
            f"cannot serve metrics on port {port} ({error}); set PLUMB_METRICS_PORT to another"
        ) from error
