"""What peers do to hold the gateway up, over real sockets; a neighbour is answered meanwhile."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import resource
import zlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import httpx2 as httpx
import pytest
import websockets

from plumb_gateway.bodies import MOST_OF_A_STRANGER
from plumb_gateway.serving import most_connections, run_gateway

if TYPE_CHECKING:
    from tests.gateway.conftest import Kit, Server

    from plumb_gateway.settings import GatewaySettings

HEAD = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
POST = (
    b"POST /v1/sessions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    b"Content-Length: 1000\r\n\r\n{"
)
MOST = 16
"""Connections that the gateways here hold."""


class Peer:
    """One connection, in bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        with contextlib.suppress(OSError):  # it may have been ended already
            self.writer.write(data)
            await self.writer.drain()

    async def rest(self) -> bytes:
        """All that is sent until the gateway ends the connection."""
        with contextlib.suppress(ConnectionResetError):
            return await self.reader.read()
        return b""


class Target:
    """A gateway on a port."""

    def __init__(self, url: str, kit: type[Kit]) -> None:
        self.url = url
        self.kit = kit
        self._stack = contextlib.AsyncExitStack()

    async def connect(self, data: bytes = b"") -> Peer:
        host, port = self.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        self._stack.callback(writer.close)
        peer = Peer(reader, writer)
        await peer.send(data)
        return peer

    async def neighbour_is_answered(self) -> None:
        async with httpx.AsyncClient(base_url=self.url, timeout=60) as http:
            for path in ("/healthz", "/sessions", "/v1/kinds"):
                assert (await http.get(path)).status_code == 200

    async def upgrade(self, path: str, *more: str) -> Peer:
        """Opens a WebSocket by hand."""
        lines = (
            f"GET {path}/live HTTP/1.1", "Host: localhost", "Connection: Upgrade",
            "Upgrade: websocket", "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}", *more, "", "",
        )  # fmt: skip
        return await self.connect("\r\n".join(lines).encode())

    async def close(self) -> None:
        await self._stack.aclose()


@contextlib.asynccontextmanager
async def serving(
    server: Server, settings: GatewaySettings, kit: type[Kit]
) -> AsyncIterator[Target]:
    async with run_gateway(settings, server=server.address) as url:
        target = Target(url, kit)
        try:
            yield target
        finally:
            await target.close()


@pytest.fixture
async def hasty(server: Server, settings: GatewaySettings, kit: type[Kit]) -> AsyncIterator[Target]:
    """A gateway with little patience."""
    changes = {"request_timeout": 0.5, "stall_timeout": 0.5, "max_connections": MOST}
    async with serving(server, settings.model_copy(update=changes), kit) as target:
        yield target


@pytest.fixture
async def patient(
    server: Server, settings: GatewaySettings, kit: type[Kit]
) -> AsyncIterator[Target]:
    """A gateway that lets nobody wait, and has few places."""
    changes = {"request_timeout": 600.0, "stall_timeout": 600.0, "max_connections": MOST}
    async with serving(server, settings.model_copy(update=changes), kit) as target:
        yield target


@pytest.mark.parametrize(
    "data",
    [b"", b"G", HEAD, HEAD + b"X: " + b"y" * 8000, POST, POST + b'"kind": ',
     HEAD + b"Connection: Upgrade\r\nUpgrade: websocket\r\n"],
)  # fmt: skip
async def test_a_half_sent_request_is_ended(hasty: Target, data: bytes) -> None:
    peer = await hasty.connect(data)
    said = await hasty.kit.soon(peer.rest())
    assert said.startswith(b"HTTP/1.1 408 Request Timeout")
    assert b"did not arrive in time" in said


async def test_a_request_that_comes_byte_by_byte_is_ended(hasty: Target) -> None:
    peer = await hasty.connect(HEAD + b"X-Slow: ")

    async def drip() -> None:
        while True:
            await peer.send(b"y")
            await asyncio.sleep(0.01)

    dripping = asyncio.create_task(drip())
    await hasty.kit.soon(peer.rest())  # what is sent after the end may lose the answer
    dripping.cancel()


async def test_a_body_that_comes_byte_by_byte_is_ended(hasty: Target) -> None:
    peer = await hasty.connect(POST)

    async def drip() -> None:
        while True:
            await peer.send(b" ")
            await asyncio.sleep(0.01)

    dripping = asyncio.create_task(drip())
    await hasty.kit.soon(peer.rest())  # what is sent after the end may lose the answer
    dripping.cancel()


async def test_a_chunked_body_that_never_ends_is_ended(hasty: Target) -> None:
    head = POST.replace(b"Content-Length: 1000", b"Transfer-Encoding: chunked")
    peer = await hasty.connect(head.removesuffix(b"{") + b"1\r\n{\r\n")
    assert b"408" in await hasty.kit.soon(peer.rest())


