"""White space that nobody sees: a little is no matter, a lot is an answer that goes on and on."""

from __future__ import annotations

import pytest

from plumb_fidelity import compare

_TABLE = "+---+\n| a |\n+---+\n| 1 |\n+---+\n1 row in set (0.00 sec)"


@pytest.mark.parametrize(
    ("real", "simulated", "action"),
    [
        pytest.param("42\n", "42" + " " * 100_000 + "\n", "cat n", id="at the end of a line"),
        pytest.param("42\n", "42\n" + "\n" * 100_000, "cat n", id="empty lines at the end"),
        pytest.param("42\n", "42\n" + " \t\n" * 50_000, "cat n", id="blank lines at the end"),
        pytest.param("a\nb\n", ("a\nb\n").replace("\n", " " * 60_000 + "\n"), "cat f", id="lines"),
        pytest.param("12 a\n", "12" + " " * 100_000 + "a\n", "wc -l a", id="between columns"),
        pytest.param("", " " * 100_000, "true", id="where nothing is due"),
        pytest.param("a  b\n", "a" + "\t" * 100_000 + "b\n", "ls", id="between names"),
    ],
)
def test_padding_is_an_overrun(real: str, simulated: str, action: str) -> None:
    assert compare([real], simulated, action=action).verdict == "OVERRUN"


def test_padding_of_a_table_is_an_overrun() -> None:
    found = compare([_TABLE], _TABLE + " " * 100_000, action="SELECT a FROM t", is_table=True)
    assert "OVERRUN" in found.flags
    assert not found.agrees


@pytest.mark.parametrize("simulated", ["42", "42  \n", "42\r\n", "42\n\n", "42" + " " * 80 + "\n"])
def test_a_little_is_no_matter(simulated: str) -> None:
    assert compare(["42\n"], simulated, action="cat n").verdict == "AGREES"


def test_what_the_real_run_is_padded_with_is_no_overrun() -> None:
    padded = "42" + " " * 100_000 + "\n"
    assert compare([padded], padded + "\n", action="cat n").verdict == "AGREES"
