"""A language model that plays an environment.

A strategy says what the model is told, a format how it replies. A reply that breaks format or
character is sampled again, a critic may send it back, and whatever is left in the end is the
observation; a call that fails is an error and never one.
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

from plumb_backends.environment import Action, Ending, Observation, ProbeResult, Provenance
from plumb_backends.errors import InvalidInput, ModelUnusable
from plumb_backends.kind import Kind, Reply
from plumb_backends.simulated import critic, probing
from plumb_backends.simulated.asking import Endpoint, deadline_in
from plumb_backends.simulated.attempt import Attempt
from plumb_backends.simulated.briefing import Briefing
from plumb_backends.simulated.clock import SessionClock
from plumb_backends.simulated.conversation import Conversation, Exchange
from plumb_backends.simulated.excuses import unexcused
from plumb_backends.simulated.ledger import told as ledger_told
from plumb_backends.simulated.messages import ChatReply, Message, SchemaUnknown
from plumb_backends.simulated.moment import Moment, Typed
from plumb_backends.simulated.options import SimulatorOptions
from plumb_backends.simulated.outcome import ending_of, settled
from plumb_backends.simulated.prompting import Prompt, shipped
from plumb_backends.simulated.questions import Question, Questions
from plumb_backends.simulated.reply_format import Fields, Malformed, object_schema
from plumb_backends.simulated.settings import ReplyFormat
from plumb_backends.simulated.stage import Acted
from plumb_backends.simulated.tools import MOST_CALLS, Interpreter, RunApart, uses_tools
from plumb_backends.simulated.world import World
from plumb_fidelity.breaks import find_breaks

MAX_RESAMPLES = 5
"""How often a reply that breaks format or character is sampled again."""

_MOST_SHOWN = 4000
"""Characters of a rejected reply that the model is shown again."""


class Model:
    """Plays one session; an `Actor`.

    Args:
        kind: What is played.
        kind_options: The session's options of the kind.
        options: Which model, and how it is prompted.
        strategy: The strategy's prompt.
        world: What can be told.
        endpoint: Where to ask.
        run_apart: Runs a program in a sandbox of its own, for a strategy with tools.
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
        run_apart: RunApart,
        clock: SessionClock | None = None,
    ) -> None:
        self._part = kind.part
        self._kind_options = kind_options
        self._options = options
        self._strategy = strategy
        self._world = world
        self._step_seconds = endpoint.settings.step_seconds
        self._clock = clock or SessionClock()
        interpreter = Interpreter(run_apart, endpoint) if uses_tools(strategy) else None
        self._questions = Questions(endpoint, options, world.digest, interpreter)
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
        attempt = self._begin(text, action.timeout)
        if not text.strip():  # nothing typed, nothing asked; and endpoints refuse empty messages
            rest = self._part.at_rest(self._facts, self._kind_options)
            return Acted(Reply("", rest), self._provenance(attempt), self._rested)
        try:
            with attempt.counted():
                reply = settled(await self._answer(attempt), self._part, timeout=action.timeout)
        except BaseException:
            if taught:  # it happened, whether the model could answer or not
                self._note(attempt, taught)
            raise
        provenance = self._provenance(attempt, thought=reply.thought)
        if taught:  # what the model noted is its own, whatever the teacher says
            taught = dataclasses.replace(taught, ledger=reply.ledger)
            return Acted(reply, provenance, lambda _: self._note(attempt, taught))
        return Acted(reply, provenance, lambda seen: self._note(attempt, _as_seen(reply, seen)))

    async def answer(self, suite: str) -> ProbeResult:
        """Answers a probe on a copy of the conversation; see `Actor.answer`."""
        await self._choose_format()
        attempt = self._begin(shipped("probe").fill(question=self._part.questions[suite]))
        with attempt.counted():
            facts = await self._facts_told(attempt)
        return ProbeResult(suite, facts, self._provenance(attempt))

    async def _facts_told(self, attempt: Attempt) -> Mapping[str, str]:
        question, twin = attempt.action, self._conversation.copy()
        again: list[Message] = []
        for _ in range(1 + MAX_RESAMPLES):
            attempt.samples += 1
            reply = await self._ask_for_object(attempt, twin, question, probing.FIELDS, again)
            try:
                return probing.read_facts(reply.content)
            except Malformed as error:
                attempt.rejections.append(_called_too_often(reply) or str(error))
                again = _ask_again(reply.content or "", attempt.rejections[-1])
        raise self._unusable(attempt, "probe")

    async def restart(self) -> None:
        """Forgets all turns; see `Actor.restart`."""
        self._conversation.forget()
        self._clock.restart()
        self._facts = {}
        self._ledger = ""
        self._turn = 0

    async def close(self) -> None:
        """Has nothing of its own to close."""

    # The past.

    def _note(self, attempt: Attempt, past: Reply) -> None:
        """Takes a turn into the conversation, as the agent saw it."""
        typed = Typed(attempt.moment.now, ending_of(past))
        content = self._briefing.past(past)
        self._conversation.add(Exchange(attempt.action, content, typed, past.output))
        self._facts = past.facts
        self._ledger = past.ledger or self._ledger
        took = timedelta(seconds=float(past.facts.get("seconds", 0)))
        self._clock.go_on_from(attempt.moment.now + took)
        self._turn += 1

    def _rested(self, seen: Observation) -> None:
        """Nothing was typed: what followed from the action before is over."""
        rest = self._part.at_rest(self._facts, self._kind_options)
        self._facts = {**rest, "ending": Ending.EXITED.value}
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

    # Sampling.

    def _begin(self, text: str, timeout: float | None = None) -> Attempt:
        moment = Moment(self._clock.began, self._clock.now(), timeout)
        return Attempt(text, deadline_in(self._step_seconds), moment)

    async def _answer(self, attempt: Attempt) -> Reply:
        """Samples a reply, and again for as long as the critic objects."""
        told: list[Message] = []
        reply, content = await self._sample(attempt, told)
        for _ in range(critic.MOST_CRITIQUES if self._options.critic else 0):
            why = await self._criticise(attempt, content)
            if not why:
                break
            attempt.rejections.append(f"critic: {why}")
            told += critic.sent_back(content, why)
            reply, content = await self._sample(attempt, told)
        return reply

    async def _sample(self, attempt: Attempt, told: Sequence[Message]) -> tuple[Reply, str]:
        """Samples until a reply breaks neither format nor character.

        What is asked again is told why, or it would be answered in the same way. Where every reply
        breaks something, the last one that is a text is taken, and flagged.
        """
        again: list[Message] = []
        doubtful: tuple[Reply, str, str] | None = None
        attempt.flags = ()
        for _ in range(1 + MAX_RESAMPLES):
            attempt.samples += 1
            chat = await self._ask_for_reply(attempt, [*told, *again])
            content = chat.content or ""
            reply, why = self._read(content, attempt.action)
            if reply is not None and not why:
                return reply, content
            why = _called_too_often(chat) or why
            if reply is not None:
                doubtful = reply, content, why
            attempt.rejections.append(why)
            again = _ask_again(content, why)
        if doubtful is None:
            raise self._unusable(attempt, "action")
        reply, content, why = doubtful
        attempt.rejections.remove(why)
        attempt.flags = (why,)
        return reply, content

    def _read(self, content: str, action: str) -> tuple[Reply | None, str]:
        """A reply, and what breaks it; none where there is no text in it."""
        form = self._briefing.format
        try:
            reply = form.read(content)
        except Malformed as error:
            return form.read_output(content), f"malformed: {error}"
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
        yield from self._world.texts
        for turn in self._conversation.turns:
            yield turn.action
            yield turn.output

    async def _criticise(self, attempt: Attempt, content: str) -> str:
        """What the critic finds; empty where it finds nothing, or says nothing of use."""
        conversation = Conversation(self._briefing.critic(), self._questions.room)
        for turn in self._conversation.turns:
            conversation.add(turn)
        asked = critic.asked(attempt.action, content)
        judged = await self._ask_for_object(
            attempt, conversation, asked, critic.FIELDS, may_call=False
        )
        try:
            return critic.read_objection(judged.content)
        except Malformed:
            attempt.rejections.append("critic: it gave no judgement")  # and none is no objection
            return ""

    # Asking.

    async def _ask_for_reply(self, attempt: Attempt, told: Sequence[Message]) -> ChatReply:
        def question() -> Question:
            aside = (self._briefing.examples_of(attempt.action), ledger_told(self._ledger))
            return Question(
                text=attempt.action,
                schema=self._briefing.format.schema,
                told=told,
                aside="\n\n".join(filter(None, aside)),
            )

        try:
            return await self._questions.ask(attempt, self._conversation, question())
        except SchemaUnknown:
            self._use_format(text=True)  # which gives the conversation another beginning
            return await self._questions.ask(attempt, self._conversation, question())

    async def _ask_for_object(
        self,
        attempt: Attempt,
        conversation: Conversation,
        text: str,
        fields: Fields,
        told: Sequence[Message] = (),
        *,
        may_call: bool = True,
    ) -> ChatReply:
        """Asks something beside the episode, to be answered with a JSON object."""
        knows_schemas = self._briefing.format.schema is not None
        question = Question(
            text=text,
            schema=object_schema(fields) if knows_schemas else None,
            told=told,
            aside=ledger_told(self._ledger),
            may_call=may_call,
        )
        try:
            return await self._questions.ask(attempt, conversation, question)
        except SchemaUnknown:
            self._use_format(text=True)
            question = dataclasses.replace(question, schema=None)
            return await self._questions.ask(attempt, conversation, question)

    async def _choose_format(self) -> None:
        """Goes over to text where another session found that the model knows no schemas."""
        if self._briefing.format.schema is not None and not await self._questions.knows_schemas():
            self._use_format(text=True)

    def _use_format(self, *, text: bool) -> None:
        """Replies are in this format from now on; turns so far stay as they are."""
        self._briefing = Briefing(
            self._part, self._kind_options, self._options, self._strategy, self._world, text=text
        )
        earlier = self._conversation.turns
        self._conversation = Conversation(self._briefing.system(), self._questions.room)
        for turn in earlier:
            self._conversation.add(turn)
        self._questions.prompt_hash = self._briefing.prompt_hash

    def _provenance(self, attempt: Attempt, *, thought: str = "") -> Provenance:
        return attempt.provenance(self._options, self._questions.prompt_hash, thought=thought)

    def _unusable(self, attempt: Attempt, what: str) -> ModelUnusable:
        return ModelUnusable(
            f"{attempt.samples} replies of {self._options.model!r} to this {what} broke "
            f"format or character, the last one so: {attempt.rejections[-1]}; "
            "use another model or strategy",
            {"attempts": "\n".join(attempt.rejections)},
        )


def _called_too_often(reply: ChatReply) -> str:
    """Why there is no text in a reply that calls tools beyond the bound; empty where there is."""
    if not reply.calls or (reply.content or "").strip():
        return ""
    return f"it calls a tool again, and has had its {MOST_CALLS} calls"


def _as_seen(reply: Reply, seen: Observation) -> Reply:
    """A reply as the agent saw it: of a long output only what it was shown."""
    return dataclasses.replace(reply, output=seen.text) if seen.truncated else reply


def _ask_again(content: str, why: str) -> list[Message]:
    """Shows a model its reply, as far as there is one and it is short, and says why it is asked."""
    shown = content[:_MOST_SHOWN] or "(an empty answer)"
    return [Message("assistant", shown), Message("user", shipped("again").fill(why=why))]
