"""Actions that are hard on a server: what each is answered, and that the session goes on."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from plumb_backends.environment import Action, Ending, Observation, SqlDetail
from plumb_backends.errors import InitFailed
from plumb_backends.kinds.mysql import MysqlOptions, Rendering
from plumb_backends.real.mysql_environment import RealMysql

if TYPE_CHECKING:
    from tests.conftest import MakeMysql

pytestmark = pytest.mark.asyncio(loop_scope="session")

SOON = 30.0
NUMBERS = "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {}) "


async def step(session: RealMysql, text: str | bytes, timeout: float = SOON) -> Observation:
    action = Action(text.encode() if isinstance(text, str) else text, timeout=timeout)
    return await asyncio.wait_for(session.step(action), SOON + timeout)


def sql(seen: Observation) -> SqlDetail:
    assert seen.sql is not None
    return seen.sql


async def assert_works(session: RealMysql) -> None:
    """The next action is answered by itself alone."""
    seen = await step(session, "SELECT 6 * 7 AS answer")
    assert sql(seen).results[-1].rows == ((42,),)
    assert len(sql(seen).results) == 1
    assert seen.ending is Ending.EXITED


async def running(session: RealMysql) -> list[object]:
    """What the session's connections run, this question left out."""
    seen = await step(
        session,
        "SELECT info FROM information_schema.processlist "
        "WHERE info IS NOT NULL AND id <> CONNECTION_ID()",
    )
    return [row[0] for row in sql(seen).results[-1].rows]


async def test_sleep_past_its_time_is_killed_and_gone(mysql: RealMysql) -> None:
    seen = await step(mysql, "SELECT SLEEP(1000)", timeout=0.3)
    assert seen.run_duration < 60
    assert seen.ending is Ending.TIMED_OUT
    assert not sql(seen).reconnected
    assert await running(mysql) == []
    await assert_works(mysql)


async def test_a_cross_join_past_its_time_is_killed_and_gone(mysql: RealMysql) -> None:
    seen = await step(
        mysql, NUMBERS.format(1000) + "SELECT COUNT(*) FROM n a, n b, n c WHERE a.n + b.n > c.n",
        timeout=0.5,
    )  # fmt: skip
    assert seen.ending is Ending.TIMED_OUT
    assert "ERROR 1317 (70100): Query execution was interrupted" in seen.text
    assert sql(seen).errno == 1317
    assert await running(mysql) == []
    await assert_works(mysql)


async def test_what_was_answered_before_the_timeout_is_there(mysql: RealMysql) -> None:
    seen = await step(mysql, "SELECT 'before'; SELECT SLEEP(1000); SELECT 'after'", timeout=5)
    assert "before" in seen.text
    assert "after" not in seen.text
    assert seen.ending is Ending.TIMED_OUT


async def test_an_interrupt_stops_what_runs(mysql: RealMysql) -> None:
    work = asyncio.create_task(step(mysql, "SELECT SLEEP(1000)"))
    while not mysql.interrupt():  # noqa: ASYNC110 - it is the step that is waited for
        await asyncio.sleep(0)
    assert (await work).ending is Ending.INTERRUPTED
    await assert_works(mysql)


async def test_a_result_of_200_mb_is_stopped_and_says_so(mysql: RealMysql) -> None:
    seen = await step(mysql, "SET cte_max_recursion_depth = 1000000")
    seen = await step(mysql, NUMBERS.format(200_000) + "SELECT REPEAT('x', 1000) FROM n", 60)
    assert seen.ending is Ending.OUTPUT_LIMIT
    assert seen.truncated
    assert len(seen.text.encode()) <= 64 * 1024 + 100
    assert 32 * 1024**2 < seen.total_bytes < 200 * 1024**2
    assert await running(mysql) == []
    await assert_works(mysql)


async def test_a_long_result_keeps_head_tail_and_count(mysql: RealMysql) -> None:
    await step(mysql, "SET cte_max_recursion_depth = 1000000")
    seen = await step(mysql, NUMBERS.format(50_000) + "SELECT n, REPEAT('x', 100) FROM n", 60)
    assert seen.ending is Ending.EXITED
    assert seen.truncated
    assert "\n50000 rows in set (" in seen.text
    assert "rows cut ...]" in seen.text
    result = sql(seen).results[0]
    assert (len(result.rows), result.total_rows) == (1000, 50_000)


async def test_an_open_transaction_goes_on_in_the_next_action(mysql: RealMysql) -> None:
    await step(mysql, "CREATE TABLE t (a INT); INSERT INTO t VALUES (1)")
    await step(mysql, "START TRANSACTION; DELETE FROM t")
    assert "Empty set" in (await step(mysql, "SELECT * FROM t")).text
    await step(mysql, "ROLLBACK")
    assert sql(await step(mysql, "SELECT * FROM t")).results[0].rows == ((1,),)


