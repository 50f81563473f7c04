"""The marks in a terminal's stream."""

from __future__ import annotations

import itertools
import re
import shutil
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plumb_backends.real.guest import script
from plumb_backends.real.marks import (
    Mark,
    Prompt,
    Scanner,
    new_key,
    new_token,
    to_opening,
    to_prompt,
    unquote,
)

KEY = "0123456789abcdef" * 2
ANOTHER_KEY = "fedcba9876543210" * 2
TOKEN = "Ab3-_xyz901"


def _scan(*pieces: bytes) -> list[bytes | Mark]:
    """What a scanner finds, neighbouring content joined, and what it still holds at the end."""
    scanner = Scanner(KEY)
    found: list[bytes | Mark] = []
    for piece in pieces:
        for item in scanner.feed(piece):
            if isinstance(item, bytes) and found and isinstance(found[-1], bytes):
                found[-1] += item
            else:
                found.append(item)
    return found


def _mark(letter: str, *fields: str, key: str = KEY, token: str = TOKEN) -> bytes:
    return ("\x1b]133;" + ";".join([letter, key, token, *fields]) + "\x07").encode()


@pytest.mark.parametrize("letter", ["A", "C", "P", "X"])
def test_finds_a_mark_between_content(letter: str) -> None:
    assert _scan(b"before" + _mark(letter) + b"after") == [b"before", Mark(letter, TOKEN), b"after"]


def test_the_line_of_ours_that_set_v_prints_is_taken_out() -> None:
    (line,) = re.findall("__plumb_mine='(.*)'", script("rc.bash"))
    assert _scan(b"hi\r\n" + line.encode() + b"\r\n", _mark("A")) == [b"hi\r\n", Mark("A", TOKEN)]


@pytest.mark.parametrize("letter", ["B", "R"])
def test_finds_a_prompt_s_mark_with_what_it_says(letter: str) -> None:
    fields = ("130", "42", "'/srv/a;b'", "root", "sandbox")
    [mark] = _scan(_mark(letter, *fields))
    assert mark == Mark(letter, TOKEN, fields)
    assert to_prompt(mark) == Prompt(130, 42, "/srv/a;b", "root", "sandbox")


@pytest.mark.parametrize(
    "content",
    [
        _mark("C", key=ANOTHER_KEY),
        _mark("B", "0", "1", "'/'", "root", "h", key=ANOTHER_KEY),
        _mark("C", key=KEY.upper()),
        _mark("C", key=KEY[:-1]),
        _mark("C", "0"),
        _mark("D"),
        _mark("Z"),
        _mark("c"),
        _mark("B"),
        _mark("B", "0", "1", "'/'", "root"),
        _mark("B", "$?", "$$", "${PWD@Q}", "\\u", "\\H"),
        _mark("B", "256", "1", "'/'", "root", "h"),
        _mark("B", "0", "9" * 5000, "'/'", "root", "h"),
        _mark("B", "0", "1", "x" * 20_000, "root", "h"),
        _mark("B", "0", "1", "'/'", "r" * 300, "h"),
        _mark("B", "0", "1", "'/'", "root", "h" * 300),
        _mark("C", token="t" * 65),
        _mark("C", token="${__plumb_turn-}"),
        _mark("E", "HOME"),
        _mark("B", "1234", "1", "'/'", "root", "h"),
        _mark("B", "", "1", "'/'", "root", "h"),
        _mark("B", "0", "1", "'/\x1b'", "root", "h"),
        b"\x1b]133;C\x07",
        b"\x1b]0;title\x07",
        b"\x1b]133;C;" + KEY.encode() + b"\x1b\\",
    ],
)
def test_what_is_not_exactly_a_mark_is_content(content: bytes) -> None:
    assert _scan(content + b".") == [content + b"."]


_PIECES = st.sampled_from(
    [
        b"text",
        b"\x1b",
        b"\x1b]",
        b"\x1b]133;",
        b"\x07",
        b"\x1b[0m",
        b"\xff\x00",
        b"\r\n",
        _mark("A"),
        _mark("C"),
        _mark("P"),
        _mark("B", "0", "1", "'/'", "root", "h"),
        _mark("C", key=ANOTHER_KEY),
        _mark("B", "x"),
        _mark("C")[:-1],
        _mark("C")[:9],
    ]
)


