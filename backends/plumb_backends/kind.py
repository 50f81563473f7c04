"""What a kind of environment says about itself, for every backend alike."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Protocol

from plumb_backends.environment import Action, Ending, Observation
from plumb_backends.errors import UnknownSuite


@dataclasses.dataclass(frozen=True, slots=True)
class Printed:
    """How many lines of an output are printed by when, in seconds from the action's beginning."""

    seconds: float
    lines: int


@dataclasses.dataclass(frozen=True, slots=True)
class Reply:
    """What a simulator or a recording answers to one action.

    Attributes:
        output: What the environment printed.
        facts: What else the kind asks for (see `Part.facts`); one that is not known is missing.
        thought: What a model thought before; never shown.
        printed: What is printed by when; empty where all is printed at once.
        ledger: What a model notes of the state for its own later turns; never shown.
    """

    output: str
    facts: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    thought: str = ""
    printed: tuple[Printed, ...] = ()
    ledger: str = ""


class Part(Protocol):
    """How a kind is played by something that is not real. `options` are always the kind's own.

    Attributes:
        facts: What a reply holds beside its output: name -> JSON schema. A fact's `type` is one of
            `integer`, `number` and `string`. `ending` is among them, by the words of `Ending`.
        endings_how: How actions end, and what follows: a list in Markdown.
        questions: What each probe suite asks, in words: suite -> question.
        scripts_how: What an init script is, for who writes one: a sentence.
        check_how: What a check of the first state is: a sentence.
    """

    facts: Mapping[str, Mapping[str, object]]
    endings_how: str
    questions: Mapping[str, str]
    scripts_how: str
    check_how: str

    def role(self, options: Any, card: str = "") -> str:
        """What is played, for "You are ...": a few sentences about this very session.

        Args:
            options: The session's.
            card: The image card, where it is known: which system and version it is.
        """
        ...

    def prompt(self, options: Any) -> str:
        """A regular expression for the prompt that the environment would show."""
        ...

    def is_table(self, options: Any) -> bool:
        """Whether output is what the `mysql` client prints."""
        ...

    def reads_like_recordings(self, options: Any) -> bool:
        """Whether a session prints as one with default options does."""
        ...

    def check(self, action: Action) -> None:
        """Checks that something can be typed at all.

        Raises:
            InvalidInput: It cannot.
        """
        ...

    def check_facts(self, facts: Mapping[str, Any]) -> str:
        """Says what is impossible about a reply's facts; empty where nothing is."""
        ...

    def settle(self, ending: Ending, facts: Mapping[str, Any]) -> Mapping[str, Any]:
        """The facts of an action that ended so, as a real environment has them."""
        ...

    def recall(self, text: str, facts: Mapping[str, Any]) -> Mapping[str, Any]:
        """All facts of a turn that was recorded, those that were not recorded as is usual."""
        ...

    def at_rest(self, facts: Mapping[str, Any], options: Any) -> Mapping[str, Any]:
        """The facts where nothing is typed; `facts` are the last action's, if there was one."""
        ...

    def tidy(self, text: str, ending: Ending) -> str:
        """Ends a text as real ones end, for models do so only now and then."""
        ...

    def printed(self, output: bytes, ending: Ending, options: Any) -> bytes:
        """What a real environment would have sent for an output: its ends of lines, its end."""
        ...

    def on_terminal(self, printed: bytes, action: Action, seen: Observation, options: Any) -> bytes:
        """All that a terminal would have sent: what was printed, with what a real one adds."""
        ...

    def complete(self, seen: Observation, reply: Reply, options: Any) -> Observation:
        """Adds what the kind knows: status, typed detail."""
        ...


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of environment. One file in `kinds/` each.

    Attributes:
        name: As on the wire, for example `shell`.
        summary: One sentence for people.
        probe_suites: The names of its probe suites, sorted.
        options_type: What its sessions can be told: a frozen dataclass with defaults, which has
            `max_text_bytes`.
        part: How it is played.
    """

    name: str
    summary: str
    probe_suites: tuple[str, ...]
    options_type: type
    part: Part

    def unknown_suite(self, suite: str) -> UnknownSuite:
        """The error for a suite that there is not."""
        return UnknownSuite(
            f"kind {self.name!r} has no probe suite {suite!r}; "
            f"use one of: {', '.join(self.probe_suites)}"
        )


def card_line(card: str, name: str) -> str:
    """What an image card says of one thing; empty where it says nothing."""
    found = (line.removeprefix(f"{name}: ") for line in card.splitlines()
             if line.startswith(f"{name}: "))  # fmt: skip
    return next(found, "").strip()
