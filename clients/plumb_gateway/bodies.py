"""Bodies of requests: how much of them may be in memory, and whose."""

from collections.abc import MutableMapping
from http import HTTPStatus
from typing import Any

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from plumb_client.errors import PermissionDenied
from plumb_gateway.callers import token_of
from plumb_gateway.problem import Refused
from plumb_gateway.upstream import Upstream

MOST_OF_A_STRANGER = 64 * 1024
"""Bytes of a body that are read before its sender is known to the server."""

MOST_AT_ONCE = 64 * 1024 * 1024
"""Bytes of all bodies together that are held while their requests are served."""


class Bodies:
    """Reads bodies as long as there is room, and long ones of known callers only.

    Args:
        app: What serves.
        upstream: The server, which knows the callers.
    """

    def __init__(self, app: ASGIApp, upstream: Upstream) -> None:
        self._app = app
        self._upstream = upstream
        self._held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves, and counts what is read."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        mine, is_known = 0, False

        async def counting() -> MutableMapping[str, Any]:
            nonlocal mine, is_known
            message = await receive()
            size = len(message.get("body", b""))
            self._held, mine = self._held + size, mine + size
            if self._held > MOST_AT_ONCE:
                raise _full()
            if mine > MOST_OF_A_STRANGER and not is_known:
                await self._check_known(HTTPConnection(scope))
                is_known = True
            return message

        try:
            await self._app(scope, counting, send)
        finally:
            self._held -= mine

    async def _check_known(self, caller: HTTPConnection) -> None:
        """Asks the server who this is.

        Raises:
            PlumbError: Nobody that it knows.
        """
        try:
            await self._upstream.plumb(token_of(caller)).kinds()
        except PermissionDenied:
            return  # an agent, and so known


def _full() -> Refused:
    return Refused(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "LIMIT_REACHED",
        f"requests hold {MOST_AT_ONCE // 1024**2} MiB already; try again in a moment",
    )
