"""Baselines that know nothing, and SQLite that answers as MySQL."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from plumb_backends.environment import Action, Observation
from plumb_backends.kinds.mysql import MysqlOptions, Rendering
from plumb_backends.kinds.shell import ShellOptions
from plumb_backends.registry import all_kinds
from plumb_backends.simulated.baselines import Baseline
from plumb_backends.simulated.sqlite import Sqlite
from plumb_backends.simulated.stage import Stage
from plumb_fidelity import client_table

SCENARIOS = Path(__file__).parents[3] / "scenarios" / "mysql.jsonl"


async def always(name: str, kind: str, action: bytes) -> Observation:
    options = MysqlOptions(database="shop") if kind == "mysql" else ShellOptions()
    return await Stage(all_kinds()[kind], options, Baseline(name, kind, options)).step(
        Action(action)
    )


@pytest.mark.parametrize("kind", ["shell", "mysql"])
async def test_always_empty_prints_nothing_and_says_that_all_is_well(kind: str) -> None:
    seen = await always("always_empty", kind, b"SELECT * FROM x")
    assert (seen.text, seen.provenance.model) == ("", "baseline:always_empty")
    assert not seen.exit_code
    assert seen.sql is None or seen.sql.errno == 0


async def test_always_error_has_the_commonest_error_of_a_shell() -> None:
    seen = await always("always_error", "shell", b"cat -n /srv/x\nls")
    assert (seen.text, seen.exit_code) == ("cat: /srv/x: No such file or directory\n", 1)


@pytest.mark.parametrize(
    ("action", "table"),
    [
        (b"SELECT * FROM orders", "orders"),
        (b"select a from `shop`.`orders`", "orders"),
        (b"UPDATE shop.orders SET a = 1", "orders"),
        (b"INSERT INTO orders VALUES (1)", "orders"),
        (b"SHOW TABLES", "t"),
    ],
)
async def test_always_error_has_the_commonest_error_of_mysql(action: bytes, table: str) -> None:
    seen = await always("always_error", "mysql", action)
    assert seen.text == f"ERROR 1146 (42S02): Table 'shop.{table}' doesn't exist"
    assert seen.sql is not None
    assert (seen.sql.errno, seen.sql.sqlstate) == (1146, "42S02")


@pytest.mark.parametrize("name", ["always_empty", "always_error"])
async def test_nothing_typed_gives_nothing(name: str) -> None:
    assert (await always(name, "shell", b"")).text == ""


def sqlite(*scripts: str, **options: Rendering) -> Stage:
    own = MysqlOptions(database="shop", **options)  # type: ignore[arg-type]
    return Stage(all_kinds()["mysql"], own, Sqlite(own, scripts))


async def ask(stage: Stage, text: str) -> Observation:
    return await stage.step(Action(text.encode()))


async def test_sqlite_has_a_state_and_computes() -> None:
    stage = sqlite("CREATE TABLE t (id INT PRIMARY KEY AUTO_INCREMENT, name VARCHAR(9) NOT NULL)")
    assert (await ask(stage, "INSERT INTO t (name) VALUES ('a'), ('b')")).text.startswith(
        "Query OK, 2 rows affected"
    )
    seen = await ask(stage, "SELECT COUNT(*) AS n, MAX(name) FROM t WHERE name LIKE 'b%'")
    assert seen.sql is not None
    assert seen.sql.results[0].columns == ("n", "MAX(name)")
    assert seen.sql.results[0].rows == ((1, "b"),)
    await stage.reset()
    assert "|        0 |" in (await ask(stage, "SELECT COUNT(*) FROM t")).text
    await stage.close()


@pytest.mark.parametrize(
    ("action", "errno", "says"),
    [
        ("SELECT * FROM nope", 1146, "Table 'shop.nope' doesn't exist"),
        ("SELECT nope FROM t", 1054, "Unknown column 'nope'"),
        ("SELEC 1", 1064, "at line 1"),
        ("SELECT 1\nFROM FROM", 1064, "at line 2"),
        ("CREATE TABLE t (id INT)", 1050, "Table 't' already exists"),
        ("INSERT INTO t VALUES (1)", 1062, "Duplicate entry"),
        ("INSERT INTO t VALUES (NULL)", 1048, "cannot be null"),
        ("SHOW TABLES", 1064, "syntax"),
    ],
)
async def test_sqlite_fails_with_the_numbers_of_mysql(action: str, errno: int, says: str) -> None:
    stage = sqlite("CREATE TABLE t (id INT NOT NULL UNIQUE)", "INSERT INTO t VALUES (1)")
    seen = await ask(stage, action)
    assert seen.sql is not None
    assert seen.sql.errno == errno
    assert says in seen.text
    await stage.close()


async def test_sqlite_answers_in_the_session_s_rendering() -> None:
    tuples = sqlite(rendering=Rendering.TUPLES)
    assert (await ask(tuples, "SELECT 1 AS a, NULL")).text == "[(1, None)]"
    rendered = sqlite(rendering=Rendering.JSON)
    assert json.loads((await ask(rendered, "SELECT 1 AS a")).text)["rows"] == [[1]]
    for stage in (tuples, rendered):
        await stage.close()


async def test_every_shipped_scenario_can_be_played_on_sqlite() -> None:
    for line in SCENARIOS.read_text("utf-8").splitlines():
        scenario = json.loads(line)
        stage = sqlite(*scenario["init"])
        for action in scenario["actions"]:
            seen = await ask(stage, action)
            assert client_table.read(seen.text).problems == (), action
        await stage.close()
