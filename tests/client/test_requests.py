"""The client's arguments as the wire's messages."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from plumb.v1 import environment_pb2 as wire
from plumb_client import options, requests, values


def test_every_option_of_a_session_arrives() -> None:
    request = requests.create_session(
        "shell",
        "paired",
        init=["echo ä", b"\xff"],
        tolerate_init_failures=True,
        init_timeout=1.5,
        idle_timeout=60,
        request_id="mine",
        image="i:1",
        hostname="box",
        dumb_terminal=True,
        max_text_bytes=2048,
        simulator={"model": "m", "strategy": "naive", "reason": True, "critic": True},
        observe="simulated",
    )
    assert (request.kind, request.backend, request.request_id) == ("shell", "paired", "mine")
    assert list(request.init) == ["echo ä".encode(), b"\xff"]
    assert request.tolerate_init_failures
    assert request.init_timeout.ToNanoseconds() == 1_500_000_000
    assert request.idle_timeout.seconds == 60
    assert request.shell == wire.ShellOptions(
        image="i:1", hostname="box", dumb_terminal=True, max_text_bytes=2048
    )
    assert not request.HasField("mysql")
    assert request.simulator == wire.SimulatorOptions(
        model="m", strategy="naive", reason=True, critic=True
    )
    assert request.observe == "simulated"
    of_mysql = requests.create_session(
        "mysql", "real", database="shop", isolation="dedicated", rendering="json", max_rows=5,
        max_text_bytes=2048,
    )  # fmt: skip
    assert of_mysql.mysql == wire.MysqlOptions(
        database="shop", isolation="dedicated", rendering="json", max_rows=5, max_text_bytes=2048
    )
    assert not of_mysql.HasField("shell")


def test_every_option_of_the_wire_can_be_given() -> None:
    of_messages = {
        field.name
        for message in (wire.ShellOptions, wire.MysqlOptions)
        for field in message.DESCRIPTOR.fields
    }
    own = {field.name for field in wire.CreateSessionRequest.DESCRIPTOR.fields}
    can = set(options.SessionOptions.__annotations__)
    assert can == (own - {"kind", "backend", "shell", "mysql", "replay"}) | of_messages | {
        "recordings",  # what is in replay
        "replay_until",  # what is in replay_from
    }


def test_recordings_are_sent_turn_by_turn() -> None:
    turns = [options.RecordedTurn("ls", "a", exit_code=0), options.RecordedTurn(b"\xff", "")]
    sent = requests.create_session("shell", "replay", recordings=[turns], task="t")
    assert sent.task == "t"
    (recording,) = sent.replay.recordings
    first, second = recording.turns
    assert first == wire.RecordedTurn(action=b"ls", text="a", exit_code=0)
    assert second.action == b"\xff"
    assert not second.HasField("exit_code")


def test_all_that_is_known_of_a_turn_is_sent() -> None:
    for ending in values.Ending:
        turn = options.RecordedTurn("a", "b", errno=5, cwd="/srv", ending=ending)
        sent = requests.create_session("shell", "replay", recordings=[[turn]])
        assert sent.replay.recordings[0].turns[0] == wire.RecordedTurn(
            action=b"a",
            text="b",
            errno=5,
            cwd="/srv",
            ending=wire.Ending.Value(f"ENDING_{ending.name}"),
        )
    bad = options.RecordedTurn("a", "b", ending="exited")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"ending is 'exited'; give a plumb_client.Ending"):
        requests.create_session("shell", "replay", recordings=[[bad]])


def test_what_is_left_out_stays_out_so_that_the_server_s_defaults_hold() -> None:
    request = requests.create_session("shell", "real")
    for field in ("init_timeout", "idle_timeout", "shell", "mysql", "simulator"):
        assert not request.HasField(field)


def test_every_creation_has_a_request_id_of_its_own() -> None:
    first, second = (requests.create_session("shell", "real").request_id for _ in range(2))
    assert uuid.UUID(first) != uuid.UUID(second)


def test_an_option_that_is_not_there_is_named_with_those_that_are() -> None:
    wrong: dict[str, Any] = {"imgae": "i"}
    with pytest.raises(TypeError, match=r"no option 'imgae'; use .*image"):
        requests.create_session("shell", "real", **wrong)


def test_a_step_without_a_timeout_leaves_it_to_the_server() -> None:
    assert not requests.step("sessions/a", 1, "true", None).HasField("timeout")
    request = requests.step("sessions/a", 7, "echo ä", 0.25)
    assert (request.name, request.step_index) == ("sessions/a", 7)
    assert request.action == "echo ä".encode()
    assert request.timeout.ToNanoseconds() == 250_000_000


def test_an_action_as_bytes_arrives_byte_for_byte() -> None:
    assert requests.step("sessions/a", 1, b"\xff\x00", None).action == b"\xff\x00"


def test_every_field_of_a_program_arrives() -> None:
    request = requests.execute(
        "sessions/a", ["wc", "-c"], stdin="ä", env={"A": "b"}, cwd="/tmp", user="nobody", timeout=2
    )
    assert request.name == "sessions/a"
    assert list(request.argv) == ["wc", "-c"]
    assert request.stdin == "ä".encode()
    assert dict(request.env) == {"A": "b"}
    assert (request.cwd, request.user, request.timeout.seconds) == ("/tmp", "nobody", 2)


@pytest.mark.parametrize("seconds", [0, -1.5, 0.000000001, 600, 1e6])
def test_a_number_of_seconds_arrives_to_the_nanosecond(seconds: float) -> None:
    assert requests.duration(seconds).ToNanoseconds() == round(seconds * 1e9)
