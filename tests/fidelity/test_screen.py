"""Movement between lines, held against pyte, which renders what a terminal shows."""

from __future__ import annotations

import itertools
import pickle

import pyte
import pyte.modes
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from plumb_fidelity.cells import MAX_COLUMNS
from plumb_fidelity.screen import MAX_ROWS, ROWS
from plumb_fidelity.signature import TextRenderer, render, weight, without_controls

UP, DOWN = b"\x1b[A", b"\x1b[B"


@pytest.mark.parametrize(
    ("written", "read"),
    [
        pytest.param(
            b"a: Waiting\r\nb: Waiting\r\n\x1b[2A\x1b[2K\ra: Done\x1b[2B",
            "a: Done\nb: Waiting\n",
            id="a line above is written anew",
        ),
        pytest.param(b"a\r\nb\r\n\x1b[2Ax\r\n\r\nc", "x\nb\nc", id="and text goes on below"),
        pytest.param(b"one\r\ntwo\x1b[1A!", "one!\ntwo", id="the column stays"),
        pytest.param(b"one\r\ntwo\x1b[F!", "!ne\ntwo", id="up to a line's beginning"),
        pytest.param(b"one\r\ntwo\x1b[A\x1b[E!", "one\n!wo", id="down to a line's beginning"),
        pytest.param(b"a\x1b[9Ab", "ab", id="up stops at the first line"),
        pytest.param(b"a\x1b[2Bb", "a\n\n b", id="down makes lines"),
        pytest.param(b"a\x1b[9B", "a", id="but only where something is written"),
        pytest.param(b"a\x1b7\r\nbcd\x1b8x", "ax\nbcd", id="saved and restored"),
        pytest.param(b"a\x1b[s\r\nbcd\x1b[ux", "ax\nbcd", id="saved and restored, as SCO does"),
        pytest.param(b"a\r\nb\r\nc\x1b[2A\x1b[J", "a", id="erase to the end"),
        pytest.param(b"a\nbbb\nc\x1b[A\x1b[D\x1b[1J", "\n bb\nc", id="erase from the top"),
        pytest.param(b"a\r\nb\r\n\x1b[2J\x1b[Hc", "c", id="erase all"),
        pytest.param(b"a\r\nb\x1b[H\x1b[2J\x1b[3Jc", "c", id="clear"),
        pytest.param(b"a\r\nb\r\nc\x1b[2;1Hx", "a\nx\nc", id="an address"),
        pytest.param(b"a\r\nb\r\nc\x1b[2dx", "a\nbx\nc", id="the address of a line"),
        pytest.param(b"a\r\nb\x1b[A\r\x1b[Lx", "x\na\nb", id="a line put in"),
        pytest.param(b"a\r\nb\r\nc\x1b[2A\x1b[Mx", "x\nc", id="a line taken out"),
        pytest.param(b"abc\r\x1b[2@x", "x abc", id="characters put in"),
        pytest.param(b"abc\r\x1b[4hx\x1b[4ly", "xybc", id="insert mode"),
        pytest.param(b"abcd\r\x1b[2Xx", "x cd", id="characters made blank"),
        pytest.param(b"-\x1b[4b", "-----", id="a character repeated"),
        pytest.param(b"ab\x1bDc\x1bMd", "ab d\n  c", id="index and reverse index"),
        pytest.param(b"a\x1bMb", " b\na", id="reverse index at the top"),
        pytest.param(b"ab\x0bc", "ab\n  c", id="a vertical tab"),
        pytest.param(b"\x1b(0lqk\x1b(Bq", "\u250c\u2500\u2510q", id="lines drawn"),
        pytest.param(b"abcdefgh\r\tx", "abcdefghx", id="a tab moves over what is there"),
        pytest.param(b"a\tb\rxyz", "xyz     b", id="a tab that is written over is space"),
        pytest.param(b"abcdefghij\x1b[Zx", "abcdefghxj", id="back to a tab stop"),
        pytest.param(b"abcdefgh\x1b[Zx", "xbcdefgh", id="back from a tab stop"),
        pytest.param(b"abcdefghijklmnopqr\x1b[2Zx", "abcdefghxjklmnopqr", id="back by two"),
        pytest.param(b"abc\x1b[9Zx", "xbc", id="back to the first column at most"),
        pytest.param(b"abc\x1b[Ix", "abc     x", id="on to a tab stop"),
        pytest.param(b"abcdefgh\x1b[2Ix", "abcdefgh" + " " * 16 + "x", id="on from a tab stop"),
        pytest.param(b"abc\x1b[99Ix", "abc" + " " * 116 + "x", id="on to the last column at most"),
        pytest.param(b"a\tb\x1b[Zx", "a\tx", id="back to where a tab led"),
        pytest.param("日本\rx".encode(), "x 本", id="half of a wide character"),
        pytest.param("日本\x1b[3Gx".encode(), "日x ", id="columns of wide characters"),
        pytest.param("日本\b\bx".encode(), "日x ", id="back over a wide character"),
        pytest.param("e\u0301a\b\bx".encode(), "xa", id="a combining character has no column"),
        pytest.param("cafe\u0301\r\nb".encode(), "cafe\u0301\nb", id="and stays as it is"),
        pytest.param("\u0301a".encode(), "\u0301a", id="one on nothing"),
        pytest.param(b"a\x1b[999Cb", "a" + " " * 118 + "b", id="right stops at the border"),
        pytest.param(b"log\r\n\x1b[?1049h\x1b[Hscreen\x1b[?1049lend", "log\nscreen\nend",
                     id="a full screen leaves what was before"),
        pytest.param(b"x\x1b[?25l\x1b[?25h\x1b[1;40r\x1b[0 qy", "xy", id="modes show nothing"),
    ],
)  # fmt: skip
def test_shows_what_a_terminal_shows_in_the_end(written: bytes, read: str) -> None:
    assert render(written) == read


