"""One server for many tests: starting one takes half a second of the processor.

Where a test is about what a server is, or ends it, it makes one of its own.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator

import pytest_asyncio

from plumb_backends.environment import Action
from plumb_backends.errors import SandboxUnavailable
from plumb_backends.grounding import Grounding
from plumb_backends.kinds.mysql import SYSTEM_SCHEMAS, MysqlOptions
from plumb_backends.real.mysql_environment import RealMysql
from plumb_backends.registry import Backends, Spec


async def run(session: RealMysql, text: str) -> None:
    seen = await session.step(Action(text.encode()))
    assert seen.sql is not None
    assert seen.sql.errno in (0, 1317, 2013), seen.text


async def recycle(session: RealMysql, database: str) -> None:
    """Gives a session a new connection, and a database instead of all that it has."""
    try:
        await session.step(Action(b"DELIMITER ;"))
        killed = await session.step(Action(b"KILL CONNECTION_ID()"))
        if killed.sql is not None and not killed.sql.reconnected:
            await session.step(Action(b"DO 0"))  # finds that the connection is gone
        seen = await session.step(Action(b"SHOW DATABASES"))
    except SandboxUnavailable:
        await session.reset()
        seen = await session.step(Action(b"SHOW DATABASES"))
    assert seen.sql is not None
    names = {str(row[0]) for row in seen.sql.results[-1].rows} - set(SYSTEM_SCHEMAS)
    for name in names:
        await run(session, f"DROP DATABASE `{name}`")
    await run(session, f"CREATE DATABASE `{database}`")
    await run(session, f"USE `{database}`")


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def lasting(backends: Backends) -> AsyncIterator[RealMysql]:
    """A session on a server of its own, for all tests here that do not break it."""
    spec = Spec(kind="mysql", backend="real", session_id=str(uuid.uuid4()),
                grounding=Grounding(), options=MysqlOptions(database="shop"))  # fmt: skip
    session = (await backends.create(spec)).environment
    assert isinstance(session, RealMysql)
    yield session
    await session.close()


@pytest_asyncio.fixture(loop_scope="session")
async def mysql(lasting: RealMysql) -> RealMysql:
    """The lasting session with a new connection; its database is named `shop`."""
    await recycle(lasting, "shop")
    return lasting
