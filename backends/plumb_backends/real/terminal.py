"""The framed terminal: one interactive bash on a pseudo-terminal, cut into turns.

A turn is one action: what was typed, and everything that the terminal sent until bash reads the
next command. The cuts are made by the marks of `marks`; nothing sleeps, and no prompt is guessed.
Each turn has a token, typed in front of its action: marks without it say nothing here.

What is echo and what is output: bash prints mark `C` when a command starts, so everything before
the first `C` of a turn is echo. Where no command starts (a syntax error, a comment), readline's
`ESC [ ? 2004 l` says where the echo ended, or the first newline where readline does not announce
itself. The output ends at the mark `A`; where readline announces itself in front of that, already
there, for a prompt may begin with what somebody put in front of it.

Not here: timeouts, the end of processes, the restart of a lost shell (`shell`).
"""

import asyncio
import enum
import re
from collections.abc import Callable
from typing import Protocol

import structlog

from plumb_backends.capped import Capped
from plumb_backends.environment import OutputSink
from plumb_backends.errors import SandboxUnavailable
from plumb_backends.real.marks import (
    ASK,
    Mark,
    Prompt,
    Scanner,
    new_token,
    to_opening,
    to_prompt,
)
from plumb_backends.real.shell_state import Told
from plumb_backends.real.turn import Turn, TurnEnd

_log = structlog.get_logger(__name__)

COLUMNS, ROWS = 120, 40

_INTERRUPT = b"\x03"
_PASTE_BEGIN, _PASTE_END = b"\x1b[200~", b"\x1b[201~"
_QUOTED_PASTE_END = _PASTE_END + b"\x16\x1b" + _PASTE_BEGIN + b"[201~"  # Ctrl-V, then ESC typed
_DISCARD = b"\x1d" + _PASTE_END + b"\x1d"
"""Ends a token that was half read, then a paste, and discards the line."""

_ECHO_OF_ASK = b"^^"
_READLINE_BEGINS = b"\x1b[?2004h"
_READLINE_ENDS = b"\x1b[?2004l\r"
_ECHO_ENDS = re.compile(re.escape(_READLINE_ENDS) + b"?")
_PLAIN_ECHO_ENDS = re.compile(rb"\n")

_ANSWER_WITHIN = 0.05
"""Seconds after which marks that should follow are taken for lost; they take 0.1 ms."""

_MAX_LOSSES = 2

_MAX_HELD_BYTES = 4 * 1024 * 1024
_MAX_PROMPT_BYTES = 64 * 1024
_MAX_IDLE_BYTES = 256 * 1024
"""What is read and dropped between two turns before the reading pauses: jobs in the background
that print without end must not cost anything."""


class Stream(Protocol):
    """A terminal's two directions."""

    async def read(self) -> bytes:
        """Returns the next piece; empty at the end."""
        ...

    async def write(self, data: bytes) -> None:
        """Types."""
        ...

    async def close(self) -> None:
        """Lets go of it."""
        ...


class _Part(enum.Enum):
    ECHO = "echo"
    OUTPUT = "output"
    ANNOUNCED = "announced"  # readline has announced itself: a prompt, or a program's own doing
    CONTINUATION = "continuation"  # of unfinished input
    PROMPT = "prompt"


