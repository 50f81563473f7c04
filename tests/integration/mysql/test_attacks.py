"""What the root of a MySQL server may try: it reaches its own server, and nothing else."""

from __future__ import annotations

import asyncio
import dataclasses
import resource
import time
from collections.abc import AsyncIterator, Coroutine
from typing import TYPE_CHECKING, TypeVar

import pytest
import pytest_asyncio
from tests.conftest import MYSQL_IMAGE

from plumb_backends.environment import Action, Ending, Observation, SqlDetail
from plumb_backends.errors import LimitReached, SandboxUnavailable
from plumb_backends.real.mysql import RealMysqlSettings
from plumb_backends.real.mysql_environment import RealMysql
from plumb_backends.real.sql.servers import ServerSettings, own_limits
from plumb_backends.registry import Backends, open_backends

if TYPE_CHECKING:
    from tests.conftest import MakeMysql

pytestmark = pytest.mark.asyncio(loop_scope="session")

MB = 1024**2
SOON = 120.0

T = TypeVar("T")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def small() -> AsyncIterator[Backends]:
    """Servers with little room, so that it is soon used up."""
    limits = own_limits(memory_bytes=400 * MB, disk_bytes=128 * MB)
    settings = RealMysqlSettings(servers=ServerSettings(image=MYSQL_IMAGE, own_limits=limits))
    async with open_backends([settings]) as opened:
        yield opened


async def step(session: RealMysql, text: str, timeout: float = SOON) -> Observation:
    return await session.step(Action(text.encode(), timeout=timeout))


def sql(seen: Observation) -> SqlDetail:
    assert seen.sql is not None
    return seen.sql


async def assert_works(session: RealMysql) -> None:
    assert sql(await step(session, "SELECT 6 * 7")).results[-1].rows == ((42,),)


async def ended(session: RealMysql, action: str) -> str:
    """Repeats an action until the session's server is gone; returns what is said then."""
    async with asyncio.timeout(SOON):
        while True:
            try:
                await step(session, action)
            except SandboxUnavailable as error:
                return str(error)


# The operator's probes.

BOMB = (
    "CREATE FUNCTION f() RETURNS TEXT DETERMINISTIC MODIFIES SQL DATA SQL SECURITY INVOKER "
    "BEGIN UPDATE t SET a = a + 1; RETURN CURRENT_USER(); END; "
    "CREATE SQL SECURITY INVOKER VIEW v AS SELECT f() AS x"
)


async def test_a_function_behind_a_view_runs_with_the_agent_s_rights_and_changes_nothing(
    mysql: RealMysql,
) -> None:
    made = await step(mysql, "CREATE TABLE t (a INT); INSERT INTO t VALUES (1); " + BOMB)
    assert sql(made).errno == 0, made.text
    for suite in ("counts", "rows", "schema"):
        await mysql.probe(suite)
    await mysql.capture()
    assert sql(await step(mysql, "SELECT a FROM t")).results[0].rows == ((1,),)


async def test_a_view_that_reads_who_asks_sees_the_agent(mysql: RealMysql) -> None:
    await step(mysql, "CREATE SQL SECURITY INVOKER VIEW v AS SELECT CURRENT_USER() AS x")
    assert (await mysql.probe("rows")).facts == {"shop.v 1": '["root@%"]'}


async def test_a_view_of_huge_rows_costs_plumb_next_to_nothing_and_is_told_as_cut(
    mysql: RealMysql,
) -> None:
    rows = "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 36) "
    await step(mysql, f"CREATE VIEW v AS {rows} SELECT REPEAT('x', 15000000) AS x FROM n")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    facts = (await mysql.probe("rows")).facts
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024
    assert list(facts) == ["shop.v (cut)"]
    await assert_works(mysql)


