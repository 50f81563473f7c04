"""MySQL sessions from a pool of accounts: sooner there, and in nothing else different."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from plumb_backends.environment import Action
from plumb_backends.kinds.mysql import Isolation, MysqlOptions
from plumb_backends.real.engine import open_engine
from plumb_backends.real.mysql import RealMysqlSettings
from plumb_backends.real.mysql_environment import RealMysql
from plumb_backends.real.pool import PoolSettings
from plumb_backends.real.sql.account import sweep_accounts
from plumb_backends.real.sql.server import Server, Servers, ServerSettings
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
    settings = RealMysqlSettings(pool=PoolSettings(size=SIZE), watcher=watcher)
    async with open_backends([settings]) as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="session")
async def pool(module_pool: Backends, watcher: Watcher) -> Backends:
    """Backends whose pool is full."""
    await watcher.holds(SIZE)
    watcher.asked.clear()
    return module_pool


async def users_on(server: Server) -> dict[str, str]:
    """The users that the pool or a session has, and the session of each one's label."""
    rows = await server.ask(
        "SELECT USER, ATTRIBUTE->>'$.plumb.session' FROM information_schema.USER_ATTRIBUTES "
        "WHERE ATTRIBUTE->>'$.plumb.owner' IS NOT NULL"
    )
    return {str(user): str(session) for user, session in rows}


def server_of(session: RealMysql) -> Server:
    assert session._place is not None
    return session._place.server


def user_of(session: RealMysql) -> str:
    assert session._place is not None
    return session._place.account.user


async def say(session: RealMysql, action: str) -> str:
    return (await session.step(Action(action.encode()))).text


async def test_a_session_takes_an_account_that_was_there_and_is_what_its_label_says(
    pool: Backends, watcher: Watcher, make_mysql: MakeMysql
) -> None:
    first = await make_mysql(backends=pool)
    server = server_of(first)
    await watcher.holds(SIZE)
    before = await users_on(server)
    second = await make_mysql(backends=pool, options=MysqlOptions(database="shop"))
    assert watcher.asked == ["hit", "hit"]
    assert before[user_of(second)] == "pool"
    assert (await users_on(server))[user_of(second)] == second._spec.session_id
    assert "shop" in await say(second, "SELECT DATABASE()")


async def test_an_account_that_was_used_is_removed_and_never_given_away_again(
    pool: Backends, watcher: Watcher, make_mysql: MakeMysql
) -> None:
    users = set()
    for _ in range(2 * SIZE):
        session = await make_mysql(backends=pool, init=["CREATE TABLE t (a INT)"])
        users.add(user_of(session))
        server = server_of(session)
        await session.close()
        assert not users & set(await users_on(server))
        await watcher.holds(SIZE)
    assert len(users) == 2 * SIZE
    assert watcher.asked == ["hit"] * 2 * SIZE


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


async def test_a_reset_takes_a_new_account_from_the_pool(
    pool: Backends, watcher: Watcher, make_mysql: MakeMysql
) -> None:
    session = await make_mysql(backends=pool, init=["CREATE TABLE t (a INT)"])
    before = user_of(session)
    await say(session, "DROP TABLE t")
    await session.reset()
    assert watcher.asked == ["hit", "hit"]
    assert user_of(session) != before
    assert "Empty set" in await say(session, "SELECT * FROM t")


async def test_a_connection_that_was_ended_in_the_pool_is_noticed(
    pool: Backends, watcher: Watcher, make_mysql: MakeMysql
) -> None:
    used = await make_mysql(backends=pool)
    await watcher.holds(SIZE)
    server = server_of(used)
    waiting = [user for user, session in (await users_on(server)).items() if session == "pool"]
    assert len(waiting) == SIZE
    for user in waiting:
        ids = await server.ask(
            f"SELECT ID FROM information_schema.PROCESSLIST WHERE USER = '{user}'"
        )
        for (number,) in ids:
            await server.ask(f"KILL {number}")
    watcher.asked.clear()
    session = await make_mysql(backends=pool)
    assert watcher.asked == ["dead"] * SIZE + ["empty"]
    assert user_of(session) not in waiting
    assert "1" in await say(session, "SELECT 1")


async def test_a_server_that_was_killed_takes_its_pool_with_it(
    pool: Backends, watcher: Watcher, make_mysql: MakeMysql
) -> None:
    session = await make_mysql(backends=pool)
    server = server_of(session)
    assert server.sandbox is not None
    await server.sandbox.remove()
    after = await make_mysql(backends=pool, init=["CREATE TABLE t (a INT)"])
    assert server_of(after) is not server
    assert "Empty set" in await say(after, "SELECT * FROM t")
    await watcher.holds(SIZE)
    watcher.asked.clear()
    assert server_of(await make_mysql(backends=pool)) is server_of(after)
    assert watcher.asked == ["hit"]


async def test_a_session_with_a_server_of_its_own_takes_nothing_from_the_pool(
    pool: Backends, watcher: Watcher, make_mysql: MakeMysql
) -> None:
    options = MysqlOptions(isolation=Isolation.DEDICATED)
    session = await make_mysql(backends=pool, options=options)
    assert watcher.asked == ["unfit"]
    assert user_of(session) == "root"


async def test_on_somebody_else_s_server_the_pool_leaves_no_account_behind() -> None:
    async with open_engine() as engine:
        servers = Servers(engine, ServerSettings())
        theirs = await servers.shared()
        access, watcher = theirs.access, Watcher()
        url = f"mysql://{access.user}:{access.password}@{access.host}:{access.port}/"
        settings = RealMysqlSettings(
            servers=ServerSettings(url=url), pool=PoolSettings(size=SIZE), watcher=watcher
        )
        try:
            async with open_backends([settings]):
                await watcher.holds(SIZE)
                assert list((await users_on(theirs)).values()) == ["pool"] * SIZE
                assert await sweep_accounts(theirs) == 0  # their owner lives
            assert await users_on(theirs) == {}
        finally:
            await servers.close()
