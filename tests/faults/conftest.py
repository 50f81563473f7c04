"""A world for each test, and what every one of them must leave behind: nothing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Protocol

import pytest
from tests.faults.world import World, open_world


class MakeWorld(Protocol):
    """Opens a world; at its end its server ends as it should, and nothing of it is left."""

    def __call__(self, **variables: str) -> AbstractAsyncContextManager[World]:
        """Opens one, its servers with these settings."""
        ...


@pytest.fixture
def make_world(tmp_path: Path) -> MakeWorld:
    @asynccontextmanager
    async def make(**variables: str) -> AsyncIterator[World]:
        async with open_world(tmp_path / "server", **variables) as world:
            yield world
            await _are_gone(world.dead_containers)  # as long as there is somebody who sweeps
            assert await asyncio.to_thread(world.server.stop) == 0
            await _are_gone(world.left_containers)
            assert not world.complaints()

    return make


async def _are_gone(left: Callable[[], Sequence[str]]) -> None:
    """Waits: the engine removes containers, and makes what a killed server wanted, in its time."""
    end = time.monotonic() + 100
    while names := await asyncio.to_thread(left):
        assert time.monotonic() < end, f"left behind: {names}"
        await asyncio.sleep(0.1)
