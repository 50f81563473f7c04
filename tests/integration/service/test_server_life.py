"""A server's life: how it starts, what it says about itself, how it ends, and what is left."""

from __future__ import annotations

import signal
import socket
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

import plumb_client
from plumb.v1 import environment_pb2 as wire
from plumb.v1 import environment_pb2_grpc as wire_grpc

if TYPE_CHECKING:
    from tests.integration.service.conftest import Kit, Server, StartServer


def begin(pool: ThreadPoolExecutor, shell: plumb_client.Session, action: str) -> Any:
    """Begins a step; returns when it runs."""
    waiting = pool.submit(shell.step, f"touch /tmp/begun; {action}")
    while shell.exec(["test", "-e", "/tmp/begun"]).exit_code:
        pass
    return waiting


def makes_no_more_sessions(plumb: plumb_client.Plumb) -> bool:
    try:
        plumb.session("shell").close()
    except plumb_client.ServerUnavailable:
        return True
    return False


def steps_in(journal: Path) -> list[tuple[int, bytes, str | None]]:
    with closing(sqlite3.connect(journal)) as connection:
        return list(
            connection.execute("SELECT step_index, action, ending FROM steps ORDER BY step_index")
        )


def test_health_answers_for_the_server_and_for_the_service(server: Server, kit: Kit) -> None:
    with grpc.insecure_channel(server.address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        for service in ("", "plumb.v1.EnvironmentService"):
            request = health_pb2.HealthCheckRequest(service=service)
            serving = health_pb2.HealthCheckResponse.SERVING
            kit.eventually(lambda: stub.Check(request, timeout=60).status == serving)  # noqa: B023
        with pytest.raises(grpc.RpcError) as caught:
            stub.Check(health_pb2.HealthCheckRequest(service="no.such.Service"), timeout=10)
        error: Any = caught.value
        assert error.code() is grpc.StatusCode.NOT_FOUND
        watch = stub.Watch(health_pb2.HealthCheckRequest(), timeout=10)
        assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
        watch.cancel()


def test_reflection_lists_the_services_and_describes_them(server: Server) -> None:
    with grpc.insecure_channel(server.address) as channel:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        requests = [
            reflection_pb2.ServerReflectionRequest(list_services=""),
            reflection_pb2.ServerReflectionRequest(
                file_containing_symbol="plumb.v1.EnvironmentService"
            ),
        ]
        names, described = list(stub.ServerReflectionInfo(iter(requests), timeout=10))
    listed = {service.name for service in names.list_services_response.service}
    assert {"plumb.v1.EnvironmentService", "grpc.health.v1.Health"} <= listed
    assert described.file_descriptor_response.file_descriptor_proto


def test_a_second_server_on_the_same_engine_leaves_the_first_one_s_sandboxes_alone(
    server: Server, start_server: StartServer
) -> None:
    with plumb_client.connect(server.address) as plumb, plumb.session("shell") as shell:
        shell.step("x=1")
        before = server.containers()
        second = start_server(PLUMB_SWEEP_INTERVAL="0.1")
        with plumb_client.connect(second.address) as other, other.session("shell") as beside:
            assert beside.step("echo $x").text.strip() == ""
            assert other.sessions()[0].name != shell.name
            assert len(second.containers()) == 1
        second.stop()
        assert server.containers() == before
        assert shell.step("echo $x").text.strip() == "1"


def test_after_kill_9_and_a_restart_no_container_is_left_and_the_old_session_is_known_as_ended(
    start_server: StartServer, kit: Kit
) -> None:
    first = start_server()
    with plumb_client.connect(first.address) as plumb, ThreadPoolExecutor(1) as pool:
        shell = plumb.session("shell")
        for number in range(1, 6):
            assert shell.step(f"echo {number}").text.strip() == str(number)
        running = begin(pool, shell, "sleep 600")
        assert first.containers()
        first.process.kill()
        first.process.wait()
        assert isinstance(running.exception(60), plumb_client.ServerUnavailable)
    assert [index for index, _, _ in steps_in(first.journal)] == [1, 2, 3, 4, 5]
    second = start_server()
    # It sweeps before it listens; another test's server may be at the same removal, and not done.
    kit.eventually(lambda: not first.containers())
    assert ended_in(second.journal) == {shell.name: "the server that had it ended without a word"}
    with plumb_client.connect(second.address) as plumb:
        assert plumb.sessions() == []
        with pytest.raises(plumb_client.SessionNotFound, match=f"{shell.name} has ended"):
            plumb.attach(shell.name)


def ended_in(journal: Path) -> dict[str, str]:
    query = "SELECT name, ended_because FROM sessions WHERE ended_at IS NOT NULL"
    with closing(sqlite3.connect(journal)) as connection:
        return dict(connection.execute(query))


def test_after_kill_9_and_a_restart_an_answered_step_is_answered_again_and_no_other_runs(
    start_server: StartServer,
) -> None:
    first = start_server()
    with grpc.insecure_channel(first.address) as channel:
        stub = wire_grpc.EnvironmentServiceStub(channel)
        name = stub.CreateSession(wire.CreateSessionRequest(kind="shell")).session.name
        asked = wire.StepRequest(name=name, step_index=1, action=b"echo $RANDOM")
        answered = stub.Step(asked)
        first.process.kill()
        first.process.wait()
    second = start_server()
    next_step = wire.StepRequest(name=name, step_index=2, action=b"echo hi")
    with grpc.insecure_channel(second.address) as channel:
        stub = wire_grpc.EnvironmentServiceStub(channel)
        assert stub.Step(asked) == answered
        (talked,) = stub.Converse(iter([wire.ConverseRequest(step=asked)]))
        assert talked.step == answered
        (streamed,) = stub.StreamStep(wire.StreamStepRequest(step=asked))
        assert streamed.observation == answered.observation
        for call in (
            lambda: stub.Step(next_step),
            lambda: list(stub.StreamStep(wire.StreamStepRequest(step=next_step))),
        ):
            with pytest.raises(grpc.RpcError, match="ended without a word"):
                call()


def test_at_sigterm_a_running_step_is_answered_and_nothing_is_left(
    start_server: StartServer, kit: Kit
) -> None:
    server = start_server(PLUMB_SHUTDOWN_GRACE="30")
    with plumb_client.connect(server.address) as plumb, ThreadPoolExecutor(2) as pool:
        shell = plumb.session("shell")
        action = "until [ -e /tmp/go ]; do sleep 0.05; done; echo done"
        running = begin(pool, shell, action)
        server.process.send_signal(signal.SIGTERM)
        kit.eventually(lambda: makes_no_more_sessions(plumb))
        assert not running.done()
        pool.submit(shell.exec, ["touch", "/tmp/go"])  # it may be cut off: the step ends the server
        seen = running.result(30)
        assert (seen.text.strip(), seen.exit_code) == ("done", 0)
    assert server.wait() == 0
    assert not server.containers()
    assert [ending for _, _, ending in steps_in(server.journal)] == ["EXITED"]


def test_at_sigterm_a_step_that_outlasts_the_grace_is_refused_and_nothing_is_left(
    start_server: StartServer,
) -> None:
    server = start_server(PLUMB_SHUTDOWN_GRACE="0.2")
    with plumb_client.connect(server.address) as plumb, ThreadPoolExecutor(1) as pool:
        running = begin(pool, plumb.session("shell"), "sleep 600")
        server.process.send_signal(signal.SIGTERM)
        error = running.exception(30)
        assert isinstance(error, plumb_client.ServerUnavailable | plumb_client.SessionNotFound), (
            repr(error)
        )
    assert server.wait() == 0
    assert not server.containers()
    ((_, _, ending),) = steps_in(server.journal)
    assert ending is None  # answered with an error, not with an observation
    assert "Traceback" not in server.log()
    assert "exception" not in server.log()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_idle_server_ends_at_once_with_status_0_and_ends_its_sessions(
    start_server: StartServer, number: signal.Signals
) -> None:
    server = start_server(PLUMB_SHUTDOWN_GRACE="3600")
    with plumb_client.connect(server.address) as plumb:
        plumb.session("shell")
        assert len(server.containers()) == 1
        server.process.send_signal(number)
        assert server.wait() == 0  # nobody needs its grace
    assert not server.containers()


def test_a_sandbox_of_an_idle_session_is_removed_by_the_sweep(
    start_server: StartServer, kit: Kit
) -> None:
    server = start_server(PLUMB_SWEEP_INTERVAL="0.1")
    with plumb_client.connect(server.address) as plumb:
        shell = plumb.session("shell", idle_timeout=1)
        kit.eventually(lambda: not server.containers())
        with pytest.raises(plumb_client.SessionNotFound, match="it was idle too long"):
            shell.step("true")


def test_a_client_that_dies_in_mid_creation_leaves_nothing(
    start_server: StartServer, kit: Kit
) -> None:
    server = start_server()
    program = (
        "import sys, grpc; from plumb.v1 import environment_pb2 as w, environment_pb2_grpc as g\n"
        "stub = g.EnvironmentServiceStub(grpc.insecure_channel(sys.argv[1]))\n"
        "stub.CreateSession(w.CreateSessionRequest(kind='shell', init=[b'sleep 600']))\n"
    )
    client = subprocess.Popen([sys.executable, "-c", program, server.address])
    kit.eventually(server.containers)
    client.kill()
    client.wait()
    kit.eventually(lambda: not server.containers())
    with plumb_client.connect(server.address) as plumb:
        assert plumb.sessions() == []


def test_a_reached_limit_is_told_with_its_name_and_when_to_retry(
    start_server: StartServer,
) -> None:
    server = start_server(PLUMB_MAX_SESSIONS="1")
    with plumb_client.connect(server.address) as plumb, plumb.session("shell"):
        with pytest.raises(plumb_client.LimitReached) as caught:
            plumb.session("shell")
        assert caught.value.limit == "PLUMB_MAX_SESSIONS"
        assert caught.value.retry_after > 0
        assert len(server.containers()) == 1


def test_a_port_that_is_taken_ends_with_status_2_and_one_sentence(
    server: Server, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "plumb_server"],
        env={"PLUMB_LISTEN": server.address, "PLUMB_JOURNAL": "sqlite://"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    said = [line for line in done.stderr.splitlines() if "add_port.cc" not in line]  # gRPC's own
    assert len(said) == 1, done.stderr
    assert f"cannot listen on {server.address}: the port is taken" in said[0]


def test_a_server_off_loopback_says_how_and_does_not_start(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "plumb_server"],
        env={"PLUMB_LISTEN": "0.0.0.0:0", "PLUMB_JOURNAL": "sqlite://"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "0.0.0.0:0 is not on loopback" in done.stderr
    assert "PLUMB_INSECURE_LISTEN=1" in done.stderr


def test_with_leave_a_server_listens_off_loopback(start_server: StartServer) -> None:
    server = start_server(PLUMB_LISTEN="0.0.0.0:0", PLUMB_INSECURE_LISTEN="1")
    port = server.address.rpartition(":")[2]
    with plumb_client.connect(f"{socket.gethostname()}:{port}") as plumb:
        assert plumb.kinds()
