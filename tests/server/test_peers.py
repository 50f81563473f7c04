"""What the server grants to peers before it knows who they are."""

from __future__ import annotations

import asyncio
import resource
from typing import TYPE_CHECKING

import grpc
import pytest

from plumb_server import peers

if TYPE_CHECKING:
    from tests.server.conftest import Kit


async def test_a_peer_that_says_nothing_is_let_go(
    kit: type[Kit], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peers, "_HANDSHAKE_MS", 300)
    server = grpc.aio.server(options=peers.server_options())
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(50)]
        for reader, writer in silent:
            await kit.soon(reader.read())
            writer.close()
    finally:
        await server.stop(0)


def test_half_of_the_descriptors_stay_for_sandboxes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, 1000))
    asked: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: asked.append(limits))
    options = dict(peers.server_options())
    assert asked == [(1000, 1000)]
    assert options["grpc.max_allowed_incoming_connections"] == 500
