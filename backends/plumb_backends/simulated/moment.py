"""What a model is told of time: the session's clock, and when the next action is stopped.

It stands at the end of the system message: the grounding before it stays the same from turn to
turn, and the messages of the user are the actions as they were typed.
"""

import dataclasses
from collections.abc import Sequence
from datetime import datetime

from plumb_backends.environment import Ending
from plumb_backends.simulated.prompting import shipped

_TIME, _DAY = "%H:%M:%S", "%Y-%m-%d"
_HOW = {
    Ending.SIGNALED: "killed by a signal",
    Ending.TIMED_OUT: "stopped when its time was up",
    Ending.OUT_OF_MEMORY: "killed for memory",
    Ending.OUTPUT_LIMIT: "stopped, for it printed too much",
    Ending.INTERRUPTED: "interrupted",
    Ending.SHELL_EXITED: "it ended the shell, and a new one took its place",
    Ending.AWAITS_INPUT: "unfinished, and cancelled",
}


@dataclasses.dataclass(frozen=True, slots=True)
class Typed:
    """When an earlier action was typed, and how it ended."""

    at: datetime
    ending: Ending

    def told(self, *, dated: bool = True) -> str:
        """What is said of it."""
        time = self.at.strftime(f"{_DAY} {_TIME}") if dated else "-"
        how = _HOW.get(self.ending)
        return f"{time} ({how})" if how else time


@dataclasses.dataclass(frozen=True, slots=True)
class Moment:
    """The time at which an action is typed.

    Attributes:
        began: When the session began.
        now: The present time of the session.
        timeout: After how many seconds the action is stopped; None for what is no action.
    """

    began: datetime
    now: datetime
    timeout: float | None = None

    def told(self, typed: Sequence[Typed], *, dated: bool = True) -> str:
        """What the model is told.

        Args:
            typed: The earlier actions, in order.
            dated: Whether times of day are said; without them it is what a reply is found by.
        """
        earlier = ", ".join(one.told(dated=dated) for one in typed)
        return shipped("moment").fill(
            began=_day(self.began) if dated else "-",
            now=_day(self.now) if dated else "-",
            earlier=f"The actions above were typed at: {earlier}." if earlier else "",
            stop=""
            if self.timeout is None
            else f"Its time is up {self.timeout:g} s later: what still runs then is stopped.",
        )


def _day(at: datetime) -> str:
    return at.strftime(f"%A, {_DAY} at {_TIME} UTC")
