"""`plumb serve --http` as a subprocess, as people run it, and programs that call it."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
import websockets.sync.client
from tests.served import Command, environment, eventually

WITHIN = 120.0
"""Seconds after which what should have happened has not, however busy the machine is."""
TOKEN = "0123456789abcdef0123456789abcdef"
SCENARIOS = Path(__file__).parents[3] / "scenarios"
PLUMB = [sys.executable, "-m", "plumb_cli"]


class Running(Command):
    """One command that serves pages: `plumb serve --http`, or `plumb gateway`."""

    def __init__(
        self, folder: Path, arguments: Sequence[str], lines: int, variables: dict[str, str]
    ) -> None:
        dev = {"PYTHONDEVMODE": "1"}  # it tells what is never closed
        command = ["-m", "plumb_cli", *arguments]
        super().__init__(folder, command, lines, dev | variables)
        self.url = self.lines[-1].removeprefix("plumb shows pages on ")
        self.address = self.lines[0].split()[-1]

    def stop_cleanly(self) -> None:
        """Ends it; it must have nothing to complain about, and leave nothing behind."""
        assert self.stop() == 0, self.log()
        assert not self.complaints(), self.log()
        eventually(lambda: not self.containers())

    def http(self, token: str = "", **options: Any) -> httpx.Client:
        """A program that calls it."""
        headers = {"authorization": f"Bearer {token}"} if token else {}
        return httpx.Client(base_url=self.url, headers=headers, timeout=WITHIN, **options)

    @contextlib.contextmanager
    def live(self, path: str, **options: Any) -> Iterator[Socket]:
        """A socket on a session; not over TLS, see `first_message` in test_guarded.py."""
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
        """The output of a step, and what ends it; that the session lives is told between."""
        output = b""
        while {"chunk", "session"} & (message := self.receive()).keys():
            output += message.get("chunk", {}).get("data", "").encode()
        return output, message


def serve(folder: Path, *more: str, **variables: str) -> Running:
    """Starts `plumb serve --http`."""
    where = ["serve", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"]
    shown = {"PLUMB_HTTP_SCENARIOS": str(SCENARIOS)}
    return Running(folder, [*where, *more], 2, shown | variables)


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
