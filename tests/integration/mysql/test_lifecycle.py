"""What a session makes on a server, what a lost server means, and that nothing stays behind."""

from __future__ import annotations

import asyncio
import uuid
from contextlib import closing
from typing import TYPE_CHECKING, NoReturn

import docker
import pytest
from tests.conftest import MYSQL_IMAGE

from plumb_backends.environment import Action
from plumb_backends.errors import InitFailed, SandboxUnavailable
from plumb_backends.grounding import Grounding
from plumb_backends.kinds.mysql import Isolation, MysqlOptions
from plumb_backends.real.engine import open_engine
from plumb_backends.real.mysql import RealMysqlSettings
from plumb_backends.real.mysql_environment import RealMysql
from plumb_backends.real.sql.account import create_account
from plumb_backends.real.sql.server import Server
from plumb_backends.real.sql.servers import Servers, ServerSettings
from plumb_backends.registry import Backends, Spec, open_backends

if TYPE_CHECKING:
    from tests.conftest import MakeMysql

pytestmark = pytest.mark.asyncio(loop_scope="session")

SHARED = MysqlOptions(isolation=Isolation.SHARED)


async def left_on(server: Server) -> tuple[list[str], list[str]]:
    """The databases and the users of sessions that a shared server has."""
    databases = await server.ask(
        "SELECT SCHEMA_NAME FROM information_schema.SCHEMATA "
        "WHERE SCHEMA_NAME REGEXP '_[0-9a-f]{12}$'"
    )
    users = await server.ask("SELECT User FROM mysql.user WHERE User REGEXP '^agent_[0-9a-f]{12}$'")
    return [str(name) for (name,) in databases], [str(name) for (name,) in users]


def place_of(session: RealMysql) -> Server:
    assert session._place is not None
    return session._place.seat.server


async def test_a_closed_session_leaves_no_database_and_no_user(make_mysql: MakeMysql) -> None:
    session = await make_mysql(init=["CREATE TABLE t (a INT)"], options=SHARED)
    server = place_of(session)
    databases, users = await left_on(server)
    assert len(databases) == 1
    assert len(users) == 1
    await session.close()
    assert await left_on(server) == ([], [])


async def test_a_session_that_is_closed_while_it_works_leaves_nothing(
    make_mysql: MakeMysql,
) -> None:
    session = await make_mysql(
        init=["CREATE TABLE t (a INT)", "INSERT INTO t VALUES (1)"], options=SHARED
    )
    server = place_of(session)
    await session.step(Action(b"START TRANSACTION; UPDATE t SET a = 2"))
    working = asyncio.create_task(session.step(Action(b"SELECT SLEEP(1000)")))
    await asyncio.sleep(0.1)
    working.cancel()
    await asyncio.wait({working})
    await session.close()
    assert await left_on(server) == ([], [])


@pytest.mark.parametrize("turns", range(0, 40, 3))
async def test_a_reset_whose_caller_goes_away_at_any_moment_leaves_nothing_behind_at_the_end(
    make_mysql: MakeMysql, turns: int
) -> None:
    session = await make_mysql(init=["CREATE TABLE t (a INT)"], options=SHARED)
    server = place_of(session)
    reset = asyncio.create_task(session.reset())
    for _ in range(turns):  # of the event loop: each time it is cut off at another moment
        await asyncio.sleep(0)
    await asyncio.sleep(turns / 4000)
    reset.cancel()
    await asyncio.wait({reset})
    await session.close()
    async with asyncio.timeout(60):
        while await left_on(server) != ([], []):  # noqa: ASYNC110 - in another process
            await asyncio.sleep(0.02)  # what was under way is let happen, and then undone


async def test_a_failed_init_leaves_nothing(make_mysql: MakeMysql) -> None:
    server = place_of(await make_mysql(options=SHARED))
    before = await left_on(server)
    with pytest.raises(InitFailed):
        await make_mysql(init=["CREATE TABLE t (a INT)", "nonsense"], options=SHARED)
    assert await left_on(server) == before


async def test_a_reset_makes_new_databases_and_removes_the_old(make_mysql: MakeMysql) -> None:
    session = await make_mysql(init=["CREATE TABLE t (a INT)"], options=SHARED)
    before = await left_on(place_of(session))
    await session.reset()
    after = await left_on(place_of(session))
    assert len(after[0]) == len(before[0])
    assert not set(before[1]) & set(after[1])


