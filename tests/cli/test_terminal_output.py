"""Output of a session on a person's terminal: colours and moves pass, all else is shown."""

from __future__ import annotations

import time

import pytest

from plumb_cli.terminal_output import TerminalOutput, harmless


@pytest.mark.parametrize(
    "text",
    [
        "plain\r\n", "\ttab\b\x07", "Größe 日本語", "\x1b[1;31mred\x1b[0m",
        "\x1b[38;2;1;2;3mrgb\x1b[m", "\x1b[38:5:1mx", "\x1b[2K\x1b[1A\x1b[10G", "\x1b[2J\x1b[H",
        "\x1b[?25l\x1b[?25h", "\x1b7\x1b8", "\x1b(B",
    ],
)  # fmt: skip
def test_colours_and_moves_pass(text: str) -> None:
    assert harmless(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b]0;title\x07", "\\x1b]0;title\x07"),
        ("\x1b]52;c;dGFrZW4=\x1b\\", "\\x1b]52;c;dGFrZW4=\\x1b\\"),
        ("\x1b]8;;http://x\x1b\\link", "\\x1b]8;;http://x\\x1b\\link"),
        ("\x1b[6n", "\\x1b[6n"),
        ("\x1b[c\x1b[>c\x1b[=c", "\\x1b[c\\x1b[>c\\x1b[=c"),
        ("\x1b[?1000h\x1b[?1006h", "\\x1b[?1000h\\x1b[?1006h"),
        ("\x1bPq\x1b\\", "\\x1bPq\\x1b\\"),
        ("\x1b_x\x1b\\ \x1b^y\x1b\\ \x1bXz", "\\x1b_x\\x1b\\ \\x1b^y\\x1b\\ \\x1bXz"),
        ("\x1bc", "\\x1bc"),
        ("\x1bZ\x05", "\\x1bZ\\x05"),
        ("\x1b[21t\x1b[8;1;1t", "\\x1b[21t\\x1b[8;1;1t"),
        ("\x1b[5i", "\\x1b[5i"),
        ("\x9b6n\x9d0;t\x9c", "\\x9b6n\\x9d0;t\\x9c"),
        ("\x1b[\x1b[6n", "\\x1b[\\x1b[6n"),
        ("\x1b[3\x1b]0;x", "\\x1b[3\\x1b]0;x"),
        ("\x1b[1 q\x1b[!p", "\\x1b[1 q\\x1b[!p"),
        ("\x00\x7f\x0e", "\\x00\\x7f\\x0e"),
        ("\u202eabc", "\\u202eabc"),
        ("\x1b[" + "1;" * 100 + "m", "\\x1b[" + "1;" * 100 + "m"),
    ],
)  # fmt: skip
def test_what_does_more_is_shown(text: str, shown: str) -> None:
    assert harmless(text) == shown


def test_modes_of_full_screens_and_line_editing_vanish() -> None:
    assert harmless("\x1b[?1049hx\x1b[?2004l") == "x"


@pytest.mark.parametrize("text", ["a\x1b[31mred\x1b[0m b", "\x1b]52;c;x\x07é\x1b[6nend\x1b[?25l"])
def test_pieces_change_nothing(text: str) -> None:
    output = TerminalOutput()
    data = text.encode()
    parts = [output.take(data[at : at + 1]) for at in range(len(data))]
    assert "".join(parts) + output.take(b"", is_last=True) == harmless(text)


def test_what_is_not_whole_at_the_end_is_shown() -> None:
    output = TerminalOutput()
    assert output.take(b"x\x1b[3") == "x"
    assert output.take(b"", is_last=True) == "\\x1b[3"


def test_a_sequence_that_never_ends_is_not_kept_back() -> None:
    output = TerminalOutput()
    seen = "".join(output.take(b"\x1b[" + b"1;" * 50) for _ in range(3))
    assert len(seen) > 200


def test_bytes_that_are_no_text_break_nothing() -> None:
    assert TerminalOutput().take(b"\xff\xfea", is_last=True) == "\ufffd\ufffda"


@pytest.mark.parametrize("piece", ["\x1b", "\x1b[", "\x1b[1;", "\x1b]", "\x9b", "\x1b[1m", "\x00"])
def test_its_time_is_linear(piece: str) -> None:
    def took(size: int) -> float:
        started = time.process_time()
        harmless(piece * (size // len(piece)))
        return time.process_time() - started

    took(1000)
    assert took(100_000) < 100 * max(took(5_000), 0.002)
