"""What can be told of a session's world: its task, its grounding, and recorded turns of others."""

import dataclasses
from collections.abc import Sequence

from plumb_backends.simulated.cassette import digest_of
from plumb_backends.simulated.examples import Example


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What can be told of a session's world; a strategy takes what it names.

    Attributes:
        task: What the agent is to do.
        examples: Recorded real turns of other sessions, which are always shown.
        command_examples: More of them, which are shown with actions of the same commands.
        card: What was there before them; empty where it is not known.
        scripts: The init scripts, in order.
        state: What those really left; empty where the strategy does not tell it.
    """

    task: str = ""
    examples: Sequence[Example] = ()
    command_examples: Sequence[Example] = ()
    card: str = ""
    scripts: Sequence[str] = ()
    state: str = ""

    @property
    def digest(self) -> str:
        """A digest of the grounding, whether it is told or not."""
        return digest_of(
            {
                "task": self.task,
                "card": self.card,
                "scripts": list(self.scripts),
                "state": self.state,
            }
        )

    @property
    def texts(self) -> Sequence[str]:
        """All texts of the world."""
        return (*self.scripts, self.state, self.card, self.task)
