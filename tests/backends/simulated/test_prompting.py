"""Prompts: found by looking, versioned, hashed; and a bad one is told with its file."""

from __future__ import annotations

from pathlib import Path

import pytest

from plumb_backends.errors import InvalidInput
from plumb_backends.simulated import prompting
from plumb_backends.simulated.prompting import (
    BadPrompt,
    Prompt,
    choose_strategy,
    hash_of,
    read_prompt,
    read_strategies,
)

FOLDER = Path(prompting.__file__).parent / "prompts"


def test_the_six_strategies_are_shipped() -> None:
    shipped = ["few_shot", "grounded", "ledger", "naive", "snapshot", "tools"]
    assert list(read_strategies()) == shipped


@pytest.mark.parametrize("path", sorted(FOLDER.rglob("*.md")), ids=lambda path: path.stem)
def test_every_prompt_says_its_version_and_purpose_on_its_first_line(path: Path) -> None:
    prompt = read_prompt(path)
    assert prompt.name == path.stem
    assert prompt.version >= 1
    assert prompt.purpose
    assert prompt.text.strip()


@pytest.mark.parametrize(
    ("strategy", "fields"),
    [
        ("naive", {"role", "rules", "task"}),
        ("few_shot", {"role", "rules", "task", "examples"}),
        ("grounded", {"role", "rules", "task", "examples", "card", "scripts"}),
        ("snapshot", {"role", "rules", "task", "examples", "card", "scripts", "state"}),
        ("ledger", {"role", "rules", "task", "examples", "card", "scripts", "state", "ledger"}),
        ("tools", {"role", "rules", "task", "examples", "card", "scripts", "state", "tools"}),
    ],
)
def test_a_strategy_tells_what_its_name_says_and_no_more(strategy: str, fields: set[str]) -> None:
    assert read_strategies()[strategy].fields == fields


def test_a_strategy_is_one_file(tmp_path: Path) -> None:
    (tmp_path / "terse.md").write_text("<!-- terse v3: says little -->\nBe $role\n$rules\n")
    strategies = read_strategies(tmp_path)
    assert strategies["terse"] == Prompt("terse", 3, "says little", "Be $role\n$rules\n")
    assert "naive" in strategies


def test_a_file_of_one_s_own_goes_before_the_shipped_one(tmp_path: Path) -> None:
    (tmp_path / "naive.md").write_text("<!-- naive v9: mine -->\n$role")
    assert read_strategies(tmp_path)["naive"].version == 9


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("Be $role", "the first line is 'Be \\$role'; write <!-- mine v1"),
        ("<!-- other v1: x -->\nBe", "write <!-- mine v1"),
        ("<!-- mine v1: x -->\nBe $rolle", r"there is no field \$rolle; use .*\$role"),
        ("<!-- mine v1: x -->\n5 $ please", r"write \$\$ for a dollar sign"),
    ],
)
def test_a_bad_prompt_is_told_with_its_file_and_the_mend(
    tmp_path: Path, text: str, says: str
) -> None:
    (tmp_path / "mine.md").write_text(text)
    with pytest.raises(BadPrompt, match=says) as caught:
        read_strategies(tmp_path)
    assert "mine.md" in str(caught.value)


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadPrompt, match="is no folder; set PLUMB_SIMULATOR_STRATEGIES"):
        read_strategies(tmp_path / "nope")


def test_an_unknown_strategy_is_answered_with_those_there_are() -> None:
    with pytest.raises(InvalidInput, match="use one of: few_shot, grounded, ledger, naive"):
        choose_strategy(read_strategies(), "nope")


def test_what_is_filled_in_is_not_filled_in_again() -> None:
    assert Prompt("a", 1, "x", "$role $$").fill(role="$HOME") == "$HOME $"


def test_the_hash_changes_with_any_change() -> None:
    one = Prompt("a", 1, "x", "text")
    assert len(hash_of(one)) == 12
    changed = [
        Prompt("a", 2, "x", "text"),
        Prompt("a", 1, "x", "texts"),
        Prompt("b", 1, "x", "text"),
    ]
    assert len({hash_of(one), hash_of(one, one), *map(hash_of, changed)}) == 5
