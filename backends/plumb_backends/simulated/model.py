"""A language model that plays an environment.

A strategy says what the model is told, a format how it replies. A reply that breaks format or
character is sampled again, a critic may send it back, and whatever is left in the end is the
observation; a call that fails is an error and never one.

The critic is the Thought-Environment-Critic loop of Raj and Niemerg, "A study on techniques for
improving LLMs as general purpose agents".
"""

import dataclasses
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from plumb_backends.environment import Action, Provenance
from plumb_backends.errors import ContextFull, InvalidInput, ModelUnusable
from plumb_backends.kind import Kind, Reply
from plumb_backends.simulated.asking import Endpoint, Spent, deadline_in
from plumb_backends.simulated.budget import Budget
from plumb_backends.simulated.cassette import digest_of, key_of
from plumb_backends.simulated.conversation import Conversation, Exchange
from plumb_backends.simulated.examples import Example
from plumb_backends.simulated.messages import ChatReply, ChatRequest, Message, SchemaUnknown
from plumb_backends.simulated.options import SimulatorOptions
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
        examples: Recorded real turns of other sessions.
        card: What was there before them; empty where it is not known.
        scripts: The init scripts, in order.
        state: What those really left; empty where the strategy does not tell it.
    """

    task: str = ""
    examples: Sequence[Example] = ()
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
    """One step under way: its clock, what it took, and what was not taken."""

    action: str
    deadline: float
    spent: Spent = dataclasses.field(default_factory=Spent)
    samples: int = 0
    dropped: int = 0
    rejections: list[str] = dataclasses.field(default_factory=list)


class Model:
    """Plays one session; an `Actor`.

    Args:
        kind: What is played.
        kind_options: The session's options of the kind.
        options: Which model, and how it is prompted.
        strategy: The strategy's prompt.
        world: What can be told.
        endpoint: Where to ask.
    """

    def __init__(
        self,
        kind: Kind,
        kind_options: Any,
        options: SimulatorOptions,
        strategy: Prompt,
        world: World,
        endpoint: Endpoint,
    ) -> None:
        self._part = kind.part
        self._kind_options = kind_options
        self._options = options
        self._strategy = strategy
        self._world = world
        self._endpoint = endpoint
        self._budget = Budget(endpoint.settings.session_budget, "session", endpoint.budget)
        self._conversation = Conversation("", 0)
        self._facts: Mapping[str, Any] = {}
        self._turn = 0
        self._use_format(text=endpoint.settings.reply_format is ReplyFormat.TEXT)

    # The four verbs of an actor.

    async def act(self, action: Action) -> Acted:
        """Replies to an action; see `Actor.act`."""
        await self._choose_format()
        text = action.text.decode(errors="backslashreplace")
        taught = self._taught(action)
        step = self._begin(text)
        if not text.strip():  # nothing typed, nothing asked; and endpoints refuse empty messages
            return Acted(Reply("", self._facts), self._provenance(step), self._next_turn)
        try:
            reply, content = await self._answer(step)
        except BaseException:
            if taught:  # it happened, whether the model could answer or not
                self._note(text, taught, self._format.write(taught))
            raise
        past = (taught, self._format.write(taught)) if taught else (reply, content)
        provenance = dataclasses.replace(self._provenance(step), thought=reply.thought)
        return Acted(reply, provenance, partial(self._note, text, *past))

    async def _answer(self, step: _Step) -> tuple[Reply, str]:
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
        return reply, content

    def _note(self, text: str, past: Reply, content: str) -> None:
        """Takes a turn into the conversation."""
        self._conversation.add(Exchange(text, content))
        self._facts = {name: past.facts[name] for name in past.facts if name != "seconds"}
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
        facts = {} if turn.exit_code is None else {"exit_code": turn.exit_code}
        known = {name: value for name, value in facts.items() if name in self._part.facts}
        return Reply(turn.text, {**self._facts, **known})

    async def answer(self, suite: str) -> Mapping[str, str]:
        """Answers a probe on a copy of the conversation; see `Actor.answer`."""
        await self._choose_format()
        question = shipped("probe").fill(question=self._part.questions[suite])
        step = self._begin(question)
        twin = self._conversation.copy()
        for _ in range(1 + MAX_RESAMPLES):
            step.samples += 1
            content = await self._ask_for_object(step, twin, question, _PROBE_FIELDS)
            try:
                return _read_entries(content)
            except Malformed as error:
                step.rejections.append(str(error))
        raise self._unusable(step, "probe")

    async def restart(self) -> None:
        """Forgets all turns; see `Actor.restart`."""
        self._conversation.forget()
        self._facts = {}
        self._turn = 0

    async def close(self) -> None:
        """Has nothing of its own to close."""

    # Sampling.

    def _begin(self, text: str) -> _Step:
        return _Step(text, deadline_in(self._endpoint.settings.step_seconds))

    async def _sample(self, step: _Step, told: Sequence[Message]) -> tuple[Reply, str]:
        """Samples until a reply breaks neither format nor character."""
        for _ in range(1 + MAX_RESAMPLES):
            step.samples += 1
            try:
                chat = await self._ask(
                    step, self._conversation, step.action, told, self._format.schema
                )
            except SchemaUnknown:
                self._use_format(text=True)  # which gives the conversation another beginning
                chat = await self._ask(step, self._conversation, step.action, told, None)
            try:
                reply = self._format.read(chat.content)
            except Malformed as error:
                step.rejections.append(f"malformed: {error}")
                continue
            broken = self._breaks(reply, step.action)
            if not broken:
                return reply, chat.content or ""
            step.rejections.append(broken)
        raise self._unusable(step, "action")

    def _breaks(self, reply: Reply, action: str) -> str:
        found = find_breaks(
            reply.output,
            action,
            prompt=self._part.prompt(self._kind_options),
            is_table=self._part.is_table(self._kind_options),
        )
        return f"{found[0].name}: {found[0].evidence}" if found else ""

    async def _criticise(self, step: _Step, content: str) -> str:
        """What the critic finds; empty where it finds nothing, or says nothing of use."""
        told = self._strategy.fields  # the critic must not know more than the one it criticises
        system = shipped("critic").fill(
            role=self._part.role(self._kind_options),
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
        self, step: _Step, conversation: Conversation, text: str, fields: Fields
    ) -> str | None:
        """Asks something beside the episode, to be answered with a JSON object."""
        schema = None if self._format.schema is None else object_schema(fields)
        try:
            return (await self._ask(step, conversation, text, [], schema)).content
        except SchemaUnknown:
            self._use_format(text=True)
            return (await self._ask(step, conversation, text, [], None)).content

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
            messages = conversation.told(text, more=told)
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
            key = key_of(
                request,
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
        self._format = TextFormat(reason=reason) if text else JsonFormat(self._part, reason=reason)
        rules = shipped("rules").fill(format=self._format.ask())
        world = self._world
        system = self._strategy.fill(
            role=self._part.role(self._kind_options),
            rules=rules,
            task=world.task or "No task is given; expect anything.",
            examples=self._examples(),
            card=world.card or "(It is not known more exactly.)",
            scripts=_numbered(world.scripts),
            state=world.state or "(Nothing: it is just as it was installed.)",
        )
        earlier = self._conversation.turns
        self._conversation = Conversation(system, self._room())
        for turn in earlier:
            self._conversation.add(turn)
        used = [self._strategy, shipped("rules"), *self._format.prompts]
        if self._options.critic:
            used += [shipped("critic"), shipped("critique")]
        self._prompt_hash = hash_of(*used)

    def _examples(self) -> str:
        if not self._world.examples:
            return "(There are none for this format.)"
        return "\n\n".join(
            f"Action: {example.action}\nAnswer: {self._format.write(example.reply)}"
            for example in self._world.examples
        )

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
            dropped_turns=step.dropped,
            prompt_hash=self._prompt_hash,
            cost_usd=spent.usd,
        )


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
