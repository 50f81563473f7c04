"""What an agent may make of its server so that a probe tells less than there is, or something else.

`test_attacks.py` has locks, bombs, and functions behind views.
"""

from __future__ import annotations

import pytest

from plumb_backends.environment import Action
from plumb_backends.real.mysql_environment import RealMysql

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def step(session: RealMysql, text: str) -> None:
    seen = await session.step(Action(text.encode()))
    assert seen.sql is not None
    assert seen.sql.errno == 0, seen.text


async def facts(session: RealMysql, suite: str) -> dict[str, str]:
    return dict((await session.probe(suite)).facts)


@pytest.mark.parametrize("name", ["SYS", "Mysql", "MYSQL"])
async def test_a_database_whose_name_is_almost_the_system_s_is_told(
    mysql: RealMysql, name: str
) -> None:
    await step(mysql, f"CREATE DATABASE {name}; CREATE TABLE {name}.t (a INT)")
    assert await facts(mysql, "counts") == {f"{name}.t": "0 rows"}


UNREADABLE = {
    "a view whose function fails":
        "CREATE FUNCTION f() RETURNS INT NO SQL BEGIN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT "
        "= 'no'; RETURN 1; END; CREATE VIEW v AS SELECT a FROM t WHERE f() = 1",
    "a view that is no scalar": "CREATE VIEW v AS SELECT a FROM t WHERE a = (SELECT a FROM t)",
    "a table without its file":
        "CREATE TABLE v (a INT); INSERT INTO v VALUES (1), (2); ALTER TABLE v DISCARD TABLESPACE",
}  # fmt: skip


@pytest.mark.parametrize("how", UNREADABLE)
async def test_what_cannot_be_read_is_not_told_to_be_empty(mysql: RealMysql, how: str) -> None:
    await step(mysql, "CREATE TABLE t (a INT); INSERT INTO t VALUES (1), (2); " + UNREADABLE[how])
    assert (await facts(mysql, "counts"))["shop.v"].startswith("its rows cannot be counted: ")
    assert (await facts(mysql, "rows"))["shop.v (cut)"].startswith("its rows cannot be read: ")
    await mysql.capture()


async def test_a_view_of_what_is_gone_has_no_rows(mysql: RealMysql) -> None:
    await step(mysql, "CREATE TABLE t (a INT); CREATE VIEW v AS SELECT a FROM t; DROP TABLE t")
    assert await facts(mysql, "counts") == {"shop.v": "0 rows"}
    assert await facts(mysql, "rows") == {}


async def test_no_global_variable_changes_what_a_probe_tells(mysql: RealMysql) -> None:
    await step(
        mysql,
        "SET SESSION sql_generate_invisible_primary_key = ON; "
        "CREATE TABLE `té` (a LONGTEXT, b DOUBLE); "
        "INSERT INTO `té` VALUES (REPEAT('x', 600000), 1), ('é日👍', 0.5); "
        "CREATE TABLE u (a VARCHAR(99) PRIMARY KEY); INSERT INTO u VALUES ('aaaab'), ('aaaaa')",
    )
    before = [await facts(mysql, suite) for suite in ("rows", "schema", "counts")]
    await step(
        mysql,
        "SET GLOBAL character_set_results = latin1, GLOBAL character_set_client = latin1, "
        "GLOBAL collation_connection = latin1_swedish_ci, GLOBAL sort_buffer_size = 32768, "
        "GLOBAL max_sort_length = 4, GLOBAL show_create_table_verbosity = ON, "
        "GLOBAL show_gipk_in_create_table_and_information_schema = OFF, "
        "GLOBAL transaction_isolation = 'SERIALIZABLE', GLOBAL transaction_read_only = ON, "
        "GLOBAL max_allowed_packet = 1024, GLOBAL net_buffer_length = 1024, "
        "GLOBAL tmp_table_size = 1024, GLOBAL lc_time_names = 'de_DE', "
        "GLOBAL completion_type = 'CHAIN', GLOBAL init_connect = 'SET SESSION sql_mode = ANSI'",
    )
    try:
        for _ in range(2):  # a connection takes the new values when it is used again
            after = [await facts(mysql, suite) for suite in ("rows", "schema", "counts")]
            assert after == before
    finally:
        await mysql.reset()


@pytest.mark.parametrize("name", ["a`b", "a'b\\", "x\ny", "a.b", "a%b_c", "\u202e", "SELECT", "\\"])
async def test_a_table_of_any_name_is_told(mysql: RealMysql, name: str) -> None:
    quoted = "`" + name.replace("`", "``") + "`"
    await step(mysql, f"CREATE TABLE {quoted} ({quoted} INT); INSERT INTO {quoted} VALUES (7)")
    assert await facts(mysql, "rows") == {f"shop.{name} 1": "[7]"}
    assert await facts(mysql, "counts") == {f"shop.{name}": "1 rows"}
    assert list(await facts(mysql, "schema")) == [f"shop.{name}"]
