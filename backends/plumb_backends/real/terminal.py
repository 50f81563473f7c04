"""The framed terminal: one interactive bash on a pseudo-terminal, cut into turns.

A turn is one action: what was typed, and everything that the terminal sent until bash reads the
next command. The cuts are made by the keyed marks of `marks`; nothing sleeps, and no prompt is
guessed.

What is echo and what is output: bash prints mark `C` when a command starts, so everything before
the first `C` of a turn is echo. Where no command starts (a syntax error, a comment), readline's
`ESC [ ? 2004 l` says where the echo ended, or the first newline where readline does not announce
itself.

Not here: timeouts, the end of processes, the restart of a lost shell (`shell`).
"""

import asyncio
import contextlib
import enum
import re
from collections.abc import Callable
from typing import Protocol

from plumb_backends.capped import Capped
from plumb_backends.environment import OutputSink
from plumb_backends.errors import SandboxUnavailable
from plumb_backends.real.marks import ASK, Mark, Prompt, Scanner, to_prompt
from plumb_backends.real.turn import Turn, TurnEnd

COLUMNS, ROWS = 120, 40

_INTERRUPT = b"\x03"
_PASTE_BEGIN, _PASTE_END = b"\x1b[200~", b"\x1b[201~"
_QUOTED_PASTE_END = _PASTE_END + b"\x16\x1b" + _PASTE_BEGIN + b"[201~"  # Ctrl-V, then ESC typed
_ECHO_OF_ASK = b"^^"
_READLINE_BEGINS = b"\x1b[?2004h"
_READLINE_ENDS = b"\x1b[?2004l\r"
_ECHO_ENDS = re.compile(re.escape(_READLINE_ENDS) + b"?")
_PLAIN_ECHO_ENDS = re.compile(rb"\n")

_ANSWER_WITHIN = 0.05
"""Seconds after which marks that should follow are taken for lost; they take 0.1 ms."""

