"""What a person would read of what a program wrote to a terminal."""

from __future__ import annotations

import itertools
import json
import pickle
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from plumb_fidelity.screen import MAX_ROWS
from plumb_fidelity.signature import MAX_LINE_BYTES, TextRenderer, render

_CAPTURES = json.loads(
    Path(__file__).with_name("data").joinpath("terminal_captures.json").read_text(encoding="utf-8")
)
MIB = 1024**2


@pytest.mark.parametrize(
    ("written", "read"),
    [
        pytest.param(b"", "", id="nothing"),
        pytest.param(b"hi\r\n", "hi\n", id="a line's end"),
        pytest.param(b"a\nb\n", "a\nb\n", id="a line's end without return"),
        pytest.param(b"no newline", "no newline", id="no line's end"),
        pytest.param(b"  padded  \r\n", "  padded  \n", id="spaces"),
        pytest.param(b"a\tb\r\n", "a\tb\n", id="a tab"),
        pytest.param(b"\r\n\r\n", "\n\n", id="empty lines"),
        pytest.param(b"alice@host:~$ ls\r\n", "alice@host:~$ ls\n", id="what looks like a prompt"),
        pytest.param(b"\x1b[0m\x1b[01;36mbin\x1b[0m\r\n", "bin\n", id="colour"),
        pytest.param(b"\x1b[38;2;1;2;3mx\x1b[4:3my\x1b[m", "xy", id="colour with parameters"),
        pytest.param(b"\x1b[01;31m\x1b[Kalice\x1b[m\x1b[K@host", "alice@host", id="grep's colour"),
        pytest.param(b"\x1b]0;root@h: /\x07x", "x", id="a title"),
        pytest.param(b"\x1b]2;t\x1b\\x", "x", id="a title ended by ST"),
        pytest.param(b"\x1b]8;;http://h\x07link\x1b]8;;\x07", "link", id="a link"),
        pytest.param(b"\x1b]133;A\x07x", "x", id="a mark"),
        pytest.param(b"\x1b[?2004hx\x1b[?2004l\r", "x", id="bracketed paste"),
        pytest.param(b"\x1b[H\x1b[2J\x1b[3J", "", id="clear"),
        pytest.param(b"\x1bPq#0\x1b\\x", "x", id="a device control string"),
        pytest.param(b"\x1b(B\x1b=\x1b>x\x1bc", "x", id="character set and modes"),
        pytest.param(b"10%\r100%\r\n", "100%\n", id="return overwrites"),
        pytest.param(b"longer\rab\r\n", "abnger\n", id="return overwrites only what is written"),
        pytest.param(b"a\r\r\nb", "a\nb", id="return twice"),
        pytest.param(b"ab\bc", "ac", id="backspace overwrites"),
        pytest.param(b"ab\b\b\b\bc", "cb", id="backspace stops at the line's start"),
        pytest.param(b"ab\b \b", "a ", id="backspace does not erase"),
        pytest.param(b"longer\r\x1b[Kab", "ab", id="erase to the line's end"),
        pytest.param(b"abcd\x1b[2Dx", "abxd", id="cursor back"),
        pytest.param(b"abcd\r\x1b[2Cx", "abxd", id="cursor forward"),
        pytest.param(b"a\x1b[3Cb", "a   b", id="cursor forward past the end"),
        pytest.param(b"abcd\x1b[2Gx", "axcd", id="cursor to a column"),
        pytest.param(b"abcd\x1b[1K", "    ", id="erase to the line's start"),
        pytest.param(b"abcd\r\x1b[2Kx", "x", id="erase the line"),
        pytest.param(b"abcd\r\x1b[2Px", "xd", id="delete characters"),
        pytest.param("grüße\r".encode() + "ö".encode(), "örüße", id="characters, not bytes"),
        pytest.param(b"a\x00b\x07c\x0e\x7f", "abc", id="controls that show nothing"),
        pytest.param(b"a\xffb", "a\ufffdb", id="bytes that are not UTF-8"),
        pytest.param(b"a\xff\rb", "b\ufffd", id="bytes that are not UTF-8, overwritten"),
        pytest.param(b"a\x1b[", "a", id="a sequence that is not ended"),
        pytest.param(b"a\x1b]0;b", "a", id="a title that is not ended"),
    ],
)
def test_shows_what_a_person_would_read(written: bytes, read: str) -> None:
    assert render(written) == read


