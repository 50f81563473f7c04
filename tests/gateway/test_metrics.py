"""What the gateway counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import prometheus_client
from grpc_health.v1 import health_pb2

if TYPE_CHECKING:
    import httpx2 as httpx
    from fastapi import FastAPI
    from tests.gateway.conftest import Kit, Server


def counted(route: str, status: str = "200", method: str = "GET") -> float:
    labels = {"route": route, "method": method, "status": status}
    return prometheus_client.REGISTRY.get_sample_value("plumb_http_requests_total", labels) or 0


async def test_requests_are_counted_by_route_and_not_by_path(
    http: httpx.AsyncClient, kit: type[Kit]
) -> None:
    route = "/v1/sessions/{session}"
    before = counted(route)
    for _ in range(2):
        assert (await http.get(await kit.create(http))).status_code == 200
    assert counted(route) == before + 2


async def test_pages_are_counted_by_route_too(http: httpx.AsyncClient, kit: type[Kit]) -> None:
    route = "/sessions/{session}"
    before = counted(route)
    for _ in range(2):
        path = await kit.create(http)
        assert (await http.get(path.removeprefix("/v1"))).status_code == 200
    assert counted(route) == before + 2


async def test_what_no_route_serves_counts_as_one(http: httpx.AsyncClient) -> None:
    before = counted("none", "404")
    for path in ("/a", "/b"):
        await http.get(path)
    assert counted("none", "404") == before + 2


async def test_a_fault_counts_as_500(app: FastAPI, kit: type[Kit]) -> None:
    @app.get("/fault-that-counts")
    async def fault() -> None:
        raise RuntimeError("secret innards")

    async with kit.open_http(app) as http:
        await http.get("/fault-that-counts")
    assert counted("/fault-that-counts", "500") == 1


async def test_prometheus_reads_them(http: httpx.AsyncClient) -> None:
    await http.get("/healthz")
    answer = await http.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert 'plumb_http_requests_total{method="GET",route="/healthz",status="200"}' in answer.text
    assert "plumb_http_seconds_bucket" in answer.text
    assert "plumb_http_sockets 0.0" in answer.text


async def test_whether_it_is_up_and_whether_it_serves_are_two_questions(
    http: httpx.AsyncClient, server: Server
) -> None:
    assert (await http.get("/readyz")).status_code == 200
    await server.health.set("", health_pb2.HealthCheckResponse.NOT_SERVING)
    assert (await http.get("/healthz")).status_code == 200
    assert (await http.get("/readyz")).status_code == 503
