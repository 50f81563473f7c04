"""The tests that the docs name are there, so a promise cannot outlive its test unseen."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]
PAGES = sorted(
    [*PROJECT.glob("*.md"), *(PROJECT / "docs").rglob("*.md"), *PROJECT.glob("*/README.md")]
)
NAMED = re.compile(r"\b(?P<file>tests/[\w/]+\.py)(?:::(?P<test>test_\w+))?")
SHORT = re.compile(r"`(?P<test>test_\w+)`")


def defined_in(file: str) -> set[str]:
    path = PROJECT / file
    return set(re.findall(r"^ *(?:async )?def (test_\w+)\(", path.read_text(), re.MULTILINE))


def rows_without_tests(page: Path) -> list[str]:
    """The rows of tables with a column "tested by" that name no test."""
    lacking, is_asked = [], False
    for line in page.read_text().splitlines():
        is_asked = line.endswith("| tested by |") or (is_asked and line.startswith("|"))
        is_row = is_asked and not line.endswith(("| tested by |", "---|"))
        if is_row and "test_" not in line.split(" | ")[-1]:
            lacking.append(line)
    return lacking


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT)))
def test_every_test_that_a_page_names_is_there(page: Path) -> None:
    text = page.read_text()
    named = [(found["file"], found["test"]) for found in NAMED.finditer(text)]
    assert [file for file, _ in named if not (PROJECT / file).is_file()] == []
    assert [(file, test) for file, test in named if test and test not in defined_in(file)] == []
    here = set().union(*(defined_in(file) for file, _ in named))
    assert {found["test"] for found in SHORT.finditer(text)} <= here


@pytest.mark.parametrize("page", ["operations", "security"])
def test_every_row_that_promises_a_test_names_one(page: str) -> None:
    path = PROJECT / "docs" / f"{page}.md"
    assert "| tested by |" in path.read_text()
    assert rows_without_tests(path) == []
