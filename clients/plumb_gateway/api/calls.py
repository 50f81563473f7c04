"""Carries a request to the server, and what it answers back."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

from fastapi import Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

from plumb_client.errors import PlumbError, translated
from plumb_gateway.api.json_mapping import to_json
from plumb_gateway.api.requests import read_message
from plumb_gateway.api.routes import Route
from plumb_gateway.callers import token_of
from plumb_gateway.problem import CLOSED_REQUEST, details_of
from plumb_gateway.upstream import Upstream

LINES = "application/x-ndjson"

_Result = TypeVar("_Result")


def endpoint(route: Route, upstream: Upstream) -> Callable[[Request], Awaitable[Response]]:
    """Makes the function that serves a route."""

    async def call(request: Request) -> Response:
        message = await read_message(route, request)
        channel = upstream.channel(token_of(request))
        serialise = route.request_type.SerializeToString
        deserialise = route.response_type.FromString
        if route.is_stream:
            stream = channel.unary_stream(route.full_method, serialise, deserialise)(message)
            return await _stream(request, stream)
        asked = channel.unary_unary(route.full_method, serialise, deserialise)(message)
        with translated():
            answer = await _unless_gone(request, asked)
        if answer is None:
            return Response(status_code=CLOSED_REQUEST)
        return JSONResponse(to_json(answer), route.status)

    return call


async def _unless_gone(request: Request, asked: Awaitable[_Result]) -> _Result | None:
    """Waits for an answer.

    Where the caller goes away the call is cancelled, so that what it began is undone, and there is
    none.
    """

    async def watch() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    async def wait() -> _Result:
        return await asked

    answer, gone = asyncio.create_task(wait()), asyncio.create_task(watch())
    try:
        await asyncio.wait({answer, gone}, return_when=asyncio.FIRST_COMPLETED)
        return await answer if answer.done() else None
    finally:
        for task in (answer, gone):
            task.cancel()  # gRPC cancels the call with it
        await asyncio.gather(answer, gone, return_exceptions=True)


async def _stream(request: Request, stream: Any) -> Response:
    """Sends one line a message; an error before the first one still has a status of its own."""
    messages = aiter(stream)
    with translated():
        first = await _unless_gone(request, anext(messages, None))

    async def lines() -> AsyncIterator[bytes]:
        try:
            if first is not None:
                yield _line(to_json(first))
            with translated():
                async for message in messages:
                    yield _line(to_json(message))
        except PlumbError as error:
            yield _line({"error": details_of(error)})
        finally:
            stream.cancel()  # where nobody wants the rest; else it is over

    return StreamingResponse(lines(), media_type=LINES)


def _line(data: Any) -> bytes:
    return json.dumps(data, ensure_ascii=False).encode() + b"\n"