async def test_a_session_with_an_open_transaction_is_reset_at_once(make_mysql: MakeMysql) -> None:
    session = await make_mysql(init=["CREATE TABLE t (a INT)", "INSERT INTO t VALUES (1)"])
    await step(session, "START TRANSACTION; UPDATE t SET a = 2")
    started = time.monotonic()
    await session.reset()
    assert time.monotonic() - started < 30
    assert sql(await step(session, "SELECT a FROM t")).results[0].rows == ((1,),)


async def test_a_lock_against_itself_is_an_error_of_sql(mysql: RealMysql) -> None:
    await step(mysql, "CREATE TABLE t (a INT)")
    seen = await step(mysql, "LOCK TABLES t READ; INSERT INTO t VALUES (1)")
    assert sql(seen).errno == 1099
    await step(mysql, "UNLOCK TABLES")
    await assert_works(mysql)


async def test_it_may_kill_itself_and_is_connected_again(mysql: RealMysql) -> None:
    await step(mysql, "SET @a = 1; CREATE TABLE t (a INT)")
    seen = await step(mysql, "KILL CONNECTION_ID()")
    assert seen.ending is Ending.EXITED
    assert sql(seen).errno in (1317, 2013)
    following = await step(mysql, "SELECT @a, DATABASE()")
    assert sql(seen).reconnected or sql(following).reconnected
    after = await step(mysql, "SELECT @a, DATABASE()")
    assert sql(after).results[0].rows == ((None, "shop"),)
    assert "t" in (await step(mysql, "SHOW TABLES")).text
    await assert_works(mysql)


async def test_a_thread_that_is_not_there_cannot_be_killed(mysql: RealMysql) -> None:
    assert sql(await step(mysql, "KILL 1")).errno in (1094, 1095)
    await assert_works(mysql)


async def test_its_database_may_be_dropped_and_made_again(mysql: RealMysql) -> None:
    assert "Query OK, 0 rows affected" in (await step(mysql, "DROP DATABASE shop")).text
    gone = await step(mysql, "SHOW TABLES")
    assert gone.text == "ERROR 1046 (3D000): No database selected"
    missing = await step(mysql, "USE shop")
    assert missing.text == "ERROR 1049 (42000): Unknown database 'shop'"
    await step(mysql, "CREATE DATABASE shop; USE shop; CREATE TABLE t (a INT)")
    assert "Tables_in_shop" in (await step(mysql, "SHOW TABLES")).text


async def test_another_database_may_be_made_and_used(mysql: RealMysql) -> None:
    seen = await step(mysql, "CREATE DATABASE other; USE other; SELECT DATABASE()")
    assert "Database changed" in seen.text
    assert sql(seen).results[-1].rows == (("other",),)
    shown = await step(mysql, "SHOW DATABASES")
    names = {row[0] for row in sql(shown).results[0].rows}
    assert {"shop", "other", "information_schema"} <= names
    assert not [name for name in names if str(name).startswith("p")
                and name != "performance_schema"]  # fmt: skip


async def test_a_database_that_is_not_there_is_named_as_the_agent_named_it(
    mysql: RealMysql,
) -> None:
    seen = await step(mysql, "SELECT * FROM nope.t; SELECT * FROM shop.nope; USE nope")
    assert "Unknown database 'nope'" in seen.text
    assert "Table 'shop.nope' doesn't exist" in seen.text


@pytest.mark.parametrize("quote", ["'", '"', "`", "/*"])
async def test_an_unbalanced_quote_is_an_error_and_nothing_waits(
    mysql: RealMysql, quote: str
) -> None:
    seen = await step(mysql, f"SELECT {quote}abc FROM t; SELECT 2;", timeout=5)
    assert seen.ending is Ending.EXITED
    assert sql(seen).errno == 1064
    await assert_works(mysql)


@pytest.mark.parametrize("nothing", ["", "   \n", "\n\n"])
async def test_nothing_is_answered_by_nothing(mysql: RealMysql, nothing: str) -> None:
    seen = await step(mysql, nothing)
    assert (seen.text, seen.raw, sql(seen).results) == ("", b"", ())
    await assert_works(mysql)


async def test_an_empty_statement_is_what_the_client_says(mysql: RealMysql) -> None:
    seen = await step(mysql, ";")
    assert seen.text == "ERROR: \nNo query specified"
    assert "No query specified" in (await step(mysql, "SELECT 1;;")).text
    await assert_works(mysql)


