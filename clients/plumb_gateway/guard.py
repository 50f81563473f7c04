"""Round every request: who may be asked for, what browsers are told, and errors that are told well.

For programs an error is a problem's details, for people a page with the same sentence.
"""

from collections.abc import MutableMapping
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse, Response
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from plumb_client.errors import PlumbError
from plumb_gateway.callers import check_host, check_site, check_size
from plumb_gateway.pages.rendering import page
from plumb_gateway.problem import (
    CLOSED_REQUEST,
    MEDIA_TYPE,
    Refused,
    describe,
    details_of,
    to_response,
)
from plumb_gateway.security import HEADERS

_log = structlog.get_logger(__name__)


class Guarded:
    """Refuses what is not meant for us, and adds the headers of safety to all else.

    Args:
        app: What serves.
        hosts: The names that are ours; empty for any.
    """

    def __init__(self, app: ASGIApp, hosts: frozenset[str]) -> None:
        self._app = app
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves, or refuses."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        connection = HTTPConnection(scope)
        try:
            check_host(connection, self._hosts)
            check_site(connection)
            check_size(connection)
        except Refused as error:
            await _refuse(error, scope, receive, send)
            return

        has_body = scope.get("method") != "HEAD"

        async def with_headers(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                _add_headers(MutableHeaders(scope=message))
            elif message["type"] == "http.response.body" and not has_body:
                message["body"] = b""
            await send(message)

        # What can be got can be asked after, too.
        await self._app(scope if has_body else {**scope, "method": "GET"}, receive, with_headers)


def _add_headers(headers: MutableHeaders) -> None:
    for name, value in HEADERS.items():
        headers.setdefault(name, value)
    if "text/html" in headers.get("content-type", ""):
        headers.setdefault("Cache-Control", "no-store")


async def _refuse(error: Refused, scope: Scope, receive: Receive, send: Send) -> None:
    await to_response(error)(scope, receive, send)


def _wants_page(request: Request) -> bool:
    """Whether a person's browser asks, for a page."""
    path = request.url.path
    return not path.startswith("/v1/") and "text/html" in request.headers.get("accept", "")


async def _answer(request: Request, details: dict[str, Any], response: Response) -> Response:
    if not _wants_page(request):
        return response
    if details["status"] == HTTPStatus.UNAUTHORIZED:
        here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return RedirectResponse(f"/login?{urlencode({'to': here})}", HTTPStatus.SEE_OTHER)
    return await page("error.html", status=details["status"], details=details)


async def _tell(request: Request, error: Exception) -> Response:
    assert isinstance(error, (PlumbError, Refused))  # noqa: S101 - what it is registered for
    return await _answer(request, details_of(error), to_response(error))


async def _tell_http(request: Request, error: Exception) -> Response:
    """What the framework itself refuses: no such path, no such verb, a body too large."""
    assert isinstance(error, HTTPException)  # noqa: S101 - what it is registered for
    status = HTTPStatus(error.status_code)
    sentence = f"{request.method} {request.url.path[:200]}: {error.detail}; /api has what there is"
    details = describe(status, "INVALID_INPUT", sentence)
    response = JSONResponse(details, status, error.headers, media_type=MEDIA_TYPE)
    return await _answer(request, details, response)


async def _tell_invalid(request: Request, error: Exception) -> Response:
    """A query of a page that makes no sense."""
    assert isinstance(error, RequestValidationError)  # noqa: S101 - what it is registered for
    first = error.errors()[0]
    field = ".".join(map(str, first["loc"][1:]))
    sentence = f"{field} is {str(first.get('input'))[:100]!r}: {first['msg']}"
    return await _tell(request, Refused(HTTPStatus.BAD_REQUEST, "INVALID_INPUT", sentence))


async def _tell_fault(request: Request, error: Exception) -> Response:
    # Quoted, because a path may hold what steers the terminal that shows the log.
    _log.error("a request failed as none should", path=repr(request.url.path), exc_info=error)
    sentence = "a fault of plumb's own; report it with the gateway's log"
    details = describe(HTTPStatus.INTERNAL_SERVER_ERROR, "INTERNAL", sentence)
    response = await _answer(request, details, JSONResponse(details, 500, media_type=MEDIA_TYPE))
    _add_headers(response.headers)  # the framework sends this one round `Guarded`
    return response


async def _note_gone(_: Request, error: Exception) -> Response:
    """The caller went away within its body; nobody receives this."""
    assert isinstance(error, ClientDisconnect)  # noqa: S101 - what it is registered for
    return Response(status_code=CLOSED_REQUEST)


def tell_errors(app: FastAPI) -> None:
    """Has every error told as above."""
    app.add_exception_handler(ClientDisconnect, _note_gone)
    app.add_exception_handler(PlumbError, _tell)
    app.add_exception_handler(Refused, _tell)
    app.add_exception_handler(HTTPException, _tell_http)
    app.add_exception_handler(RequestValidationError, _tell_invalid)
    app.add_exception_handler(Exception, _tell_fault)