async def test_a_body_that_is_refused_before_it_has_come_is_ended(hasty: Target) -> None:
    peer = await hasty.connect(POST.replace(b"localhost", b"evil.example"))
    said = await hasty.kit.soon(peer.rest())
    assert said.startswith(b"HTTP/1.1 421")


async def test_a_connection_without_another_request_is_ended(hasty: Target) -> None:
    peer = await hasty.connect(HEAD + b"\r\n")
    assert (await hasty.kit.soon(peer.rest())).startswith(b"HTTP/1.1 200")


async def test_a_slow_step_is_not_ended(hasty: Target, server: Server) -> None:
    async with httpx.AsyncClient(base_url=hasty.url, timeout=60) as http:
        path = await hasty.kit.create(http)
        step = {"step_index": 1, "action": "wait"}
        asked = asyncio.create_task(http.post(f"{path}/steps", json=step))
        sandbox = server.provider.made[0]
        await hasty.kit.soon(sandbox.begun.wait())
        waiting = await hasty.connect(HEAD)  # which has less than the step has had already
        await hasty.kit.soon(waiting.rest())
        again = await hasty.connect(HEAD)
        await hasty.kit.soon(again.rest())
        sandbox.release.set()
        assert (await hasty.kit.soon(asked)).status_code == 200


async def test_a_body_that_comes_along_is_taken(hasty: Target) -> None:
    body = json.dumps({"kind": "shell", "task": "x" * 40_000}).encode()

    async def slowly() -> AsyncIterator[bytes]:
        for at in range(0, len(body), 2000):
            yield body[at : at + 2000]
            await asyncio.sleep(0.08)

    async with httpx.AsyncClient(base_url=hasty.url, timeout=60) as http:
        headers = {"content-type": "application/json"}
        answer = await http.post("/v1/sessions", content=slowly(), headers=headers)
    assert answer.status_code == 201


@pytest.mark.parametrize("data", [b"", HEAD, POST], ids=["nothing", "heads", "bodies"])
async def test_a_neighbour_is_served_while_more_half_sent_requests_come_than_there_is_room_for(
    patient: Target, data: bytes
) -> None:
    peers = [await patient.connect(data) for _ in range(4 * MOST)]
    await patient.neighbour_is_answered()
    more = [await patient.connect(data) for _ in range(MOST)]
    await patient.neighbour_is_answered()
    assert await patient.kit.soon(peers[0].rest()) == b""  # the oldest made room
    assert len(more) == MOST


async def test_descriptors_stay_bounded_however_many_connect(patient: Target) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    peers = [await patient.connect(HEAD) for _ in range(10 * MOST)]
    await patient.neighbour_is_answered()
    theirs = len(peers)  # they are in this process, too
    assert len(list(Path("/proc/self/fd").iterdir())) - before - theirs <= MOST + 4


async def test_with_every_connection_served_another_is_told_so_at_once(
    patient: Target, server: Server
) -> None:
    async with contextlib.AsyncExitStack() as stack:
        http = await stack.enter_async_context(httpx.AsyncClient(base_url=patient.url, timeout=60))
        path = await patient.kit.create(http)
        address = patient.url.replace("http", "ws") + f"{path}/live"
        for _ in range(MOST - 1):
            await stack.enter_async_context(websockets.connect(address))
        step = {"step_index": 1, "action": "wait"}
        asked = asyncio.create_task(http.post(f"{path}/steps", json=step))
        await patient.kit.soon(server.provider.made[0].begun.wait())
        said = await patient.kit.soon((await patient.connect()).rest())
        assert said.startswith(b"HTTP/1.1 503")
        assert b"every connection is in use" in said
        server.provider.made[0].release.set()
        await patient.kit.soon(asked)
        await patient.neighbour_is_answered()


