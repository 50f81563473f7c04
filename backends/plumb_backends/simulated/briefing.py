"""What a model is told beside the turns: role, rules, grounding and examples, in a format."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from plumb_backends.kind import Part, Reply
from plumb_backends.simulated.examples import Example, alike
from plumb_backends.simulated.ledger import keeps_ledger
from plumb_backends.simulated.options import SimulatorOptions
from plumb_backends.simulated.prompting import Prompt, hash_of, shipped
from plumb_backends.simulated.reply_format import JsonFormat, TextFormat
from plumb_backends.simulated.tools import uses_tools
from plumb_backends.simulated.world import World

Format = JsonFormat | TextFormat

_OF_EACH_STRATEGY = ("rules", "again", "moment", "alike")


class Briefing:
    """Fills the prompts of one session.

    Args:
        part: How the kind is played.
        kind_options: The session's options of the kind.
        options: How the model is prompted.
        strategy: The strategy's prompt.
        world: What can be told.
        text: Whether replies are plain text; else JSON by a schema.
    """

    def __init__(
        self,
        part: Part,
        kind_options: Any,
        options: SimulatorOptions,
        strategy: Prompt,
        world: World,
        *,
        text: bool,
    ) -> None:
        self._part = part
        self._kind_options = kind_options
        self._options = options
        self._strategy = strategy
        self._world = world
        self._has_ledger = keeps_ledger(strategy) and not text  # a text has no room for one
        self.format: Format = (
            TextFormat(part, reason=options.reason)
            if text
            else JsonFormat(part, reason=options.reason, keeps_ledger=self._has_ledger)
        )

    @property
    def prompt_hash(self) -> str:
        """The digest of every prompt that is used."""
        used = [self._strategy, *map(shipped, _OF_EACH_STRATEGY), *self.format.prompts]
        if self._options.critic:
            used += [shipped("critic"), shipped("critique")]
        if uses_tools(self._strategy):
            used.append(shipped("tools_how"))
        return hash_of(*used)

    def system(self) -> str:
        """What stands before all turns."""
        world = self._world
        return self._strategy.fill(
            role=self._role(),
            rules=self._rules(),
            task=world.task or "No task is given; expect anything.",
            examples=self._written(world.examples) or "(There are none for this format.)",
            card=world.card or "(It is not known more exactly.)",
            scripts=_numbered(world.scripts),
            state=world.state or "(Nothing: it is just as it was installed.)",
            ledger=shipped("ledger_how").fill() if self._has_ledger else "",
            tools=shipped("tools_how").fill(),
        )

    def critic(self) -> str:
        """What the critic is told: never more than the one that it criticises."""
        told, world = self._strategy.fields, self._world
        return shipped("critic").fill(
            role=self._role(),
            rules=self._rules(),
            card=world.card if "card" in told else "(not known)",
            scripts=_numbered(world.scripts) if "scripts" in told else "(not known)",
            state=world.state if "state" in told else "(not known)",
        )

    def examples_of(self, action: str) -> str:
        """Examples of the same commands as an action's; empty where there are none."""
        if "examples" not in self._strategy.fields:
            return ""
        found = alike(self._world.command_examples, action)
        return shipped("alike").fill(examples=self._written(found)) if found else ""

    def past(self, reply: Reply) -> str:
        """A turn that is over, as the model should have written it."""
        # With every field that the schema asks for, or the model learns to leave some out.
        return self.format.write(self._recalled(reply) if self.format.schema else reply)

    def _role(self) -> str:
        """What is played; which system it is, only where the strategy tells the card."""
        card = self._world.card if "card" in self._strategy.fields else ""
        return self._part.role(self._kind_options, card)

    def _rules(self) -> str:
        return shipped("rules").fill(format=self.format.ask(), endings=self._part.endings_how)

    def _written(self, examples: Sequence[Example]) -> str:
        return "\n\n".join(
            f"Action: {example.action}\nAnswer: {self.format.write(self._recalled(example.reply))}"
            for example in examples
        )

    def _recalled(self, reply: Reply) -> Reply:
        """A recorded reply with all facts that are asked for."""
        return dataclasses.replace(reply, facts=self._part.recall(reply.output, reply.facts))


def _numbered(scripts: Sequence[str]) -> str:
    if not scripts:
        return "(There are none: it is just as it was installed.)"
    return "\n\n".join(
        f"Script {number}:\n{script.strip()}" for number, script in enumerate(scripts, 1)
    )
