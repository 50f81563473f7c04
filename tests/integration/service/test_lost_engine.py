"""An engine that goes away is an error with a reason, and never an observation."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

import plumb_client
from plumb_backends.real.engine import GUEST_IMAGE

if TYPE_CHECKING:
    from tests.integration.service.conftest import Kit, Server, StartServer

ENGINE_SOCKET = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock").removeprefix("unix://")


class Forwarder:
    """A unix socket that leads to the engine, and can be cut."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._listener: socket.socket | None = None
        self._open: set[socket.socket] = set()
        self._looking = threading.Lock()
        self._is_cut = False
        self.mend()

    def mend(self) -> None:
        """Leads to the engine from now on."""
        self.path.unlink(missing_ok=True)
        self._is_cut = False
        listener = self._listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(self.path))
        listener.listen(64)
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def cut(self) -> None:
        """Breaks every connection, and takes no more."""
        assert self._listener is not None
        self.path.unlink(missing_ok=True)
        with self._looking:
            self._is_cut = True
            for end in (self._listener, *self._open):
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
                end.close()
            self._open.clear()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                near = listener.accept()[0]
            except OSError:
                return
            far = socket.socket(socket.AF_UNIX)
            with self._looking:
                if self._is_cut:  # between the two lines above
                    near.close()
                    far.close()
                    return
                far.connect(ENGINE_SOCKET)
                self._open |= {near, far}
            for ends in ((near, far), (far, near)):
                threading.Thread(target=self._pump, args=ends, daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)


@pytest.fixture
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forwarder]:
    folder = Path(tempfile.mkdtemp(prefix="plumb-"))  # a socket's path must be short
    forwarder = Forwarder(folder / "engine.sock")
    yield forwarder
    forwarder.cut()
    shutil.rmtree(folder)


@pytest.fixture
def server(engine: Forwarder, start_server: StartServer) -> Iterator[Server]:
    server = start_server(PLUMB_ENGINE=f"unix://{engine.path}", PLUMB_HEALTH_INTERVAL="0.1")
    yield server
    with contextlib.suppress(OSError):
        engine.cut()
    engine.mend()  # so that the server can remove what it has
    assert server.stop() == 0


def is_healthy(server: Server) -> bool:
    with grpc.insecure_channel(server.address) as channel:
        answer = health_pb2_grpc.HealthStub(channel).Check(
            health_pb2.HealthCheckRequest(), timeout=10
        )
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


def test_an_engine_lost_in_mid_step_is_an_error_and_never_an_observation(
    engine: Forwarder, server: Server
) -> None:
    with plumb_client.connect(server.address) as plumb, ThreadPoolExecutor(1) as pool:
        shell = plumb.session("shell")
        running = pool.submit(shell.step, "echo partial; touch /tmp/begun; sleep 600")
        while shell.exec(["test", "-e", "/tmp/begun"]).exit_code:
            pass
        engine.cut()
        error = running.exception(60)
        assert isinstance(error, plumb_client.SandboxUnavailable), repr(error)
        assert error.reason == "SANDBOX_UNAVAILABLE"
        assert "partial" not in str(error)
        assert shell.info().state == "broken"


def test_an_engine_lost_between_steps_is_an_error_at_the_next_whatever_is_asked(
    engine: Forwarder, server: Server
) -> None:
    with plumb_client.connect(server.address) as plumb:
        shell = plumb.session("shell")
        shell.step("echo hi")
        engine.cut()
        for call in (
            lambda: shell.step("echo hi"),
            lambda: list(shell.stream("echo hi")),
            lambda: shell.exec(["true"]),
            lambda: shell.probe("cwd"),
            lambda: plumb.session("shell"),
        ):
            with pytest.raises(plumb_client.SandboxUnavailable) as caught:
                call()
            assert caught.value.reason == "SANDBOX_UNAVAILABLE"


def test_a_reset_without_an_engine_says_that_it_is_the_engine(
    engine: Forwarder, server: Server
) -> None:
    with plumb_client.connect(server.address) as plumb:
        shell = plumb.session("shell")
        engine.cut()
        with pytest.raises(plumb_client.SandboxUnavailable, match="engine does not answer"):
            shell.reset()
        with pytest.raises(plumb_client.SessionNotFound, match="its reset failed"):
            shell.step("true")


def test_when_the_engine_is_back_a_reset_makes_the_session_whole(
    engine: Forwarder, server: Server
) -> None:
    with plumb_client.connect(server.address) as plumb:
        shell = plumb.session("shell", init=["echo 42 > /srv/n"])
        engine.cut()
        with pytest.raises(plumb_client.SandboxUnavailable):
            shell.step("cat /srv/n")
        engine.mend()
        shell.reset()
        assert shell.step("cat /srv/n").text.strip() == "42"


def test_health_follows_the_engine_down_and_up_again(
    engine: Forwarder, server: Server, kit: Kit
) -> None:
    kit.eventually(lambda: is_healthy(server))
    engine.cut()
    kit.eventually(lambda: not is_healthy(server))
    engine.mend()
    kit.eventually(lambda: is_healthy(server))


def test_a_server_starts_without_an_engine_and_says_what_is_missing(
    start_server: StartServer, tmp_path: Path
) -> None:
    server = start_server(PLUMB_ENGINE=f"unix://{tmp_path}/none.sock")
    assert not is_healthy(server)
    with (
        plumb_client.connect(server.address) as plumb,
        pytest.raises(plumb_client.SandboxUnavailable, match="start it, and see `plumb doctor`"),
    ):
        plumb.session("shell")


