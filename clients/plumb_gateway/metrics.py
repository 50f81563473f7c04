"""What the gateway counts, for Prometheus; inside `plumb serve` beside the server's figures."""

import time
from collections.abc import MutableMapping
from typing import Any

import prometheus_client
from starlette.types import ASGIApp, Receive, Scope, Send

_requests = prometheus_client.Counter(
    "plumb_http_requests", "Requests over HTTP", ["route", "method", "status"]
)
_seconds = prometheus_client.Histogram(
    "plumb_http_seconds", "Requests over HTTP, until their last byte", ["route"]
)
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
"""Callers may make up others, and as many as they like."""

_sockets = prometheus_client.Gauge("plumb_http_sockets", "Open WebSockets")


def render() -> tuple[bytes, str]:
    """All figures of this process, and their content type."""
    return prometheus_client.generate_latest(), prometheus_client.CONTENT_TYPE_LATEST


class Counted:
    """Counts requests and sockets by route; what no route serves counts as one."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves, and counts."""
        if scope["type"] == "websocket":
            with _sockets.track_inprogress():
                await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = time.monotonic(), 500

        async def noting(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            await self._app(scope, receive, noting)
        finally:
            route = getattr(scope.get("route"), "path", "none")
            method = scope["method"] if scope["method"] in _METHODS else "other"
            _requests.labels(route, method, str(status)).inc()
            _seconds.labels(route).observe(time.monotonic() - started)