async def test_many_small_rows_are_cut_by_count_and_by_bytes(mysql: RealMysql) -> None:
    numbers = "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 12000) "
    await step(
        mysql,
        "SET cte_max_recursion_depth = 20000; CREATE TABLE a (n INT PRIMARY KEY); "
        "CREATE TABLE b (n INT PRIMARY KEY, t VARCHAR(2000)); "
        f"INSERT INTO a {numbers} SELECT n FROM n; "
        f"INSERT INTO b {numbers} SELECT n, REPEAT('x', 2000) FROM n",
    )
    facts = (await mysql.probe("rows")).facts
    assert "only the first 10000 rows are told" in facts["shop.a (cut)"]
    assert "shop.b (cut)" in facts
    assert sum(map(len, facts.values())) < 4 * MB


async def test_huge_rows_of_a_step_cost_plumb_no_more_than_it_keeps(mysql: RealMysql) -> None:
    rows = "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 36) "
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seen = await step(mysql, f"{rows} SELECT REPEAT('x', 15000000) FROM n")
    assert seen.ending is Ending.OUTPUT_LIMIT
    assert seen.truncated
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 128 * 1024
    await assert_works(mysql)


async def test_a_row_of_many_packets_is_read_and_thrown_away(mysql: RealMysql) -> None:
    columns = ", ".join(["REPEAT('x', 15000000)"] * 4)
    seen = await step(mysql, f"SELECT {columns}")
    assert sql(seen).results[0].total_rows == 1
    assert seen.truncated
    assert seen.ending is Ending.OUTPUT_LIMIT
    await assert_works(mysql)


