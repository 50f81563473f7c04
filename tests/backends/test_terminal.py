"""The framed terminal, on a stream that plays scripts: no bash, no container."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import pytest_asyncio

from plumb_backends.environment import Ending
from plumb_backends.errors import InvalidInput, SandboxUnavailable
from plumb_backends.kinds.shell import check_action
from plumb_backends.real.marks import ASK, Prompt, to_opening
from plumb_backends.real.terminal import Terminal, to_paste
from plumb_backends.real.turn import Turn, TurnEnd

KEY = "0123456789abcdef" * 2
BEGINS, ENDS = b"\x1b[?2004h", b"\x1b[?2004l\r"
TURN = b"<turn>"
"""Stands for the token of the turn in what comes."""

A, C, P, X = (b"\x1b]133;%c;%s;%s\x07" % (letter, KEY.encode(), TURN) for letter in b"ACPX")


def _says(letter: str, status: int, cwd: str = "/root", pid: int = 7) -> bytes:
    said = f";{status};{pid};'{cwd}';root;sandbox\x07"
    return f"\x1b]133;{letter};{KEY};".encode() + TURN + said.encode()


def _prompt(status: int = 0, cwd: str = "/root") -> bytes:
    return BEGINS + A + b"root@sandbox:~# " + _says("B", status, cwd)


class PlayedStream:
    """A terminal whose other end is the test: it says what comes, and sees what is typed."""

    def __init__(self) -> None:
        self._coming: asyncio.Queue[bytes] = asyncio.Queue()
        self.typed: asyncio.Queue[bytes] = asyncio.Queue()
        self.closed = False
        self.broken = False
        self.token = KEY.encode()

    def come(self, *pieces: bytes) -> None:
        for piece in pieces:
            self._coming.put_nowait(piece.replace(TURN, self.token))

    def come_bytewise(self, data: bytes) -> None:
        for byte in data.replace(TURN, self.token):
            self._coming.put_nowait(bytes([byte]))

    async def next_typed(self) -> bytes:
        async with asyncio.timeout(30):
            return await self.typed.get()

    async def read(self) -> bytes:
        return await self._coming.get()

    async def write(self, data: bytes) -> None:
        if self.broken:
            raise SandboxUnavailable("gone")
        self.typed.put_nowait(data)

    async def close(self) -> None:
        self.closed = True


@pytest.fixture
def stream() -> PlayedStream:
    return PlayedStream()


@pytest_asyncio.fixture
async def terminal(stream: PlayedStream) -> AsyncIterator[Terminal]:
    """A terminal at its first prompt."""
    terminal = Terminal(stream, KEY)
    stream.come(_prompt())
    await terminal.first_prompt()
    yield terminal
    await terminal.close()


Type = Callable[[bytes], Awaitable[Turn]]


@pytest_asyncio.fixture
async def type_(terminal: Terminal, stream: PlayedStream) -> Type:
    """Types an action, and sees it arrive."""

    async def type_action(text: bytes, *, most: int = 1_000_000) -> Turn:
        turn = terminal.type(
            text, on_output=lambda _: None, max_text_bytes=65_536, max_output_bytes=most
        )
        typed = await stream.next_typed()
        stream.token, _, _ = typed[1:].partition(b"\x1d")
        assert typed == to_opening(stream.token.decode()) + to_paste(text)
        return turn

    return type_action


async def _done(turn: Turn) -> Turn:
    async with asyncio.timeout(30):
        await turn.done.wait()
    return turn


def _text(turn: Turn) -> str:
    return turn.text.text()


async def test_the_first_prompt_says_where_the_shell_is(stream: PlayedStream) -> None:
    terminal = Terminal(stream, KEY)
    stream.come(b"motd\r\n", _prompt(0, "/srv"))
    assert await terminal.first_prompt() == Prompt(0, 7, "/srv", "root", "sandbox")
    await terminal.close()
    assert stream.closed


async def test_a_bash_that_does_not_start_is_an_error_with_what_was_said(
    stream: PlayedStream,
) -> None:
    terminal = Terminal(stream, KEY)
    stream.come(b"exec: bash: not found\r\n", b"")
    with pytest.raises(SandboxUnavailable, match=r"did not start \(exec: bash: not found\)"):
        await terminal.first_prompt()
    await terminal.close()


async def test_the_key_that_the_terminal_echoed_is_in_no_error(stream: PlayedStream) -> None:
    terminal = Terminal(stream, KEY)
    stream.come(KEY.encode() + b"\r\nbash: broken\r\n", b"")
    with pytest.raises(SandboxUnavailable, match=r"did not start \(bash: broken\)"):
        await terminal.first_prompt()
    await terminal.close()


async def test_output_is_what_stands_between_the_start_mark_and_the_prompt(
    type_: Type, stream: PlayedStream
) -> None:
    turn = await type_(b"echo hi; false")
    stream.come(b"echo hi; false\r\n" + ENDS + C + b"hi\r\n" + _prompt(1, "/srv"))
    await _done(turn)
    assert (_text(turn), turn.end, turn.ran) == ("hi\n", TurnEnd.PROMPT, True)
    assert turn.prompt == Prompt(1, 7, "/srv", "root", "sandbox")
    assert turn.total_bytes == len(b"hi\r\n")


async def test_raw_is_everything_but_the_marks(type_: Type, stream: PlayedStream) -> None:
    turn = await type_(b"echo hi")
    stream.come(b"echo hi\r\n" + ENDS + C + b"hi\r\n" + _prompt())
    raw = (await _done(turn)).raw.content()
    assert raw == b"echo hi\r\n" + ENDS + b"hi\r\n" + BEGINS + b"root@sandbox:~# "


async def test_every_byte_may_come_alone(type_: Type, stream: PlayedStream) -> None:
    turn = await type_(b"echo hi")
    whole = b"echo hi\r\n" + ENDS + C + "grüße\r\n".encode() + _prompt(3)
    stream.come_bytewise(whole)
    await _done(turn)
    assert turn.prompt is not None
    assert (_text(turn), turn.prompt.status) == ("grüße\n", 3)


async def test_a_syntax_error_is_output_though_no_command_starts(
    type_: Type, stream: PlayedStream
) -> None:
    turn = await type_(b")")
    stream.come(b")\r\n" + ENDS + b"bash: syntax error\r\n" + _prompt(2))
    await _done(turn)
    assert (_text(turn), turn.ran) == ("bash: syntax error\n", False)


async def test_a_comment_has_no_output(type_: Type, stream: PlayedStream) -> None:
    turn = await type_(b"# nothing")
    stream.come(b"# nothing\r\n" + ENDS + _prompt())
    assert (_text(await _done(turn)), turn.end) == ("", TurnEnd.PROMPT)


async def test_several_commands_of_one_action_are_one_output(
    type_: Type, stream: PlayedStream
) -> None:
    turn = await type_(b"echo a\necho b")
    stream.come(b"echo a\r\necho b\r\n" + ENDS + C + b"a\r\n" + C + b"b\r\n" + _prompt())
    assert _text(await _done(turn)) == "a\nb\n"


async def _unfinished(type_: Type, stream: PlayedStream) -> Turn:
    """A turn whose input is unfinished, up to the prompt that follows plumb's own Ctrl-C."""
    turn = await type_(b"echo 'x")
    stream.come(b"echo 'x\r\n" + ENDS + BEGINS + P + b"> ")
    assert await stream.next_typed() == b"\x03"
    stream.come(b"^C\r\n" + ENDS + _prompt(130))
    return turn


