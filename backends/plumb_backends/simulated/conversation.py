"""What a model is told: the grounding, the turns so far, and the action.

When that is more than the model's context takes, the oldest turns are left out, never the
grounding; how many is said.
"""

import dataclasses
from collections.abc import Sequence

from plumb_backends.errors import ContextFull
from plumb_backends.simulated.messages import Message, estimate_tokens
from plumb_backends.simulated.moment import Moment, Typed


@dataclasses.dataclass(frozen=True, slots=True)
class Exchange:
    """One turn: what was typed, and what the agent saw, in the model's format.

    Attributes:
        action: What was typed.
        content: What is told of the reply.
        typed: When it was typed, and how it ended; None where no clock is told.
        output: What the agent saw of it, as text.
    """

    action: str
    content: str
    typed: Typed | None = None
    output: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Told:
    """What the model is told.

    Attributes:
        messages: The messages.
        dropped: How many of the oldest turns are not among them.
        timeless: The same messages without the time of day, which no reply is found by.
    """

    messages: tuple[Message, ...]
    dropped: int
    timeless: tuple[Message, ...]


class Conversation:
    """One session's conversation.

    Args:
        system: Role, rules and grounding.
        room: How many tokens all messages together may have.
    """

    def __init__(self, system: str, room: int) -> None:
        self.system = system
        self._room = room
        self._turns: list[Exchange] = []
        self._least_dropped = 0

    def copy(self) -> "Conversation":
        """One with the same past, and a future of its own."""
        twin = Conversation(self.system, self._room)
        twin._turns = list(self._turns)
        twin._least_dropped = self._least_dropped
        return twin

    def add(self, turn: Exchange) -> None:
        """Notes a turn."""
        self._turns.append(turn)

    def forget(self) -> None:
        """Goes back to the beginning."""
        self._turns.clear()
        self._least_dropped = 0

    @property
    def turns(self) -> Sequence[Exchange]:
        """The turns so far."""
        return self._turns

    def told(
        self,
        action: str,
        *,
        more: Sequence[Message] = (),
        moment: Moment | None = None,
        aside: str = "",
    ) -> Told:
        """What the model is told for an action.

        Args:
            action: What was typed.
            more: What is said after it: replies that were sent back.
            moment: The clock; None where none is told.
            aside: What is told with this action only, behind the grounding.

        Raises:
            ContextFull: There is no room even without any turn.
        """
        system = f"{self.system}\n\n{aside}" if aside else self.system
        fixed = [system, action]
        if moment:
            fixed.append(moment.told(()))
        room = self._room - sum(map(estimate_tokens, fixed))
        room -= sum(message.tokens for message in more)
        if room < 0:
            raise ContextFull(
                f"grounding and action have about {self._room - room} tokens, and there is room "
                f"for {self._room} (PLUMB_SIMULATOR_CONTEXT_TOKENS); shorten them, or raise that"
            )
        kept = self._fitting(room)
        behind: list[Message] = []
        for turn in kept:
            behind += [Message("user", turn.action), Message("assistant", turn.content)]
        behind += [Message("user", action), *more]
        now, timeless = system, system
        if moment:
            typed = [turn.typed for turn in kept if turn.typed]
            now += f"\n\n{moment.told(typed)}"
            timeless += f"\n\n{moment.told(typed, dated=False)}"
        return Told(
            (Message("system", now), *behind),
            len(self._turns) - len(kept),
            (Message("system", timeless), *behind),
        )

    def drop_more(self) -> bool:
        """Leaves out half of what is told, as the endpoint itself has no room; False at the end."""
        told = len(self._turns) - self._least_dropped
        self._least_dropped += (told + 1) // 2
        return told > 0

    def _fitting(self, room: int) -> list[Exchange]:
        kept: list[Exchange] = []
        for turn in reversed(self._turns[self._least_dropped :]):
            room -= estimate_tokens(turn.action) + estimate_tokens(turn.content)
            room -= estimate_tokens(turn.typed.told()) if turn.typed else 0
            if room < 0:
                break
            kept.append(turn)
        return kept[::-1]
