"""The live socket: output as it comes, one step after another, and mistakes break nothing."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import httpx2 as httpx
import pytest
import websockets

from plumb_gateway.serving import run_gateway

if TYPE_CHECKING:
    from tests.gateway.conftest import Kit, Server

    from plumb_gateway.settings import GatewaySettings


class Socket:
    """One socket, in JSON."""

    def __init__(self, connection: websockets.ClientConnection, kit: type[Kit]) -> None:
        self.connection = connection
        self._kit = kit

    async def send(self, **message: Any) -> None:
        await self.connection.send(json.dumps(message))

    async def receive(self) -> Any:
        return json.loads(await self._kit.soon(self.connection.recv()))

    async def observation(self) -> Any:
        """The next one; chunks before it are passed over."""
        while "chunk" in (message := await self.receive()):
            pass
        return message


@contextlib.asynccontextmanager
async def open_live(url: str, path: str, kit: type[Kit], query: str = "") -> AsyncIterator[Socket]:
    address = f"{url.replace('http', 'ws')}{path}/live{query}"
    async with websockets.connect(address) as connection:
        yield Socket(connection, kit)


@pytest.fixture
async def path(url: str, kit: type[Kit]) -> str:
    """A session's."""
    async with httpx.AsyncClient(base_url=url, timeout=60) as http:
        return await kit.create(http)


@pytest.fixture
async def live(url: str, path: str, kit: type[Kit]) -> AsyncIterator[Socket]:
    """A socket that has been told its session."""
    async with open_live(url, path, kit) as socket:
        assert "session" in await socket.receive()
        yield socket


async def test_the_session_comes_first(url: str, path: str, kit: type[Kit]) -> None:
    async with open_live(url, path, kit) as socket:
        session = (await socket.receive())["session"]
    assert (f"/v1/{session['name']}", session["state"]) == (path, "READY")


async def test_a_step_is_chunks_and_then_its_observation(live: Socket) -> None:
    await live.send(step={"action": "say hi"})
    assert await live.receive() == {"chunk": {"offset": 0, "data": "hi"}}
    seen = await live.receive()
    assert (seen["observation"]["text"], seen["step_index"]) == ("hi", 1)


async def test_a_binary_message_is_read_like_text(live: Socket) -> None:
    await live.connection.send(b'{"step": {"action": "say hi"}}')
    assert (await live.observation())["observation"]["text"] == "hi"


@pytest.mark.parametrize(
    ("message", "says"),
    [
        ("", "this is no JSON"),
        (b"\xff", "this is no JSON"),
        ("[]", "the JSON is a list; use an object"),
        ("{}", "the message is {}; use one of"),
        ('{"stepp": {}}', "the message is {'stepp': {}}; use one of"),
        ('{"step": 5}', "the message is {'step': 5}; use one of"),
        ('{"keep": "no"}', "the message is {'keep': 'no'}; use one of"),
        ('{"\\ud800": 1}', "the message is {'\\ud800': 1}; use one of"),
        ('{"step": {"actoin": "ls"}}', "there is no field 'step.actoin'; use name, step_index"),
        ('{"step": {"action": 5}}', "step.action is 5; use a text"),
        ('{"step": {"action": "\\ud800"}}', "step.action has half of a surrogate pair"),
    ],
)
async def test_a_bad_message_is_refused_with_a_sentence_and_the_next_is_taken(
    live: Socket, message: str | bytes, says: str
) -> None:
    await live.connection.send(message)
    error = (await live.receive())["error"]
    assert (error["status"], error["reason"]) == (400, "INVALID_INPUT")
    assert error["detail"].startswith(says)
    await live.send(step={"action": "say still here"})
    assert (await live.observation())["observation"]["text"] == "still here"


async def test_an_interrupt_goes_past_the_step_that_runs(live: Socket, server: Server) -> None:
    await live.send(step={"action": "wait"})
    await live.send(step={"action": "say next"})
    await server.provider.made[0].begun.wait()
    await live.send(interrupt={})
    assert (await live.observation())["observation"]["ending"] == "INTERRUPTED"
    assert (await live.observation())["step_index"] == 2


async def test_without_a_step_an_interrupt_does_nothing(live: Socket) -> None:
    await live.send(interrupt={})
    await live.send(step={"action": "say hi"})
    assert (await live.observation())["step_index"] == 1


async def test_a_failed_step_is_an_error_and_the_next_is_taken(live: Socket) -> None:
    await live.send(step={"action": "full"})
    error = (await live.observation())["error"]
    assert (error["reason"], error["status"]) == ("LIMIT_REACHED", 429)
    await live.send(step={"action": "say hi"})
    assert (await live.observation())["step_index"] == 2


async def test_a_step_s_own_index_is_kept_to(live: Socket) -> None:
    await live.send(step={"action": "say hi", "step_index": 7})
    assert (await live.observation())["error"]["reason"] == "STEP_OUT_OF_ORDER"


async def test_who_sends_too_much_is_told(live: Socket, server: Server) -> None:
    await live.send(step={"action": "wait"})
    await server.provider.made[0].begun.wait()
    for _ in range(101):
        await live.send(step={"action": "say hi"})
    assert "100 steps wait already" in (await live.receive())["error"]["detail"]
    await live.send(interrupt={})