async def test_unfinished_input_is_interrupted_at_once(type_: Type, stream: PlayedStream) -> None:
    turn = await _unfinished(type_, stream)
    await _done(turn)
    assert (turn.end, _text(turn)) == (TurnEnd.UNFINISHED, "> ")


async def test_a_question_that_the_unfinished_input_swallowed_is_asked_again(
    type_: Type, stream: PlayedStream
) -> None:
    turn = await type_(b"I'm done")
    stream.come(b"I'm done\r\n", ENDS, BEGINS, P, b"> ")
    assert await stream.next_typed() == b"\x03"
    assert await stream.next_typed() == ASK  # readline was slow to see the signal
    # It answers while the input is still unfinished, and its next prompt is not announced.
    stream.come(_says("R", 0), b"^C", ENDS, BEGINS, b"\r\x1b[K\r\r\n")
    stream.come(A, b"root@sandbox:~# ", _says("B", 130))
    assert await stream.next_typed() == ASK
    stream.come(_says("R", 130))
    assert (await _done(turn)).end is TurnEnd.UNFINISHED


async def test_unfinished_input_stays_so_where_the_prompt_has_to_be_renewed(
    type_: Type, stream: PlayedStream
) -> None:
    turn = await _unfinished(type_, stream)
    assert await stream.next_typed() == ASK
    stream.come(_says("N", 130))
    assert await stream.next_typed() == b"\n"
    stream.come(b"\r\n" + ENDS + _prompt(130))
    assert (await _done(turn)).end is TurnEnd.UNFINISHED


