"""A model endpoint for tests: speaks the OpenAI protocol over real HTTP, and says what it is told.

    async with scripted_endpoint() as endpoint:
        endpoint.script(says("hello"), fails(429), says("there"))

Every request takes the next answer of the script; without a script, `endpoint.otherwise` decides
from the request. All requests are kept in `endpoint.requests`.
"""

from __future__ import annotations

import asyncio
import collections
import dataclasses
import json
import queue
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import fastapi
import uvicorn
from fastapi.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse

Body = dict[str, Any]
Answer = Callable[[Body], Awaitable[Response]]

KEY = "sk-test"


def completion(
    content: object, *, finish_reason: str = "stop", refusal: str | None = None, usage: bool = True
) -> Body:
    """A chat completion as the protocol has it."""
    body: Body = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "scripted",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": content, "refusal": refusal},
                "finish_reason": finish_reason,
            }
        ],
    }
    if usage:
        body["usage"] = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}
    return body


def says(content: object, **fields: Any) -> Answer:
    """Answers with this content; what is no text is written as JSON."""

    async def answer(_: Body) -> Response:
        text = content if isinstance(content, str) or content is None else json.dumps(content)
        return JSONResponse(completion(text, **fields))

    return answer


def calls(*arguments: object, name: str = "python", content: str | None = None) -> Answer:
    """Calls a tool once with each of these arguments; what is no text is written as JSON."""

    async def answer(_: Body) -> Response:
        body = completion(content, finish_reason="tool_calls")
        body["choices"][0]["message"]["tool_calls"] = [
            {
                "id": f"call_{number}",
                "type": "function",
                "function": {
                    "name": name,
                    "arguments": one if isinstance(one, str) else json.dumps(one),
                },
            }
            for number, one in enumerate(arguments)
        ]
        return JSONResponse(body)

    return answer


def fails(
    status: int,
    message: str = "no",
    *,
    code: str | None = None,
    param: str | None = None,
    retry_after: float | None = None,
) -> Answer:
    """Answers with an error of the protocol."""

    async def answer(_: Body) -> Response:
        headers = {} if retry_after is None else {"retry-after": str(retry_after)}
        error = {"message": message, "type": "error", "param": param, "code": code}
        return JSONResponse({"error": error}, status_code=status, headers=headers)

    return answer


def without_schemas(answer: Answer, *, message: str = "no such parameter") -> Answer:
    """Answers, but rejects what asks for a JSON schema."""

    async def rejecting(body: Body) -> Response:
        return await (fails(400, message) if "response_format" in body else answer)(body)

    return rejecting


def answers_with(body: str, media_type: str = "application/json") -> Answer:
    """Answers 200 with anything."""

    async def answer(_: Body) -> Response:
        return PlainTextResponse(body, media_type=media_type)

    return answer


def trickles() -> Answer:
    """Begins to answer, and sends a space now and then for ever."""

    async def pieces() -> AsyncIterator[bytes]:
        while True:
            yield b" "
            await asyncio.sleep(0.02)

    async def answer(_: Body) -> Response:
        return StreamingResponse(pieces(), media_type="application/json")

    return answer


@dataclasses.dataclass
class Endpoint:
    """The endpoint while it runs."""

    url: str = ""
    otherwise: Answer = dataclasses.field(default_factory=lambda: says("unscripted"))
    requests: list[Body] = dataclasses.field(default_factory=list)
    seen_at: list[float] = dataclasses.field(default_factory=list)
    running: int = 0
    most_running: int = 0
    cut_off: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)
    arrived: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)
    _script: collections.deque[Answer] = dataclasses.field(default_factory=collections.deque)

    def script(self, *answers: Answer) -> None:
        """Sets what the next requests are answered with."""
        self._script.extend(answers)

    def begin(self, otherwise: Answer) -> None:
        """Forgets all that was, for another test."""
        self._script.clear()
        self.requests.clear()
        self.seen_at.clear()
        self.otherwise = otherwise

    def held(self) -> tuple[Answer, asyncio.Event]:
        """An answer that waits until it is released, or until the asker has gone."""
        release = asyncio.Event()

        async def answer(body: Body) -> Response:
            await release.wait()
            return await says("released")(body)

        return answer, release

    async def answer(self, request: fastapi.Request) -> Response:
        """Answers one request."""
        if request.headers.get("authorization") not in (f"Bearer {KEY}", "Bearer none"):
            return await fails(401, f"Incorrect API key: {request.headers['authorization']}")({})
        body = await request.json()
        self.requests.append(body)
        self.seen_at.append(asyncio.get_running_loop().time())
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        self.arrived.set()
        try:
            next_one = self._script.popleft() if self._script else self.otherwise
            return await self._unless_gone(request, next_one(body))
        finally:
            self.running -= 1

    async def _unless_gone(
        self, request: fastapi.Request, answering: Awaitable[Response]
    ) -> Response:
        work = asyncio.ensure_future(answering)
        gone = asyncio.ensure_future(request.receive())  # the next thing after the body
        await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            self.cut_off.set()
            work.cancel()
            return Response(status_code=499)
        gone.cancel()
        return work.result()


class _Server(uvicorn.Server):
    """One that says when it has started."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()


@asynccontextmanager
async def scripted_endpoint() -> AsyncIterator[Endpoint]:
    """Runs an endpoint on a free port of loopback."""
    endpoint = Endpoint()
    app = fastapi.FastAPI()
    app.add_api_route("/v1/chat/completions", endpoint.answer, methods=["POST"])
    app.add_api_route("/v1/models", lambda: {"object": "list", "data": []}, methods=["GET"])
    with socket.create_server(("127.0.0.1", 0)) as listener:
        endpoint.url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        config = uvicorn.Config(app, log_config=None, lifespan="off", timeout_graceful_shutdown=1)
        server = _Server(config)
        serving = asyncio.create_task(server._serve([listener]))  # serve() would take the signals
        await server.ready.wait()
        try:
            yield endpoint
        finally:
            server.should_exit = True
            await serving


@contextmanager
def endpoint_in_a_thread() -> Iterator[Endpoint]:
    """The same for tests that are not asynchronous; its events are not for their thread."""
    started: queue.SimpleQueue[Endpoint] = queue.SimpleQueue()
    ended: queue.SimpleQueue[Callable[[], object]] = queue.SimpleQueue()

    async def run() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        ended.put(lambda: loop.call_soon_threadsafe(stop.set))
        async with scripted_endpoint() as endpoint:
            started.put(endpoint)
            await stop.wait()

    thread = threading.Thread(target=lambda: asyncio.run(run()))
    thread.start()
    endpoint = started.get(timeout=20)
    try:
        yield endpoint
    finally:
        ended.get()()
        thread.join()
