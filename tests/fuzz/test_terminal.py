"""The framing of the terminal: whatever comes, in whatever pieces, every turn has one end."""

from __future__ import annotations

import asyncio
import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from plumb_backends.real.marks import Prompt
from plumb_backends.real.terminal import Terminal
from plumb_backends.real.turn import TurnEnd

KEY = "0123456789abcdef" * 2
ANOTHER_KEY = "fedcba9876543210" * 2
BEGINS, ENDS = b"\x1b[?2004h", b"\x1b[?2004l\r"
SOON = 5.0
PROMPT = (
    BEGINS
    + f"\x1b]133;A;{KEY}\x07".encode()
    + b"root@sandbox:~# "
    + f"\x1b]133;B;{KEY};0;7;'/root';root;sandbox\x07".encode()
)


def says(letter: str, key: str, rest: str = "") -> bytes:
    return f"\x1b]133;{letter};{key}{rest}\x07".encode()


PLAIN = st.one_of(
    st.binary(max_size=12),
    st.sampled_from([BEGINS, ENDS, b"\n", b"\x1b", b"\x1b]133;", b"\x07", b"^^", b"\x00", b"\xff"]),
    st.sampled_from("ABCPXRN").map(lambda letter: says(letter, ANOTHER_KEY)),
    st.sampled_from("ABCPXRN").map(lambda letter: says(letter, KEY[:-1])),
    st.sampled_from("BRN").map(lambda letter: says(letter, KEY, ";nonsense;7;x;root;sandbox")),
    st.sampled_from("AC").map(lambda letter: f"\x1b]133;{letter};{KEY}".encode()),  # has no end
)
"""What a program may print that does not know the key."""

MARKED = st.sampled_from("ABCPXRN").map(
    lambda letter: says(letter, KEY, ";3;7;'/srv';root;sandbox" if letter in "BRN" else "")
)


class Coming:
    """A terminal's other end, that says what it was given and then is silent, or gone."""

    def __init__(self) -> None:
        self.pieces: asyncio.Queue[bytes] = asyncio.Queue()

    async def read(self) -> bytes:
        return await self.pieces.get()

    async def write(self, data: bytes) -> None:
        """Nobody reads what is typed."""

    async def close(self) -> None:
        """There is nothing to let go of."""


def pieces_of(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(edges) if start < end]


async def turn_of(printed: bytes, cuts: list[int], last: bytes) -> tuple[TurnEnd, Prompt | None]:
    """What one turn comes to: what was printed, in pieces, and then `last`."""
    stream = Coming()
    terminal = Terminal(stream, KEY)
    try:
        stream.pieces.put_nowait(PROMPT)
        await asyncio.wait_for(terminal.first_prompt(), SOON)
        turn = terminal.type(
            b"x", on_output=lambda _: None, max_text_bytes=4096, max_output_bytes=10**6
        )
        for piece in (*pieces_of(printed, cuts), last):
            stream.pieces.put_nowait(piece)
        await asyncio.wait_for(turn.done.wait(), SOON)
        assert turn.end is not None
        return turn.end, turn.prompt
    finally:
        await terminal.close()


@settings(max_examples=200, deadline=None)
@given(st.lists(PLAIN | MARKED, max_size=12).map(b"".join), st.lists(st.integers(0, 200)))
def test_a_turn_has_ended_when_the_terminal_has_whatever_it_said_before(
    printed: bytes, cuts: list[int]
) -> None:
    asyncio.run(turn_of(printed, cuts, b""))


@settings(max_examples=200, deadline=None)
@given(st.lists(PLAIN, max_size=12).map(b"".join), st.lists(st.integers(0, 200)))
def test_nobody_without_the_key_ends_a_turn_before_bash_does(
    printed: bytes, cuts: list[int]
) -> None:
    command = ENDS + says("C", KEY)
    end, prompt = asyncio.run(turn_of(command + printed + b"\x07\n", cuts, PROMPT))
    assert end is not TurnEnd.LOST
    assert prompt == Prompt(0, 7, "/root", "root", "sandbox")
