"""What is captured of a MySQL session's databases, and what its probes say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.conftest import MakeMysql

from plumb_backends.environment import Action
from plumb_backends.kinds.mysql import Isolation, MysqlOptions
from plumb_backends.snapshot import Snapshot, common

pytestmark = pytest.mark.asyncio(loop_scope="session")

SCENARIOS = Path(__file__).parents[3] / "scenarios" / "mysql.jsonl"
SHOP = [
    "CREATE TABLE t (b INT, a INT PRIMARY KEY, d DECIMAL(4,1), x VARBINARY(4))",
    "INSERT INTO t VALUES (1, 9, 2.5, 0x00FF), (2, 3, NULL, NULL)",
    "CREATE VIEW v AS SELECT a FROM t; CREATE PROCEDURE p() SELECT 1",
    "CREATE FUNCTION f() RETURNS INT DETERMINISTIC RETURN 1",
    "CREATE TRIGGER tr BEFORE INSERT ON t FOR EACH ROW SET NEW.b = 1",
    "CREATE EVENT e ON SCHEDULE EVERY 1 YEAR DISABLE DO SELECT 1",
]


def by_key(snapshot: Snapshot) -> dict[str, dict[str, str]]:
    return {entry.key: dict(entry.fields) for entry in snapshot.entries}


async def test_every_object_is_captured_with_how_it_is_made_and_its_rows_in_key_order(
    make_mysql: MakeMysql,
) -> None:
    db = await make_mysql(init=SHOP, options=MysqlOptions(database="shop"))
    seen = by_key(await db.capture())
    assert set(seen) == {
        "shop.e (event)", "shop.f (function)", "shop.p (procedure)", "shop.t", "shop.t holds",
        "shop.tr (trigger)", "shop.v", "shop.v holds",
    }  # fmt: skip
    assert seen["shop.t"]["content"].startswith("CREATE TABLE `t` (\n  `b` int")
    assert seen["shop.t holds"] == {
        "type": "2 rows",
        "content": '[2, 3, null, null]\n[1, 9, "2.5", "0x00FF"]\n',
    }
    assert "shop_" not in json.dumps(seen)  # no physical name


async def test_many_rows_are_cut_and_it_is_said(make_mysql: MakeMysql) -> None:
    db = await make_mysql(
        init=["CREATE TABLE n (n INT PRIMARY KEY)",
              "INSERT INTO n WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s "
              "WHERE n < 500) SELECT n FROM s"],
        options=MysqlOptions(database="shop"),
    )  # fmt: skip
    holds = by_key(await db.capture())["shop.n holds"]
    assert holds["type"] == "500 rows, of which the first 50 are told"
    assert holds["content"].count("\n") == 50


async def test_probes_tell_schema_counts_and_rows(make_mysql: MakeMysql) -> None:
    db = await make_mysql(init=SHOP[:2], options=MysqlOptions(database="shop"))
    await db.step(Action(b"BEGIN; DELETE FROM t WHERE a = 9"))
    assert (await db.probe("counts")).facts == {"shop.t": "1 rows"}  # as the agent sees it
    assert (await db.probe("rows")).facts == {"shop.t 1": "[2, 3, null, null]"}
    assert list((await db.probe("schema")).facts) == ["shop.t"]


async def test_a_probe_changes_nothing_that_could_be_asked_about(make_mysql: MakeMysql) -> None:
    db = await make_mysql(init=SHOP[:2], options=MysqlOptions(database="shop"))
    await db.step(Action(b"SET @x = 5; BEGIN; UPDATE t SET b = 7 WHERE a = 3; SELECT 1 / 0"))
    asked = Action(b"SHOW WARNINGS; SELECT @x, ROW_COUNT(), FOUND_ROWS(), LAST_INSERT_ID()")
    for suite in ("schema", "counts", "rows"):
        await db.probe(suite)
    seen = await db.step(asked)
    assert "Division by 0" in seen.text
    assert seen.sql is not None
    assert seen.sql.results[1].rows[0][0] == 5
    await db.step(Action(b"ROLLBACK"))
    assert (await db.probe("rows")).facts["shop.t 1"] == "[2, 3, null, null]"


async def test_the_snapshot_of_each_shipped_scenario_is_the_same_in_fresh_databases(
    make_mysql: MakeMysql,
) -> None:
    for line in SCENARIOS.read_text("utf-8").splitlines():
        scenario = json.loads(line)
        options = MysqlOptions(database=scenario["database"])
        seen = []
        for _ in range(2):
            db = await make_mysql(init=scenario["init"], options=options)
            seen.append(await db.capture())
            await db.close()
        volatile = [entry.key for entry in common(*seen).entries if entry.volatile]
        assert volatile == [], scenario["id"]


# The image card.


async def test_the_card_says_what_a_session_sees_before_any_script(make_mysql: MakeMysql) -> None:
    changed = ["CREATE DATABASE zoo", "SET GLOBAL max_connections = 7, GLOBAL sql_mode = ''"]
    db = await make_mysql(
        init=changed, options=MysqlOptions(database="shop", isolation=Isolation.DEDICATED)
    )
    said = dict(line.split(": ", 1) for line in (await db.card()).splitlines())
    assert said["max_connections"] == "151"
    assert said["sql_mode"].startswith("ONLY_FULL_GROUP_BY")
    assert said["databases"] == "information_schema, mysql, performance_schema, shop, sys"
    assert said["user"].startswith("root@")
    assert said["explain_format"]
    removed = said["functions that this version has not"]
    assert "ENCODE (error 1305)" in removed
    assert "SHA1" not in removed
    assert "zoo" in (await db.step(Action(b"SHOW DATABASES"))).text  # the session is another one


async def test_a_shared_server_s_account_and_its_card_name_nothing_of_plumb_s(
    make_mysql: MakeMysql,
) -> None:
    db = await make_mysql(options=MysqlOptions(database="shop", isolation=Isolation.SHARED))
    asked = b"SHOW GRANTS; SELECT USER(), CURRENT_USER(), DATABASE(); SHOW DATABASES; SHOW TABLES"
    seen = (await db.step(Action(asked))).text
    assert "agent_" in seen
    assert "plumb" not in seen
    card = await db.card()
    assert "plumb" not in card
    assert "shop_(12 random digits)" in card
