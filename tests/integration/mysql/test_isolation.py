"""Sessions on one server: none sees, changes or disturbs another, whatever it tries."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from plumb_backends.environment import Action, Ending, Observation, SqlDetail
from plumb_backends.kinds.mysql import MysqlOptions
from plumb_backends.real.mysql_environment import RealMysql

if TYPE_CHECKING:
    from tests.conftest import MakeMysql

pytestmark = pytest.mark.asyncio(loop_scope="session")

SECRET = "tell-nobody"
SHOP = MysqlOptions(database="shop")
DENIED = {1044, 1045, 1049, 1142, 1227, 1370}
"""Denied, or not there: what is not one's own does not exist."""


async def step(session: RealMysql, text: str) -> Observation:
    return await session.step(Action(text.encode()))


def sql(seen: Observation) -> SqlDetail:
    assert seen.sql is not None
    return seen.sql


async def physical_name(session: RealMysql) -> str:
    """What the session's database is called on the server; an agent cannot find that out."""
    assert session._place is not None
    return session._place.names.physical("shop")


async def test_two_sessions_with_the_same_name_never_see_each_other(make_mysql: MakeMysql) -> None:
    one = await make_mysql(init=["CREATE TABLE t (a INT)"], options=SHOP)
    other = await make_mysql(init=["CREATE TABLE t (a TEXT)"], options=SHOP)
    await step(one, "INSERT INTO shop.t VALUES (1)")
    await step(other, "INSERT INTO shop.t VALUES ('x')")
    assert sql(await step(one, "SELECT * FROM shop.t")).results[0].rows == ((1,),)
    assert sql(await step(other, "SELECT * FROM shop.t")).results[0].rows == (("x",),)
    await step(one, "DROP DATABASE shop")
    assert sql(await step(other, "SELECT * FROM t")).results[0].rows == (("x",),)


@pytest.mark.parametrize("bits", [0, (1 << 60) - 1])
async def test_databases_are_listed_in_one_order_whatever_a_session_s_prefix_is(
    make_mysql: MakeMysql, monkeypatch: pytest.MonkeyPatch, bits: int
) -> None:
    monkeypatch.setattr("plumb_backends.real.sql.account.secrets.randbits", lambda _: bits)
    session = await make_mysql()
    shown = sql(await step(session, "SHOW DATABASES"))
    names = [name for (name,) in shown.results[0].rows]
    assert names == ["information_schema", "performance_schema", "plumb"]


async def test_many_sessions_at_once_keep_their_own_rows(make_mysql: MakeMysql) -> None:
    async def one(number: int) -> None:
        session = await make_mysql(init=["CREATE TABLE t (a INT)"], options=SHOP)
        for _ in range(10):
            await step(session, f"INSERT INTO t VALUES ({number})")
        seen = await step(session, "SELECT DISTINCT a, (SELECT COUNT(*) FROM t) FROM t")
        assert sql(seen).results[0].rows == ((number, 10),)

    await asyncio.gather(*map(one, range(24)))


