"""One action on a terminal: what it has printed so far, and why it ended or shall end."""

import asyncio
import dataclasses
import enum
from collections.abc import Callable

from plumb_backends.capped import Capped
from plumb_backends.environment import Ending
from plumb_backends.real.marks import Prompt
from plumb_backends.rendering import BoundedRendering


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
        text: The rendered output; whole after `rendered`.
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
    _rendering: BoundedRendering = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        self._rendering = BoundedRendering(self.text, f"turn {id(self)}")

    def output(self, data: bytes) -> None:
        """Takes what the action wrote."""
        self.total_bytes += len(data)
        if self.total_bytes > self.max_output_bytes:
            self.ask_to_stop(Ending.OUTPUT_LIMIT)
        self._rendering.feed(data)
        self.text = self._rendering.text
        self.on_output(data)

    def ask_to_stop(self, because: Ending) -> None:
        """Wakes whoever waits; only the first reason counts."""
        self.stop_because = self.stop_because or because
        self.woken.set()

    def finish(self, end: TurnEnd, prompt: Prompt | None) -> None:
        """Ends the turn; only the first end counts."""
        if self.end is None:
            self._rendering.end()
            self.text = self._rendering.text
            self.end, self.prompt = end, prompt
            self.woken.set()
            self.done.set()

    async def rendered(self, seconds: float) -> None:
        """Waits until `text` is whole, after the end; see `BoundedRendering.wait`."""
        await self._rendering.wait(seconds)
        self.text = self._rendering.text
