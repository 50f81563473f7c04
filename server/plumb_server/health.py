"""Health that really asks: serving means that every backend's engine answered just now."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from grpc_health.v1 import health, health_pb2

from plumb_backends.registry import Backends

_log = structlog.get_logger(__name__)

SERVICES = ("", "plumb.v1.EnvironmentService")
_ASK_WITHIN = 5.0


@asynccontextmanager
async def watch_health(
    backends: Backends, interval: float
) -> AsyncIterator[health.aio.HealthServicer]:
    """Gives the health service; asks the backends before, and from time to time."""
    servicer = health.aio.HealthServicer()
    await _ask(servicer, backends)
    watch = asyncio.create_task(_ask_for_ever(servicer, backends, interval))
    try:
        yield servicer
    finally:
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)
        await servicer.enter_graceful_shutdown()


async def _ask_for_ever(
    servicer: health.aio.HealthServicer, backends: Backends, interval: float
) -> None:
    while True:
        await asyncio.sleep(interval)
        await _ask(servicer, backends)


async def _ask(servicer: health.aio.HealthServicer, backends: Backends) -> None:
    status = health_pb2.HealthCheckResponse.SERVING
    try:
        async with asyncio.timeout(_ASK_WITHIN):
            await backends.check()
    except Exception as error:  # noqa: BLE001 - whatever it is, that is not healthy
        status = health_pb2.HealthCheckResponse.NOT_SERVING
        late = f"no answer within {_ASK_WITHIN:g} s"
        _log.warning("not healthy", why=late if isinstance(error, TimeoutError) else repr(error))
    for service in SERVICES:
        await servicer.set(service, status)