_MAX_HELD_BYTES = 4 * 1024 * 1024
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
        self._asked = False
        self._cancelled = False  # a prompt has come since the input was seen to be unfinished
        self._timer: asyncio.TimerHandle | None = None
        self._idle_bytes = 0
        self._wanted = asyncio.Event()
        self._writes: set[asyncio.Task[None]] = set()
        self._lost = False
        self._blind = False  # standard error is not the terminal: no echo, no prompts
        self._start = _silent_turn()
        self._turn: Turn | None = self._start
        self._pump = asyncio.create_task(self._read())

    @property
    def lost(self) -> bool:
        """Whether the shell is gone."""
        return self._lost

    async def first_prompt(self) -> Prompt:
        """Waits until bash has started.

        Raises:
            SandboxUnavailable: It ended instead.
        """
        await self._start.done.wait()
        if self._start.prompt is not None:
            return self._start.prompt
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
        self._asked = False
        self._wanted.set()
        if self._lost:
            turn.finish(TurnEnd.LOST, None)
        else:
            self._write_soon(to_paste(text))
        return turn

    def interrupt(self) -> asyncio.Task[None]:
        """Types Ctrl-C; what is returned ends when that is done."""
        return self._write_soon(_INTERRUPT)

    async def close(self) -> None:
        """Lets go of the terminal."""
        self._cancel_timer()
        self._pump.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._pump
        for write in list(self._writes):
            write.cancel()
        await asyncio.gather(*self._writes, return_exceptions=True)
        self._lose()
        await self._stream.close()

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
        if self._turn is not None:
            if self._part in (_Part.ECHO, _Part.PROMPT):
                self._release()
            self._turn.finish(TurnEnd.LOST, None)

    def _finish(self, end: TurnEnd, prompt: Prompt | None) -> None:
        self._cancel_timer()
        if self._turn is not None:
            self._turn.finish(end, prompt)
            self._turn = None

    def _see_content(self, data: bytes) -> None:
        turn = self._turn
        if turn is None:
            return
        if self._asked:  # before readline has the terminal, that echoes what is typed
            data = data.replace(_ECHO_OF_ASK, b"", 1)
        turn.raw.add(data)
        self._recent = (self._recent + data)[-len(_READLINE_BEGINS) :]
        if self._part is _Part.OUTPUT:
            turn.output(self._without_announcement(data))
        else:
            self._held += data[: _MAX_HELD_BYTES - len(self._held)]

    def _without_announcement(self, data: bytes) -> bytes:
        """Takes readline's announcement off; asks where no marked prompt follows it."""
        if _READLINE_BEGINS in data:
            self._schedule(self._ask)
        return data.removesuffix(_READLINE_BEGINS)

    def _see_mark(self, mark: Mark) -> None:
        if self._turn is None:
            return
        match mark.letter:
            case "C":
                self._command_starts()
            case "A":
                self._prompt_begins()
            case "B":
                self._prompt_ends(mark)
            case "P":
                self._reads_more()
            case "X":
                self._blind = True
                self._ask()
            case "R" | "N":
                self._answered(mark)

    def _command_starts(self) -> None:
        self._cancel_timer()
        if self._part is _Part.PROMPT:  # it was no prompt: the action printed our marks
            self._release()
        self._enter(_Part.OUTPUT)
        if self._turn is not None:
            self._turn.ran = True

    def _prompt_begins(self) -> None:
        self._cancel_timer()
        if self._part is _Part.ECHO and not self._end_of_echo():
            return  # a prompt from before what we typed
        self._cancelled = True
        if self._part is not _Part.OUTPUT:
            self._release()
        self._plain = not self._recent.endswith(_READLINE_BEGINS)
        if self._part is not _Part.CONTINUATION:
            self._enter(_Part.PROMPT)

    def _prompt_ends(self, mark: Mark) -> None:
        """Ends the turn, if this is a prompt of readline's.

        A prompt that readline did not announce is one on a dumb terminal, or was printed by the
        action itself: then readline is asked. Where it was asked already its answer comes first,
        lest it be taken for the end of the next turn.
        """
        if self._part not in (_Part.PROMPT, _Part.CONTINUATION):
            return
        self._blind = False
        if self._plain:
            self._asked = False  # what was asked before this prompt may have been answered then
            self._ask()
        elif self._asked:
            self._schedule(lambda: self._finish_input(mark))
        else:
            self._finish_input(mark)

    def _reads_more(self) -> None:
        if self._part is _Part.ECHO:
            self._release()
        if self._part is not _Part.CONTINUATION:
            self._enter(_Part.CONTINUATION)
            self._cancelled = False
            self.interrupt()
            self._schedule(self._ask)  # readline can miss the signal until the next key wakes it

    def _answered(self, mark: Mark) -> None:
        if not self._asked or (self._part is _Part.CONTINUATION and not self._cancelled):
            return
        if mark.letter == "N":
            self._renew_prompt()
        else:
            self._finish_input(mark)

    def _finish_input(self, mark: Mark) -> None:
        unfinished = self._part is _Part.CONTINUATION
        self._finish(TurnEnd.UNFINISHED if unfinished else TurnEnd.PROMPT, to_prompt(mark))

    def _enter(self, part: _Part) -> None:
        self._part = part
        self._held.clear()

    def _end_of_echo(self) -> re.Match[bytes] | None:
        return (_PLAIN_ECHO_ENDS if self._plain else _ECHO_ENDS).search(self._held)

    def _release(self) -> None:
        """Gives that part of what was held to the output which belongs there."""
        held = bytes(self._held)
        match self._part:
            case _Part.ECHO:  # behind the echo: bash's complaint about the syntax
                echo_end = self._end_of_echo()
                held = held[echo_end.end() :] if echo_end else b""
            case _Part.CONTINUATION:  # the continuation prompt, up to our own Ctrl-C
                held = held.partition(b"^C")[0]
        self._held.clear()
        if self._turn is not None:
            self._turn.output(held.removesuffix(_READLINE_BEGINS))

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
        if not self._asked:
            self._asked = True
            self._write_soon(ASK)


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