async def test_a_statement_of_1_mb_runs(mysql: RealMysql) -> None:
    await step(mysql, "CREATE TABLE t (a LONGTEXT)")
    text = "x" * (1024 * 1024 - 100)
    assert "1 row affected" in (await step(mysql, f"INSERT INTO t VALUES ('{text}')")).text
    seen = await step(mysql, "SELECT LENGTH(a) FROM t")
    assert sql(seen).results[0].rows == ((len(text),),)


async def test_a_million_bytes_of_rows_in_one_statement_run(mysql: RealMysql) -> None:
    await step(mysql, "CREATE TABLE t (a INT, b VARCHAR(20))")
    rows = ",".join(f"({n},'{n}')" for n in range(50_000))
    seen = await step(mysql, f"INSERT INTO t VALUES {rows}")
    assert "Query OK, 50000 rows affected" in seen.text


async def test_invalid_utf_8_is_an_error_of_sql_or_data(mysql: RealMysql) -> None:
    await step(mysql, "CREATE TABLE t (a TEXT)")
    seen = await step(mysql, b"INSERT INTO t VALUES ('\xff\xfe')")
    assert sql(seen).errno in (1300, 1366)
    seen = await step(mysql, b"\xff\xfe")
    assert sql(seen).errno in (1064, 1300)
    assert seen.text.encode().decode() == seen.text
    await assert_works(mysql)


async def test_several_statements_give_several_results(mysql: RealMysql) -> None:
    seen = await step(mysql, "SELECT 1; SELEC; SELECT 3")
    first, failed, last = sql(seen).results
    assert (first.rows, failed.columns, last.rows) == (((1,),), (), ((3,),))
    assert (sql(seen).errno, sql(seen).sqlstate) == (1064, "42000")


async def test_a_procedure_without_delimiter_is_one_statement(mysql: RealMysql) -> None:
    seen = await step(
        mysql,
        "CREATE PROCEDURE p(n INT) BEGIN IF n > 0 THEN SELECT n; END IF; SELECT 'end'; END; "
        "CALL p(5)",
    )
    assert sql(seen).errno == 0
    assert [result.rows for result in sql(seen).results] == [(), ((5,),), (("end",),), ()]
    await assert_works(mysql)


async def test_a_large_value_does_not_fill_the_server(mysql: RealMysql) -> None:
    seen = await step(mysql, "SELECT REPEAT('x', 1000000000)")
    assert sql(seen).results[0].rows == ((None,),)
    assert "1 warning" in seen.text
    await assert_works(mysql)


# Renderings.


@pytest.mark.parametrize(
    ("statement", "text"),
    [
        (
            "SELECT 'a', 1.50, DATE '2021-01-01', NULL",
            "[('a', Decimal('1.50'), datetime.date(2021, 1, 1), None)]",
        ),
        ("SELECT 1 FROM DUAL WHERE 0", "[]"),
        ("CREATE TABLE t (a INT)", "[]"),
        ("SELECT * FROM nope", "1146 (42S02): Table 'shop.nope' doesn't exist"),
    ],
)
async def test_tuples_are_what_agentbench_gives(
    make_mysql: MakeMysql, statement: str, text: str
) -> None:
    options = MysqlOptions(database="shop", rendering=Rendering.TUPLES)
    session = await make_mysql(options=options)
    assert (await step(session, statement)).text == text


async def test_json_is_one_document_a_result(make_mysql: MakeMysql) -> None:
    session = await make_mysql(options=MysqlOptions(rendering=Rendering.JSON))
    seen = await step(session, "SELECT 1.50 AS a, x'ff' AS b; SELECT * FROM nope")
    assert seen.text.splitlines() == [
        '{"columns": ["a", "b"], "rows": [["1.50", "0xFF"]], "total_rows": 1, "warnings": 0}',
        '{"error": {"errno": 1146, "sqlstate": "42S02", '
        '"message": "Table \'plumb.nope\' doesn\'t exist"}}',
    ]


# Init statements.


async def test_a_failing_init_statement_names_itself(make_mysql: MakeMysql) -> None:
    with pytest.raises(InitFailed, match=r"script 2 \(INSERT INTO nope") as caught:
        await make_mysql(init=["CREATE TABLE t (a INT)", "INSERT INTO nope VALUES (1)"])
    assert "ERROR 1146 (42S02): Table 'plumb.nope' doesn't exist" in str(caught.value)


async def test_a_server_of_its_own_obeys_global_statements(make_mysql: MakeMysql) -> None:
    session = await make_mysql(
        init=["SET GLOBAL max_connections = 77"],
        options=MysqlOptions(database="shop"),
    )
    seen = await step(session, "SELECT @@global.max_connections, DATABASE(), CURRENT_USER()")
    assert sql(seen).results[0].rows == ((77, "shop", "root@%"),)
    await session.reset()
    assert sql(await step(session, "SELECT DATABASE()")).results[0].rows == (("shop",),)
