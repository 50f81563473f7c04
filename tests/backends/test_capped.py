"""Head and tail of a long stream."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plumb_backends.capped import Capped


def _collect(cap: int, pieces: list[bytes]) -> Capped:
    capped = Capped(cap)
    for piece in pieces:
        capped.add(piece)
    return capped


@given(st.integers(1, 50).map(lambda half: 2 * half), st.lists(st.binary(max_size=40), max_size=20))
def test_keeps_the_head_and_the_tail_and_counts_the_rest(cap: int, pieces: list[bytes]) -> None:
    capped, whole = _collect(cap, pieces), b"".join(pieces)
    assert capped.total == len(whole)
    assert capped.cut_bytes == max(0, len(whole) - cap)
    if len(whole) <= cap:
        assert capped.content() == whole
    else:
        assert capped.content() == whole[: cap // 2] + whole[-(cap // 2) :]


@given(
    st.integers(4, 40).map(lambda half: 2 * half),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\ufffd"), max_size=300),
)
def test_no_character_is_cut_in_the_middle(cap: int, text: str) -> None:
    shown = _collect(cap, [text.encode()]).text()
    assert "\ufffd" not in shown


@given(st.text(max_size=100))
def test_what_fits_comes_back_unchanged(text: str) -> None:
    assert _collect(2 * max(1, len(text.encode())), [text.encode()]).text() == text


def test_the_cut_is_said_on_a_line_of_its_own() -> None:
    assert _collect(8, [b"abcdefghijklmnop"]).text() == "abcd\n[... 8 bytes cut ...]\nmnop"
    assert _collect(8, [b"abc\n", b"x" * 100, b"mnop"]).text() == (
        "abc\n[... 100 bytes cut ...]\nmnop"
    )


@pytest.mark.parametrize("character", ["ü", "世", "🦉"])
@pytest.mark.parametrize("offset", range(4))
def test_a_character_across_the_cut_is_left_out(character: str, offset: int) -> None:
    data = b"a" * offset + (character * 100).encode()
    shown = _collect(40, [data]).text()
    assert "\ufffd" not in shown
    assert set(shown.partition("\n")[0]) <= {"a", character}


def test_bytes_that_are_not_utf_8_are_replaced() -> None:
    assert _collect(100, [b"a\xffb"]).text() == "a\ufffdb"


def test_memory_does_not_grow_with_the_stream() -> None:
    capped, piece = Capped(64 * 1024), b"x" * 10_000
    tracemalloc.start()
    try:
        for _ in range(5_000):
            capped.add(piece)
        assert tracemalloc.get_traced_memory()[1] < 1024 * 1024
    finally:
        tracemalloc.stop()
    assert capped.total == 50_000_000