async def test_a_shell_that_draws_its_prompt_for_each_question_is_not_asked_for_ever(
    type_: Type, stream: PlayedStream
) -> None:
    turn = await _unfinished(type_, stream)
    assert await stream.next_typed() == ASK
    stream.come(b"\r\x1b[K\r" + A + b"root@sandbox:~# " + _says("B", 130))
    assert (await _done(turn)).end is TurnEnd.UNFINISHED
    assert stream.typed.empty()


async def test_a_prompt_from_before_what_was_typed_is_ignored(
    type_: Type, stream: PlayedStream
) -> None:
    turn = await type_(b"echo hi")
    stream.come(_prompt(9))
    stream.come(b"echo hi\r\n" + ENDS + C + b"hi\r\n" + _prompt(0))
    await _done(turn)
    assert turn.prompt is not None
    assert (_text(turn), turn.prompt.status) == ("hi\n", 0)


async def test_a_prompt_that_the_action_printed_is_given_back_to_the_output(
    type_: Type, stream: PlayedStream
) -> None:
    turn = await type_(b'printf %s "${PS1@P}"; sleep 1; echo end')
    stream.come(b"echo\r\n" + ENDS + C + A + b"forged# " + _says("B", 0))
    assert await stream.next_typed() == ASK  # readline did not announce this prompt
    assert turn.end is None
    stream.come(b"end\r\n" + _prompt(3), _says("R", 3))
    await _done(turn)
    assert turn.prompt is not None
    assert turn.prompt.status == 3
    assert "end\n" in _text(turn)


async def test_an_answer_that_was_not_asked_for_ends_nothing(
    type_: Type, stream: PlayedStream
) -> None:
    turn = await type_(b"echo hi")
    stream.come(b"echo hi\r\n" + ENDS + C + _says("R", 9) + _says("N", 9) + b"hi\r\n" + _prompt(0))
    await _done(turn)
    assert turn.prompt is not None
    assert (_text(turn), turn.prompt.status) == ("hi\n", 0)


async def test_a_blind_shell_is_asked_and_its_next_action_has_no_echo(
    type_: Type, stream: PlayedStream
) -> None:
    turn = await type_(b"exec 2>&-")
    stream.come(b"exec 2>&-\r\n" + ENDS + C + X)
    assert await stream.next_typed() == ASK
    stream.come(_says("R", 0))
    assert (await _done(turn)).end is TurnEnd.PROMPT
    turn = await type_(b"echo hi")
    stream.come(b"hi\r\n" + X)
    assert await stream.next_typed() == ASK
    stream.come(_says("R", 0))
    assert (_text(await _done(turn)), turn.ran) == ("hi\n", True)


