"""What a model is told: the grounding, the turns so far, and the action.

When that is more than the model's context takes, the oldest turns are left out, never the
grounding; how many is said.
"""

import dataclasses
from collections.abc import Sequence

from plumb_backends.errors import ContextFull
from plumb_backends.simulated.messages import Message, estimate_tokens


@dataclasses.dataclass(frozen=True, slots=True)
class Exchange:
    """One turn: what was typed, and what the model replied, in its own format."""

    action: str
    content: str


@dataclasses.dataclass(frozen=True, slots=True)
class Told:
    """The messages, and how many of the oldest turns are not among them."""

    messages: tuple[Message, ...]
    dropped: int


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

    def told(self, action: str, *, more: Sequence[Message] = ()) -> Told:
        """What the model is told for an action.

        Args:
            action: What was typed.
            more: What is said after it: replies that were sent back.

        Raises:
            ContextFull: There is no room even without any turn.
        """
        fixed = [self.system, action, *(message.content for message in more)]
        room = self._room - sum(map(estimate_tokens, fixed))
        if room < 0:
            raise ContextFull(
                f"grounding and action have about {self._room - room} tokens, and there is room "
                f"for {self._room} (PLUMB_SIMULATOR_CONTEXT_TOKENS); shorten them, or raise that"
            )
        kept = self._fitting(room)
        messages = [Message("system", self.system)]
        for turn in kept:
            messages += [Message("user", turn.action), Message("assistant", turn.content)]
        return Told((*messages, Message("user", action), *more), len(self._turns) - len(kept))

    def drop_more(self) -> bool:
        """Leaves out half of what is told, as the endpoint itself has no room; False at the end."""
        told = len(self._turns) - self._least_dropped
        self._least_dropped += (told + 1) // 2
        return told > 0

    def _fitting(self, room: int) -> list[Exchange]:
        kept: list[Exchange] = []
        for turn in reversed(self._turns[self._least_dropped :]):
            room -= estimate_tokens(turn.action) + estimate_tokens(turn.content)
            if room < 0:
                break
            kept.append(turn)
        return kept[::-1]