ATTACKS = {
    "read another's table": "SELECT * FROM `{victim}`.secrets",
    "write another's table": "INSERT INTO `{victim}`.secrets VALUES ('mine')",
    "drop another's table": "DROP TABLE `{victim}`.secrets",
    "drop another's database": "DROP DATABASE `{victim}`",
    "use another's database": "USE `{victim}`",
    "join another's table": "SELECT * FROM t, `{victim}`.secrets",
    "look at it through a view": "CREATE VIEW v AS SELECT * FROM `{victim}`.secrets",
    "look at it through a procedure":
        "CREATE PROCEDURE p() SELECT * FROM `{victim}`.secrets; CALL p()",
    "look at it through a prepared statement":
        "SET @q = 'SELECT * FROM `{victim}`.secrets'; PREPARE s FROM @q; EXECUTE s",
    "move one's table there": "RENAME TABLE t TO `{victim}`.t",
    "read the accounts": "SELECT user, authentication_string FROM mysql.user",
    "change the accounts": "UPDATE mysql.user SET authentication_string = ''",
    "make an account": "CREATE USER evil IDENTIFIED BY 'x'",
    "grant oneself everything": "GRANT ALL ON *.* TO CURRENT_USER()",
    "change a global variable": "SET GLOBAL max_connections = 1",
    "persist a variable": "SET PERSIST max_connections = 1",
    "allow local files": "SET GLOBAL local_infile = 1",
    "log into a file": "SET GLOBAL general_log_file = '/tmp/x'",
    "read a file of the server": "LOAD DATA INFILE '/etc/passwd' INTO TABLE t",
    "read a file of the client": "LOAD DATA LOCAL INFILE '{file}' INTO TABLE t",
    "write a file": "SELECT 'x' INTO OUTFILE '/tmp/plumb-out'",
    "write a dump": "SELECT 'x' INTO DUMPFILE '/tmp/plumb-dump'",
    "load a library": "CREATE FUNCTION f RETURNS STRING SONAME 'evil.so'",
    "install a plugin": "INSTALL PLUGIN evil SONAME 'evil.so'",
    "install a component": "INSTALL COMPONENT 'file://component_validate_password'",
    "see the engine": "SHOW ENGINE INNODB STATUS",
    "see the logs": "SHOW BINARY LOGS",
    "lock everything": "FLUSH TABLES WITH READ LOCK",
    "lock the instance": "LOCK INSTANCE FOR BACKUP",
    "define as somebody else":
        "CREATE DEFINER = plumb_admin@'%' PROCEDURE q() SELECT * FROM mysql.user; CALL q()",
    "make a table elsewhere on the disk": "CREATE TABLE e (a INT) DATA DIRECTORY = '/tmp'",
    "reach another server": "CREATE SERVER s FOREIGN DATA WRAPPER mysql OPTIONS (HOST 'x')",
}  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS)
async def test_an_attack_is_refused_and_changes_nothing(
    make_mysql: MakeMysql, tmp_path: Path, attack: str
) -> None:
    victim = await make_mysql(
        init=["CREATE TABLE secrets (a TEXT)", f"INSERT INTO secrets VALUES ('{SECRET}')"],
        options=SHOP,
    )
    attacker = await make_mysql(init=["CREATE TABLE t (a TEXT)"], options=SHOP)
    file = tmp_path / "file"
    file.write_text(SECRET)
    words = ATTACKS[attack].format(victim=await physical_name(victim), file=file)
    seen = await step(attacker, words)
    assert sql(seen).errno != 0
    assert seen.ending is Ending.EXITED
    everything = await step(attacker, "SELECT * FROM t")
    assert SECRET not in seen.text + everything.text
    kept = await step(victim, "SELECT * FROM secrets")
    assert sql(kept).results[0].rows == ((SECRET,),)
    assert sql(await step(victim, "SELECT 1")).results[0].rows == ((1,),)
    assert sql(await step(victim, "SHOW TABLES")).results[0].rows == (("secrets",),)


@pytest.mark.parametrize(
    "question",
    [
        "SHOW DATABASES",
        "SELECT schema_name FROM information_schema.schemata",
        "SELECT table_schema, table_name FROM information_schema.tables",
        "SELECT * FROM information_schema.processlist",
        "SHOW FULL PROCESSLIST",
        "SELECT * FROM information_schema.user_attributes",
        "SELECT grantee FROM information_schema.user_privileges",
        "SELECT * FROM information_schema.schema_privileges",
        "SHOW GRANTS",
        "SELECT LOAD_FILE('/etc/passwd')",
    ],
)
async def test_nothing_shows_that_there_are_others(make_mysql: MakeMysql, question: str) -> None:
    victim = await make_mysql(init=["CREATE TABLE secrets (a TEXT)"], options=SHOP)
    assert victim._place is not None
    prefix = victim._place.account.prefix
    attacker = await make_mysql(options=SHOP)
    assert attacker._place is not None
    seen = await step(attacker, question)
    assert prefix not in seen.text
    assert "secrets" not in seen.text
    assert "root:x:0" not in seen.text
    assert attacker._place.account.prefix not in seen.text


async def test_a_slow_session_does_not_keep_another_waiting(make_mysql: MakeMysql) -> None:
    slow, quick = await make_mysql(options=SHOP), await make_mysql(options=SHOP)
    sleeping = asyncio.create_task(slow.step(Action(b"SELECT SLEEP(1000)", timeout=300)))
    for _ in range(20):
        assert sql(await asyncio.wait_for(step(quick, "SELECT 1"), 30)).errno == 0
    assert not sleeping.done()
    slow.interrupt()
    await sleeping


async def test_a_session_s_memory_is_limited(mysql: RealMysql) -> None:
    seen = await step(
        mysql,
        "SET @@group_concat_max_len = 4294967295, @@cte_max_recursion_depth = 1000000; "
        "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 500000) "
        "SELECT LENGTH(GROUP_CONCAT(REPEAT('x', 1000))) FROM n",
    )
    assert seen.ending is Ending.EXITED
    assert sql(await step(mysql, "SELECT 1")).results[-1].rows == ((1,),)