async def test_the_echo_of_our_question_is_no_output(type_: Type, stream: PlayedStream) -> None:
    turn = await type_(b"exec 2>&-; echo ^^")
    stream.come(b"x\r\n" + ENDS + C + b"^^\r\n" + X)
    assert await stream.next_typed() == ASK
    stream.come(b"^^", _says("R", 0))
    assert _text(await _done(turn)) == "^^\n"
    assert turn.raw.content().count(b"^^") == 1


async def test_a_lost_prompt_is_asked_for_after_readline_announced_itself(
    type_: Type, stream: PlayedStream
) -> None:
    turn = await type_(b"PS1=; PROMPT_COMMAND=")
    stream.come(b"PS1=\r\n" + ENDS + C + BEGINS)
    assert await stream.next_typed() == ASK
    stream.come(_says("R", 5))
    await _done(turn)
    assert turn.prompt is not None
    assert (_text(turn), turn.prompt.status) == ("", 5)


async def test_where_the_prompt_s_marks_were_lost_an_empty_line_brings_them_back(
    type_: Type, stream: PlayedStream
) -> None:
    turn = await type_(b"PS1=; PROMPT_COMMAND=")
    stream.come(b"PS1=\r\n" + ENDS + C + BEGINS)
    assert await stream.next_typed() == ASK
    stream.come(_says("N", 5))
    assert await stream.next_typed() == b"\n"
    assert turn.end is None
    stream.come(b"\r\n" + ENDS + _prompt(5))
    await _done(turn)
    assert turn.prompt is not None
    assert (_text(turn), turn.prompt.status) == ("", 5)


async def test_a_prompt_that_stays_lost_is_asked_for_again(
    type_: Type, stream: PlayedStream
) -> None:
    turn = await type_(b"readonly PS1= PROMPT_COMMAND=")
    stream.come(b"x\r\n" + ENDS + C + BEGINS)
    assert await stream.next_typed() == ASK
    stream.come(_says("N", 0))
    assert await stream.next_typed() == b"\n"
    stream.come(b"\r\n" + ENDS + BEGINS)
    assert await stream.next_typed() == ASK
    stream.come(_says("R", 0))
    assert (await _done(turn)).end is TurnEnd.PROMPT


async def test_a_program_that_announces_like_readline_is_not_taken_for_a_prompt(
    type_: Type, stream: PlayedStream
) -> None:
    turn = await type_(b"python3")
    stream.come(b"python3\r\n" + ENDS + C + BEGINS + b">>> ")
    assert await stream.next_typed() == ASK
    assert turn.end is None
    stream.come(b"\r\n", _prompt(0))
    async with asyncio.timeout(30):
        await turn.done.wait()
    assert ">>> " in _text(turn)


async def test_what_comes_between_two_actions_belongs_to_neither(
    type_: Type, stream: PlayedStream
) -> None:
    turn = await type_(b"true")
    stream.come(b"true\r\n" + ENDS + C + _prompt() + b"late\r\n")
    await _done(turn)
    turn = await type_(b"echo hi")
    stream.come(b"later\r\necho hi\r\n" + ENDS + C + b"hi\r\n" + _prompt())
    assert _text(await _done(turn)) == "hi\n"


async def test_the_end_of_the_stream_loses_the_shell_and_keeps_the_output(
    terminal: Terminal, type_: Type, stream: PlayedStream
) -> None:
    turn = await type_(b"exit")
    stream.come(b"exit\r\n" + ENDS + C + b"exit\r\n", b"")
    await _done(turn)
    assert (turn.end, turn.prompt, _text(turn)) == (TurnEnd.LOST, None, "exit\n")
    assert terminal.lost