def test_nested_progress_bars_keep_their_last_state() -> None:
    def outer(done: int) -> bytes:
        return b"\router: %3d%%" % done

    def inner(done: int) -> bytes:
        return b"\n\r inner: %3d%%" % done + UP

    written = b"".join(
        outer(at) + b"".join(map(inner, range(0, 101, 20))) for at in range(0, 101, 50)
    )
    assert render(written + b"\n\n") == "outer: 100%\n inner: 100%\n"


def test_layers_that_are_pulled_end_as_they_are() -> None:
    layers = [b"%012x" % at for at in range(7)]
    written = b"".join(layer + b": Pulling fs layer\r\n" for layer in layers)
    for state in (b"Waiting", b"Downloading [=>   ] 1MB/9MB", b"Extracting", b"Pull complete"):
        for at, layer in enumerate(layers):
            up = len(layers) - at
            written += b"\x1b[%dA\x1b[2K\r%s: %s\r\x1b[%dB" % (up, layer, state, up)
    shown = "".join(f"{layer.decode()}: Pull complete\n" for layer in layers)
    assert render(written + b"Digest: x\r\n") == shown + "Digest: x\n"


def test_a_full_screen_program_shows_its_last_screen() -> None:
    frames = b"".join(
        b"\x1b[H\x1b[2J\x1b[1;1Htop\x1b[3;5H%d\x1b[K\x1b[5;1Hq: quit" % at for at in range(50)
    )
    assert render(b"$ x\r\n\x1b[?1049h" + frames) == "$ x\ntop\n\n    49\n\nq: quit"


def test_movement_reaches_the_last_rows_and_no_further() -> None:
    lines = b"".join(b"%d\n" % at for at in range(1000))
    shown = render(lines + b"\x1b[9999Ax").split("\n")
    assert shown[1000 - MAX_ROWS + 1] == "x" + str(1000 - MAX_ROWS + 1)[1:]
    assert [line for line in shown[:-1] if "x" not in line] == [
        str(at) for at in range(1000) if at != 1000 - MAX_ROWS + 1
    ]


def test_what_is_too_far_to_the_left_stays() -> None:
    assert render(b"a" * 3 * MAX_COLUMNS + b"\rb").count("b") == 1
    assert len(render(b"a" * 3 * MAX_COLUMNS + b"\rb")) == 3 * MAX_COLUMNS


