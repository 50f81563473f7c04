"""`plumb serve --http` as a subprocess, as people run it, and programs that call it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import docker
import httpx2 as httpx
import pytest
import websockets.sync.client

from plumb_backends.real.hardening import LABEL, OWNER_LABEL

WITHIN = 120.0
"""Seconds after which what should have happened has not, however busy the machine is."""
TOKEN = "0123456789abcdef0123456789abcdef"
PLUMB = [sys.executable, "-m", "plumb_cli"]
BAD_WORDS = ("Traceback", "was destroyed", "never retrieved", "never awaited", "ResourceWarning")


def environment(**variables: str) -> dict[str, str]:
    """This process's variables, without what is set for a server, and with some."""
    mine = {n: v for n, v in os.environ.items() if not n.startswith(("PLUMB_", "OPENAI_"))}
    return mine | {"PLUMB_JOURNAL": "sqlite://"} | variables


class Running:
    """One command that serves; `lines` are what it printed when it was ready."""

    def __init__(
        self, folder: Path, arguments: Sequence[str], lines: int, variables: dict[str, str]
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._log_path = folder / "log"
        self._log = self._log_path.open("ab")
        self.process = subprocess.Popen(
            [*PLUMB, *arguments],
            env=environment(PYTHONDEVMODE="1", **variables),  # it tells what is never closed
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            bufsize=1,
        )
        assert self.process.stdout is not None
        self.lines = [self.process.stdout.readline().strip() for _ in range(lines)]
        assert all(self.lines), self.log()
        self.url = self.lines[-1].removeprefix("plumb shows pages on ")
        self.address = self.lines[0].split()[-1]

    def log(self) -> str:
        """All that it wrote to standard error."""
        return self._log_path.read_text(errors="replace")

    def containers(self) -> set[str]:
        """The ids of its containers, those left out that are just being removed."""
        owner = f"{socket.gethostname()}/{self.process.pid}/"
        with contextlib.closing(docker.from_env()) as engine:
            found = engine.api.containers(all=True, filters={"label": [LABEL]})
        return {
            one["Id"]
            for one in found
            if str(one["Labels"].get(OWNER_LABEL, "")).startswith(owner)
            and one["State"] != "removing"
        }

    def stop(self) -> int:
        """Ends it as a person would, and waits; its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(WITHIN)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        finally:
            if self.process.stdout is not None:
                self.process.stdout.close()
            self._log.close()

    def stop_cleanly(self) -> None:
        """Ends it; it must have nothing to complain about, and leave nothing behind."""
        assert self.stop() == 0, self.log()
        assert not [word for word in BAD_WORDS if word in self.log()], self.log()
        eventually(lambda: not self.containers())

    def http(self, token: str = "", **options: Any) -> httpx.Client:
        """A program that calls it."""
        headers = {"authorization": f"Bearer {token}"} if token else {}
        return httpx.Client(base_url=self.url, headers=headers, timeout=WITHIN, **options)

    @contextlib.contextmanager
    def live(self, path: str, **options: Any) -> Iterator[Socket]:
        """A socket on a session."""
        address = f"ws{self.url.removeprefix('http')}{path}"
        with websockets.sync.client.connect(address, open_timeout=WITHIN, **options) as connection:
            yield Socket(connection)


class Socket:
    """One WebSocket, in JSON."""

    def __init__(self, connection: websockets.sync.client.ClientConnection) -> None:
        self.connection = connection

    def send(self, **message: Any) -> None:
        self.connection.send(json.dumps(message))

    def receive(self) -> Any:
        return json.loads(self.connection.recv(WITHIN))

    def answer(self) -> tuple[bytes, Any]:
        """The output of a step, and what ends it."""
        output = b""
        while "chunk" in (message := self.receive()):
            output += message["chunk"]["data"].encode()
        return output, message


def eventually(holds: Callable[[], object], within: float = WITHIN) -> None:
    """Waits for what no event tells: the state of another process, or of the engine."""
    end = time.monotonic() + within
    while not holds():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.05)


def serve(folder: Path, *more: str, **variables: str) -> Running:
    """Starts `plumb serve --http`."""
    where = ["serve", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"]
    memory = {"PLUMB_SHELL_MEMORY_BYTES": str(256 * 1024**2)}
    return Running(folder, [*where, *more], 2, memory | variables)


class Kit:
    """What the tests of this folder need of this file: pytest imports no test folder by name."""

    TOKEN = TOKEN
    WITHIN = WITHIN
    PLUMB = PLUMB
    Running = Running
    eventually = staticmethod(eventually)
    environment = staticmethod(environment)

    @staticmethod
    def create(http: httpx.Client, **fields: object) -> str:
        """Makes a session; its path."""
        answer = http.post("/v1/sessions", json={"kind": "shell", **fields})
        assert answer.status_code == 201, answer.text
        return f"/v1/{answer.json()['session']['name']}"


@pytest.fixture(scope="session")
def kit() -> type[Kit]:
    """Helpers."""
    return Kit


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One for the tests of a module."""
    running = serve(tmp_path_factory.mktemp("serve"), PLUMB_HTTP_LEAVE_GRACE="0")
    yield running
    running.stop_cleanly()


@pytest.fixture
def http(running: Running) -> Iterator[httpx.Client]:
    """A program that calls `running`."""
    with running.http() as client:
        yield client


@pytest.fixture
def path(http: httpx.Client) -> Iterator[str]:
    """A shell session's."""
    path = Kit.create(http)
    yield path
    http.delete(path)


StartServe = Callable[..., Running]


@pytest.fixture
def start_serve(tmp_path: Path) -> Iterator[StartServe]:
    """Starts some of a test's own, which must end cleanly."""
    started: list[Running] = []

    def start(**variables: str) -> Running:
        started.append(serve(tmp_path / f"serve{len(started)}", **variables))
        return started[-1]

    yield start
    for running in started:
        running.stop_cleanly()