async def test_endless_small_results_end_at_the_limit(
    mysql: RealMysql, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = dataclasses.replace(mysql._limits, stop_bytes=256 * 1024)  # not more than it needs
    monkeypatch.setattr(mysql, "_limits", limits)
    await step(mysql, "CREATE PROCEDURE p() BEGIN WHILE 1 DO SELECT 1; END WHILE; END")
    began = time.process_time()
    seen, turns = await with_turns_of_the_loop(step(mysql, "CALL p()", timeout=600))
    assert seen.ending is Ending.OUTPUT_LIMIT
    worked = time.process_time() - began
    assert turns > worked / 0.05  # others are not kept waiting meanwhile
    await assert_works(mysql)


async def test_what_is_stopped_amid_many_results_keeps_the_connection(mysql: RealMysql) -> None:
    """Megabytes of results are still on their way then."""
    await step(mysql, "CREATE PROCEDURE p() BEGIN WHILE 1 DO SELECT 1; END WHILE; END; SET @x = 7")
    seen = await step(mysql, "CALL p()", timeout=1)
    assert seen.ending is Ending.TIMED_OUT
    assert not sql(seen).reconnected
    assert sql(await step(mysql, "SELECT @x")).results[-1].rows == ((7,),)


async def with_turns_of_the_loop(work: Coroutine[None, None, T]) -> tuple[T, int]:
    """What comes of some work, and how often all others had their turn meanwhile."""
    task = asyncio.create_task(work)
    turns = 0
    while not task.done():
        await asyncio.sleep(0.001)
        turns += 1
    return task.result(), turns


async def test_locked_tables_are_one_clear_error_at_once(mysql: RealMysql) -> None:
    await step(mysql, "CREATE TABLE z (a INT); LOCK TABLES z WRITE")
    for suite in ("rows", "counts"):
        with pytest.raises(LimitReached, match=r"shop\.z cannot be read: the session has locked"):
            await asyncio.wait_for(mysql.probe(suite), SOON)
    assert list((await mysql.probe("schema")).facts) == ["shop.z"]
    await step(mysql, "UNLOCK TABLES")
    assert (await mysql.probe("counts")).facts == {"shop.z": "0 rows"}


async def left_by_probes(session: RealMysql) -> tuple[tuple[object, ...], ...]:
    seen = await step(
        session,
        "SELECT INFO FROM information_schema.PROCESSLIST WHERE INFO IS NOT NULL "
        "AND ID <> CONNECTION_ID() AND COMMAND <> 'Daemon'",
    )
    return sql(seen).results[0].rows


@pytest.mark.parametrize("view", ["SELECT SLEEP(1000) AS x", "SELECT g() AS x"])
async def test_a_view_that_sleeps_is_stopped_and_leaves_nothing(
    mysql: RealMysql, view: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("plumb_backends.real.sql.reader.READ_WITHIN", 1.0)
    made = await step(
        mysql,
        "CREATE TABLE t (a INT); CREATE FUNCTION g() RETURNS INT DETERMINISTIC MODIFIES SQL DATA "
        "BEGIN DECLARE CONTINUE HANDLER FOR SQLEXCEPTION SET @x = 1; RETURN SLEEP(1000); END; "
        f"CREATE VIEW v AS {view}",
    )
    assert sql(made).errno == 0, made.text
    with pytest.raises(LimitReached, match=r"shop\.v"):
        await asyncio.wait_for(mysql.probe("rows"), SOON)
    assert await left_by_probes(mysql) == ()
    await assert_works(mysql)


async def test_a_lock_that_a_view_takes_is_gone_after_the_probe(mysql: RealMysql) -> None:
    await step(mysql, "CREATE VIEW v AS SELECT GET_LOCK('mine', 0) AS x")
    assert (await mysql.probe("rows")).facts == {"shop.v 1": "[1]"}
    assert sql(await step(mysql, "SELECT IS_FREE_LOCK('mine')")).results[0].rows == ((1,),)


async def test_a_view_that_waits_for_the_agent_s_lock_is_stopped(
    mysql: RealMysql, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("plumb_backends.real.sql.reader.READ_WITHIN", 1.0)
    await step(
        mysql, "SELECT GET_LOCK('mine', 0); CREATE VIEW v AS SELECT GET_LOCK('mine', 1000) AS x"
    )
    with pytest.raises(LimitReached):
        await asyncio.wait_for(mysql.probe("rows"), SOON)
    assert await left_by_probes(mysql) == ()


async def test_what_the_session_does_meanwhile_changes_nothing_that_a_probe_sees(
    mysql: RealMysql,
) -> None:
    await step(mysql, "CREATE TABLE t (a INT); INSERT INTO t VALUES (1)")
    await step(mysql, "CREATE TEMPORARY TABLE t (b TEXT); INSERT INTO t VALUES ('temporary')")
    await step(mysql, "CREATE DATABASE other; USE other; BEGIN; UPDATE shop.t SET b = 'x'")
    await step(
        mysql,
        "SET GLOBAL sql_mode = 'ANSI_QUOTES', GLOBAL sql_select_limit = 0, "
        "GLOBAL time_zone = '+05:00', GLOBAL autocommit = OFF, GLOBAL max_execution_time = 1",
    )
    try:
        assert (await mysql.probe("rows")).facts == {"shop.t 1": "[1]"}
        assert (await mysql.probe("schema")).facts["shop.t"].startswith("CREATE TABLE `t` (")
    finally:
        await mysql.reset()


async def test_uncommitted_changes_count(mysql: RealMysql) -> None:
    await step(mysql, "CREATE TABLE t (a INT); BEGIN; INSERT INTO t VALUES (1)")
    assert (await mysql.probe("counts")).facts == {"shop.t": "1 rows"}


# Its own server, and how plumb gets on with it.


async def test_a_new_password_and_a_lost_connection_do_not_break_the_session(
    mysql: RealMysql,
) -> None:
    await step(mysql, "SET PASSWORD = 'Se-cret1'; SET GLOBAL require_secure_transport = ON")
    before = sql(await step(mysql, "SELECT authentication_string FROM mysql.user"))
    await step(mysql, "KILL CONNECTION_ID()")
    await step(mysql, "DO 0")
    await assert_works(mysql)
    after = sql(await step(mysql, "SELECT authentication_string FROM mysql.user"))
    assert before.results[0].rows == after.results[0].rows
    seen = await step(mysql, "SELECT @@require_secure_transport, CURRENT_USER(), DATABASE()")
    assert sql(seen).results[0].rows == ((1, "root@%", "shop"),)
    await mysql.reset()


HOSTILE_TO_PLUMB = {
    "its connections are killed": "KILL {control}",
    "its account is gone, and its connection": "DROP USER root@'%', root@localhost; KILL {control}",
    "nobody may log in": "ALTER USER root@'%' ACCOUNT LOCK; KILL {control}",
    "the accounts are gone": "DROP TABLE mysql.user; FLUSH PRIVILEGES; KILL {control}",
    "the accounts are elsewhere": "RENAME TABLE mysql.user TO mysql.u; KILL {control}",
    "it is read-only": "SET GLOBAL super_read_only = ON",
    "it is offline": "SET GLOBAL offline_mode = ON",
    "one connection is allowed": "SET GLOBAL max_connections = 1; KILL {control}",
    "TLS is demanded": "SET GLOBAL require_secure_transport = ON; KILL {control}",
    "idle connections end": "SET GLOBAL wait_timeout = 1",
    "everything is locked": "FLUSH TABLES WITH READ LOCK",
    "the instance is locked": "LOCK INSTANCE FOR BACKUP",
    "a prepared transaction holds a lock":
        "XA START 'x'; INSERT INTO t VALUES (2); XA END 'x'; XA PREPARE 'x'",
}  # fmt: skip


@pytest.mark.parametrize("what", HOSTILE_TO_PLUMB)
async def test_statements_are_stopped_and_sessions_end_whatever_was_done_to_the_server(
    lasting: RealMysql, mysql: RealMysql, what: str
) -> None:
    await step(mysql, "CREATE TABLE t (a INT); INSERT INTO t VALUES (1)")
    control = await step(
        mysql,
        "SELECT ID FROM information_schema.PROCESSLIST "
        "WHERE USER = 'root' AND ID <> CONNECTION_ID()",
    )
    number = sql(control).results[0].rows[0][0]
    await step(mysql, HOSTILE_TO_PLUMB[what].format(control=number))
    said = ""
    try:
        seen = await asyncio.wait_for(step(mysql, "SELECT SLEEP(1000)", timeout=0.5), SOON)
        assert seen.ending is Ending.TIMED_OUT
        await assert_works(mysql)
    except SandboxUnavailable as error:  # one clear sentence, and the server is gone
        said = str(error)
    finally:
        await asyncio.wait_for(lasting.reset(), SOON)
    assert not said or said.endswith("reset the session")
    await assert_works(mysql)


async def test_a_shutdown_ends_the_session_and_says_so(mysql: RealMysql) -> None:
    said = await ended(mysql, "SHUTDOWN")
    assert "server is gone: it was shut down; reset the session" in said
    await mysql.reset()
    await assert_works(mysql)


async def test_root_gets_what_root_of_a_server_has(mysql: RealMysql) -> None:
    for statement in (
        "FLUSH LOGS",
        "SHOW BINARY LOGS",
        "SET GLOBAL max_connections = 77",
        "SET PERSIST max_connections = 78",
        "CREATE USER ada IDENTIFIED BY 'x'",
        "GRANT SELECT ON shop.* TO ada",
        "INSTALL COMPONENT 'file://component_validate_password'",
        "UNINSTALL COMPONENT 'file://component_validate_password'",
        "CREATE TABLE m (a INT) ENGINE = MyISAM",
        "CREATE TABLE h (a INT) ENGINE = MEMORY",
        "CREATE EVENT e ON SCHEDULE EVERY 1 DAY DO DELETE FROM m",
        "SELECT MD5('a'), SHA1('a')",
        "XA START 'a'",
        "XA END 'a'",
        "XA ROLLBACK 'a'",
    ):
        seen = await step(mysql, statement)
        assert sql(seen).errno == 0, seen.text
    shown = await step(mysql, "SHOW DATABASES")
    assert {"information_schema", "mysql", "performance_schema", "sys"} <= {
        row[0] for row in sql(shown).results[0].rows
    }
    await mysql.reset()


async def test_what_show_create_prints_runs_again(mysql: RealMysql) -> None:
    await step(
        mysql,
        "CREATE TABLE t (a INT); CREATE VIEW v AS SELECT a FROM t; "
        "CREATE PROCEDURE p() SELECT 1; CREATE FUNCTION f() RETURNS INT NO SQL RETURN 1",
    )
    for kind, name, column in (("VIEW", "v", 1), ("PROCEDURE", "p", 2), ("FUNCTION", "f", 2)):
        row = sql(await step(mysql, f"SHOW CREATE {kind} {name}")).results[0].rows[0]
        shown = str(row[column])
        assert "DEFINER=`root`@`%`" in shown
        seen = await step(mysql, f"DROP {kind} {name}; {shown}")
        assert sql(seen).errno == 0, seen.text
        assert not any(result.warnings for result in sql(seen).results)


# Files, other hosts, other programs.

REFUSED = {
    "a file of the container": "LOAD DATA INFILE '/etc/passwd' INTO TABLE t",
    "a file outside of its folder": "SELECT 1 INTO OUTFILE '/tmp/x'",
    "a program in the place of a plugin": "SELECT 1 INTO DUMPFILE '/usr/lib/mysql/plugin/x.so'",
    "a library": "CREATE FUNCTION f RETURNS STRING SONAME 'evil.so'",
    "a library by its path": "CREATE FUNCTION f RETURNS STRING SONAME '/tmp/evil.so'",
    "a plugin that is not there": "INSTALL PLUGIN evil SONAME 'evil.so'",
    "a log in a system folder": "SET GLOBAL general_log_file = '/etc/x.log'",
    "a log where scripts are": "SET GLOBAL general_log_file = '/usr/local/bin/x'",
    "a log in /tmp": "SET GLOBAL general_log_file = '/tmp/x.log'",
    "another folder for plugins": "SET GLOBAL plugin_dir = '/tmp'",
    "another folder for plugins, later": "SET PERSIST_ONLY plugin_dir = '/tmp'",
    "another folder for files": "SET GLOBAL secure_file_priv = ''",
    "a table elsewhere": "CREATE TABLE e (a INT) DATA DIRECTORY = '/tmp'",
    "a tablespace elsewhere": "CREATE TABLESPACE s ADD DATAFILE '/tmp/s.ibd'",
    "a file of the client": "LOAD DATA LOCAL INFILE '/etc/passwd' INTO TABLE t",
    "a clone of a neighbour":
        "INSTALL PLUGIN clone SONAME 'mysql_clone.so'; SET GLOBAL clone_valid_donor_list = "
        "'172.17.0.1:3306'; CLONE INSTANCE FROM root@'172.17.0.1':3306 IDENTIFIED BY ''",
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
async def test_root_of_the_server_reaches_no_file_and_no_other_server(
    mysql: RealMysql, what: str
) -> None:
    await step(mysql, "CREATE TABLE t (a TEXT)")
    seen = await step(mysql, REFUSED[what])
    assert sql(seen).errno != 0, seen.text
    assert "root:x:0" not in (await step(mysql, "SELECT * FROM t")).text
    assert sql(await step(mysql, "SELECT LOAD_FILE('/etc/passwd')")).results[0].rows == ((None,),)


async def test_files_of_its_own_folder_are_its_own(mysql: RealMysql) -> None:
    await step(mysql, "CREATE TABLE t (a INT)")
    seen = await step(
        mysql,
        "SET @f = CONCAT(@@secure_file_priv, 'x'); "
        "SET @q = CONCAT('SELECT 5 INTO OUTFILE ', QUOTE(@f)); PREPARE s FROM @q; EXECUTE s; "
        "SELECT LOAD_FILE(@f)",
    )
    assert sql(seen).results[-1].rows == ((b"5\n",),)
    await mysql.reset()


async def test_a_server_has_no_network_to_reach_a_neighbour_by(
    mysql: RealMysql, make_mysql: MakeMysql
) -> None:
    neighbour = await make_mysql(init=["CREATE TABLE canary (a INT)"])
    assert mysql._place is not None
    assert neighbour._place is not None
    for session in (mysql, neighbour):
        assert session._place is not None
        sandbox = session._place.seat.server.sandbox
        assert sandbox is not None
        seen = await sandbox.container.show()
        assert list(seen["NetworkSettings"]["Networks"]) == ["none"]
        assert not seen["NetworkSettings"]["Ports"]
        assert seen["HostConfig"]["ReadonlyRootfs"]
    await step(
        mysql,
        "CHANGE REPLICATION SOURCE TO SOURCE_HOST = '172.17.0.2', SOURCE_USER = 'root', "
        "GET_SOURCE_PUBLIC_KEY = 1, SOURCE_CONNECT_RETRY = 1, SOURCE_RETRY_COUNT = 1; "
        "START REPLICA",
    )
    async with asyncio.timeout(SOON):
        while True:
            seen_status = await step(mysql, "SHOW REPLICA STATUS\\G")
            if "Last_IO_Errno: 0" not in seen_status.text:
                break
            await asyncio.sleep(0.1)
    assert "Can't connect to MySQL server on '172.17.0.2:3306' (101)" in seen_status.text
    await mysql.reset()


# Bombs: each ends its own server, and says why.

NUMBERS = "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 900) "
BOMBS = {
    "a table in memory": (
        "SET SESSION max_heap_table_size = 1900000000, sql_log_bin = OFF; "
        "CREATE TABLE t (b CHAR(255) CHARACTER SET latin1) ENGINE = MEMORY",
        f"INSERT INTO t {NUMBERS} SELECT 'x' FROM n a, n b LIMIT 300000",
        "it ran out of memory",
    ),
    "a sort in memory": (
        "SET SESSION group_concat_max_len = 4000000000, max_execution_time = 0; "
        "SET SESSION sort_buffer_size = 4000000000",
        f"{NUMBERS} SELECT LENGTH(GROUP_CONCAT(REPEAT('x', 1000000))) FROM n",
        "it ran out of memory",
    ),
}


@pytest.mark.parametrize("bomb", BOMBS)
async def test_a_memory_bomb_ends_its_own_server_and_says_so(
    small: Backends, make_mysql: MakeMysql, mysql: RealMysql, bomb: str
) -> None:
    prepare, repeat, why = BOMBS[bomb]
    attacker = await make_mysql(backends=small)
    await step(attacker, prepare)
    assert f"server is gone: {why}" in await ended(attacker, repeat)
    await assert_works(mysql)
    await attacker.reset()
    await assert_works(attacker)


FILLS = {
    "InnoDB": "CREATE TABLE t (a LONGTEXT) ENGINE = InnoDB",
    "MyISAM": "CREATE TABLE t (a LONGTEXT) ENGINE = MyISAM",
    "a temporary table": "CREATE TEMPORARY TABLE t (a LONGTEXT)",
    "a temporary MyISAM table": "CREATE TEMPORARY TABLE t (a LONGTEXT) ENGINE = MyISAM",
}


@pytest.mark.parametrize("how", FILLS)
async def test_a_full_disk_is_an_error_or_the_end_of_its_own_server(
    small: Backends, make_mysql: MakeMysql, mysql: RealMysql, how: str
) -> None:
    attacker = await make_mysql(backends=small)
    await step(attacker, FILLS[how])
    fill = Action(b"INSERT INTO t VALUES (REPEAT('x', 4000000))", timeout=5)
    said = "its disk was full (PLUMB_MYSQL_DISK_BYTES)"  # by the server, or by plumb
    try:
        async with asyncio.timeout(SOON):
            while True:
                seen = await attacker.step(fill)
                if sql(seen).errno or seen.ending is Ending.TIMED_OUT:
                    break
    except SandboxUnavailable as error:
        said = str(error)
    assert "its disk was full (PLUMB_MYSQL_DISK_BYTES)" in said
    await assert_works(mysql)
    await asyncio.wait_for(attacker.reset(), SOON)
    await assert_works(attacker)
