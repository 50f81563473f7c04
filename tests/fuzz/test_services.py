"""Every RPC of every service answers every message: with what was asked, or with a reason."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
import structlog
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from tests.fuzz.calls import METHODS, WORDS, answer
from tests.fuzz.messages import messages
from tests.server.conftest import FakeProvider

from plumb.v1 import environment_pb2 as wire
from plumb.v1 import environment_pb2_grpc
from plumb_backends.registry import Backends, all_backends
from plumb_server.auth import Tokens
from plumb_server.health import watch_health
from plumb_server.interceptors import Guard
from plumb_server.journal import open_journal
from plumb_server.services import Parts, add_services
from plumb_server.sessions import SessionLimits, open_sessions
from plumb_server.settings import Settings

EXAMPLES = int(os.environ.get("PLUMB_FUZZ_EXAMPLES", "60"))
LIVE = 8


@asynccontextmanager
async def serving() -> AsyncIterator[int]:
    """The server in this process, with environments that do as they are told."""
    provider = FakeProvider()
    backends = Backends(dict.fromkeys(all_backends(), provider))
    async with (
        open_journal("sqlite://") as journal,
        open_sessions(backends, journal, SessionLimits(most=64)) as sessions,
        watch_health(backends, 3600) as health_servicer,
    ):
        server = grpc.aio.server(interceptors=[Guard()])
        parts = Parts(
            settings=Settings(engine="unix:///nowhere"),
            backends=backends,
            journal=journal,
            sessions=sessions,
            tokens=Tokens(""),
            health=health_servicer,
        )
        add_services(server, parts)
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        try:
            yield port
        finally:
            await server.stop(0)


@pytest.fixture(scope="module")
def channel() -> Iterator[grpc.Channel]:
    """To a server on a loop of its own, as hypothesis is synchronous."""
    port = 0
    ready, over = threading.Event(), threading.Event()

    async def serve() -> None:
        nonlocal port
        async with serving() as port:
            ready.set()
            await asyncio.to_thread(over.wait)

    with structlog.testing.capture_logs() as logs:
        thread = threading.Thread(target=asyncio.run, args=(serve(),))
        thread.start()
        assert ready.wait(30)
        with grpc.insecure_channel(f"127.0.0.1:{port}") as opened:
            yield opened
        over.set()
        thread.join(30)
        assert not thread.is_alive()
    assert not [line for line in logs if line["log_level"] == "error"]


@pytest.fixture(scope="module")
def words(channel: grpc.Channel) -> dict[str, Any]:
    """Words that lead somewhere, the names of live sessions among them."""
    stub = environment_pb2_grpc.EnvironmentServiceStub(channel)
    names = [
        stub.CreateSession(wire.CreateSessionRequest(kind="shell", backend="real")).session.name
        for _ in range(LIVE)
    ]
    return WORDS | {"name": [*names, "sessions/x", "reports/x"]}


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_every_message_is_answered_or_refused_with_a_reason(
    channel: grpc.Channel, words: dict[str, Any], method: Any, data: st.DataObject
) -> None:
    of = messages(method.input_type, words)
    event(answer(channel, method, data.draw(st.lists(of, min_size=1, max_size=3))))


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_what_is_no_message_at_all_is_refused_too(channel: grpc.Channel, method: Any) -> None:
    class Rubbish:
        def SerializeToString(self) -> bytes:  # noqa: N802 - the wire's name
            return b"\xff\xff\xff"

    assert answer(channel, method, [Rubbish()]) != "OK"  # type: ignore[list-item]