_WRITTEN = {
    'printf "progress 10%%\\rprogress 100%%\\n"': "progress 100%\n",
    "ls -1 /etc | wc -l": "83\n",
    "echo hello; false": "hello\n",
    'printf "a\\nb\\n"': "a\nb\n",
    "cd /tmp": "",
    "pwd": "/tmp\n",
    "cat /tmp/f": "alice@host:~$ ls\nbob# done\n",
    "grep alice /tmp/f": "alice@host:~$ ls\n",
    "ls --color=always / | head -3": "bin\nboot\ndev\n",
    'printf "no newline"': "no newline",
    'printf "\\033[31mred user@box: 5 $ left\\033[0m tail\\n"': "red user@box: 5 $ left tail\n",
    'su -s /bin/bash nobody -c "whoami"': "nobody\n",
    "nosuchcmd": "bash: nosuchcmd: command not found\n",
    'echo "x  "': "x  \n",
    "clear": "",
    "echo after": "after\n",
    "echo sub": "sub\n",
    "echo done": "done\n",
}


@pytest.mark.parametrize("command", _WRITTEN)
@pytest.mark.parametrize("prompt", ["debian", "ubuntu"])
def test_a_capture_renders_to_what_the_command_wrote(prompt: str, command: str) -> None:
    [raw] = [row["raw"] for row in _CAPTURES if (row["rc"], row["cmd"]) == (prompt, command)]
    output = raw.partition("\x1b[?2004l\r")[2].rpartition("\x1b[?2004h")[0]
    assert render(output.encode()) == _WRITTEN[command]


_TERMINAL_BYTES = st.lists(
    st.sampled_from(
        [
            b"a",
            b"bc",
            "ü".encode(),
            b"\xff",
            b"\r",
            b"\n",
            b"\r\n",
            b"\b",
            b"\x1b",
            b"[",
            b"]",
            b"0;",
            b"\x07",
            b"\\",
            b"K",
            b"\x1b[K",
            b"\x1b[2K",
            b"\x1b[3D",
            b"\x1b[2C",
            b"\x1b[5G",
            b"\x1b[2P",
            b"\x1b[31m",
            b"\x1b]0;t\x07",
            b"\x1bP",
            b"\x1b(B",
            b"\x00",
            b"m",
            b"12",
        ]
    ),
    max_size=40,
).map(b"".join)


@given(st.binary(max_size=200) | _TERMINAL_BYTES, st.lists(st.integers(0, 200), max_size=8))
@example(b"\x1b[31mred\x1b[0m\r\n", list(range(20)))
@example("grüße\r\n".encode(), list(range(10)))
def test_any_split_of_any_bytes_gives_the_same(data: bytes, cuts: list[int]) -> None:
    renderer = TextRenderer()
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    pieces = [data[start:end] for start, end in itertools.pairwise(edges)]
    rendered = b"".join(map(renderer.feed, pieces)) + renderer.finish()
    assert rendered.decode(errors="replace") == render(data)


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"], include_characters="\n\t")))
def test_ordinary_text_is_itself(text: str) -> None:
    assert render(text.encode()) == text
    assert render(text.replace("\n", "\r\n").encode()) == text


@given(st.binary(max_size=300) | _TERMINAL_BYTES)
def test_no_control_character_is_left(data: bytes) -> None:
    assert not set(render(data)) & {*map(chr, range(32)), "\x7f"} - {"\n", "\t"}


