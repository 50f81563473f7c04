"""One step or probe under way: its clocks, what it took, and what was not taken."""

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager

from plumb_backends.environment import Provenance
from plumb_backends.errors import PlumbError
from plumb_backends.simulated.asking import Spent
from plumb_backends.simulated.messages import Message
from plumb_backends.simulated.moment import Moment
from plumb_backends.simulated.options import SimulatorOptions


@dataclasses.dataclass(slots=True)
class Attempt:
    """One step or probe under way.

    Attributes:
        action: What was typed, or asked.
        deadline: When to give up, on the event loop's clock.
        moment: When it was typed, on the session's clock.
        spent: What the questions took.
        samples: How many replies were sampled.
        dropped: How many turns the model was not told, at most.
        rejections: Why replies were not taken, in order.
        flags: What is doubtful about the one that was.
        tool_calls: How many calls of tools were answered.
        worked_out: Calls of tools and their results, which every later question tells again.
    """

    action: str
    deadline: float
    moment: Moment
    spent: Spent = dataclasses.field(default_factory=Spent)
    samples: int = 0
    dropped: int = 0
    rejections: list[str] = dataclasses.field(default_factory=list)
    flags: tuple[str, ...] = ()
    tool_calls: int = 0
    worked_out: list[Message] = dataclasses.field(default_factory=list)

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Notes on an error what the questions took, for that is paid, too."""
        try:
            yield
        except PlumbError as error:
            error.metadata |= {
                "prompt_tokens": str(self.spent.prompt_tokens),
                "completion_tokens": str(self.spent.completion_tokens),
                "cost_usd": repr(self.spent.usd),
            }
            raise

    def provenance(
        self, options: SimulatorOptions, prompt_hash: str, *, thought: str = ""
    ) -> Provenance:
        """Where what came of it comes from."""
        spent = self.spent
        return Provenance(
            backend="simulated",
            model=options.model,
            strategy=options.label,
            cassette_hit=spent.all_from_cassette,
            attempts=self.samples,
            prompt_tokens=spent.prompt_tokens,
            completion_tokens=spent.completion_tokens,
            rejections=tuple(self.rejections),
            flags=self.flags,
            dropped_turns=self.dropped,
            prompt_hash=prompt_hash,
            thought=thought,
            cost_usd=spent.usd,
            tool_calls=self.tool_calls,
        )