@given(st.lists(_PIECES, max_size=12).map(b"".join), st.lists(st.integers(0, 400), max_size=10))
def test_any_chunking_finds_the_same(data: bytes, cuts: list[int]) -> None:
    data += b"end"
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    pieces = [data[start:end] for start, end in itertools.pairwise(edges)]
    # What follows ends whatever may have begun to be a mark.
    assert _scan(*pieces, b"\x07.") == _scan(data + b"\x07.")


@given(st.binary(max_size=300))
def test_bytes_without_a_mark_come_back_as_they_were(data: bytes) -> None:
    assert (
        b"".join(item for item in _scan(data, b"\x07") if isinstance(item, bytes)) == data + b"\x07"
    )


def test_content_is_not_held_back_longer_than_it_may_be_a_mark() -> None:
    assert _scan(b"prompt$ ") == [b"prompt$ "]
    assert _scan(b"text\x1b[") == [b"text\x1b["]
    assert _scan(b"text\x1b]1") == [b"text"]
    assert (
        len(
            b"".join(
                item for item in _scan(b"\x1b]133;" + b"x" * 20_000) if isinstance(item, bytes)
            )
        )
        > 0
    )


def test_a_directory_is_said_whole_and_no_longer_than_a_path_can_be() -> None:
    longest = "/" + "é" * 2047
    for quoted, cwd in ((f"'{longest}'", longest), (f"'{'x' * 9000}'", "x" * 4096)):
        [mark] = _scan(_mark("B", "0", "1", quoted, "root", "h"))
        assert isinstance(mark, Mark)
        assert to_prompt(mark).cwd == cwd
    worst = "$'/" + "\\001" * 4095 + "'"
    [mark] = _scan(_mark("B", "0", "1", worst, "root", "h"))
    assert isinstance(mark, Mark)
    assert to_prompt(mark).cwd == "/" + "\x01" * 4095


def test_tokens_are_short_random_and_never_the_same() -> None:
    assert len({new_token() for _ in range(1000)}) == 1000
    assert to_opening("abc") == b"\x1fabc\x1d"


def test_keys_are_long_and_never_the_same() -> None:
    assert len({new_key() for _ in range(100)}) == 100
    assert all(len(new_key()) == 32 for _ in range(10))


@pytest.mark.parametrize(
    ("quoted", "plain"),
    [
        ("'/root'", "/root"),
        ("''", ""),
        ("'/srv/a b;c'", "/srv/a b;c"),
        ("'/srv/it'\\''s'", "/srv/it's"),
        ("'/srv/grüße'", "/srv/grüße"),
        ("'/srv/a\\b'", "/srv/a\\b"),
        ("$'/srv/a\\nb'", "/srv/a\nb"),
        ("$'/srv/a\\E\\a\\t\\\\\\''", "/srv/a\x1b\a\t\\'"),
        ("$'/srv/\\001\\177'", "/srv/\x01\x7f"),
        ("$'/srv/\\303\\274\\n'", "/srv/ü\n"),
        ("$'/srv/ü\\n'", "/srv/ü\n"),
        ("$'/srv/\\377\\n'", "/srv/\ufffd\n"),
        ("/plain", "/plain"),
        ("$'\\8'", "8"),
        ("$'\\", "\\"),
        ("$'", ""),
        ("$''", ""),
        ("$'\\777'", "\ufffd"),
        ("'", ""),
    ],
)
def test_undoes_the_quoting_of_bash(quoted: str, plain: str) -> None:
    assert unquote(quoted) == plain


@given(st.text(st.characters(exclude_categories=["Cs"])) | st.text("$'\\01789xabeE\n"))
def test_undoes_the_quoting_of_anything(quoted: str) -> None:
    assert len(unquote(quoted)) <= len(quoted)
    assert len(unquote(f"$'{quoted}'")) <= len(quoted) + 1


@settings(max_examples=25, deadline=None)
@given(
    st.text(
        st.characters(exclude_categories=["Cs"], exclude_characters="\0", max_codepoint=0x2FFF),
        min_size=1,
        max_size=30,
    )
)
@pytest.mark.skipif(shutil.which("bash") is None, reason="asks this machine's own bash")
def test_undoes_what_a_real_bash_quotes(name: str) -> None:
    ran = subprocess.run(
        ["bash", "-c", 'printf %s "${1@Q}"', "bash", name],
        capture_output=True,
        check=True,
        env={"LC_ALL": "C.UTF-8"},
    )
    assert unquote(ran.stdout.decode()) == name
