"""The live socket on a real shell."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import websockets

if TYPE_CHECKING:
    import httpx2 as httpx
    from tests.integration.gateway.conftest import Kit, Running


def test_output_comes_as_it_appears_and_then_the_observation(running: Running, path: str) -> None:
    with running.live(f"{path}/live") as live:
        assert f"/v1/{live.receive()['session']['name']}" == path
        live.send(step={"action": "seq 3"})
        output, last = live.answer()
    assert output == b"1\r\n2\r\n3\r\n"
    assert (last["observation"]["text"], last["step_index"]) == ("1\n2\n3\n", 1)


def test_an_interrupt_stops_what_runs(running: Running, path: str) -> None:
    with running.live(f"{path}/live") as live:
        live.receive()
        live.send(step={"action": "echo begun; sleep 600", "timeout": 600})
        assert "chunk" in live.receive()
        live.send(interrupt={})
        assert live.answer()[1]["observation"]["ending"] == "INTERRUPTED"


def test_an_interrupt_right_behind_its_step_stops_it_too(running: Running, path: str) -> None:
    with running.live(f"{path}/live") as live:
        live.receive()
        live.send(step={"action": "sleep 600", "timeout": 600})
        for _ in range(3):
            live.send(interrupt={})
        assert live.answer()[1]["observation"]["ending"] == "INTERRUPTED"
        live.send(interrupt={})  # nothing runs, and nothing will that was sent before
        live.send(step={"action": "sleep 1; echo on"})
        assert live.answer()[1]["observation"]["text"] == "on\n"


@pytest.mark.parametrize("message", ["", "[]", '{"stepp": 1}', '{"step": {"action": 5}}', b"\xff"])
def test_a_bad_message_breaks_nothing(running: Running, path: str, message: str | bytes) -> None:
    with running.live(f"{path}/live") as live:
        live.receive()
        live.connection.send(message)
        assert live.receive()["error"]["reason"] == "INVALID_INPUT"
        live.send(step={"action": "echo ok"})
        assert live.answer()[1]["observation"]["text"] == "ok\n"


def test_two_sockets_and_somebody_else_share_one_shell(
    running: Running, http: httpx.Client, path: str
) -> None:
    with running.live(f"{path}/live") as one, running.live(f"{path}/live") as other:
        for socket in (one, other):
            socket.receive()
        for socket in (one, other, one):
            socket.send(step={"action": "echo $((n+=1))"})
            socket.answer()
        http.post(f"{path}/steps", json={"step_index": 4, "action": "echo $((n+=1))"})
        other.send(step={"action": "echo $((n+=1))"})
        last = other.answer()[1]
    assert (last["observation"]["text"], last["step_index"]) == ("5\n", 5)


def test_on_an_unknown_session_no_socket_is_opened(running: Running) -> None:
    with (
        pytest.raises(websockets.InvalidStatus) as caught,
        running.live("/v1/sessions/00000000-0000-4000-8000-000000000000/live"),
    ):
        pass
    answer = caught.value.response
    assert (answer.status_code, json.loads(answer.body)["reason"]) == (404, "SESSION_NOT_FOUND")


def test_a_session_of_a_page_s_own_ends_with_it_and_its_container_is_gone(
    running: Running, http: httpx.Client, kit: type[Kit]
) -> None:
    before = running.containers()
    path = kit.create(http)
    with running.live(f"{path}/live?own=true") as live:
        live.receive()
        live.send(step={"action": "echo hi"})
        live.answer()
    kit.eventually(lambda: http.get(path).status_code == 404)
    kit.eventually(lambda: running.containers() == before)


def test_one_that_is_to_be_kept_lives_on(running: Running, http: httpx.Client, path: str) -> None:
    with running.live(f"{path}/live?own=true") as live:
        live.receive()
        live.send(keep=True)
        live.send(step={"action": "echo hi"})
        live.answer()
    with running.live(f"{path}/live") as again:
        assert again.receive()["session"]["last_step_index"] == 1


def test_a_pair_s_verdict_comes_with_each_step(
    running: Running, http: httpx.Client, kit: type[Kit]
) -> None:
    path = kit.create(http, backend="paired", simulator={"model": "baseline:always_empty"})
    with running.live(f"{path}/live?own=true") as live:
        live.receive()
        live.send(step={"action": "echo hi"})
        seen = live.answer()[1]["observation"]
    assert seen["verdict"]["verdict"] == "EMPTY"
    assert seen["counterpart"]["text"] == ""
