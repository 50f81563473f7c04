"""What peers do to hold `plumb serve --http` up; sandboxes are made and pages shown meanwhile."""

from __future__ import annotations

import contextlib
import resource
import socket
import ssl
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trustme
from tests.served import eventually

import plumb_client

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.integration.gateway.conftest import Kit, Running, StartServe

HALF_GET = b"GET /sessions HTTP/1.1\r\nHost: 127.0.0.1\r\nX: "
HALF_POST = (
    b"POST /v1/sessions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    b"Content-Length: 100\r\n\r\n{"
)


@pytest.fixture
def many_descriptors() -> Iterator[None]:
    """Enough for both ends of an attack; those of servers that run already stay as they are."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def address_of(running: Running) -> tuple[str, int]:
    host, _, port = running.url.partition("://")[2].rpartition(":")
    return host, int(port)


@contextlib.contextmanager
def peers(running: Running, number: int, data: bytes) -> Iterator[list[socket.socket]]:
    """Connections that send this, and then nothing."""
    with contextlib.ExitStack() as stack:
        found = []
        for _ in range(number):
            peer = stack.enter_context(socket.create_connection(address_of(running)))
            with contextlib.suppress(OSError):
                peer.sendall(data)
            found.append(peer)
        yield found


def is_ended(peer: socket.socket) -> bool:
    """Whether the other end has ended a connection; what it says before is passed over."""
    peer.setblocking(False)
    try:
        while peer.recv(65536):
            pass
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def neighbour_works(
    running: Running, kit: type[Kit], token: str = "", **options: ssl.SSLContext
) -> None:
    """Makes a session over gRPC and one over HTTP, takes a step, and looks at a page."""
    with (
        plumb_client.connect(running.address, token=token or None) as plumb,
        plumb.session("shell") as shell,
    ):
        assert shell.step("echo hi").text == "hi\n"
    with running.http(token, **options) as http:
        path = kit.create(http)
        step = {"step_index": 1, "action": "echo hi"}
        assert http.post(f"{path}/steps", json=step).json()["observation"]["text"] == "hi\n"
        assert http.get("/sessions").status_code == 200
        assert http.delete(path).status_code == 200


@pytest.mark.usefixtures("many_descriptors")
def test_sandboxes_are_made_while_1100_requests_are_half_sent(
    running: Running, kit: type[Kit]
) -> None:
    with peers(running, 1100, HALF_GET):
        descriptors = len(list(_descriptors(running)))
        assert descriptors < 700
        neighbour_works(running, kit)


def test_300_half_sent_bodies_are_ended(start_serve: StartServe, kit: type[Kit]) -> None:
    running = start_serve(PLUMB_HTTP_STALL_TIMEOUT="2", PLUMB_HTTP_REQUEST_TIMEOUT="2")
    with peers(running, 300, HALF_POST) as held:
        neighbour_works(running, kit)
        eventually(lambda: all(map(is_ended, held)))


@pytest.mark.usefixtures("many_descriptors")
def test_connections_that_say_nothing_come_and_go_and_a_neighbour_works(
    running: Running, kit: type[Kit]
) -> None:
    over = threading.Event()

    def attack() -> None:
        while not over.is_set():
            with peers(running, 300, b""):
                pass

    attacker = threading.Thread(target=attack)
    attacker.start()
    try:
        neighbour_works(running, kit)
    finally:
        over.set()
        attacker.join()


@pytest.mark.usefixtures("many_descriptors")
def test_tls_handshakes_that_never_begin_are_ended_and_a_neighbour_works(
    start_serve: StartServe, kit: type[Kit], tmp_path: Path
) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    files = {
        "PLUMB_TLS_CA": authority.cert_pem,
        "PLUMB_TLS_CERT": issued.cert_chain_pems[0],
        "PLUMB_TLS_KEY": issued.private_key_pem,
    }
    for name, pem in files.items():
        pem.write_to_path(str(tmp_path / name))
    running = start_serve(
        PLUMB_TLS_CERT=str(tmp_path / "PLUMB_TLS_CERT"),
        PLUMB_TLS_KEY=str(tmp_path / "PLUMB_TLS_KEY"),
        PLUMB_TOKEN=kit.TOKEN,
        PLUMB_HTTP_REQUEST_TIMEOUT="5",
    )
    trusting = ssl.create_default_context(cafile=str(tmp_path / "PLUMB_TLS_CA"))
    before = len(list(_descriptors(running)))
    with peers(running, 700, b"") as silent, peers(running, 100, b"\x16\x03\x01\x02") as half:
        with running.http(kit.TOKEN, verify=trusting) as http:
            path = kit.create(http)
            assert http.get("/sessions").status_code == 200
            http.delete(path)
        eventually(lambda: all(map(is_ended, silent + half)))
    eventually(lambda: len(list(_descriptors(running))) <= before + 20)


def _descriptors(running: Running) -> Iterator[Path]:
    return Path(f"/proc/{running.process.pid}/fd").iterdir()


def test_whatever_is_half_sent_the_server_ends_in_time(
    start_serve: StartServe,
) -> None:
    running = start_serve()
    with peers(running, 50, HALF_GET), peers(running, 50, HALF_POST), peers(running, 50, b""):
        running.stop_cleanly()
