"""Sessions beside each other: none sees, changes or disturbs another, on either kind of server."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from plumb_backends.environment import Action, Ending, Observation, SqlDetail
from plumb_backends.kinds.mysql import Isolation, MysqlOptions
from plumb_backends.real.mysql_environment import RealMysql

if TYPE_CHECKING:
    from tests.conftest import MakeMysql

pytestmark = pytest.mark.asyncio(loop_scope="session")

SECRET = "tell-nobody"
SHOP = MysqlOptions(database="shop")
SHARED = MysqlOptions(database="shop", isolation=Isolation.SHARED)


async def step(session: RealMysql, text: str) -> Observation:
    return await session.step(Action(text.encode()))


def sql(seen: Observation) -> SqlDetail:
    assert seen.sql is not None
    return seen.sql


async def database_of(session: RealMysql) -> str:
    """The real name of the session's first database."""
    return str(sql(await step(session, "SELECT DATABASE()")).results[0].rows[0][0])


async def test_two_sessions_with_the_same_name_never_see_each_other(make_mysql: MakeMysql) -> None:
    one = await make_mysql(init=["CREATE TABLE t (a INT)"], options=SHOP)
    other = await make_mysql(init=["CREATE TABLE t (a TEXT)"], options=SHOP)
    await step(one, "INSERT INTO shop.t VALUES (1)")
    await step(other, "INSERT INTO shop.t VALUES ('x')")
    assert sql(await step(one, "SELECT * FROM shop.t")).results[0].rows == ((1,),)
    assert sql(await step(other, "SELECT * FROM shop.t")).results[0].rows == (("x",),)
    await step(one, "DROP DATABASE shop")
    assert sql(await step(other, "SELECT * FROM t")).results[0].rows == (("x",),)


async def test_many_sessions_on_a_shared_server_keep_their_own_rows(make_mysql: MakeMysql) -> None:
    async def one(number: int) -> None:
        session = await make_mysql(init=["CREATE TABLE t (a INT)"], options=SHARED)
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
    "make a database": "CREATE DATABASE other",
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
    "end the server": "SHUTDOWN",
    "lock everything": "FLUSH TABLES WITH READ LOCK",
    "lock the instance": "LOCK INSTANCE FOR BACKUP",
    "define as somebody else":
        "CREATE DEFINER = plumb_admin@'%' PROCEDURE q() SELECT * FROM mysql.user; CALL q()",
    "make a table elsewhere on the disk": "CREATE TABLE e (a INT) DATA DIRECTORY = '/tmp'",
    "reach another server": "CREATE SERVER s FOREIGN DATA WRAPPER mysql OPTIONS (HOST 'x')",
    "replicate": "CHANGE REPLICATION SOURCE TO SOURCE_HOST = 'x'",
    "fill the memory of all": "CREATE TABLE m (a INT) ENGINE = MEMORY",
    "write what no limit counts": "CREATE TABLE m (a INT) ENGINE = MyISAM",
    "the same in a temporary table": "CREATE TEMPORARY TABLE m (a INT) ENGINE = MyISAM",
    "begin what outlives it": "XA START 'x'",
    "the same with a comment": "XA/**/START 'x'",
    "the same in a comment": "/*!50000 XA START 'x' */",
    "the same in a procedure": "CREATE PROCEDURE x() BEGIN\nxa -- c\nbegin 'x'; END",
}  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS)
async def test_an_attack_on_a_shared_server_is_refused_and_changes_nothing(
    make_mysql: MakeMysql, tmp_path: Path, attack: str
) -> None:
    victim = await make_mysql(
        init=["CREATE TABLE secrets (a TEXT)", f"INSERT INTO secrets VALUES ('{SECRET}')"],
        options=SHARED,
    )
    attacker = await make_mysql(init=["CREATE TABLE t (a TEXT)"], options=SHARED)
    file = tmp_path / "file"
    file.write_text(SECRET)
    words = ATTACKS[attack].format(victim=await database_of(victim), file=file)
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
        "SELECT * FROM information_schema.files",
        "SELECT * FROM information_schema.innodb_tablespaces",
        "SELECT * FROM sys.session",
    ],
)
async def test_nothing_on_a_shared_server_shows_who_the_others_are(
    make_mysql: MakeMysql, question: str
) -> None:
    victim = await make_mysql(init=["CREATE TABLE secrets (a TEXT)"], options=SHARED)
    name = await database_of(victim)
    attacker = await make_mysql(options=SHARED)
    seen = await step(attacker, question)
    assert name not in seen.text
    assert "secrets" not in seen.text
    assert "root:x:0" not in seen.text


async def test_a_neighbour_s_name_that_does_leak_opens_nothing(make_mysql: MakeMysql) -> None:
    """TABLESPACES_EXTENSIONS lists all tables: a name is no secret, a password is."""
    victim = await make_mysql(init=["CREATE TABLE secrets (a TEXT)"], options=SHARED)
    assert victim._place is not None
    account = victim._place.seat.account
    assert len(account.access.password) >= 32
    attacker = await make_mysql(options=SHARED)
    seen = await step(attacker, f"SELECT * FROM `{account.database}`.secrets")
    assert sql(seen).errno in (1044, 1142)


async def test_a_slow_session_does_not_keep_another_waiting(make_mysql: MakeMysql) -> None:
    slow, quick = await make_mysql(options=SHARED), await make_mysql(options=SHARED)
    sleeping = asyncio.create_task(slow.step(Action(b"SELECT SLEEP(1000)", timeout=300)))
    for _ in range(20):
        assert sql(await asyncio.wait_for(step(quick, "SELECT 1"), 30)).errno == 0
    assert not sleeping.done()
    slow.interrupt()
    await sleeping


async def test_half_a_gigabyte_of_one_session_does_not_end_a_shared_server(
    make_mysql: MakeMysql,
) -> None:
    session = await make_mysql(options=SHARED)
    seen = await step(
        session,
        "SET @@group_concat_max_len = 4294967295, @@cte_max_recursion_depth = 1000000; "
        "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 500000) "
        "SELECT LENGTH(GROUP_CONCAT(REPEAT('x', 1000))) FROM n",
    )
    assert seen.ending is Ending.EXITED
    assert sql(await step(session, "SELECT 1")).results[-1].rows == ((1,),)


async def test_on_a_shared_server_a_session_has_one_database_by_its_real_name(
    make_mysql: MakeMysql,
) -> None:
    session = await make_mysql(init=["CREATE TABLE t (a INT)"], options=SHARED)
    name = await database_of(session)
    assert name.startswith("shop_")
    assert list((await session.probe("counts")).facts) == [f"{name}.t"]
    await session.reset()
    assert await database_of(session) != name
