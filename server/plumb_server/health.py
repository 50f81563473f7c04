"""Health that really asks: serving means that every backend's engine answered just now."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import structlog
from grpc_health.v1 import health, health_pb2

from plumb_backends.registry import Backends
from plumb_backends.repeating import repeated

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
    try:
        async with repeated(partial(_ask, servicer, backends), every=interval):
            yield servicer
    finally:
        await servicer.enter_graceful_shutdown()


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
