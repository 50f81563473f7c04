"""Two answers side by side: line by line, with the words marked that differ."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plumb_client import Verdict
from plumb_gateway.pages.pairs import Line, pair, side_by_side, words_of

if TYPE_CHECKING:
    import httpx2 as httpx
    from tests.gateway.conftest import Kit

TEXTS = st.text("ab \n", max_size=20)


@pytest.mark.parametrize(
    ("real", "simulated", "lines"),
    [
        ("", "", []),
        ("a\n", "a\n", [("a", "a", "same")]),
        ("a", "a\n", [("a", "a", "same")]),
        ("a\nb\n", "a\nc\n", [("a", "a", "same"), ("b", "c", "wrong")]),
        ("a\nb", "a", [("a", "a", "same"), ("b", None, "missing")]),
        ("", "a", [(None, "a", "extra")]),
        ("\n", "", [("", None, "missing")]),
    ],
)
def test_lines_are_paired_by_their_place(real: str, simulated: str, lines: list[Line]) -> None:
    assert side_by_side(real, simulated) == lines


@given(TEXTS, TEXTS)
def test_no_line_of_either_side_is_lost(real: str, simulated: str) -> None:
    lines = side_by_side(real, simulated)
    for at, text in enumerate((real, simulated)):
        found = [line[at] for line in lines if line[at] is not None]
        assert found == (text.removesuffix("\n").split("\n") if text else [])
    assert all((real_line == other) is (mark == "same") for real_line, other, mark in lines)


def test_a_verdict_s_own_alignment_goes_before() -> None:
    aligned = (("a", "b", "moved"),)
    verdict = Verdict("WRONG_ORDER", (), (), aligned)
    assert pair(None, None, verdict).lines == aligned
    assert pair(None, None, Verdict("AGREES", (), ())).lines == []


def test_of_a_wrong_line_the_words_are_marked_that_differ() -> None:
    left, right = words_of(("total 42 files", "total 43 files", "wrong"))
    assert left == [("total ", False), ("42", True), (" files", False)]
    assert right == [("total ", False), ("43", True), (" files", False)]


@given(st.text("ab 1.", min_size=1, max_size=30), st.text("ab 1.", min_size=1, max_size=30))
def test_the_pieces_of_a_line_are_the_line(real: str, simulated: str) -> None:
    left, right = words_of((real, simulated, "wrong"))
    assert "".join(text for text, _ in left) == real
    assert "".join(text for text, _ in right) == simulated
    same = [[text for text, differs in side if not differs] for side in (left, right)]
    assert "".join(same[0]) == "".join(same[1])


@pytest.mark.parametrize(
    "line",
    [
        ("a", "a", "same"),
        ("a", None, "missing"),
        (None, "b", "extra"),
        ("x " * 100, "y " * 100, "wrong"),
    ],
)
def test_what_is_not_wrong_or_too_long_to_weigh_has_no_marks(line: Line) -> None:
    real, simulated, _ = line
    assert words_of(line) == (
        [(real, False)] if real else [],
        [(simulated, False)] if simulated else [],
    )


async def test_a_paired_session_s_page_has_both_sides_marked_and_the_verdict_explained(
    http: httpx.AsyncClient, kit: type[Kit]
) -> None:
    path = await kit.create(http, backend="paired", simulator={"model": "baseline:always_empty"})
    await kit.step(http, path, "differ real")
    shown = (await http.get(path.removeprefix("/v1"))).text
    assert '<tr class="wrong"><td dir="ltr">one <mark>two</mark></td>' in shown
    assert '<td dir="ltr">one <mark>2</mark></td>' in shown
    assert '<tr class="extra"><td dir="ltr"></td><td dir="ltr">made up</td></tr>' in shown
    assert "The simulator has lines, rows or columns that are not there." in shown
    assert "a line too many: made up" in shown


def test_a_line_that_repeats_itself_is_weighed_in_a_moment() -> None:
    line = ("ab " * 330, "ba " * 330, "wrong")
    assert words_of(line) == ([(line[0], False)], [(line[1], False)])
