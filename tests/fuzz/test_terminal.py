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
TURN = b"<turn>"
"""Stands for the token of the turn in what comes."""

ANOTHER_TURN = b"Ab3-_xyz901"
BEGINS, ENDS = b"\x1b[?2004h", b"\x1b[?2004l\r"
SOON = 5.0


def says(letter: str, key: str = KEY, rest: str = "", turn: bytes = TURN) -> bytes:
    return f"\x1b]133;{letter};{key};".encode() + turn + f"{rest}\x07".encode()


PROMPT = BEGINS + says("A") + b"root@sandbox:~# " + says("B", KEY, ";0;7;'/root';root;sandbox")

PLAIN = st.one_of(
    st.binary(max_size=12),
    st.sampled_from([BEGINS, ENDS, b"\n", b"\x1b", b"\x1b]133;", b"\x07", b"^^", b"\x00", b"\xff"]),
    st.sampled_from("ABCPXRN").map(lambda letter: says(letter, ANOTHER_KEY)),
    st.sampled_from("ABCPXRN").map(lambda letter: says(letter, KEY[:-1])),
    st.sampled_from("BRN").map(lambda letter: says(letter, KEY, ";nonsense;7;x;root;sandbox")),
    st.sampled_from("AC").map(lambda letter: f"\x1b]133;{letter};{KEY}".encode()),  # has no end
)
"""What a program may print that does not know the key."""

STALE = st.sampled_from("ABCPXRNE").map(
    lambda letter: says(
        letter, KEY, ";3;7;'/srv';root;sandbox" if letter in "BRN" else "", ANOTHER_TURN
    )
)
"""What a job of an earlier turn may print, that knows the key."""

MARKED = st.sampled_from("ABCPXRN").map(
    lambda letter: says(letter, KEY, ";3;7;'/srv';root;sandbox" if letter in "BRN" else "")
)

FIELD = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
    st.sampled_from(["", "0", "7", "255", "256", "9" * 5000, "$'\\8'", "$'", "$'\\", "''", "é"]),
    st.text("\\'$01238xabE;", max_size=12),
    st.integers().map(str),
    st.sampled_from(["x" * 5000, "'" * 20_000, "$'" + "\\8" * 4000]),
)
FORGED = st.builds(
    lambda letter, fields: says(letter, KEY, "".join(f";{field}" for field in fields)),
    st.sampled_from("ABCPXRNE"),
    st.lists(FIELD, min_size=3, max_size=6),
)
"""What the running action may print: it knows the key and the token."""


class Coming:
    """A terminal's other end, that says what it was given and then is silent, or gone."""

    def __init__(self) -> None:
        self.pieces: asyncio.Queue[bytes] = asyncio.Queue()
        self.typed: asyncio.Queue[bytes] = asyncio.Queue()

    async def read(self) -> bytes:
        return await self.pieces.get()

    async def write(self, data: bytes) -> None:
        self.typed.put_nowait(data)

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
        stream.pieces.put_nowait(PROMPT.replace(TURN, KEY.encode()))
        await asyncio.wait_for(terminal.first_prompt(), SOON)
        turn = terminal.type(
            b"x", on_output=lambda _: None, max_text_bytes=4096, max_output_bytes=10**6
        )
        typed = await asyncio.wait_for(stream.typed.get(), SOON)
        token = typed[1:].partition(b"\x1d")[0]
        for piece in (*pieces_of(printed.replace(TURN, token), cuts), last.replace(TURN, token)):
            stream.pieces.put_nowait(piece)
        await asyncio.wait_for(turn.done.wait(), SOON)
        assert turn.end is not None
        return turn.end, turn.prompt
    finally:
        await terminal.close()


@settings(max_examples=200, deadline=None)
@given(
    st.lists(PLAIN | MARKED | STALE | FORGED, max_size=12).map(b"".join),
    st.lists(st.integers(0, 200)),
)
def test_a_turn_has_ended_when_the_terminal_has_whatever_it_said_before(
    printed: bytes, cuts: list[int]
) -> None:
    asyncio.run(turn_of(printed, cuts, b""))


@settings(max_examples=200, deadline=None)
@given(st.lists(PLAIN | STALE, max_size=12).map(b"".join), st.lists(st.integers(0, 200)))
def test_nobody_without_the_turn_s_token_ends_a_turn_before_bash_does(
    printed: bytes, cuts: list[int]
) -> None:
    command = ENDS + says("C")
    end, prompt = asyncio.run(turn_of(command + printed + b"\x07\n", cuts, PROMPT))
    assert end is not TurnEnd.LOST
    assert prompt == Prompt(0, 7, "/root", "root", "sandbox")
