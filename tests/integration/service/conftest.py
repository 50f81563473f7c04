"""Servers as subprocesses, as people run them, and what is left of them in the engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from tests.served import IMAGE, containers_of, eventually
from tests.served import Server as Server  # for the tests of this folder

import plumb_client
from plumb.v1 import environment_pb2_grpc as wire_grpc


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
        assert not server.complaints()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for the tests of a module."""
    server = Server(tmp_path_factory.mktemp("server"))
    yield server
    assert server.stop() == 0
    assert not server.containers()
    assert not server.complaints()


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
