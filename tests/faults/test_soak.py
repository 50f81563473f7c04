"""Under faults of every kind, nothing is lost, doubled, crossed or leaked.

`PLUMB_SOAK_SECONDS` says for how long, `PLUMB_SOAK_SEED` what happens: a seed that failed is
printed, and can be given again.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path

import pytest
from tests.faults.soak import Soak, check_journal
from tests.faults.world import open_world

from plumb_backends.real.engine import open_engine
from plumb_backends.real.sql.server import Server as MysqlServer
from plumb_backends.real.sql.servers import Servers, ServerSettings

SECONDS = float(os.environ.get("PLUMB_SOAK_SECONDS", "45"))
SEED = os.environ.get("PLUMB_SOAK_SEED") or secrets.token_hex(4)
pytestmark = [pytest.mark.docker, pytest.mark.timeout(SECONDS * 2 + 600)]

OURS = "REGEXP '_[0-9a-f]{12}$'"


@pytest.fixture
async def mysql() -> AsyncIterator[MysqlServer]:
    """Somebody else's server: it outlives every kill, and so does what is left on it."""
    async with open_engine() as engine:
        servers = Servers(engine, ServerSettings())
        try:
            yield await servers.shared()
        finally:
            await servers.close()


async def test_32_sessions_under_faults_lose_double_cross_and_leak_nothing(
    mysql: MysqlServer, tmp_path: Path
) -> None:
    access = mysql.access
    url = f"mysql://{access.user}:{access.password}@{access.host}:{access.port}/"
    settings = {"PLUMB_MYSQL_URL": url}
    async with open_world(tmp_path / "server", **settings) as world:
        try:
            players = await Soak(seed=SEED, seconds=SECONDS).run(world)
            await nothing_is_left(lambda: asyncio.to_thread(world.left_containers))
            await nothing_is_left(lambda: left_accounts(mysql))  # and the server lives
            assert await asyncio.to_thread(world.server.stop) == 0
            check_journal(world.server.journal, players)
            await nothing_is_left(lambda: asyncio.to_thread(world.left_containers))
            for what in ("SCHEMA_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME",
                         "User FROM mysql.user WHERE User"):  # fmt: skip
                assert await mysql.ask(f"SELECT {what} {OURS}") == []
            assert not world.complaints()
        except BaseException:
            print("\n".join(world.history))
            print(f"to see it again: PLUMB_SOAK_SEED={SEED} PLUMB_SOAK_SECONDS={SECONDS:g}")
            raise
        sessions = sum(len(player.episodes) for player in players)
        print(f"seed {SEED}, {SECONDS:g} s, {sessions} sessions: {world.counts}")
        assert world.kills
        assert world.counts.get("warm")
        assert world.steps > len(players)


async def left_accounts(mysql: MysqlServer) -> Sequence[object]:
    """Databases and accounts of sessions."""
    users = await mysql.ask(f"SELECT User FROM mysql.user WHERE User {OURS}")
    databases = await mysql.ask(
        f"SELECT SCHEMA_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME {OURS}"
    )
    return [*databases, *users]


async def nothing_is_left(left: Callable[[], Awaitable[Sequence[object]]]) -> None:
    """The engine removes containers in its own time."""
    end = time.monotonic() + 100
    while found := await left():
        assert time.monotonic() < end, f"left behind: {found}"
        await asyncio.sleep(0.1)
