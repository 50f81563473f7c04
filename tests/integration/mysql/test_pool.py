"""MySQL sessions from a pool of servers: sooner there, and in nothing else different."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
from tests.conftest import MYSQL_IMAGE

from plumb_backends.environment import Action
from plumb_backends.errors import LimitReached, SandboxUnavailable
from plumb_backends.kinds.mysql import Isolation, MysqlOptions
from plumb_backends.real.engine.sandbox import remove_container
from plumb_backends.real.mysql import RealMysqlProvider, RealMysqlSettings
from plumb_backends.real.mysql_environment import RealMysql
from plumb_backends.real.pool import PoolSettings
from plumb_backends.real.sql.server import Server
from plumb_backends.real.sql.servers import ServerSettings
from plumb_backends.real.watcher import Nobody
from plumb_backends.registry import Backends, open_backends

if TYPE_CHECKING:
    from tests.conftest import MakeMysql

pytestmark = pytest.mark.asyncio(loop_scope="session")

SIZE = 2


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits in a pool may take its time to show that it lives."""
    monkeypatch.setattr("plumb_backends.real.pool._TRY_WITHIN", 60.0)


SOON = 60.0


class Watcher(Nobody):
    """Remembers what the pool tells."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.held = 0

    def pool_holds(self, pool: str, count: int) -> None:
        if pool == "mysql":
            self.held = count

    def pool_asked(self, pool: str, outcome: str) -> None:
        self.asked.append(outcome)

    async def holds(self, count: int) -> None:
        """Waits until the pool holds so many."""
        async with asyncio.timeout(SOON):
            while self.held != count:  # noqa: ASYNC110 - no event tells it
                await asyncio.sleep(0.01)


@pytest.fixture(scope="module")
def watcher() -> Watcher:
    return Watcher()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def module_pool(watcher: Watcher) -> AsyncIterator[Backends]:
    settings = RealMysqlSettings(
        servers=ServerSettings(image=MYSQL_IMAGE), pool=PoolSettings(size=SIZE), watcher=watcher
    )
    async with open_backends([settings]) as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="session")
async def pool(module_pool: Backends, watcher: Watcher) -> Backends:
    """Backends whose pool is full."""
    await watcher.holds(SIZE)
    watcher.asked.clear()
    return module_pool


def server_of(session: RealMysql) -> Server:
    assert session._place is not None
    return session._place.seat.server


def container_of(session: RealMysql) -> str:
    sandbox = server_of(session).sandbox
    assert sandbox is not None
    return sandbox.id


async def say(session: RealMysql, action: str) -> str:
    return (await session.step(Action(action.encode()))).text


async def test_a_session_takes_a_server_that_was_there_and_is_what_its_name_says(
    pool: Backends, watcher: Watcher, make_mysql: MakeMysql
) -> None:
    session = await make_mysql(backends=pool, options=MysqlOptions(database="shop"))
    assert watcher.asked == ["hit"]
    sandbox = server_of(session).sandbox
    assert sandbox is not None
    assert (await sandbox.container.show())["Name"].startswith(
        f"/plumb-{session._spec.session_id}-"
    )
    assert "shop" in await say(session, "SELECT DATABASE()")


async def test_a_server_that_was_used_is_removed_and_never_given_away_again(
    pool: Backends, watcher: Watcher, make_mysql: MakeMysql
) -> None:
    seen = set()
    for _ in range(SIZE + 1):
        session = await make_mysql(backends=pool, init=["CREATE TABLE t (a INT)"])
        server = server_of(session)
        assert server.sandbox is not None
        seen.add(server.sandbox.id)
        await session.close()
        assert not await server.sandbox.is_running()
        await watcher.holds(SIZE)
    assert len(seen) == SIZE + 1
    assert watcher.asked == ["hit"] * (SIZE + 1)


LOOKS = [
    "SHOW DATABASES; SELECT DATABASE(), @@character_set_client, @@collation_connection",
    "SELECT @@autocommit, @@wait_timeout, @@sql_mode, @@time_zone, LAST_INSERT_ID(), FOUND_ROWS()",
    "SHOW TABLES; SHOW WARNINGS; SELECT ROW_COUNT()",
    "CREATE TABLE t (a INT); INSERT INTO t VALUES (1); SELECT * FROM t",
    "SHOW SESSION STATUS WHERE Variable_name IN ('Com_select', 'Com_create_db', 'Questions')",
    "nope",
]


async def test_an_agent_cannot_tell_it_from_one_that_was_made_cold(
    pool: Backends, backends: Backends, watcher: Watcher, make_mysql: MakeMysql
) -> None:
    warm, cold = await make_mysql(backends=pool), await make_mysql(backends=backends)
    assert watcher.asked == ["hit"]
    for look in LOOKS:
        of_warm = await warm.step(Action(look.encode()))
        of_cold = await cold.step(Action(look.encode()))
        assert of_warm.sql == of_cold.sql, look
    assert (await warm.capture()).entries == (await cold.capture()).entries


async def test_a_reset_takes_the_next_server_of_the_pool(
    pool: Backends, watcher: Watcher, make_mysql: MakeMysql
) -> None:
    session = await make_mysql(backends=pool, init=["CREATE TABLE t (a INT)"])
    before = container_of(session)
    await say(session, "DROP TABLE t; SET GLOBAL max_connections = 7; CREATE USER other")
    await session.reset()
    assert watcher.asked == ["hit", "hit"]
    assert container_of(session) != before
    assert "Empty set" in await say(session, "SELECT * FROM t")
    assert "other" not in await say(session, "SELECT User, @@max_connections FROM mysql.user")


async def test_servers_that_ended_in_the_pool_are_noticed_and_replaced(
    pool: Backends, watcher: Watcher, make_mysql: MakeMysql
) -> None:
    provider = pool._providers["mysql", "real"]
    assert isinstance(provider, RealMysqlProvider)
    assert provider.seats.pool is not None
    held = [warm for _, warm in provider.seats.pool._held]
    assert len(held) == SIZE
    for warm in held:
        assert warm._seat.server.sandbox is not None
        await remove_container(warm._seat.server.sandbox.container)
    session = await make_mysql(backends=pool)
    assert watcher.asked == ["dead"] * SIZE + ["empty"]
    assert "1" in await say(session, "SELECT 1")
    await watcher.holds(SIZE)


async def test_a_session_on_a_shared_server_takes_nothing_from_the_pool(
    pool: Backends, watcher: Watcher, make_mysql: MakeMysql
) -> None:
    options = MysqlOptions(isolation=Isolation.SHARED)
    session = await make_mysql(backends=pool, options=options)
    assert watcher.asked == []
    assert not server_of(session).is_own


async def test_a_lazy_pool_is_filled_only_after_the_first_session(make_mysql: MakeMysql) -> None:
    watcher = Watcher()
    settings = RealMysqlSettings(
        servers=ServerSettings(image=MYSQL_IMAGE),
        pool=PoolSettings(size=1, is_lazy=True),
        watcher=watcher,
    )
    async with open_backends([settings]) as backends:
        await asyncio.sleep(0.5)  # nothing happens, and no event says so
        assert watcher.held == 0
        session = await make_mysql(backends=backends)
        assert watcher.asked == ["empty"]
        await watcher.holds(1)
        await session.close()


async def test_servers_are_counted_and_one_too_many_is_refused(make_mysql: MakeMysql) -> None:
    settings = RealMysqlSettings(servers=ServerSettings(image=MYSQL_IMAGE), max_servers=1)
    async with open_backends([settings]) as backends:
        session = await make_mysql(backends=backends)
        with pytest.raises(LimitReached, match="PLUMB_MYSQL_MAX_SERVERS") as caught:
            await make_mysql(backends=backends)
        assert caught.value.retry_after > 0
        await session.reset()
        await say(session, "SHUTDOWN")
        with pytest.raises(SandboxUnavailable):
            await session.step(Action(b"SELECT 1"))
        again = await make_mysql(backends=backends)  # its place is free
        await again.close()