async def test_an_answer_that_nobody_reads_is_given_up(hasty: Target) -> None:
    peer = await hasty.connect()
    peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
    for _ in range(400):  # of 150 KB each: more than all buffers between the two
        with contextlib.suppress(OSError):
            peer.writer.write(b"GET /static/vendor/xterm.mjs HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await hasty.neighbour_is_answered()
    while not peer.writer.transport.is_closing():
        await hasty.kit.soon(asyncio.sleep(0.05))
        with contextlib.suppress(OSError):
            peer.writer.write(b"\r\n")
    await hasty.neighbour_is_answered()


async def live_path(target: Target) -> str:
    async with httpx.AsyncClient(base_url=target.url, timeout=60) as http:
        return await target.kit.create(http)


def frame(data: bytes, opcode: int, first: int = 0x80) -> bytes:
    """A client's frame; masked with zeros, which leave it as it is."""
    size = len(data)
    if size < 126:
        length = bytes([0x80 | size])
    elif size < 65536:
        length = bytes([0x80 | 126]) + size.to_bytes(2, "big")
    else:
        length = bytes([0x80 | 127]) + size.to_bytes(8, "big")
    return bytes([first | opcode]) + length + bytes(4) + data


async def test_a_socket_that_sends_pings_and_reads_no_answer_is_ended(hasty: Target) -> None:
    peer = await hasty.upgrade(await live_path(hasty))
    await hasty.kit.soon(peer.reader.readuntil(b"\r\n\r\n"))
    peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
    pings = frame(b"x" * 125, 9) * 1000

    async def flood() -> None:
        while True:
            peer.writer.write(pings)
            await peer.writer.drain()

    with pytest.raises(ConnectionError):
        await hasty.kit.soon(flood())
    await hasty.neighbour_is_answered()


async def test_a_socket_is_not_compressed_though_its_client_offers_it(hasty: Target) -> None:
    path = await live_path(hasty)
    peer = await hasty.upgrade(path, "Sec-WebSocket-Extensions: permessage-deflate")
    head = await hasty.kit.soon(peer.reader.readuntil(b"\r\n\r\n"))
    assert head.startswith(b"HTTP/1.1 101")
    assert b"extensions" not in head.lower()


async def test_a_compressed_bomb_ends_its_socket_and_unfolds_nowhere(hasty: Target) -> None:
    peer = await hasty.upgrade(
        await live_path(hasty), "Sec-WebSocket-Extensions: permessage-deflate"
    )
    await hasty.kit.soon(peer.reader.readuntil(b"\r\n\r\n"))
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = squeeze.compress(bytes(100_000_000)) + squeeze.flush(zlib.Z_SYNC_FLUSH)
    await peer.send(frame(bomb, 1, first=0xC0))
    rest = await hasty.kit.soon(peer.rest())
    assert (1002).to_bytes(2, "big") in rest  # a mistake in the protocol
    await hasty.neighbour_is_answered()


@pytest.mark.parametrize("opcode", [1, 2])
async def test_a_message_that_is_too_large_ends_its_socket(hasty: Target, opcode: int) -> None:
    peer = await hasty.upgrade(await live_path(hasty))
    await hasty.kit.soon(peer.reader.readuntil(b"\r\n\r\n"))
    announced = bytes([0x80 | opcode, 0x80 | 127]) + (1 << 40).to_bytes(8, "big") + bytes(4)
    await peer.send(announced)
    assert (1009).to_bytes(2, "big") in await hasty.kit.soon(peer.rest())


async def test_a_message_in_ever_more_pieces_ends_its_socket(hasty: Target) -> None:
    peer = await hasty.upgrade(await live_path(hasty))
    await hasty.kit.soon(peer.reader.readuntil(b"\r\n\r\n"))
    await peer.send(frame(b" " * 60_000, 1, first=0))
    for _ in range(40):
        await peer.send(frame(b" " * 60_000, 0, first=0))
    await hasty.kit.soon(peer.rest())
    await hasty.neighbour_is_answered()


async def test_headers_of_any_length_are_refused(patient: Target) -> None:
    peer = await patient.connect(HEAD + b"X: " + b"y" * 200_000)
    await patient.kit.soon(peer.rest())
    await patient.neighbour_is_answered()


async def test_many_requests_on_one_connection_wait_for_each_other(patient: Target) -> None:
    peer = await patient.connect((HEAD + b"\r\n") * 500)
    await patient.neighbour_is_answered()
    answered = 0
    while answered < 500:
        answered += (await patient.kit.soon(peer.reader.read(2**20))).count(b"HTTP/1.1 200")


async def test_a_stranger_s_long_body_is_refused_before_it_is_read(
    guarded_http: httpx.AsyncClient, kit: type[Kit]
) -> None:
    body = b"[" + b"0," * MOST_OF_A_STRANGER
    headers = {"content-type": "application/json"}
    answer = await guarded_http.post("/v1/sessions", content=body, headers=headers)
    assert (answer.status_code, answer.json()["reason"]) == (401, "UNAUTHENTICATED")
    known = headers | {"authorization": f"Bearer {kit.TOKEN}"}
    answer = await guarded_http.post("/v1/sessions", content=body, headers=known)
    assert (answer.status_code, answer.json()["reason"]) == (400, "INVALID_INPUT")


async def test_bodies_together_fill_no_more_than_their_room(patient: Target) -> None:
    """Each is sent but for its last byte, and held until another one does not fit any more."""
    size = 15 * 1024 * 1024
    head = POST.replace(b"1000", str(size).encode()).removesuffix(b"{")
    peers = [await patient.connect(head + b"[" + b" " * (size - 2)) for _ in range(5)]
    ends = [asyncio.create_task(peer.reader.readline()) for peer in peers]
    done, _ = await patient.kit.soon(asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED))
    assert b"503" in done.pop().result()
    for end in ends:
        end.cancel()
    await patient.neighbour_is_answered()


def test_connections_leave_most_descriptors_to_sandboxes() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 1024), hard))
    try:
        assert most_connections(512) == 256
        assert most_connections(100) == 100
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
