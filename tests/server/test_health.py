"""Health really asks: serving means that every backend answered just now."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from grpc_health.v1 import health_pb2

from plumb_backends.errors import SandboxUnavailable
from plumb_server import health as module
from plumb_server.health import SERVICES, watch_health

if TYPE_CHECKING:
    from tests.server.conftest import FakeProvider, Kit

    from plumb_backends.registry import Backends

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


def ask(servicer: Any, service: str = "") -> Any:
    return servicer.Check(health_pb2.HealthCheckRequest(service=service), None)


async def becomes(servicer: Any, status: int) -> None:
    while (await ask(servicer)).status != status:  # noqa: ASYNC110 - it has no event
        await asyncio.sleep(0.001)


@pytest.mark.parametrize("service", SERVICES)
async def test_it_serves_when_the_backends_answer(backends: Backends, service: str) -> None:
    async with watch_health(backends, 3600) as servicer:
        assert (await ask(servicer, service)).status == SERVING


async def test_it_does_not_serve_from_the_start_when_a_backend_does_not_answer(
    backends: Backends, provider: FakeProvider
) -> None:
    provider.check_error = SandboxUnavailable("the engine does not answer")
    async with watch_health(backends, 3600) as servicer:
        for service in SERVICES:
            assert (await ask(servicer, service)).status == NOT_SERVING


async def test_it_follows_the_backends_down_and_up_again(
    backends: Backends, provider: FakeProvider, kit: Kit
) -> None:
    async with watch_health(backends, 0.001) as servicer:
        provider.check_error = SandboxUnavailable("the engine does not answer")
        await kit.soon(becomes(servicer, NOT_SERVING))
        provider.check_error = None
        await kit.soon(becomes(servicer, SERVING))


async def test_a_check_that_fails_as_none_should_is_not_healthy_and_the_asking_goes_on(
    backends: Backends, provider: FakeProvider, kit: Kit
) -> None:
    async with watch_health(backends, 0.001) as servicer:
        provider.check_error = KeyError("a fault")
        await kit.soon(becomes(servicer, NOT_SERVING))
        provider.check_error = None
        await kit.soon(becomes(servicer, SERVING))


async def test_a_backend_that_hangs_is_not_healthy(
    backends: Backends,
    provider: FakeProvider,
    kit: Kit,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def hangs() -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(module, "_ASK_WITHIN", 0.01)
    monkeypatch.setattr(provider, "check", hangs)

    async def status_at_start() -> int:
        async with watch_health(backends, 3600) as servicer:
            return int((await ask(servicer)).status)

    assert await kit.soon(status_at_start()) == NOT_SERVING


async def test_it_does_not_serve_when_the_server_goes_down(backends: Backends) -> None:
    async with watch_health(backends, 3600) as servicer:
        pass
    assert (await ask(servicer)).status == NOT_SERVING