async def test_typing_into_a_lost_shell_ends_at_once(
    terminal: Terminal, type_: Type, stream: PlayedStream
) -> None:
    turn = await type_(b"exit")
    stream.come(b"")
    await _done(turn)
    late = terminal.type(
        b"echo hi", on_output=lambda _: None, max_text_bytes=1024, max_output_bytes=1024
    )
    assert late.end is TurnEnd.LOST
    assert stream.typed.empty()


async def test_a_stream_that_cannot_be_written_loses_the_shell(
    terminal: Terminal, stream: PlayedStream
) -> None:
    stream.broken = True
    turn = terminal.type(
        b"echo hi", on_output=lambda _: None, max_text_bytes=1024, max_output_bytes=1024
    )
    assert (await _done(turn)).end is TurnEnd.LOST


async def test_too_much_output_wakes_whoever_waits(type_: Type, stream: PlayedStream) -> None:
    turn = await type_(b"yes")
    turn.max_output_bytes = 10
    stream.come(b"yes\r\n" + ENDS + C + b"y\r\n" * 10)
    async with asyncio.timeout(30):
        await turn.woken.wait()
    assert (turn.stop_because, turn.end) == (Ending.OUTPUT_LIMIT, None)


async def test_only_the_first_reason_to_stop_counts(type_: Type) -> None:
    turn = await type_(b"sleep 1000")
    turn.ask_to_stop(Ending.INTERRUPTED)
    turn.ask_to_stop(Ending.TIMED_OUT)
    assert turn.stop_because is Ending.INTERRUPTED


@pytest.mark.parametrize(
    "text", [b"", b"echo hi", b"a\tb\nc\r\nd", "grüße".encode(), b"\xff", b"\x1b"]
)
def test_what_can_be_typed_is_accepted(text: bytes) -> None:
    check_action(text)


@pytest.mark.parametrize(
    "code", [code for code in [*range(32), 127] if code not in (0x09, 0x0A, 0x0D, 0x1B)]
)
def test_what_a_terminal_acts_on_is_refused_with_where_it_is_and_the_mend(code: int) -> None:
    with pytest.raises(
        InvalidInput, match=rf"0x{code:02x} at byte 3, .*write it as \$'\\x{code:02x}'"
    ):
        check_action(b"abc" + bytes([code]) + b"d")


@pytest.mark.parametrize(
    ("text", "typed"),
    [
        (b"echo hi", b"\x1b[200~echo hi\x1b[201~\n"),
        (b"a\r\nb\n", b"\x1b[200~a\nb\n\x1b[201~\n"),
        (b"", b"\x1b[200~\x1b[201~\n"),
        (b"a\x1b[201~b", b"\x1b[200~a\x1b[201~\x16\x1b\x1b[200~[201~b\x1b[201~\n"),
    ],
)
def test_an_action_is_pasted_in_one_piece(text: bytes, typed: bytes) -> None:
    assert to_paste(text) == typed


async def test_whatever_breaks_the_reading_loses_the_shell_and_nothing_raises(
    terminal: Terminal, type_: Type, stream: PlayedStream
) -> None:
    def refuse(_: bytes) -> None:
        raise ValueError("nobody expects this")

    turn = await type_(b"echo hi")
    turn.on_output = refuse
    stream.come(b"echo hi\r\n" + ENDS + C + b"hi\r\n" + _prompt())
    assert (await _done(turn)).end is TurnEnd.LOST
    assert terminal.lost
    await terminal.close()