_EDITS = [b"\x1b[%d%c" % (count, letter) for count in (1, 2, 3) for letter in b"ABCDEFGPX@d"]
_EDITS += [b"\x1b[%d%c" % (part, letter) for part in range(3) for letter in b"JK"]
_EDITS += [b"\x1b[H", b"\x1b[2;3H", b"\x1b7", b"\x1b8", b"\x1bM"]
_EDITS += [
    b"\x1bD",
    b"\x1bE",
    b"\r",
    b"\n",
    b"\r\n",
    b"\b",
    b"\t",
    b"a",
    b"bc",
    b"def",
    b"\x1b[31m",
]
_STREAMS = st.lists(st.sampled_from(_EDITS), max_size=20).map(b"".join)


def _as_pyte(data: bytes) -> list[str]:
    screen = pyte.Screen(120, 200)
    screen.set_mode(pyte.modes.LNM)
    stream = pyte.ByteStream(screen)
    stream.feed(data)
    return _visible(screen.display)


def _visible(lines: list[str]) -> list[str]:
    lines = [line.expandtabs().rstrip() for line in lines]
    while lines and not lines[-1]:
        lines.pop()
    return lines


@given(_STREAMS)
@example(b"a\r\nb\r\nc\x1b[2A\x1b[Jd")
def test_any_edits_show_what_pyte_shows(data: bytes) -> None:
    assert _visible(render(data).split("\n")) == _as_pyte(data)


_PIECES = [*_EDITS, "日本".encode(), "e\u0301".encode(), b"\xff", b"\x1b", b"[", b"\x00", b"q"]
_PIECES += [b"\x1b(0", b"\x1b(B", b"\x1b[4h", b"\x1b[4l", b"\x1b[?1049h", b"\x1b[?1049l"]
_PIECES += [b"\x1b]0;t\x07", b"\x1b[5b", b"\x1b[L", b"\x1b[2M", b"\x1b[31m", b"\t" * 90]
_PIECES += [b"x" * 600, b"x" * 5000, ("\u65e5" * 700).encode(), b"y\n" * 200]


@given(st.lists(st.sampled_from(_PIECES), max_size=25).map(b"".join), st.data())
def test_pieces_of_any_size_give_the_same_and_a_renderer_travels(
    data: bytes, draw: st.DataObject
) -> None:
    cuts = draw.draw(st.lists(st.integers(0, len(data)), max_size=8).map(sorted))
    renderer = TextRenderer()
    shown = b""
    for start, end in itertools.pairwise([0, *cuts, len(data)]):
        shown += renderer.feed(data[start:end])
        renderer = pickle.loads(pickle.dumps(renderer))
    assert (shown + renderer.finish()).decode() == render(data)


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"], include_characters="\n\t")))
def test_text_that_the_cursor_passes_is_itself(text: str) -> None:
    once_round = f"\x1b7{text}\x1b8\x1b[999B\r".replace("\n", "\r\n")
    assert render(once_round.encode()).rstrip("\n") == text.rstrip("\n")


@given(st.lists(st.sampled_from([*_PIECES, b"\x1b[", b"\x1b]", b"12", b"\x1bP"]), max_size=25))
def test_no_control_character_is_left_without_rendering_either(pieces: list[bytes]) -> None:
    shown = without_controls(b"".join(pieces)).decode()
    assert not set(shown) & {*map(chr, range(32)), "\x7f"} - {"\n", "\t"}


def test_without_rendering_what_was_overwritten_can_be_read() -> None:
    assert without_controls(b"1%\r\x1b[K2%\r\n\x1b[2A\x1b]0;t\x07x") == b"1%\n2%\nx"


def test_weight_tells_what_has_to_be_followed() -> None:
    plain = b"\x1b[01;31m\x1b[Kname\x1b[m\x1b[K: text\r\n" * 100
    assert weight(b"x" * 100_000) == 0
    assert weight(plain) == 0
    assert weight(b"10%\r" * 100) == 100
    assert weight(b"\x1b[1K" * 100) == 100
    assert weight(("\u65e5" * 100_000).encode()) > 10_000


def test_rows_that_are_made_are_bounded() -> None:
    assert render(b"a\x1b[9999Bb").count("\n") == ROWS
