"""What must have happened in one session, told from what was asked and answered."""

from __future__ import annotations

import dataclasses

from plumb.v1 import environment_pb2 as wire


class Violation(AssertionError):
    """Something was lost, doubled, crossed or leaked, or an error came that nothing excuses."""


@dataclasses.dataclass(frozen=True, slots=True)
class Answered:
    """A step that was answered with an observation."""

    action: str
    text: str


@dataclasses.dataclass(slots=True)
class Episode:
    """One session of one player.

    Attributes:
        born: How many servers there had been when its creation was answered.
        healed: How often its sandbox had been struck when its last good reset was asked for.
        name: The server's name for it, once it has one.
        last: The index of the last step that was answered, in whatever way.
        answered: By index.
        kept: The tokens that the environment must hold, in order: one for each step that ran since
            the last reset.
        asked: The token and the action that were asked for and not answered yet.
        given_up: The same, of one that nobody will ask for again: it ran once or not at all.
    """

    kind: str
    born: int = 0
    healed: int = 0
    name: str = ""
    last: int = 0
    answered: dict[int, Answered] = dataclasses.field(default_factory=dict)
    kept: list[str] = dataclasses.field(default_factory=list)
    asked: tuple[str, str] | None = None
    given_up: tuple[str, str] | None = None

    def take(self, index: int, text: str, counted: int) -> None:
        """Takes the answer to `asked`: what it says must be what must have happened.

        Args:
            index: The step's, as answered.
            text: What the agent read.
            counted: How many tokens the environment says that it holds.

        Raises:
            Violation: It is not.
        """
        assert self.asked is not None
        token, action = self.asked
        if self.given_up is not None and index == self.last + 2:  # it ran after all
            self.kept.append(self.given_up[0])
            self.last += 1
        if index != self.last + 1:
            raise Violation(f"step {self.last + 1} of {self.name} was answered as step {index}")
        if token not in text:
            raise Violation(f"step {index} of {self.name} is {token}, and was answered {text!r}")
        self.kept.append(token)
        if counted != len(self.kept):
            raise Violation(
                f"step {index} of {self.name} ({token}) found {counted} tokens, not "
                f"{len(self.kept)}"
            )
        self.last = index
        self.answered[index] = Answered(action, text)
        self.asked = self.given_up = None

    def is_reset(self, last: int) -> None:
        """Takes that it went back to the grounded state; step numbers go on.

        Args:
            last: The last step's index, as the server says.

        Raises:
            Violation: It is neither what was answered, nor that and what was asked since.
        """
        most = self.last + (self.asked is not None) + (self.given_up is not None)
        if not self.last <= last <= most:
            raise Violation(f"{self.name} is at step {last} after a reset, and was at {self.last}")
        if last > self.last:  # else what was given up may still be on its way
            self.given_up = None
        self.last = last
        self.kept.clear()
        self.asked = None

    def check_kept(self, tokens: list[str]) -> None:
        """Checks what the environment holds at the end."""
        if tokens != self.kept:
            raise Violation(f"{self.name} holds {tokens}, and must hold {self.kept}")

    def check_journal(self, journaled: dict[int, tuple[bytes, bytes | None]]) -> None:
        """Checks what the journal has of it: (action, serialised Observation) by index."""
        for index, answer in self.answered.items():
            action, observation = journaled.get(index, (b"", None))
            text = wire.Observation.FromString(observation).text if observation else None
            if (action.decode(), text) != (answer.action, answer.text):
                raise Violation(
                    f"step {index} of {self.name} was answered {answer}, and the journal has "
                    f"{action!r}: {text!r}"
                )
        for index in set(journaled) - set(range(1, self.last + 3)):
            raise Violation(
                f"the journal has a step {index} of {self.name}, which nobody asked for"
            )