async def test_a_terminal_that_cannot_be_closed_raises_nothing(
    terminal: Terminal, stream: PlayedStream, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse() -> None:
        raise OSError("gone")

    monkeypatch.setattr(stream, "close", refuse)
    await terminal.close()
    assert terminal.lost


async def test_marks_of_another_turn_end_nothing_and_are_not_shown(
    type_: Type, stream: PlayedStream
) -> None:
    await _done_first(type_, stream)
    old = _prompt(9, "/forged").replace(TURN, stream.token)
    turn = await type_(b"echo hi")
    stream.come(b"echo hi\r\n" + ENDS + C + b"hi\r\n" + old + _prompt(0))
    await _done(turn)
    assert turn.prompt == Prompt(0, 7, "/root", "root", "sandbox")
    assert b"133" not in turn.raw.content()


async def _done_first(type_: Type, stream: PlayedStream) -> None:
    turn = await type_(b"true")
    stream.come(b"true\r\n" + ENDS + C + _prompt())
    await _done(turn)


async def test_a_prompt_of_another_process_ends_nothing(type_: Type, stream: PlayedStream) -> None:
    turn = await type_(b"bash")
    stream.come(b"bash\r\n" + ENDS + C + BEGINS + A + b"# " + _says("B", 9, pid=8))
    stream.come(b"exit\r\n" + _prompt(3))
    await _done(turn)
    assert turn.prompt is not None
    assert turn.prompt.status == 3


async def _lose_token(type_: Type, stream: PlayedStream) -> Turn:
    turn = await type_(b"unset __plumb_turn; echo hi")
    lost = _prompt(4).replace(TURN, b"")
    stream.come(b"x\r\n" + ENDS + C + b"hi\r\n" + lost)
    assert await stream.next_typed() == ASK
    stream.come(_says("R", 4).replace(TURN, b""))
    assert await stream.next_typed() == stream.token + ASK
    stream.come(_says("R", 4))
    return await _done(turn)


async def test_a_shell_that_lost_the_token_is_given_it_again(
    type_: Type, stream: PlayedStream
) -> None:
    turn = await _lose_token(type_, stream)
    assert turn.prompt is not None
    assert (_text(turn), turn.prompt.status) == ("hi\n", 4)
    await _done_first(type_, stream)


async def test_a_shell_that_loses_each_token_gets_them_the_way_that_worked(
    type_: Type, terminal: Terminal, stream: PlayedStream
) -> None:
    await _lose_token(type_, stream)
    await _lose_token(type_, stream)
    again = terminal.type(
        b"true", on_output=lambda _: None, max_text_bytes=1024, max_output_bytes=1024
    )
    assert (await stream.next_typed()).endswith(ASK + to_paste(b"true"))
    stream.come(b"")
    await _done(again)


@pytest.mark.parametrize("prefix", [b"(v) ", b"\r\n", b"\x1b[32m(v)\x1b[0m ", b"x" * 1000])
async def test_output_ends_where_readline_announces_a_prompt_whatever_that_begins_with(
    type_: Type, stream: PlayedStream, prefix: bytes
) -> None:
    turn = await type_(b"echo hi")
    prompt = _prompt(1).replace(BEGINS, BEGINS + prefix)
    stream.come(b"echo hi\r\n" + ENDS + C + b"hi\r\n")
    stream.come_bytewise(prompt)
    await _done(turn)
    assert (_text(turn), turn.total_bytes) == ("hi\n", 4)
    assert prefix in turn.raw.content()


async def test_what_a_program_prints_behind_an_announcement_of_its_own_is_output(
    type_: Type, stream: PlayedStream
) -> None:
    turn = await type_(b"printf ...; echo more")
    stream.come(b"x\r\n" + ENDS + C + b"a" + BEGINS + b"b", b"c\r\n" + _prompt(0))
    assert _text(await _done(turn)) == "abc\n"


async def test_a_start_up_file_that_makes_a_prompt_string_readonly_is_named(
    stream: PlayedStream,
) -> None:
    terminal = Terminal(stream, KEY)
    stream.come(f"\x1b]133;E;{KEY};{KEY};PS1\x07".encode(), b"exit\r\n", b"")
    with pytest.raises(SandboxUnavailable, match=r"\(~/.bashrc\) make PS1 readonly; remove that"):
        await terminal.first_prompt()
    await terminal.close()
