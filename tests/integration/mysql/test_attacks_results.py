"""Results that are made to be expensive, or to be read wrongly: they cost their own session."""

from __future__ import annotations

import asyncio
import resource
import time

import pytest

from plumb_backends.environment import Action, Ending, Observation, SqlDetail
from plumb_backends.real.mysql_environment import RealMysql

pytestmark = pytest.mark.asyncio(loop_scope="session")

SOON = 120.0
LONGEST_HOLD = 2.0
"""Seconds; each of the rows below held the event loop for ten, on a machine with work to do."""

NUMBERS = "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 900) "
MOST_COLUMNS = 4096


async def step(session: RealMysql, text: str, timeout: float = SOON) -> Observation:
    return await session.step(Action(text.encode(), timeout=timeout))


def sql(seen: Observation) -> SqlDetail:
    assert seen.sql is not None
    return seen.sql


async def assert_in_step(session: RealMysql, number: int) -> None:
    """The answer is this question's, and not what was left of another's."""
    seen = await step(session, f"SELECT {number}")
    assert sql(seen).results[-1].rows == ((number,),)
    assert not sql(seen).reconnected


# Character sets: what is said comes in the session's, which need not be UTF-8.

TEXTS = {
    "a name in latin1": ("SET character_set_results = latin1; SELECT 1 AS `é`", 0),
    "a value in latin1": ("SET character_set_results = latin1; SELECT 'é' AS a", 0),
    "names in utf16": ("SET character_set_results = utf16; SELECT 'a' AS abc, 1 AS `日本`", 0),
    "names in utf32": ("SET character_set_results = utf32; SELECT 1 AS `👍`", 0),
    "names as they are": ("SET character_set_results = NULL; SELECT _latin1 0xE9 AS `é`", 0),
    "names in a national set": ("SET NAMES sjis; SELECT 1 AS `表`", 0),
    "binary": ("SET NAMES binary; SELECT 'é' AS `é`", 0),
    "an error in latin1": ("SET character_set_results = latin1; SELECT `é`", 1054),
    "an error in utf16": ("SET character_set_results = utf16; SELECT nope", 1054),
    "an error with half a character":
        ("SET character_set_results = NULL; SIGNAL SQLSTATE '45000' "
         "SET MESSAGE_TEXT = _binary 0xC3", 1644),
    "an error without a word": ("SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = ''", 1644),
    "information in utf16":
        ("CREATE TABLE i (a INT); SET character_set_results = utf16; INSERT INTO i VALUES (1), (2)",
         0),
    "all that the server tracks":
        ("SET session_track_state_change = ON, session_track_system_variables = '*', "
         "session_track_transaction_info = 'CHARACTERISTICS'; CREATE DATABASE é; USE é", 0),
}  # fmt: skip


@pytest.mark.parametrize("what", TEXTS)
async def test_texts_in_any_character_set_are_read_to_their_end(
    mysql: RealMysql, what: str
) -> None:
    action, errno = TEXTS[what]
    seen = await step(mysql, action)
    assert (sql(seen).errno, sql(seen).reconnected) == (errno, False), seen.text
    for number in (11, 12):
        await assert_in_step(mysql, number)


async def test_an_error_without_a_word_is_told_as_by_the_client(mysql: RealMysql) -> None:
    seen = await step(mysql, "SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = ''")
    assert seen.raw == b"ERROR 1644 (45000): \n"


# Work: rows and columns are read beside everybody else's.


async def longest_hold(action: asyncio.Task[Observation]) -> float:
    """How long the event loop was kept from everybody else while an action ran."""
    longest = 0.0
    while not action.done():
        before = time.monotonic()
        await asyncio.sleep(0)
        longest = max(longest, time.monotonic() - before)
        await asyncio.sleep(0.001)
    return longest


FLOODS = {
    "rows of a byte": "SELECT 1 FROM n a, n b, n c",
    "rows of nothing": "SELECT '' FROM n a, n b, n c",
    "rows of many nulls": f"SELECT {', '.join(['NULL'] * 1000)} FROM n a, n b",
}


@pytest.mark.parametrize("what", FLOODS)
async def test_a_flood_of_small_rows_keeps_nobody_else_waiting(mysql: RealMysql, what: str) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    action = asyncio.create_task(step(mysql, NUMBERS + FLOODS[what]))
    assert await longest_hold(action) < LONGEST_HOLD
    seen = await action
    assert seen.ending is Ending.OUTPUT_LIMIT
    assert sql(seen).results[0].total_rows > 10_000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024
    await assert_in_step(mysql, 13)


async def test_dropped_rows_are_counted_and_what_follows_them_is_kept(mysql: RealMysql) -> None:
    seen = await step(mysql, f"{NUMBERS} SELECT 1 FROM n a, n b LIMIT 300000; SELECT 14 AS n")
    first, second = sql(seen).results
    assert (first.total_rows, second.rows) == (300_000, ((14,),))
    assert seen.truncated
    assert seen.ending is Ending.EXITED


async def test_results_of_many_columns_end_at_the_limit(mysql: RealMysql) -> None:
    columns = ", ".join(f"1 AS `{'x' * 240}{number}`" for number in range(MOST_COLUMNS))
    await step(
        mysql,
        f"CREATE PROCEDURE p() BEGIN WHILE 1 DO SELECT {columns} FROM DUAL WHERE 0; END WHILE; END",
    )
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seen = await step(mysql, "CALL p()")
    assert seen.ending is Ending.OUTPUT_LIMIT
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 96 * 1024
    await assert_in_step(mysql, 15)