async def test_an_account_whose_removal_failed_is_removed_by_a_later_sweep(
    backends: Backends, make_mysql: MakeMysql, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = await make_mysql(init=["CREATE TABLE t (a INT)"], options=SHARED)
    server = place_of(session)
    before = await left_on(server)

    async def fail(*_: str) -> NoReturn:
        raise SandboxUnavailable("the MySQL server does not answer")

    with monkeypatch.context() as patch:
        patch.setattr(server, "ask", fail)
        await session.close()
        await backends.sweep()
    assert await left_on(server) == before
    assert await backends.sweep() >= 1  # and what else had outlived its owner on this machine
    assert await left_on(server) == ([], [])


async def test_a_session_that_fills_the_disk_ends_and_its_neighbours_go_on() -> None:
    settings = RealMysqlSettings(servers=ServerSettings(image=MYSQL_IMAGE), disk_bytes=16 * 1024**2)
    async with open_backends([settings]) as backends:

        def spec() -> Spec:
            grounding = Grounding(("CREATE TABLE t (a LONGTEXT)",))
            return Spec(kind="mysql", backend="real", session_id=str(uuid.uuid4()),
                        grounding=grounding, options=SHARED)  # fmt: skip

        hog = (await backends.create(spec())).environment
        neighbour = (await backends.create(spec())).environment
        fill = Action(b"INSERT INTO t VALUES (REPEAT('x', 4000000))")
        with pytest.raises(SandboxUnavailable, match="PLUMB_MYSQL_DISK_BYTES"):  # noqa: PT012
            async with asyncio.timeout(60):
                while True:
                    await hog.step(fill)
        assert "1 row affected" in (await neighbour.step(fill)).text
        await hog.reset()
        assert "Empty set" in (await hog.step(Action(b"SELECT * FROM t"))).text
        await hog.close()
        await neighbour.close()


async def test_a_lost_connection_of_the_administrator_is_no_lost_server() -> None:
    async with open_engine() as engine:  # where nobody else asks it anything meanwhile
        servers = Servers(engine, ServerSettings(image=MYSQL_IMAGE))
        try:
            server = await servers.shared()
            await asyncio.gather(*(server.ask("SELECT SLEEP(0.1)") for _ in range(3)))
            me = (await server.ask("SELECT CONNECTION_ID()"))[0][0]
            others = await server.ask(
                "SELECT ID FROM information_schema.PROCESSLIST "
                f"WHERE USER = 'plumb_admin' AND ID <> {me}"
            )
            assert others
            for (other,) in others:
                await server.ask(f"KILL {other}")
            with pytest.raises(SandboxUnavailable):
                await server.ask(f"KILL {me}", "SELECT 1")
            assert await server.answers()
        finally:
            await servers.close()


def kill_container(server: Server) -> None:
    assert server.sandbox is not None
    with closing(docker.from_env()) as engine:
        engine.containers.get(server.sandbox.id).kill()


async def test_a_server_that_dies_ends_its_sessions_and_is_started_again() -> None:
    settings = RealMysqlSettings(servers=ServerSettings(image=MYSQL_IMAGE))
    async with open_backends([settings]) as backends:

        def spec() -> Spec:
            grounding = Grounding(("CREATE TABLE t (a INT)",))
            return Spec(kind="mysql", backend="real", session_id=str(uuid.uuid4()),
                        grounding=grounding, options=SHARED)  # fmt: skip

        session = (await backends.create(spec())).environment
        assert isinstance(session, RealMysql)
        await asyncio.to_thread(kill_container, place_of(session))
        with pytest.raises(SandboxUnavailable, match="server is gone: it was killed; reset"):
            await session.step(Action(b"SELECT 1"))
        with pytest.raises(SandboxUnavailable):
            await session.step(Action(b"SELECT 1"))
        other = (await backends.create(spec())).environment
        assert "1 row" in (await other.step(Action(b"SELECT 1"))).text
        await session.reset()
        assert "Empty set" in (await session.step(Action(b"SELECT * FROM t"))).text
        await session.close()
        await other.close()


async def test_somebody_else_s_server_is_used_and_left_clean() -> None:
    async with open_engine() as engine:
        theirs = Servers(engine, ServerSettings(image=MYSQL_IMAGE))
        try:
            server = await theirs.shared()
            access = server.access
            url = f"mysql://{access.user}:{access.password}@{access.host}:{access.port}/"
            settings = RealMysqlSettings(servers=ServerSettings(image=MYSQL_IMAGE, url=url))
            async with open_backends([settings]) as backends:
                spec = Spec(kind="mysql", backend="real", session_id="x", grounding=Grounding())
                session = (await backends.create(spec)).environment
                assert "1 row" in (await session.step(Action(b"SELECT 1"))).text
                assert isinstance(session, RealMysql)
                server_there = place_of(session)
                users = (await left_on(server))[1]
                assert len(users) == 1
                has_password = await server.ask(
                    "SELECT LENGTH(authentication_string) > 0 FROM mysql.user "
                    f"WHERE User = '{users[0]}'"
                )
                assert has_password == [(1,)]  # there, a secret name would not do
                await create_account(server_there, "shop", "left", lifetime=-1)
                assert await backends.sweep() >= 1
                assert (await left_on(server))[1] == users
                await session.close()
                assert await left_on(server) == ([], [])
        finally:
            await theirs.close()
