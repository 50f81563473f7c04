"""What the mysql client printed is read back into what the server had sent."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from plumb_fidelity.client_table import PrintedResult, read

RECORDINGS = Path(__file__).parents[1] / "data" / "mysql_client_recordings.jsonl"


def _flat(cell: str | None) -> str:
    """A cell as the recordings have it: NULL is a word in them, and space at the end is gone."""
    return "NULL" if cell is None else cell.strip()


def test_every_recorded_result_is_read_back_without_a_problem() -> None:
    compared = 0
    for line in RECORDINGS.read_text("utf-8").splitlines():
        for turn in json.loads(line)["runs"][0]["turns"]:
            printed = read(turn["output"])
            assert printed.problems == (), turn["action"]
            if turn["sent"] != "client":
                continue
            if turn["columns"] is not None and turn["rows"]:
                (result,) = printed.results
                assert list(result.columns) == turn["columns"]
                assert len(result.rows) == len(turn["rows"])
                cells = [[_flat(cell) for cell in row] for row in turn["rows"]]
                assert [[_flat(cell) for cell in row] for row in result.rows] == cells
                compared += 1
            if turn["errno"]:
                assert printed.error is not None
                assert (printed.error.errno, printed.error.sqlstate) == (
                    turn["errno"],
                    turn["sqlstate"],
                )
                compared += 1
    assert compared > 100


BARS = """\
+-------+---+
| a     | b |
+-------+---+
| x | y | 1 |
+-------+---+
1 row in set (0.00 sec)"""

NUMBERS = """\
+----+-----+
| a  | b   |
+----+-----+
|  1 | 1   |
| 20 | 20  |
+----+-----+
2 rows in set (0.00 sec)"""

VERTICAL = f"""\
{"*" * 27} 1. row {"*" * 27}
   a: 1
name: x
1 row in set (0.00 sec)"""

SEVERAL = """\
Query OK, 3 rows affected, 1 warning (0.01 sec)
Records: 3  Duplicates: 0  Warnings: 1

Empty set (0.00 sec)

Database changed
ERROR 1146 (42S02): Table 'a.b' doesn't exist
"""


def test_cells_are_cut_at_the_border_s_columns_also_where_they_hold_bars() -> None:
    printed = read(BARS)
    assert printed.results[0].rows == (("x | y", "1"),)
    assert printed.problems == ()


def test_numbers_are_told_by_standing_on_the_right() -> None:
    (result,) = read(NUMBERS).results
    assert result.numeric == (True, False)
    assert result.rows == (("1", "1"), ("20", "20"))


def test_a_value_with_a_line_end_goes_over_lines() -> None:
    printed = read("+-----+\n| a   |\n+-----+\n| x\ny |\n+-----+\n1 row in set (0.00 sec)")
    assert printed.problems == ()
    assert printed.results[0].rows == (("x\ny",),)


def test_several_results_and_their_counts() -> None:
    printed = read(SEVERAL)
    assert printed.problems == ()
    assert printed.results == (
        PrintedResult(affected_rows=3, warnings=1, info="Records: 3  Duplicates: 0  Warnings: 1"),
        PrintedResult(),
        PrintedResult(),
        PrintedResult(errno=1146, sqlstate="42S02", message="Table 'a.b' doesn't exist"),
    )


def test_vertical_results() -> None:
    (result,) = read(VERTICAL).results
    assert result.columns == ("a", "name")
    assert result.rows == (("1", "x"),)


HEAD = "+---+\n| a |\n+---+\n"
ONE = "+---+\n1 row in set (0.00 sec)"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("hello", "the client does not print 'hello'"),
        ("Query OK", "does not print"),
        (HEAD + "| 1 |\n+---+\n2 rows in set (0.00 sec)", "says 2 rows in set under 1"),
        ("+---+\n| a |\n+---+\n| 1 |\n+---+\n", "no line under the table"),
        (HEAD + "| 1 | 2 |\n" + ONE, "2 cells under 1 columns"),
        ("+---+\n| a |\n+----+\n| 1 |\n+---+\n1 row in set (0.00 sec)", "no header between"),
        ("+---+\n| a |\n+---+\n| 1 |\n", "does not end with a border"),
        ("[]", "does not print"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_said(text: str, problem: str) -> None:
    assert problem in read(text).problems[0]


def test_it_is_linear_in_the_size() -> None:
    rows = "\n".join(f"| {number:>6} |" for number in range(200_000))
    printed = read(
        f"+--------+\n| n      |\n+--------+\n{rows}\n+--------+\n200000 rows in set (1.0 sec)"
    )
    assert len(printed.results[0].rows) == 200_000
