"""Statements typed at a prompt: where they end, and what is shown while they do not."""

from __future__ import annotations

import pytest

from plumb_cli.statements import FIRST_PROMPT, StatementReader


def typed(*lines: str) -> list[str]:
    reader = StatementReader()
    found = [action for line in lines if (action := reader.take(line)) is not None]
    rest = reader.rest()
    return found if rest is None else [*found, f"rest: {rest}"]


@pytest.mark.parametrize(
    ("lines", "actions"),
    [
        (["SELECT 1;"], ["SELECT 1;"]),
        (["SELECT", "1", ";"], ["SELECT\n1\n;"]),
        (["SELECT 1; SELECT", "2;"], ["SELECT 1; SELECT\n2;"]),
        (["SELECT 1; -- done"], ["SELECT 1; -- done"]),
        (["SELECT 1; # done"], ["SELECT 1; # done"]),
        (["SELECT 1 -- no;", ";"], ["SELECT 1 -- no;\n;"]),
        (["SELECT 1--;"], ["SELECT 1--;"]),
        (["SELECT ';", "';"], ["SELECT ';\n';"]),
        (["SELECT 'it''s;' AS x;"], ["SELECT 'it''s;' AS x;"]),
        (["SELECT 'it\\';' AS x;"], ["SELECT 'it\\';' AS x;"]),
        (["SELECT `a;\\`, 1;"], ["SELECT `a;\\`, 1;"]),
        (["SELECT \"a;", '";'], ['SELECT "a;\n";']),
        (["/* a;", "b */ SELECT 1;"], ["/* a;\nb */ SELECT 1;"]),
        (["SELECT 1\\G"], ["SELECT 1\\G"]),
        (["SELECT 1", "\\g"], ["SELECT 1\n\\g"]),
        (["SELECT 1 \\c", "SELECT 2;"], ["SELECT 2;"]),
        (["use shop", "SELECT 1;"], ["use shop", "SELECT 1;"]),
        (["", "  ", "SELECT 1;"], ["SELECT 1;"]),
        (["SELECT 1"], ["rest: SELECT 1"]),
        (["SELECT delimiter;"], ["SELECT delimiter;"]),
        ([";"], [";"]),
        (
            ["DELIMITER //", "CREATE PROCEDURE p()", "BEGIN SELECT 1; END //", "delimiter ;", ";"],
            ["DELIMITER //\nCREATE PROCEDURE p()\nBEGIN SELECT 1; END //\nDELIMITER ;", ";"],
        ),
        (["DELIMITER $$", "SELECT 1;", "$$"], ["DELIMITER $$\nSELECT 1;\n$$\nDELIMITER ;"]),
    ],
)  # fmt: skip
def test_an_action_is_what_ends_in_a_delimiter(lines: list[str], actions: list[str]) -> None:
    assert typed(*lines) == actions


@pytest.mark.parametrize(
    ("line", "prompt"),
    [
        ("SELECT 1;", FIRST_PROMPT),
        ("SELECT", "    -> "),
        ("SELECT 'a", "    '> "),
        ('SELECT "a', '    "> '),
        ("SELECT `a", "    `> "),
        ("SELECT /* a", "   /*> "),
        ("SELECT 'a' /* b */ -- c", "    -> "),
    ],
)
def test_the_prompt_tells_what_is_open(line: str, prompt: str) -> None:
    reader = StatementReader()
    reader.take(line)
    assert reader.prompt == prompt


def test_what_was_typed_is_given_up() -> None:
    reader = StatementReader()
    reader.take("SELECT 'a")
    reader.cancel()
    assert reader.prompt == FIRST_PROMPT
    assert reader.take("SELECT 1;") == "SELECT 1;"
