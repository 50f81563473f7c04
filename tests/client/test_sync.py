"""The synchronous client's loop: one for all connections, and it ends with the last of them."""

from __future__ import annotations

import asyncio
import threading

import pytest

import plumb_client
from plumb_client import sync
from plumb_client.loop_thread import LoopThread


@pytest.fixture(autouse=True)
def _no_other_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """A loop of each test's own: other tests' fixtures may be connected."""
    monkeypatch.setattr(sync, "_shared_loop", LoopThread())


def test_all_connections_share_a_loop_and_it_ends_with_the_last() -> None:
    with plumb_client.connect() as one, plumb_client.connect() as other:
        assert one._loop is other._loop
        one.close()
        assert other._loop.is_running()
    assert other._loop.is_closed()


def test_what_still_runs_when_the_last_is_closed_is_ended_and_not_destroyed() -> None:
    begun, ended = threading.Event(), threading.Event()

    async def run_for_ever() -> None:  # as gRPC's watch over a call does
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    with plumb_client.connect() as plumb:
        asyncio.run_coroutine_threadsafe(run_for_ever(), plumb._loop)
        assert begun.wait(10)
    assert ended.is_set()


def test_a_connection_may_be_made_again_after_the_last_was_closed() -> None:
    for _ in range(3):
        with plumb_client.connect() as plumb:
            assert plumb._loop.is_running()
