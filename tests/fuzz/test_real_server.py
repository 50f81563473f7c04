"""The same calls on a server as people run it, with real shells and a real MySQL behind it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.fuzz.calls import METHODS, WORDS, answer
from tests.fuzz.messages import messages
from tests.served import Server

import plumb_client

pytestmark = [pytest.mark.docker, pytest.mark.timeout(1800)]

EXAMPLES = 10
"""Of each method: whatever does not need the real thing is fuzzed in `test_services`."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("server"), PLUMB_MAX_SESSIONS="8")
    yield server
    assert server.process.poll() is None, server.log()
    assert server.stop() == 0
    assert not server.containers()
    assert not server.complaints()


@pytest.fixture(scope="module")
def channel(server: Server) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(server.address) as opened:
        yield opened


@pytest.fixture(scope="module")
def words(server: Server) -> dict[str, Any]:
    with plumb_client.connect(server.address) as plumb:
        names = [plumb.session(kind).name for kind in ("shell", "shell", "mysql")]
    return WORDS | {"name": [*names, "sessions/x"], "image": ("", "none:none")}


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_every_message_is_answered_or_refused_with_a_reason(
    channel: grpc.Channel, words: dict[str, Any], method: Any, data: st.DataObject
) -> None:
    of = messages(method.input_type, words)
    answer(channel, method, data.draw(st.lists(of, min_size=1, max_size=3)))
