"""The tokens of MySQL's SQL: lossless, linear, and quotes and comments as MySQL has them."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plumb_backends.sql.lexer import Kind, tokenize


def kinds(text: bytes, delimiter: bytes = b";") -> list[tuple[Kind, bytes]]:
    return [
        (token.kind, token.text)
        for token in tokenize(text, delimiter=delimiter)
        if token.kind is not Kind.SPACE
    ]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (b"'a'", Kind.STRING),
        (b"'it''s'", Kind.STRING),
        (rb"'it\'s'", Kind.STRING),
        (b'"a ; b"', Kind.STRING),
        (b"`a``b`", Kind.NAME),
        (b"-- a ; b", Kind.COMMENT),
        (b"# a", Kind.COMMENT),
        (b"/* a\n ; b */", Kind.COMMENT),
        (b"@user", Kind.VARIABLE),
        (b"@@global.x", Kind.VARIABLE),
        (b"@'a b'", Kind.VARIABLE),
        (b"SELECT", Kind.WORD),
        (b"2fast", Kind.WORD),
        ("größe".encode(), Kind.WORD),
        (b";", Kind.END),
        (rb"\G", Kind.END),
        (rb"\g", Kind.END),
        (b"(", Kind.OTHER),
        (b"'a", Kind.UNFINISHED),
        (b"`a ; b", Kind.UNFINISHED),
        (b"/* a", Kind.UNFINISHED),
    ],
)
def test_a_token_is_what_mysql_takes_it_for(text: bytes, kind: Kind) -> None:
    assert kinds(text) == [(kind, text)]


def test_two_dashes_without_a_space_are_no_comment() -> None:
    assert [text for _, text in kinds(b"1--1")] == [b"1", b"-", b"-", b"1"]


def test_what_is_inside_a_version_comment_is_live() -> None:
    assert kinds(b"/*!40000 DROP x */") == [(Kind.WORD, b"DROP"), (Kind.WORD, b"x")]


def test_a_delimiter_of_dollars_ends_the_word_before_it() -> None:
    assert kinds(b"END$$", b"$$") == [(Kind.WORD, b"END"), (Kind.END, b"$$")]


@given(st.binary(max_size=200), st.sampled_from([b";", b"$$", b"//"]))
def test_the_tokens_together_are_the_text(text: bytes, delimiter: bytes) -> None:
    tokens = list(tokenize(text, delimiter=delimiter))
    assert b"".join(token.text for token in tokens) == text
    assert [token.start for token in tokens] == [
        sum(len(before.text) for before in tokens[:index]) for index in range(len(tokens))
    ]


@given(st.text(alphabet="'\"`\\-#/*; a\n!", max_size=60))
def test_no_mixture_of_quotes_loses_anything(text: str) -> None:
    assert b"".join(token.text for token in tokenize(text.encode())) == text.encode()


@pytest.mark.parametrize("piece", [b"'", b"\\", b"/*", b"''", b"a'", b"-- ", b"`", b"(((", b"a."])
def test_a_hostile_megabyte_takes_no_longer_than_any(piece: bytes) -> None:
    started = time.monotonic()
    for _ in tokenize(piece * (200_000 // len(piece))):
        pass
    assert time.monotonic() - started < 10