class SecondEngine:
    """A dockerd of the test's own, beside the machine's."""

    def __init__(self, folder: Path, images: Sequence[str]) -> None:
        self.address = f"unix://{folder}/d.sock"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self.start()
        self._load(images)

    def start(self) -> None:
        """Starts it, where it does not run already."""
        if self._process is not None and self._process.poll() is None:
            return
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                # In a network of its own: without a bridge, dockerd deletes the machine's docker0.
                ["unshare", "--net", "dockerd",
                 f"--data-root={self._folder}/data", f"--exec-root={self._folder}/exec",
                 f"--pidfile={self._folder}/pid", f"--host={self.address}", "--bridge=none",
                 "--iptables=false", "--shutdown-timeout=1"],
                stdout=log,
                stderr=log,
            )  # fmt: skip
        self._wait_until_it_answers(self._process)

    def _load(self, images: Sequence[str]) -> None:
        save = subprocess.Popen(["docker", "save", *images], stdout=subprocess.PIPE)
        subprocess.run(
            ["docker", "-H", self.address, "load"], stdin=save.stdout, check=True,
            stdout=subprocess.DEVNULL, timeout=240,
        )  # fmt: skip
        assert save.wait() == 0
        assert save.stdout is not None
        save.stdout.close()

    def _wait_until_it_answers(self, process: subprocess.Popen[bytes]) -> None:
        answers = threading.Event()
        for _ in range(300):
            asked = subprocess.run(
                ["docker", "-H", self.address, "version"], capture_output=True, check=False
            )
            if asked.returncode == 0:
                return
            assert process.poll() is None, (self._folder / "log").read_text()
            answers.wait(0.1)
        raise AssertionError((self._folder / "log").read_text())

    def stop(self) -> None:
        """Ends it as the machine's service manager would."""
        assert self._process is not None
        self._process.terminate()
        self._process.wait(60)


@pytest.fixture(scope="module")
def loaded_engine(kit: Kit) -> Iterator[SecondEngine]:
    if os.geteuid() != 0:
        pytest.fail("a second dockerd needs root: run this test as root", pytrace=False)
    folder = Path(tempfile.mkdtemp(prefix="plumb-"))
    second = SecondEngine(folder, (kit.IMAGE, GUEST_IMAGE))
    yield second
    second.stop()
    shutil.rmtree(folder)


@pytest.fixture
def second_engine(loaded_engine: SecondEngine) -> SecondEngine:
    """One that answers."""
    loaded_engine.start()
    return loaded_engine


@pytest.mark.timeout(400)
def test_a_real_engine_that_is_stopped_in_mid_session_gives_unavailable(
    second_engine: SecondEngine, start_server: StartServer
) -> None:
    server = start_server(PLUMB_ENGINE=second_engine.address)
    with plumb_client.connect(server.address) as plumb, ThreadPoolExecutor(1) as pool:
        shell = plumb.session("shell")
        assert shell.step("echo hi").text.strip() == "hi"
        running = pool.submit(shell.step, "echo partial; touch /tmp/begun; sleep 600")
        while shell.exec(["test", "-e", "/tmp/begun"]).exit_code:
            pass
        second_engine.stop()
        error = running.exception(60)
        assert isinstance(error, plumb_client.SandboxUnavailable), repr(error)
        assert error.reason == "SANDBOX_UNAVAILABLE"
        for _ in range(2):
            with pytest.raises(plumb_client.SandboxUnavailable):
                shell.step("echo hi")
        with pytest.raises(plumb_client.SandboxUnavailable, match="engine does not answer"):
            plumb.session("shell")
        assert server.stop() == 0  # it ends cleanly although nothing can be removed


def count_until(shell: plumb_client.Session, restarted: threading.Event) -> tuple[int, int]:
    """Counts in the shell, before its engine is lost and after a reset; how far it came."""
    before = after = 0
    with pytest.raises(plumb_client.SandboxUnavailable):  # noqa: PT012 - at whichever step
        while True:
            assert shell.step("echo $((n += 1))").text.strip() == str(before + 1)
            before += 1
    assert restarted.wait(180)
    shell.reset()
    for after in range(1, 4):
        assert shell.step("echo $((n += 1))").text.strip() == str(after)
    return before, after


@pytest.mark.timeout(400)
def test_a_real_engine_that_is_restarted_under_load_costs_each_session_a_reset_and_nothing_else(
    second_engine: SecondEngine, start_server: StartServer, kit: Kit
) -> None:
    server = start_server(PLUMB_ENGINE=second_engine.address, PLUMB_HEALTH_INTERVAL="0.1")
    restarted = threading.Event()
    with plumb_client.connect(server.address) as plumb, ThreadPoolExecutor(4) as pool:
        shells = [plumb.session("shell") for _ in range(4)]
        counting = [pool.submit(count_until, shell, restarted) for shell in shells]
        kit.eventually(lambda: all(shell.info().last_step_index > 10 for shell in shells))
        second_engine.stop()
        second_engine.start()
        restarted.set()
        for counted in counting:
            before, after = counted.result(120)
            assert before > 9
            assert after == 3
        kit.eventually(lambda: is_healthy(server))
        for shell in shells:
            shell.close()
    assert server.stop() == 0
    listed = subprocess.run(
        ["docker", "-H", second_engine.address, "ps", "--all", "--quiet"],
        capture_output=True, check=True,
    )  # fmt: skip
    assert listed.stdout == b""
