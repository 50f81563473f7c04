"""Servers as subprocesses, as people run them, and what is left of them in the engine."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docker
import grpc
import pytest

import plumb_client
from plumb.v1 import environment_pb2_grpc as wire_grpc
from plumb_backends.real.hardening import LABEL, OWNER_LABEL

IMAGE = "plumb-shell:latest"
_ENDS_WITHIN = 60.0


class Server:
    """One `python -m plumb_server`."""

    def __init__(self, folder: Path, **variables: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.journal = folder / "journal.sqlite"
        self._log = (folder / "log").open("ab")
        environment = {
            name: v for name, v in os.environ.items() if not name.startswith(("PLUMB_", "OPENAI_"))
        }
        environment |= {
            "PLUMB_LISTEN": "127.0.0.1:0",
            "PLUMB_JOURNAL": f"sqlite:///{self.journal}",
            "PLUMB_SHELL_IMAGE": IMAGE,
            "PLUMB_SHELL_MEMORY_BYTES": str(256 * 1024**2),
            "PLUMB_LOG_FORMAT": "json",
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "plumb_server"],
            env=environment | variables,
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            bufsize=1,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith("plumb listens on "), (line, self.log())
        self.address = line.split()[-1]

    def log(self) -> str:
        """All that it logged."""
        return (self.folder / "log").read_text(errors="replace")

    def containers(self) -> set[str]:
        """The ids of its containers, those left out that are just being removed."""
        return containers_of(f"{socket.gethostname()}/{self.process.pid}/")

    def wait(self) -> int:
        """Waits for its end."""
        return self.process.wait(_ENDS_WITHIN)

    def stop(self) -> int:
        """Ends it as a person would, and waits; its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.wait()
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        finally:
            if self.process.stdout is not None:
                self.process.stdout.close()
            self._log.close()


def containers_of(owner_prefix: str) -> set[str]:
    """The ids of plumb's containers whose owner's name begins so."""
    with contextlib.closing(docker.from_env()) as engine:
        found = engine.api.containers(all=True, filters={"label": [LABEL]})
    return {
        container["Id"]
        for container in found
        if str(container["Labels"].get(OWNER_LABEL, "")).startswith(owner_prefix)
        and container["State"] != "removing"
    }


def eventually(holds: Callable[[], object], within: float = 20.0) -> None:
    """Waits for what no event tells: the state of another process, or of the engine."""
    end = time.monotonic() + within
    while not holds():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.05)


class Kit:
    """What the tests of this folder need of this file: pytest imports no test folder by name."""

    IMAGE = IMAGE
    Server = Server
    containers_of = staticmethod(containers_of)
    eventually = staticmethod(eventually)


@pytest.fixture(scope="session")
def kit() -> type[Kit]:
    """Helpers."""
    return Kit


StartServer = Callable[..., Server]


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[StartServer]:
    """Starts servers of a test's own; none of their containers may be left at its end."""
    servers: list[Server] = []

    def start(folder: str = "server", **variables: str) -> Server:
        server = Server(tmp_path / folder, **variables)
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.stop()
    for server in servers:
        eventually(lambda server=server: not server.containers())  # type: ignore[misc]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for the tests of a module."""
    server = Server(tmp_path_factory.mktemp("server"))
    yield server
    assert server.stop() == 0
    assert not server.containers()


@pytest.fixture
def plumb(server: Server) -> Iterator[plumb_client.Plumb]:
    """The client, connected to `server`."""
    with plumb_client.connect(server.address) as connected:
        yield connected


@pytest.fixture
def stub(server: Server) -> Iterator[Any]:
    """Raw gRPC to `server`."""
    options = [("grpc.max_send_message_length", -1)]
    with grpc.insecure_channel(server.address, options=options) as channel:
        yield wire_grpc.EnvironmentServiceStub(channel)