async def test_somebody_else_s_step_in_between_takes_no_step_away(
    live: Socket, url: str, path: str, server: Server, kit: type[Kit]
) -> None:
    async with httpx.AsyncClient(base_url=url, timeout=60) as other:
        for index, action in ((1, "say same"), (3, "say other")):
            await other.post(f"{path}/steps", json={"step_index": index, "action": action})
            await live.send(step={"action": "say same"})
            assert (await live.observation())["step_index"] == index + 1
    assert server.provider.made[0].ran == [b"say same", b"say same", b"say other", b"say same"]


async def test_two_sockets_on_one_session_take_turns(
    live: Socket, url: str, path: str, kit: type[Kit]
) -> None:
    async with open_live(url, path, kit) as other:
        await other.receive()
        for index, socket in enumerate([live, other, other, live], 1):
            await socket.send(step={"action": "say same"})
            assert (await socket.observation())["step_index"] == index


async def refusal_of(url: str, path: str, kit: type[Kit]) -> tuple[str, int]:
    """How a socket is refused that was never opened: the reason, and the status."""
    with pytest.raises(websockets.InvalidStatus) as caught:
        async with open_live(url, path, kit):
            pass
    answer = caught.value.response
    return json.loads(answer.body)["reason"], answer.status_code


async def test_a_socket_on_a_session_that_is_none_is_never_opened(url: str, kit: type[Kit]) -> None:
    unknown = "/v1/sessions/00000000-0000-4000-8000-000000000000"
    assert await refusal_of(url, unknown, kit) == ("SESSION_NOT_FOUND", 404)
    assert await refusal_of(url, "/v1/sessions/x", kit) == ("INVALID_INPUT", 400)


async def test_a_socket_whose_session_ends_is_closed_with_the_reason(
    live: Socket, url: str, path: str, kit: type[Kit]
) -> None:
    async with httpx.AsyncClient(base_url=url, timeout=60) as http:
        await http.delete(path)
    await live.send(step={"action": "say late"})
    assert (await live.receive())["error"]["reason"] == "SESSION_NOT_FOUND"
    await kit.soon(live.connection.wait_closed())
    assert live.connection.close_code == 1008
    assert live.connection.close_reason == "SESSION_NOT_FOUND"


async def test_a_socket_that_breaks_stops_no_step(
    url: str, path: str, server: Server, kit: type[Kit]
) -> None:
    sandbox = server.provider.made[0]
    async with open_live(url, path, kit) as socket:
        await socket.send(step={"action": "wait"})
        await kit.soon(sandbox.begun.wait())
    sandbox.release.set()
    async with open_live(url, path, kit) as again:
        await again.receive()
        await again.send(step={"action": "wait", "step_index": 1})
        assert (await again.observation())["observation"]["ending"] == "EXITED"
    assert sandbox.ran == [b"wait"]


@pytest.fixture
async def hasty_url(server: Server, settings: GatewaySettings) -> AsyncIterator[str]:
    """A gateway that ends what nobody looks at at once."""
    hasty = settings.model_copy(update={"leave_grace": 0.0})
    async with run_gateway(hasty, server=server.address) as running:
        yield running


@pytest.mark.parametrize(
    ("query", "messages"),
    [("?own=true", []), ("", [{"keep": False}]), ("?own=true", [{"keep": True}, {"keep": False}])],
)
async def test_a_session_that_is_not_to_be_kept_ends_with_its_page(
    hasty_url: str,
    path: str,
    server: Server,
    kit: type[Kit],
    query: str,
    messages: list[dict[str, bool]],
) -> None:
    async with open_live(hasty_url, path, kit, query) as socket:
        await socket.receive()
        for message in messages:
            await socket.send(**message)
        await socket.send(step={"action": "say hi"})
        await socket.observation()
    await kit.soon(server.provider.made[0].closed.wait())


@pytest.mark.parametrize(("query", "messages"), [("", []), ("?own=true", [{"keep": True}])])
async def test_one_that_is_to_be_kept_does_not(
    server: Server,
    settings: GatewaySettings,
    url: str,
    path: str,
    kit: type[Kit],
    query: str,
    messages: list[dict[str, bool]],
) -> None:
    async with (
        run_gateway(settings, server=server.address) as other,
        open_live(other, path, kit, query) as socket,
    ):
        await socket.receive()
        for message in messages:
            await socket.send(**message)
        await socket.send(step={"action": "say hi"})
        await socket.observation()
    assert not server.provider.made[0].closed.is_set()  # the gateway is down, and ended nothing


async def test_what_others_do_is_told_as_it_begins_and_as_it_ends(
    live: Socket, url: str, path: str, server: Server, kit: type[Kit]
) -> None:
    async with httpx.AsyncClient(base_url=url, timeout=60) as other:
        step = {"step_index": 1, "action": "wait"}
        asked = asyncio.create_task(other.post(f"{path}/steps", json=step))
        busy = (await live.receive())["session"]
        assert (busy["state"], busy["last_step_index"]) == ("BUSY", 1)
        server.provider.made[0].release.set()
        await kit.soon(asked)
        ready = (await live.receive())["session"]
        assert (ready["state"], ready["last_step_index"]) == ("READY", 1)


async def test_a_session_that_ends_elsewhere_is_told_without_a_step(
    live: Socket, url: str, path: str, kit: type[Kit]
) -> None:
    async with httpx.AsyncClient(base_url=url, timeout=60) as other:
        await other.delete(path)
    assert (await live.receive())["error"]["reason"] == "SESSION_NOT_FOUND"
    await kit.soon(live.connection.wait_closed())
