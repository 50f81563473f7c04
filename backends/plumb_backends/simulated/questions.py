"""What one session asks its model: by a schema or not, with tools or not, within its room.

Where the endpoint has no room for all turns, the same is asked with fewer. Where the model calls
tools, they are answered, and it goes on.
"""

import dataclasses
from collections.abc import Mapping, Sequence

from plumb_backends.errors import ContextFull
from plumb_backends.simulated.asking import Endpoint
from plumb_backends.simulated.attempt import Attempt
from plumb_backends.simulated.budget import Budget
from plumb_backends.simulated.cassette import key_of
from plumb_backends.simulated.conversation import Conversation, Told
from plumb_backends.simulated.messages import ChatReply, ChatRequest, Message
from plumb_backends.simulated.options import SimulatorOptions
from plumb_backends.simulated.tools import MOST_CALLS, Interpreter, described


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One question.

    Attributes:
        text: The action, or what else is asked.
        schema: The JSON schema of its reply; None for text.
        told: What is said behind it: replies that were sent back.
        aside: What is told with this question only, behind the grounding.
        may_call: Whether the model may call tools, if the session has any.
    """

    text: str
    schema: Mapping[str, object] | None
    told: Sequence[Message] = ()
    aside: str = ""
    may_call: bool = True


class Questions:
    """Asks for one session.

    Args:
        endpoint: Where to ask.
        options: Which model, and how it samples.
        grounding: The digest of the session's grounding.
        interpreter: Answers calls of tools; None where the model may call none.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        options: SimulatorOptions,
        grounding: str,
        interpreter: Interpreter | None,
    ) -> None:
        self._endpoint = endpoint
        self._options = options
        self._grounding = grounding
        self._interpreter = interpreter
        self._budget = Budget(endpoint.settings.session_budget, "session", endpoint.budget)
        self.prompt_hash = ""

    @property
    def room(self) -> int:
        """How many tokens a conversation may have."""
        settings = self._endpoint.settings
        return settings.context_tokens - settings.max_reply_tokens

    async def knows_schemas(self) -> bool:
        """Whether the model can be asked by a schema, as far as it is known."""
        return await self._endpoint.knows_schemas(
            self._options.model, with_tools=self._interpreter is not None
        )

    async def ask(
        self, attempt: Attempt, conversation: Conversation, question: Question
    ) -> ChatReply:
        """Asks, and answers calls of tools until there is a reply.

        Raises:
            SchemaUnknown: The model knows no schemas.
            ModelError: One of its kinds.
            SandboxUnavailable: There is no sandbox for the tools.
        """
        interpreter = self._interpreter if question.may_call else None
        if interpreter is None:
            reply, _, _ = await self._with_room(attempt, conversation, question, can_call=False)
            return dataclasses.replace(reply, calls=())
        before, worked_out = list(attempt.worked_out), list[Message]()
        try:
            while True:
                told = (*before, *question.told, *worked_out)
                reply, request, key = await self._with_room(
                    attempt, conversation, dataclasses.replace(question, told=told), can_call=True
                )
                if not (reply.calls and request.may_call):
                    return reply
                worked_out += await interpreter.answer(attempt, reply, request, key)
        finally:
            attempt.worked_out += worked_out

    async def _with_room(
        self, attempt: Attempt, conversation: Conversation, question: Question, *, can_call: bool
    ) -> tuple[ChatReply, ChatRequest, str]:
        """Asks once; with fewer turns where the endpoint has no room for all."""
        while True:
            messages = conversation.told(
                question.text, more=question.told, moment=attempt.moment, aside=question.aside
            )
            attempt.dropped = max(attempt.dropped, messages.dropped)
            request = self._request(attempt, question, messages, can_call=can_call)
            key = key_of(  # any other time of day finds the same reply
                dataclasses.replace(request, messages=messages.timeless),
                prompts=self.prompt_hash,
                grounding=self._grounding,
                sample=attempt.samples,
            )
            try:
                reply = await self._endpoint.ask(
                    request,
                    key,
                    deadline=attempt.deadline,
                    budget=self._budget,
                    spent=attempt.spent,
                )
            except ContextFull:
                if not conversation.drop_more():
                    raise
            else:
                return reply, request, key

    def _request(
        self, attempt: Attempt, question: Question, messages: Told, *, can_call: bool
    ) -> ChatRequest:
        seed = self._options.seed
        return ChatRequest(
            model=self._options.model,
            messages=messages.messages,
            schema=question.schema,
            max_reply_tokens=self._endpoint.settings.max_reply_tokens,
            temperature=self._options.temperature,
            # The same seed would give the same broken reply again.
            seed=None if seed is None else seed + max(0, attempt.samples - 1),
            tools=described() if can_call else (),
            may_call=attempt.tool_calls < MOST_CALLS,
        )
