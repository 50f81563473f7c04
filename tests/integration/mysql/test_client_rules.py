"""What is typed at a session is taken as the real client takes it, byte for byte.

What the client printed was recorded by `tests/data/record_mysql_client.py`; durations are masked.
The schemas of `tests/data/schemas` are in the shapes of published ones: DELIMITER, live comments,
triggers, procedures, views.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from plumb_backends.environment import Action, Ending
from plumb_backends.kinds.mysql import Isolation, MysqlOptions
from plumb_backends.real.mysql_environment import RealMysql

if TYPE_CHECKING:
    from tests.conftest import MakeMysql

pytestmark = pytest.mark.asyncio(loop_scope="session")

DATA = Path(__file__).parents[2] / "data"
DURATION = re.compile(r"\(\d+\.\d+ sec\)")
KINDER = {"a program that is cut"}
"""Where a session is kinder than the client, and says so in docs/mysql.md."""


def cases() -> list[dict[str, Any]]:
    lines = (DATA / "mysql_client_splits.jsonl").read_text("utf-8").splitlines()
    return [case for case in map(json.loads, lines) if case["name"] not in KINDER]


def masked(text: str) -> str:
    return DURATION.sub("(T sec)", text)


@pytest.mark.parametrize("case", cases(), ids=lambda case: str(case["name"]))
async def test_what_is_typed_is_answered_as_by_the_client(
    case: dict[str, Any], mysql: RealMysql
) -> None:
    for turn in case["turns"]:
        seen = await mysql.step(Action(turn["action"].encode()))
        assert masked(seen.raw.decode()) == masked(turn["output"]), turn["action"]


@pytest.mark.parametrize(
    "program",
    [
        "CREATE PROCEDURE p() IF 1 THEN SELECT 7 AS n; END IF",
        "CREATE PROCEDURE p() CASE 1 WHEN 1 THEN SELECT 7 AS n; ELSE SELECT 8; END CASE",
        "CREATE PROCEDURE p() w: LOOP SELECT 7 AS n; LEAVE w; END LOOP w",
        "CREATE PROCEDURE p() REPEAT SELECT 7 AS n; UNTIL 1 END REPEAT",
        "CREATE PROCEDURE p() BEGIN DECLARE i INT DEFAULT 1; WHILE i DO SET i = 0; "
        "SELECT 7 AS n; END WHILE; END",
    ],
)
@pytest.mark.parametrize("form", ["{}; CALL p()", "DELIMITER //\n{}//\nDELIMITER ;\nCALL p();"])
async def test_programs_are_made_with_and_without_a_delimiter(
    program: str, form: str, mysql: RealMysql
) -> None:
    seen = await mysql.step(Action(form.format(program).encode()))
    assert seen.sql is not None
    assert seen.sql.errno == 0, seen.text
    assert (7,) in [row for result in seen.sql.results for row in result.rows]


SCHEMAS = {
    "rental": (
        "INSERT INTO rental.film (title) VALUES ('a'); SELECT title FROM rental.film_text; "
        "CALL rental.film_in_stock(1, @n); SELECT rental.get_customer_balance(1, NOW()); "
        "CALL rental.rewards_report(1, 1, @n); SELECT * FROM rental.actor_info, rental.film_list",
        "100.00",
    ),
    "staff": ("SELECT staff.emp_dept_id(10001); USE staff; CALL show_departments()", "d001"),
}


def own() -> MysqlOptions:
    """A server of the session's own: one of the schemas flushes its logs."""
    return MysqlOptions(isolation=Isolation.DEDICATED)


async def check_schema(name: str, session: RealMysql) -> None:
    uses, says = SCHEMAS[name]
    seen = await session.step(Action(uses.encode()))
    assert seen.sql is not None
    assert seen.sql.errno == 0, seen.text
    assert says in seen.text


@pytest.mark.parametrize("name", SCHEMAS)
async def test_a_published_schema_loads_as_an_init_script(name: str, make_mysql: MakeMysql) -> None:
    script = (DATA / "schemas" / f"{name}.sql").read_text("utf-8")
    await check_schema(name, await make_mysql(init=[script], options=own()))


@pytest.mark.parametrize("name", SCHEMAS)
async def test_a_published_schema_loads_as_a_step(name: str, make_mysql: MakeMysql) -> None:
    session = await make_mysql(options=own())
    script = (DATA / "schemas" / f"{name}.sql").read_text("utf-8")
    seen = await session.step(Action(script.encode(), timeout=120))
    assert seen.sql is not None
    assert (seen.sql.errno, seen.ending) == (0, Ending.EXITED), seen.text
    await check_schema(name, session)


async def test_a_delimiter_of_an_init_script_lasts(make_mysql: MakeMysql) -> None:
    session = await make_mysql(
        init=["DELIMITER //\nCREATE TABLE t (a INT)//", "INSERT INTO t VALUES (1)//"],
        options=MysqlOptions(database="shop"),
    )
    seen = await session.step(Action(b"SELECT ';', a FROM t//"))
    assert seen.sql is not None
    assert seen.sql.results[0].rows == ((";", 1),)
    await session.reset()
    assert ";" in (await session.step(Action(b"SELECT ';' //\nDELIMITER ;\nSELECT 1;"))).text


async def test_splitting_counts_against_the_step_s_timeout(make_mysql: MakeMysql) -> None:
    session = await make_mysql(options=MysqlOptions(database="shop"))
    seen = await session.step(Action(b"-- c\n;" * 170_000, timeout=0.05))
    assert seen.ending is Ending.TIMED_OUT
    assert "|  2 |" in (await session.step(Action(b"SELECT 2 AS no"))).text
