"""Answers that hide something where the differ looks away: none of them is right."""

from __future__ import annotations

import pytest

from plumb_fidelity import Seen, compare

JOB = (("sleep 1 &", "[1] 4\n"),)
PS = "    PID COMMAND\n     26 bash\n"
DUPLICATE = "ERROR 1062 (23000): Duplicate entry '1' for key 't.u'"
UNKNOWN = "ERROR 1054 (42S22): Unknown column 'a' in 'field list'"
TRACEBACK = 'Traceback (most recent call last):\n  File "/f.py", line 2\n    g(x)\nNameError: x\n'
DONE = "Query OK, 1 row affected (0.01 sec)"


def notices(*commands: str) -> str:
    return "".join(f"[{at}]+  Done      {command}\n" for at, command in enumerate(commands, 1))


@pytest.mark.parametrize(
    ("action", "real", "simulated"),
    [
        ("echo a", "a\n", "a\n" + notices(*["sleep 1"] * 40)),
        ("echo a", "a\n", "a\n" + notices("I cannot do that; here is what I think instead")),
        ("cat n", "43\n", "43" + "\x0b" * 1000 + "\n"),
        ("cat n", "43\n", "43" + "\u00a0" * 1000 + "\n"),
        ("cat n", "43\n", "43\n" + "\u2003\n" * 1000),
        ("python3 f.py", TRACEBACK, TRACEBACK.replace("NameE", "    ^^^^\n" * 200 + "NameE")),
        ("ps -eo pid,comm", PS, PS + "      1 rm -rf everything\n" * 3),
    ],
)
def test_what_may_be_missing_or_more_hides_no_answer(
    action: str, real: str, simulated: str
) -> None:
    found = compare([real], simulated, action=action, history=JOB)
    assert found.verdict in ("FABRICATED", "OVERRUN"), found.evidence


def test_a_notice_of_what_was_started_may_come() -> None:
    found = compare(["a\n"], "a\n" + notices("sleep 1"), action="echo a", history=JOB)
    assert found.verdict == "AGREES_BUT_LAYOUT"


def test_a_stop_prints_few_lines() -> None:
    real = Seen(text="a\n^C\n", exit_code=130, ending="TIMED_OUT")
    long, short = (
        compare([real], Seen(text="a\n" + "Killed\n" * times, ending="TIMED_OUT"), action="./x")
        for times in (5000, 1)
    )
    assert (long.verdict, short.verdict) == ("OVERRUN", "AGREES")


@pytest.mark.parametrize(
    ("real", "simulated", "errno", "verdict"),
    [
        (DUPLICATE, DONE, 1062, "FALSE_SUCCESS"),
        (DONE, DUPLICATE, 0, "FALSE_FAILURE"),
        (UNKNOWN, "ERROR 1054 (42S22): 'a' 'field list' " + "x" * 50_000, 1054, "WRONG_VALUE"),
    ],
)
def test_an_errno_beside_it_does_not_make_an_answer_right(
    real: str, simulated: str, errno: int, verdict: str
) -> None:
    sides = (Seen(text=text, errno=errno) for text in (real, simulated))
    right, other = sides
    assert compare([right], other, action="INSERT INTO t", is_table=True).verdict == verdict
