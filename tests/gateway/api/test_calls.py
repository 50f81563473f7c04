"""Calls: what is asked over HTTP reaches the server, and what it answers comes back."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from plumb_gateway.app import make_app
from plumb_gateway.upstream import open_upstream

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    import httpx2 as httpx
    from fastapi import FastAPI
    from tests.gateway.conftest import Kit, Server

    from plumb_gateway.settings import GatewaySettings


class Caller:
    """Posts a body, and goes away when it is told to."""

    def __init__(self, path: str, body: dict[str, Any]) -> None:
        self.scope = {
            "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "method": "POST",
            "path": path, "raw_path": path.encode(), "query_string": b"", "scheme": "http",
            "headers": [(b"host", b"127.0.0.1"), (b"content-type", b"application/json")],
        }  # fmt: skip
        self.goes = asyncio.Event()
        self.sent: list[MutableMapping[str, Any]] = []
        self._body: bytes | None = json.dumps(body).encode()

    async def receive(self) -> dict[str, Any]:
        body, self._body = self._body, None
        if body is not None:
            return {"type": "http.request", "body": body, "more_body": False}
        await self.goes.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: MutableMapping[str, Any]) -> None:
        self.sent.append(message)


async def test_a_step_is_taken_and_its_index_keeps_it_from_being_taken_twice(
    http: httpx.AsyncClient, server: Server, kit: type[Kit]
) -> None:
    path = await kit.create(http)
    step = {"step_index": 1, "action": "say hi"}
    answers = [(await http.post(f"{path}/steps", json=step)).json() for _ in range(2)]
    assert answers[0] == answers[1]
    assert answers[0]["observation"]["text"] == "hi"
    assert server.provider.made[0].ran == [b"say hi"]


async def test_a_stream_is_one_line_a_message(http: httpx.AsyncClient, kit: type[Kit]) -> None:
    path = await kit.create(http)
    step = {"step_index": 1, "action": "say hi"}
    answer = await http.post(f"{path}/steps/stream", json={"step": step})
    assert answer.headers["content-type"] == "application/x-ndjson"
    chunk, last = (json.loads(line) for line in answer.text.splitlines())
    assert chunk == {"chunk": {"offset": 0, "data": "hi"}}
    assert last["observation"]["text"] == "hi"


async def test_an_error_before_the_first_line_has_a_status_of_its_own(
    http: httpx.AsyncClient, kit: type[Kit]
) -> None:
    path = await kit.create(http)
    step = {"step_index": 9, "action": "say hi"}
    answer = await http.post(f"{path}/steps/stream", json={"step": step})
    assert (answer.status_code, answer.json()["reason"]) == (409, "STEP_OUT_OF_ORDER")


async def test_a_creation_whose_caller_goes_away_is_given_up(
    app: FastAPI, server: Server, kit: type[Kit]
) -> None:
    server.provider.may_create.clear()
    caller = Caller("/v1/sessions", {"kind": "shell"})
    call = asyncio.create_task(app(caller.scope, caller.receive, caller.send))
    await kit.soon(server.provider.creating.wait())
    caller.goes.set()
    await kit.soon(call)
    await kit.soon(server.provider.given_up.wait())
    assert server.sessions.list() == []


async def test_a_stream_whose_caller_goes_away_before_its_first_line_is_given_up(
    app: FastAPI, http: httpx.AsyncClient, server: Server, kit: type[Kit]
) -> None:
    path = await kit.create(http)
    step = {"step_index": 1, "action": "wait"}
    caller = Caller(f"{path}/steps/stream", {"step": step})
    call = asyncio.create_task(app(caller.scope, caller.receive, caller.send))
    sandbox = server.provider.made[0]
    await kit.soon(sandbox.begun.wait())
    caller.goes.set()
    await kit.soon(call)  # although the step goes on
    assert not sandbox.release.is_set()
    sandbox.release.set()


async def test_an_engine_s_refusal_comes_with_its_facts_and_its_wait(
    http: httpx.AsyncClient, kit: type[Kit]
) -> None:
    path = await kit.create(http)
    answer = await http.post(f"{path}/steps", json={"step_index": 1, "action": "full"})
    assert answer.status_code == 429
    assert answer.headers["retry-after"] == "2"
    problem = answer.json()
    assert problem["metadata"]["limit"] == "PLUMB_MAX_SESSIONS"
    assert problem["retry_after"] == 1.2


async def test_a_server_that_is_away_is_a_503_with_the_mend(
    settings: GatewaySettings, kit: type[Kit]
) -> None:
    async with (
        open_upstream("unix:/no/such/socket", None) as upstream,
        kit.open_http(make_app(upstream, settings, frozenset())) as http,
    ):
        answer = await http.get("/v1/journal/sessions")
    assert answer.status_code == 503
    assert "start one with `plumb serve`" in answer.json()["detail"]
