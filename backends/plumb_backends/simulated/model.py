"""A language model that plays an environment.

A strategy says what the model is told, a format how it replies. A reply that breaks format or
character is sampled again, a critic may send it back, and whatever is left in the end is the
observation; a call that fails is an error and never one.

The critic is the Thought-Environment-Critic loop of Raj and Niemerg, "A study on techniques for
improving LLMs as general purpose agents".
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

from plumb_backends.environment import Action, Ending, Observation, Provenance
from plumb_backends.errors import ContextFull, InvalidInput, ModelUnusable
from plumb_backends.kind import Kind, Reply
from plumb_backends.simulated.asking import Endpoint, Spent, deadline_in
from plumb_backends.simulated.budget import Budget
from plumb_backends.simulated.cassette import digest_of, key_of
from plumb_backends.simulated.clock import SessionClock
from plumb_backends.simulated.conversation import Conversation, Exchange
from plumb_backends.simulated.examples import Example, alike
from plumb_backends.simulated.excuses import unexcused
from plumb_backends.simulated.ledger import keeps_ledger
from plumb_backends.simulated.ledger import told as ledger_told
from plumb_backends.simulated.messages import ChatReply, ChatRequest, Message, SchemaUnknown
from plumb_backends.simulated.moment import Moment, Typed
from plumb_backends.simulated.options import SimulatorOptions
from plumb_backends.simulated.outcome import ending_of, settled
from plumb_backends.simulated.prompting import Prompt, hash_of, shipped
from plumb_backends.simulated.reply_format import (
    Fields,
    JsonFormat,
    Malformed,
    TextFormat,
    object_schema,
    read_object,
)
from plumb_backends.simulated.settings import ReplyFormat
from plumb_backends.simulated.stage import Acted
from plumb_fidelity.breaks import find_breaks

MAX_RESAMPLES = 5
"""How often a reply that breaks format or character is sampled again."""

MAX_CRITIQUES = 2

_MOST_SHOWN = 4000
"""Characters of a rejected reply that the model is shown again."""


_PROMPTS = ("rules", "again", "moment", "alike", "ledger_how", "ledger_so_far")

_CRITIC_FIELDS: Fields = {
    "unreal": {"type": "boolean", "description": "whether it is surely not real"},
    "why": {"type": "string", "description": "what is wrong, or an empty text"},
}
_ENTRY = object_schema({"key": {"type": "string"}, "value": {"type": "string"}})
_PROBE_FIELDS: Fields = {"entries": {"type": "array", "items": _ENTRY, "description": "the facts"}}


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


@dataclasses.dataclass(slots=True)
class _Step:
    """One step under way: its clocks, what it took, and what was not taken.

    Attributes:
        action: What was typed.
        deadline: When to give up, on the event loop's clock.
        moment: When it was typed, on the session's clock.
    """

    action: str
    deadline: float
    moment: Moment
    spent: Spent = dataclasses.field(default_factory=Spent)
    samples: int = 0
    dropped: int = 0
    rejections: list[str] = dataclasses.field(default_factory=list)
    flags: tuple[str, ...] = ()


class Model:
    """Plays one session; an `Actor`.

    Args:
        kind: What is played.
        kind_options: The session's options of the kind.
        options: Which model, and how it is prompted.
        strategy: The strategy's prompt.
        world: What can be told.
        endpoint: Where to ask.
        clock: The session's; None for one that begins now.
    """

    def __init__(
        self,
        kind: Kind,
        kind_options: Any,
        options: SimulatorOptions,
        strategy: Prompt,
        world: World,
        endpoint: Endpoint,
        clock: SessionClock | None = None,
    ) -> None:
        self._part = kind.part
        self._kind_options = kind_options
        self._options = options
        self._strategy = strategy
        self._world = world
        self._endpoint = endpoint
        self._clock = clock or SessionClock()
        self._budget = Budget(endpoint.settings.session_budget, "session", endpoint.budget)
        self._conversation = Conversation("", 0)
        self._facts: Mapping[str, Any] = {}
        self._ledger = ""
        self._turn = 0
        self._use_format(text=endpoint.settings.reply_format is ReplyFormat.TEXT)

    # The four verbs of an actor.

    async def act(self, action: Action) -> Acted:
        """Replies to an action; see `Actor.act`."""
        await self._choose_format()
        text = action.text.decode(errors="backslashreplace")
        taught = self._taught(action)
        step = self._begin(text, action.timeout)
        if not text.strip():  # nothing typed, nothing asked; and endpoints refuse empty messages
            rest = self._part.at_rest(self._facts, self._kind_options)
            return Acted(Reply("", rest), self._provenance(step), self._rested)
        try:
            reply = settled(await self._answer(step), self._part, timeout=action.timeout)
        except BaseException:
            if taught:  # it happened, whether the model could answer or not
                self._note(step, taught)
            raise
        provenance = dataclasses.replace(self._provenance(step), thought=reply.thought)
        if taught:  # what the model noted is its own, whatever the teacher says
            taught = dataclasses.replace(taught, ledger=reply.ledger)
            return Acted(reply, provenance, lambda _: self._note(step, taught))
        return Acted(reply, provenance, lambda seen: self._note(step, _as_seen(reply, seen)))

    async def _answer(self, step: _Step) -> Reply:
        """Samples a reply, and again for as long as the critic objects."""
        told: list[Message] = []
        reply, content = await self._sample(step, told)
        for _ in range(MAX_CRITIQUES if self._options.critic else 0):
            why = await self._criticise(step, content)
            if not why:
                break
            step.rejections.append(f"critic: {why}")
            critique = shipped("critique").fill(why=why)
            told += [Message("assistant", content), Message("user", critique)]
            reply, content = await self._sample(step, told)
        return reply

    def _note(self, step: _Step, past: Reply) -> None:
        """Takes a turn into the conversation, as the agent saw it."""
        typed = Typed(step.moment.now, ending_of(past))
        whole = self._recalled(past) if self._format.schema else past  # or it learns to leave out
        content = self._format.write(whole)
        self._conversation.add(Exchange(step.action, content, typed, past.output))
        self._facts = past.facts
        self._ledger = past.ledger or self._ledger
        took = timedelta(seconds=float(past.facts.get("seconds", 0)))
        self._clock.go_on_from(step.moment.now + took)
        self._next_turn()

    def _rested(self, seen: Observation) -> None:
        """Nothing was typed: what followed from the action before is over."""
        rest = self._part.at_rest(self._facts, self._kind_options)
        self._facts = {**rest, "ending": Ending.EXITED.value}
        self._next_turn()

    def _next_turn(self) -> None:
        self._turn += 1

    def _taught(self, action: Action) -> Reply | None:
        """What the teacher says of this turn; None where there is no teacher any more."""
        teacher = self._options.teacher
        if self._turn >= len(teacher):
            return None
        turn = teacher[self._turn]
        if turn.action != action.text:
            raise InvalidInput(
                f"turn {self._turn + 1} is {action.text[:200]!r}, and simulator.teacher has "
                f"{turn.action[:200]!r} there; take the same actions, or give no teacher",
                {"turn": str(self._turn + 1)},
            )
        known = {name: value for name, value in turn.facts.items() if name in self._part.facts}
        if known.get("ending") == Ending.TIMED_OUT.value:
            known["seconds"] = action.timeout
        return Reply(turn.text, self._part.recall(turn.text, known))

    async def answer(self, suite: str) -> Mapping[str, str]:
        """Answers a probe on a copy of the conversation; see `Actor.answer`."""
        await self._choose_format()
        question = shipped("probe").fill(question=self._part.questions[suite])
        step = self._begin(question)
        twin = self._conversation.copy()
        again: list[Message] = []
        for _ in range(1 + MAX_RESAMPLES):
            step.samples += 1
            content = await self._ask_for_object(step, twin, question, _PROBE_FIELDS, again)
            try:
                return _read_entries(content)
            except Malformed as error:
                step.rejections.append(str(error))
                again = _ask_again(content or "", str(error))
        raise self._unusable(step, "probe")

    async def restart(self) -> None:
        """Forgets all turns; see `Actor.restart`."""
        self._conversation.forget()
        self._clock.restart()
        self._facts = {}
        self._ledger = ""
        self._turn = 0

    async def close(self) -> None:
        """Has nothing of its own to close."""

    # Sampling.

    def _begin(self, text: str, timeout: float | None = None) -> _Step:
        deadline = deadline_in(self._endpoint.settings.step_seconds)
        return _Step(text, deadline, Moment(self._clock.began, self._clock.now(), timeout))

    async def _sample(self, step: _Step, told: Sequence[Message]) -> tuple[Reply, str]:
        """Samples until a reply breaks neither format nor character.

        What is asked again is told why, or it would be answered in the same way. Where every reply
        breaks something, the last one that is a text is taken, and flagged.
        """
        again: list[Message] = []
        doubtful: tuple[Reply, str, str] | None = None
        step.flags = ()
        for _ in range(1 + MAX_RESAMPLES):
            step.samples += 1
            content = await self._ask_for_reply(step, [*told, *again])
            reply, why = self._read(content, step.action)
            if reply is not None and not why:
                return reply, content
            if reply is not None:
                doubtful = reply, content, why
            step.rejections.append(why)
            again = _ask_again(content, why)
        if doubtful is None:
            raise self._unusable(step, "action")
        reply, content, why = doubtful
        step.rejections.remove(why)
        step.flags = (why,)
        return reply, content

    async def _ask_for_reply(self, step: _Step, told: Sequence[Message]) -> str:
        try:
            chat = await self._ask(step, self._conversation, step.action, told, self._format.schema)
        except SchemaUnknown:
            self._use_format(text=True)  # which gives the conversation another beginning
            chat = await self._ask(step, self._conversation, step.action, told, None)
        return chat.content or ""

    def _read(self, content: str, action: str) -> tuple[Reply | None, str]:
        """A reply, and what breaks it; none where there is no text in it."""
        try:
            reply = self._format.read(content)
        except Malformed as error:
            return self._format.read_output(content), f"malformed: {error}"
        return reply, self._breaks(reply, action)

    def _breaks(self, reply: Reply, action: str) -> str:
        found = find_breaks(
            reply.output,
            action,
            prompt=self._part.prompt(self._kind_options),
            is_table=self._part.is_table(self._kind_options),
        )
        found = unexcused(found, reply.output, action, self._known())
        return f"{found[0].name}: {found[0].evidence}" if found else ""

    def _known(self) -> Iterator[str]:
        """All texts of this session's world, as far as there are any."""
        yield from (*self._world.scripts, self._world.state, self._world.card, self._world.task)
        for turn in self._conversation.turns:
            yield turn.action
            yield turn.output

    async def _criticise(self, step: _Step, content: str) -> str:
        """What the critic finds; empty where it finds nothing, or says nothing of use."""
        told = self._strategy.fields  # the critic must not know more than the one it criticises
        system = shipped("critic").fill(
            role=self._role(),
            rules=self._rules(),
            card=self._world.card if "card" in told else "(not known)",
            scripts=_numbered(self._world.scripts) if "scripts" in told else "(not known)",
            state=self._world.state if "state" in told else "(not known)",
        )
        critic = Conversation(system, self._room())
        for turn in self._conversation.turns:
            critic.add(turn)
        asked = f"The action:\n\n{step.action}\n\nThe answer to be checked:\n\n{content}"
        try:
            found = read_object(
                await self._ask_for_object(step, critic, asked, _CRITIC_FIELDS), _CRITIC_FIELDS
            )
        except Malformed:
            step.rejections.append("critic: it gave no judgement")  # and none is no objection
            return ""
        return str(found["why"]) if found["unreal"] else ""

    async def _ask_for_object(
        self,
        step: _Step,
        conversation: Conversation,
        text: str,
        fields: Fields,
        told: Sequence[Message] = (),
    ) -> str | None:
        """Asks something beside the episode, to be answered with a JSON object."""
        schema = None if self._format.schema is None else object_schema(fields)
        try:
            return (await self._ask(step, conversation, text, told, schema)).content
        except SchemaUnknown:
            self._use_format(text=True)
            return (await self._ask(step, conversation, text, told, None)).content

    async def _ask(
        self,
        step: _Step,
        conversation: Conversation,
        text: str,
        told: Sequence[Message],
        schema: Mapping[str, object] | None,
    ) -> ChatReply:
        """Asks once; with fewer turns where the endpoint has no room for all."""
        seed = self._options.seed
        while True:
            messages = conversation.told(
                text, more=told, moment=step.moment, aside=self._aside(conversation, text)
            )
            step.dropped = max(step.dropped, messages.dropped)
            request = ChatRequest(
                model=self._options.model,
                messages=messages.messages,
                schema=schema,
                max_reply_tokens=self._endpoint.settings.max_reply_tokens,
                temperature=self._options.temperature,
                # The same seed would give the same broken reply again.
                seed=None if seed is None else seed + max(0, step.samples - 1),
            )
            key = key_of(  # any other time of day finds the same reply
                dataclasses.replace(request, messages=messages.timeless),
                prompts=self._prompt_hash,
                grounding=self._world.digest,
                sample=step.samples,
            )
            try:
                return await self._endpoint.ask(
                    request, key, deadline=step.deadline, budget=self._budget, spent=step.spent
                )
            except ContextFull:
                if not conversation.drop_more():
                    raise

    def _unusable(self, step: _Step, what: str) -> ModelUnusable:
        return ModelUnusable(
            f"{step.samples} replies of {self._options.model!r} to this {what} broke "
            f"format or character, the last one so: {step.rejections[-1]}; "
            "use another model or strategy",
            {"attempts": "\n".join(step.rejections)},
        )

    # Formats.

    async def _choose_format(self) -> None:
        """Goes over to text where another session found that the model knows no schemas."""
        if self._format.schema is not None and not await self._endpoint.knows_schemas(
            self._options.model
        ):
            self._use_format(text=True)

    def _use_format(self, *, text: bool) -> None:
        """Replies are in this format from now on; turns so far stay as they are."""
        reason = self._options.reason
        has_ledger = keeps_ledger(self._strategy) and not text  # a text has no room for one
        self._format = (
            TextFormat(self._part, reason=reason)
            if text
            else JsonFormat(self._part, reason=reason, keeps_ledger=has_ledger)
        )
        world = self._world
        system = self._strategy.fill(
            role=self._role(),
            rules=self._rules(),
            task=world.task or "No task is given; expect anything.",
            examples=self._examples(),
            card=world.card or "(It is not known more exactly.)",
            scripts=_numbered(world.scripts),
            state=world.state or "(Nothing: it is just as it was installed.)",
            ledger=shipped("ledger_how").fill() if has_ledger else "",
        )
        earlier = self._conversation.turns
        self._conversation = Conversation(system, self._room())
        for turn in earlier:
            self._conversation.add(turn)
        used = [
            self._strategy,
            *map(shipped, ("rules", "again", "moment", "alike")),
            *self._format.prompts,
        ]
        if self._options.critic:
            used += [shipped("critic"), shipped("critique")]
        self._prompt_hash = hash_of(*used)

    def _role(self) -> str:
        """What is played; which system it is, only where the strategy tells the card."""
        card = self._world.card if "card" in self._strategy.fields else ""
        return self._part.role(self._kind_options, card)

    def _rules(self) -> str:
        return shipped("rules").fill(format=self._format.ask(), endings=self._part.endings_how)

    def _examples(self) -> str:
        return self._written(self._world.examples) or "(There are none for this format.)"

    def _aside(self, conversation: Conversation, action: str) -> str:
        """The ledger, and examples of the same commands as an action's, if it is one."""
        ledger = ledger_told(self._ledger)
        if conversation is not self._conversation or "examples" not in self._strategy.fields:
            return ledger
        found = alike(self._world.command_examples, action)
        shown = shipped("alike").fill(examples=self._written(found)) if found else ""
        return "\n\n".join(filter(None, (shown, ledger)))

    def _written(self, examples: Sequence[Example]) -> str:
        return "\n\n".join(
            f"Action: {example.action}\nAnswer: {self._format.write(self._recalled(example.reply))}"
            for example in examples
        )

    def _recalled(self, reply: Reply) -> Reply:
        """A recorded reply with all facts that are asked for."""
        return dataclasses.replace(reply, facts=self._part.recall(reply.output, reply.facts))

    def _room(self) -> int:
        settings = self._endpoint.settings
        return settings.context_tokens - settings.max_reply_tokens

    def _provenance(self, step: _Step) -> Provenance:
        spent = step.spent
        return Provenance(
            backend="simulated",
            model=self._options.model,
            strategy=self._options.label,
            cassette_hit=spent.all_from_cassette,
            attempts=step.samples,
            prompt_tokens=spent.prompt_tokens,
            completion_tokens=spent.completion_tokens,
            rejections=tuple(step.rejections),
            flags=step.flags,
            dropped_turns=step.dropped,
            prompt_hash=self._prompt_hash,
            cost_usd=spent.usd,
        )


def _as_seen(reply: Reply, seen: Observation) -> Reply:
    """A reply as the agent saw it: of a long output only what it was shown."""
    return dataclasses.replace(reply, output=seen.text) if seen.truncated else reply


def _ask_again(content: str, why: str) -> list[Message]:
    """Shows a model its reply, as far as there is one and it is short, and says why it is asked."""
    shown = content[:_MOST_SHOWN] or "(an empty answer)"
    return [Message("assistant", shown), Message("user", shipped("again").fill(why=why))]


def _read_entries(content: str | None) -> dict[str, str]:
    entries = read_object(content, _PROBE_FIELDS)["entries"]
    facts = {}
    for entry in entries:
        if not isinstance(entry, dict) or not all(
            isinstance(entry.get(name), str) for name in ("key", "value")
        ):
            raise Malformed("an entry has no text `key` and `value`")
        facts[entry["key"]] = entry["value"]
    return facts


def _numbered(scripts: Sequence[str]) -> str:
    if not scripts:
        return "(There are none: it is just as it was installed.)"
    return "\n\n".join(
        f"Script {number}:\n{script.strip()}" for number, script in enumerate(scripts, 1)
    )