class Terminal:
    """An interactive bash with marked prompts, one turn at a time.

    Args:
        stream: The pseudo-terminal, its bash about to start with `guest/rc.bash`.
        key: The key that its marks carry.
    """

    def __init__(self, stream: Stream, key: str) -> None:
        self._stream = stream
        self._key = key
        self._scanner = Scanner(key)
        self._part = _Part.PROMPT
        self._held = bytearray()  # this part's content, while it is not known what it will be
        self._recent = b""
        self._plain = False  # readline did not announce itself at the last prompt
        self._token = key  # until the first action
        self._pid: int | None = None
        self._losses = 0  # turns in a row whose token did not reach the shell at first
        self._action = b""
        self._heard = False
        self.told = Told()
        self._asked = False
        self._renewed = False  # the turn's token has been typed again
        self._unfinished = False  # bash has asked for more of the turn's input
        self._cancelled = False  # a prompt has come since then
        self._timer: asyncio.TimerHandle | None = None
        self._idle_bytes = 0
        self._wanted = asyncio.Event()
        self._writes: set[asyncio.Task[None]] = set()
        self._lost = False
        self._readonly = ""  # the variable of ours that a start-up file has made so
        self._blind = False  # standard error is not the terminal: no echo, no prompts
        self._start = _silent_turn()
        self._turn: Turn | None = self._start
        self._pump = asyncio.create_task(self._read())

    @property
    def lost(self) -> bool:
        """Whether the shell is gone."""
        return self._lost

    @property
    def ended_in_silence(self) -> bool:
        """Whether the shell is gone without a word, and without a prompt."""
        is_silent = not (self._readonly or self._start.raw.content())
        return self._lost and self._start.prompt is None and is_silent

    async def first_prompt(self) -> Prompt:
        """Waits until bash has started.

        Raises:
            SandboxUnavailable: It ended instead.
        """
        await self._start.done.wait()
        if self._start.prompt is not None:
            return self._start.prompt
        if self._readonly:
            raise SandboxUnavailable(
                f"the session's bash cannot be used: its start-up files (~/.bashrc) make "
                f"{self._readonly} readonly; remove that"
            )
        said = self._start.raw.content().decode(errors="replace").replace(self._key, "").strip()
        raise SandboxUnavailable(
            f"the session's bash did not start ({said or 'it said nothing'}); "
            "the image must hold bash 4.4 or later"
        )

    def type(
        self, text: bytes, *, on_output: OutputSink, max_text_bytes: int, max_output_bytes: int
    ) -> Turn:
        """Types one action and begins its turn. The turn before must have ended."""
        turn = Turn(
            Capped(max_text_bytes),
            Capped(max_text_bytes),
            on_output,
            max_output_bytes=max_output_bytes,
        )
        self._turn = turn
        turn.ran = self._blind
        self._part = _Part.OUTPUT if self._blind else _Part.ECHO
        self._held.clear()
        self._asked = self._renewed = self._unfinished = False
        self._wanted.set()
        if self._lost:
            turn.finish(TurnEnd.LOST, None)
        else:
            self._action, self._heard = to_paste(text), False
            self._write_soon(self._opening() + self._action)
        return turn

    @property
    def heard(self) -> bool:
        """Whether the shell has been seen to read the action; a blind one cannot be."""
        return self._heard or self._blind or (not self._plain and self._end_of_echo() is not None)

    def retype(self) -> None:
        """Types the action again, which somebody else has read."""
        self._losses = 0
        self._write_soon(_DISCARD + self._opening() + self._action)

    def _opening(self) -> bytes:
        self._token = new_token()
        if self._losses < _MAX_LOSSES:
            return to_opening(self._token)
        return self._token.encode() + ASK  # the way that worked

    def interrupt(self) -> asyncio.Task[None]:
        """Types Ctrl-C; what is returned ends when that is done."""
        return self._write_soon(_INTERRUPT)

    async def close(self) -> None:
        """Lets go of the terminal. Never raises."""
        self._cancel_timer()
        tasks = [self._pump, *self._writes]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._lose()
        try:
            await self._stream.close()
        except Exception as error:  # noqa: BLE001 - whatever it was, the sandbox must go next
            _log.warning("a terminal was not closed", error=repr(error))

    def hang_up(self) -> None:
        """Stops reading: the shell is lost."""
        self._pump.cancel()

    # Writing. A full terminal blocks the writer; the reading must go on meanwhile.

    def _write_soon(self, data: bytes) -> asyncio.Task[None]:
        task = asyncio.create_task(self._write(data))
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)
        return task

    async def _write(self, data: bytes) -> None:
        try:
            await self._stream.write(data)
        except SandboxUnavailable:
            self._lose()

    # Reading.

    async def _read(self) -> None:
        try:
            while data := await self._stream.read():
                for piece in self._scanner.feed(data):
                    if isinstance(piece, Mark):
                        self._see_mark(piece)
                    else:
                        self._see_content(piece)
                await self._rest_when_idle(len(data))
        except SandboxUnavailable:
            pass  # the end of the stream and its breaking mean the same here: the shell is lost
        except Exception:  # noqa: BLE001 - whatever it was, it is this shell's alone
            _log.exception("a terminal cannot be read on; its shell is lost")
        finally:
            self._lose()

    async def _rest_when_idle(self, size: int) -> None:
        if self._turn is not None:
            self._idle_bytes = 0
            return
        self._idle_bytes += size
        if self._idle_bytes > _MAX_IDLE_BYTES:
            self._wanted.clear()
            await self._wanted.wait()

    def _lose(self) -> None:
        self._lost = True
        self._cancel_timer()
        turn, self._turn = self._turn, None
        if turn is None or turn.end is not None:
            return
        try:
            if self._part is not _Part.CONTINUATION:
                self._release(turn)
            turn.finish(TurnEnd.LOST, None)
        except Exception:  # noqa: BLE001 - whoever waits for the turn has been told of its end
            _log.exception("the output of a lost shell cannot be rendered to its end")

    def _finish(self, end: TurnEnd, prompt: Prompt | None) -> None:
        self._cancel_timer()
        turn, self._turn = self._turn, None
        if self._renewed:
            self._losses += 1
        elif self._losses < _MAX_LOSSES:
            self._losses = 0
        if turn is not None:
            turn.finish(end, prompt)

    def _see_content(self, data: bytes) -> None:
        turn = self._turn
        if turn is None:
            return
        if self._asked:  # before readline has the terminal, that echoes what is typed
            data = data.replace(self._token.encode(), b"").replace(_ECHO_OF_ASK, b"", 1)
        if turn is self._start and self.told.is_open:
            self.told.add(data)
            return
        turn.raw.add(data)
        self._recent = (self._recent + data)[-len(_READLINE_BEGINS) :]
        match self._part:
            case _Part.OUTPUT | _Part.ANNOUNCED:
                self._see_output(turn, data)
            case _:
                self._held += data[: _MAX_HELD_BYTES - len(self._held)]

    def _see_output(self, turn: Turn, data: bytes) -> None:
        """Passes output on, but for what follows readline's announcement: that may be a prompt."""
        data = bytes(self._held) + data
        self._held.clear()
        begins = data.rfind(_READLINE_BEGINS)
        if begins >= 0 and len(data) - begins < _MAX_PROMPT_BYTES:
            if self._part is _Part.OUTPUT or begins > 0:
                self._part = _Part.ANNOUNCED
                self._schedule(self._ask)  # where no marked prompt follows
        else:
            self._part = _Part.OUTPUT
            begins = _end_of_unannounced(data)
        self._held += data[begins:]
        if begins > 0:
            turn.output(data[:begins])

    def _see_mark(self, mark: Mark) -> None:
        turn = self._turn
        if turn is None:
            return
        if mark.token != self._token:
            self._see_stale(mark)
            return
        self._heard = True
        match mark.letter:
            case "C":
                self._command_starts(turn)
            case "A":
                self._prompt_begins(turn)
            case "P":
                self._reads_more(turn)
            case "X":
                self._shows_nothing(turn)
            case "E" | "S":
                self._starts_up(turn, mark)
            case _:
                self._see_prompt(turn, mark)

    def _shows_nothing(self, turn: Turn) -> None:
        """Standard error is no terminal; a prompt that shows was printed before."""
        if turn is self._start or self._part not in (_Part.PROMPT, _Part.CONTINUATION):
            self._blind = True
            self._ask()

    def _starts_up(self, turn: Turn, mark: Mark) -> None:
        """Takes a mark of the start-up file; an action's own, which looks like one, is none."""
        if turn is not self._start:
            return
        if mark.letter == "S":
            self.told.mark()
        else:
            [self._readonly] = mark.fields

    def _see_prompt(self, turn: Turn, mark: Mark) -> None:
        prompt = to_prompt(mark)
        if self._pid not in (None, prompt.pid):
            return  # a bash below ours
        self._pid = prompt.pid
        if mark.letter == "B":
            self._prompt_ends(prompt)
        else:
            self._answered(turn, mark.letter, prompt)

    def _see_stale(self, mark: Mark) -> None:
        """Looks at a mark without the turn's token: a forged one, or bash has lost the token.

        The second is only found out by asking, and by typing the token again.
        """
        match mark.letter:
            case "C":
                self._heard = True
            case "B" if self._part is _Part.ECHO and self._end_of_echo():
                self._schedule(self._ask)
            case "R" | "N" if self._asked and not self._renewed:
                self._renewed = True
                self._write_soon(self._token.encode() + ASK)

    def _command_starts(self, turn: Turn) -> None:
        self._cancel_timer()
        if self._part in (_Part.PROMPT, _Part.ANNOUNCED):
            self._release(turn)  # it was no prompt: the action printed our marks
        self._enter(_Part.OUTPUT)
        turn.ran = True

    def _prompt_begins(self, turn: Turn) -> None:
        self._cancel_timer()
        if self._part is _Part.ECHO and not self._end_of_echo():
            return  # a prompt from before what we typed
        self._cancelled = True
        # On a terminal that readline tells when it reads, it was readline that did so last.
        announced = self._part is _Part.ANNOUNCED and (
            not self._plain or self._held == _READLINE_BEGINS
        )
        if not announced:
            self._release(turn)
        self._plain = not (announced or self._recent.endswith(_READLINE_BEGINS))
        if self._part is not _Part.CONTINUATION:
            self._enter(_Part.PROMPT)

    def _prompt_ends(self, prompt: Prompt) -> None:
        """Ends the turn, if this is a prompt of readline's.

        A prompt that readline did not announce is one on a dumb terminal, or was printed by the
        action itself: then readline is asked. Where it was asked already its answer comes first,
        lest it be taken for the end of the next turn.
        """
        if self._part not in (_Part.PROMPT, _Part.CONTINUATION):
            return
        self._blind = False
        if self._part is _Part.CONTINUATION:  # our Ctrl-C must have come in, too
            self._finish_unless_answered(prompt)
        elif self._plain:
            self._asked = False  # what was asked before this prompt may have been answered then
            self._ask()
        elif self._asked:
            self._finish_unless_answered(prompt)
        else:
            self._finish_input(prompt)

    def _reads_more(self, turn: Turn) -> None:
        if self._part is _Part.ECHO:
            self._release(turn)
        if self._part not in (_Part.CONTINUATION, _Part.PROMPT):
            self._enter(_Part.CONTINUATION)
            self._unfinished, self._cancelled = True, False
            self.interrupt()
            self._schedule(self._ask)  # readline can miss the signal until the next key wakes it

    def _answered(self, turn: Turn, letter: str, prompt: Prompt) -> None:
        if not self._asked:
            return
        if self._part is _Part.CONTINUATION and not self._cancelled:
            self._asked = False  # that was for the unfinished input; the prompt gets its own
            return
        if letter == "N":
            self._renew_prompt()
        else:
            if self._part is _Part.ECHO:
                self._release(turn)
            self._finish_input(prompt)

    def _finish_unless_answered(self, prompt: Prompt) -> None:
        self._ask()
        self._schedule(lambda: self._finish_input(prompt))

    def _finish_input(self, prompt: Prompt) -> None:
        self._finish(TurnEnd.UNFINISHED if self._unfinished else TurnEnd.PROMPT, prompt)

    def _enter(self, part: _Part) -> None:
        self._part = part
        self._held.clear()

    def _end_of_echo(self) -> re.Match[bytes] | None:
        return (_PLAIN_ECHO_ENDS if self._plain else _ECHO_ENDS).search(self._held)

    def _release(self, turn: Turn) -> None:
        """Gives that part of what was held to the output which belongs there."""
        held = bytes(self._held)
        match self._part:
            case _Part.ECHO:  # behind the echo: bash's complaint about the syntax
                echo_end = self._end_of_echo()
                held = held[echo_end.end() :] if echo_end else b""
                begins = held.rfind(_READLINE_BEGINS)
                held = held[:begins] if begins >= 0 else held
            case _Part.CONTINUATION:  # the continuation prompt, up to our own Ctrl-C
                held = held.partition(b"^C")[0]
        self._held.clear()
        if held := held.removesuffix(_READLINE_BEGINS):
            turn.output(held)

    # Asking readline: for a prompt that came without its marks.

    def _schedule(self, action: Callable[[], None]) -> None:
        self._cancel_timer()
        self._timer = asyncio.get_running_loop().call_later(_ANSWER_WITHIN, action)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _renew_prompt(self) -> None:
        """Types an empty line, for a prompt with its marks; where none comes, asks again."""
        self._asked = False
        self._enter(_Part.ECHO)
        self._write_soon(b"\n")
        self._schedule(self._ask)

    def _ask(self) -> None:
        if self._part is _Part.ANNOUNCED:
            self._schedule(self._give_up_prompt)
        if not self._asked:
            self._asked = True
            self._write_soon(ASK)

    def _give_up_prompt(self) -> None:
        """Takes for output what readline would have said more of."""
        if self._turn is not None and self._part is _Part.ANNOUNCED:
            self._release(self._turn)
            self._part = _Part.OUTPUT


def _end_of_unannounced(data: bytes) -> int:
    """Where output ends that cannot be the beginning of readline's announcement."""
    start = data.rfind(b"\x1b", -len(_READLINE_BEGINS))
    return start if start >= 0 and _READLINE_BEGINS.startswith(data[start:]) else len(data)


def to_paste(text: bytes) -> bytes:
    """What to type so that bash reads the whole action as one edit buffer, and accepts it."""
    text = text.replace(b"\r\n", b"\n").replace(_PASTE_END, _QUOTED_PASTE_END)
    return _PASTE_BEGIN + text + _PASTE_END + b"\n"


def without_announcements(raw: bytes) -> bytes:
    """What a dumb terminal would have been sent: readline does not tell one that it takes pastes.

    Ours does on every terminal, for that is how the end of an echo and of a turn are found.
    """
    return raw.replace(_READLINE_ENDS, b"").replace(_READLINE_BEGINS, b"")


def _silent_turn() -> Turn:
    return Turn(Capped(4096), Capped(4096), lambda _: None, max_output_bytes=1 << 62)
