"""One action on a terminal: what it has printed so far, and why it ended or shall end."""

import asyncio
import codecs
import dataclasses
import enum
from collections.abc import Callable

from plumb_backends.capped import Capped
from plumb_backends.environment import Ending
from plumb_backends.real.marks import Prompt
from plumb_fidelity.signature import TextRenderer


class TurnEnd(enum.Enum):
    """Why a turn ended."""

    PROMPT = "prompt"  # bash reads the next command
    UNFINISHED = "unfinished"  # the input was unfinished, and has been cancelled
    LOST = "lost"  # the shell is gone


@dataclasses.dataclass(slots=True)
class Turn:
    """One action under way, or done.

    Attributes:
        end: Why it ended; None while it goes on.
        prompt: What the prompt after it says; None unless there was one.
        raw: Everything that the terminal sent, without our marks.
        text: The rendered output.
        total_bytes: How much the action has written.
        ran: Whether a command has started: not so for a comment, or an error of syntax.
        woken: Is set when the turn has ended, or somebody wants it to.
        stop_because: Why somebody wants it to end.
    """

    raw: Capped
    text: Capped
    on_output: Callable[[bytes], None]
    end: TurnEnd | None = None
    prompt: Prompt | None = None
    total_bytes: int = 0
    ran: bool = False
    max_output_bytes: int = 0
    stop_because: Ending | None = None
    woken: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)
    done: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)
    _renderer: TextRenderer = dataclasses.field(default_factory=TextRenderer)
    _decoder: codecs.IncrementalDecoder = dataclasses.field(
        default_factory=lambda: codecs.getincrementaldecoder("utf-8")("replace")
    )

    def output(self, data: bytes) -> None:
        """Takes what the action wrote."""
        self.total_bytes += len(data)
        if self.total_bytes > self.max_output_bytes:
            self.ask_to_stop(Ending.OUTPUT_LIMIT)
        self._add_text(self._renderer.feed(data))
        self.on_output(data)

    def ask_to_stop(self, because: Ending) -> None:
        """Wakes whoever waits; only the first reason counts."""
        self.stop_because = self.stop_because or because
        self.woken.set()

    def finish(self, end: TurnEnd, prompt: Prompt | None) -> None:
        """Ends the turn, whatever comes of its text; only the first end counts."""
        if self.end is not None:
            return
        try:
            self._add_text(self._renderer.finish(), final=True)
        finally:
            self.end, self.prompt = end, prompt
            self.woken.set()
            self.done.set()

    def _add_text(self, data: bytes, *, final: bool = False) -> None:
        """Adds text; made valid first, for a byte that is not UTF-8 becomes three."""
        self.text.add(self._decoder.decode(data, final).encode())