_WIDE = b"\xe6\xbc\xa2" * 2000
_HOSTILE: dict[str, Callable[[int], bytes]] = {
    "an unterminated title": lambda size: b"\x1b]" + b"x" * size,
    "many unterminated titles": lambda size: b"\x1b]0;x" * (size // 5),
    "many unterminated strings": lambda size: b"\x1bP" * (size // 2),
    "escapes only": lambda size: b"\x1b" * size,
    "unterminated colours": lambda size: b"\x1b[1;1;1" * (size // 7),
    "colours": lambda size: b"\x1b[31mx" * (size // 6),
    "backspaces": lambda size: b"a\b" * (size // 2),
    "progress": lambda size: b"progress 10%\r" * (size // 13),
    "one long line": lambda size: b"x" * size,
    "short lines": lambda size: b"line\r\n" * (size // 6),
    "far cursors": lambda size: b"\x1b[999999Cx\r" * (size // 11),
    "far erases": lambda size: b"\x1b[65536Gx" + b"\x1b[1K" * (size // 4),
    "erases of a long line": lambda size: b"x" * 4096 + b"\x1b[1K" * (size // 4),
    "deletions in a long line": lambda size: b"x" * 4096 + b"\r" + b"\x1b[P" * (size // 3),
    "insertions in a wide line": lambda size: _WIDE + b"\r" + b"\x1b[@" * (size // 3),
    "halves of wide characters": lambda size: _WIDE + b"\x1b[2Gx\x1b[4000Gx" * (size // 13),
    "wide lines, up and down": lambda size: _WIDE + b"\n" + b"\x1b[Ax\x1b[Bx" * (size // 8),
    "lines inserted": lambda size: b"\x1b[40L" * (size // 5),
    "lines made": lambda size: b"\x1b[99B\x1b[119Gx" * (size // 12),
    "displays erased": lambda size: b"x\n" * 300 + b"\x1b[1J" * (size // 4),
    "repetitions": lambda size: "\u00e9".encode() + b"\x1b[999b" * (size // 6),
    "full screens": lambda size: b"\x1b[?1049hx\x1b[?1049l" * (size // 17),
    "tabs": lambda size: b"\r" + b"\t" * size,
    "marks on one character": lambda size: b"e" + b"\xcc\x81" * (size // 2),
    "marks on many": lambda size: b"\re\xcc\x81" * (size // 4),
    "wide characters": lambda size: b"\xe6\xbc\xa2" * (size // 3),
    "zeros": bytes,
}


def _feed(data: bytes, *, piece: int = 65_536) -> int:
    """Renders in pieces, as they come from a terminal; returns how much came out."""
    renderer = TextRenderer()
    size = sum(
        len(renderer.feed(data[start : start + piece])) for start in range(0, len(data), piece)
    )
    return size + len(renderer.finish())


def _seconds(data: bytes) -> float:
    times = []
    for _ in range(2):
        started = time.process_time()
        _feed(data, piece=8192)
        times.append(time.process_time() - started)
    return min(times)


@pytest.mark.parametrize("kind", _HOSTILE)
def test_time_is_linear_in_the_input(kind: str) -> None:
    small, large = (_seconds(_HOSTILE[kind](size)) for size in (10_000, 40_000))
    assert large < 8 * small + 0.02


@pytest.mark.parametrize("kind", _HOSTILE)
def test_what_is_kept_does_not_grow_with_the_input(kind: str) -> None:
    renderer = TextRenderer()
    for _ in range(5):
        renderer.feed(_HOSTILE[kind](20_000))
        assert len(pickle.dumps(renderer)) < MAX_ROWS * MAX_LINE_BYTES


def test_a_single_line_of_50_mb_passes_whole_in_little_memory() -> None:
    piece = b"x" * 65_536
    renderer = TextRenderer()
    tracemalloc.start()
    try:
        size = sum(len(renderer.feed(piece)) for _ in range(763)) + len(renderer.finish())
        assert tracemalloc.get_traced_memory()[1] < 12 * MIB
    finally:
        tracemalloc.stop()
    assert size == 763 * len(piece)


def test_text_after_an_unterminated_title_is_not_lost_for_ever() -> None:
    renderer = TextRenderer()
    shown = renderer.feed(b"\x1b]0;" + b"x" * 10_000 + b"\n") + renderer.feed(b"after\n")
    shown += renderer.finish()
    assert shown.endswith(b"after\n")


def test_overwriting_reaches_back_over_pieces() -> None:
    renderer = TextRenderer()
    shown = b"".join(renderer.feed(b"%d%%\r" % number) for number in range(MAX_LINE_BYTES // 4))
    assert shown + renderer.finish() == b"%d%%" % (MAX_LINE_BYTES // 4 - 1)
