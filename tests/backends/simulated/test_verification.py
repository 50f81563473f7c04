"""What counts as a yes of a check, and as an answer of an action."""

from __future__ import annotations

import dataclasses
from decimal import Decimal

import pytest

from plumb_backends.environment import (
    Action,
    Ending,
    Environment,
    Observation,
    OutputSink,
    ProbeResult,
    Provenance,
    SqlCell,
    SqlDetail,
    SqlResult,
    Temporal,
)
from plumb_backends.simulated.reply_format import Malformed
from plumb_backends.simulated.verification import (
    Checks,
    ProvesNothing,
    check_first_state,
    play,
    read_checks,
)


@dataclasses.dataclass
class Database:
    """Answers everything alike."""

    text: str = ""
    sql: SqlDetail = dataclasses.field(default_factory=SqlDetail)
    asked: list[bytes] = dataclasses.field(default_factory=list)

    async def step(self, action: Action, *, on_output: OutputSink | None = None) -> Observation:
        self.asked.append(action.text)
        return Observation(
            text=self.text,
            ending=Ending.EXITED,
            provenance=Provenance(backend="real"),
            sql=self.sql,
        )

    async def reset(self) -> None:
        raise NotImplementedError

    async def probe(self, suite: str) -> ProbeResult:
        raise NotImplementedError

    async def close(self) -> None:
        raise NotImplementedError


def gives(*rows: tuple[SqlCell, ...], errno: int = 0) -> Environment:
    columns = tuple("abc"[: len(rows[0])]) if rows else ("a",)
    return Database(sql=SqlDetail(results=(SqlResult(columns=columns, rows=rows),), errno=errno))


NO = Database(sql=SqlDetail(errno=1146))
CHECKS = Checks(ready="SELECT 1", done="", answer="3")


@pytest.mark.parametrize("cell", [1, -1, 2.5, Decimal("0.1"), "Oak", b"\x01", Temporal("00:00")])
async def test_a_true_value_is_a_yes(cell: SqlCell) -> None:
    assert (await check_first_state(CHECKS, gives((cell,)), NO)).passed
    assert (await check_first_state(CHECKS, gives((1, cell), (cell, 1)), NO)).passed


@pytest.mark.parametrize("cell", [0, 0.0, Decimal("0.00"), "", " ", "0", None, b"", b"\x00"])
async def test_a_row_without_one_is_no_yes(cell: SqlCell) -> None:
    for rows in ([(cell,)], [(1, cell)], [(1,), (cell,)]):
        assert not (await check_first_state(CHECKS, gives(*rows), NO)).passed


async def test_no_row_no_result_and_an_error_behind_a_row_are_no_yes() -> None:
    changed = Database(sql=SqlDetail(results=(SqlResult(affected_rows=3),)))
    for database in (gives(), Database(), changed, gives((1,), errno=1054)):
        assert not (await check_first_state(CHECKS, database, NO)).passed


async def test_a_yes_where_nothing_has_run_proves_nothing() -> None:
    with pytest.raises(ProvesNothing, match="the check passes on a fresh machine"):
        await check_first_state(CHECKS, gives((1,)), gives((1,)))
    assert (await check_first_state(CHECKS, gives((1,)), gives((0,)))).passed


@pytest.mark.parametrize(
    ("printed", "answer", "is_there"),
    [
        ("3", "3", True),
        ("there are 3.", "3", True),
        ("a\n3\nb", "3", True),
        ("| 2.50 |", "2.50", True),
        ("n=3", "3", True),
        ("/srv/a.txt", "/srv/a.txt", True),
        ("13", "3", False),
        ("3a", "3", False),
        ("x_3", "3", False),
        ("", "3", False),
        ("(3", "(3", True),
        ("a+b", "a+", False),
    ],
)
async def test_an_answer_stands_as_a_word_in_what_the_last_action_prints(
    printed: str, answer: str, is_there: bool
) -> None:
    checks = Checks(ready="SELECT 1", done="", answer=answer)
    why = await play(checks, Database(text=printed), ["a", "b"])
    assert (not why) is is_there
    assert why == "" or repr(answer) in why


async def test_actions_are_played_in_order_before_it_is_asked_whether_they_did_it() -> None:
    database = Database(sql=SqlDetail(errno=1146))
    why = await play(Checks(ready="r", done="d", answer=""), database, ["a", "b"])
    assert database.asked == [b"a", b"b", b"d"]
    assert "This still fails after them:\nd" in why


@pytest.mark.parametrize(
    ("content", "says_so"),
    [
        ('{"check": " ", "done": "a", "answer": ""}', "`check` is empty"),
        ('{"check": "a", "done": "", "answer": " "}', "both empty"),
        ('{"check": "a"}', "done"),
        ("a", "not JSON"),
        (None, "the reply is empty"),
    ],
)
def test_checks_that_are_not_as_asked_for_are_refused(content: str | None, says_so: str) -> None:
    with pytest.raises(Malformed, match=says_so):
        read_checks(content)
