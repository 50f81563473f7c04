"""One question to a model: the cassette, the budget and the endpoint, in this order.

Counts what is spent, and turns replies that are none (refused, cut) into errors.
"""

import asyncio
import dataclasses
import importlib
import importlib.util
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from plumb_backends.errors import (
    CassetteMiss,
    ModelRefused,
    ModelReplyCut,
    ModelRequestRejected,
    ModelUnauthorized,
    ModelUnusable,
    Unsupported,
)
from plumb_backends.simulated.budget import Budget
from plumb_backends.simulated.cassette import Cassette, digest_of
from plumb_backends.simulated.messages import ChatReply, ChatRequest, Message, SchemaUnknown
from plumb_backends.simulated.settings import Call, CassetteMode, ReplyFormat, SimulatorSettings

if TYPE_CHECKING:
    from plumb_backends.simulated.chat import Chat

_MILLION = 1_000_000
_HEALTHY_FOR = 30.0
"""Seconds for which an endpoint that answered is believed to be there."""

_KNOWN_FOR = 600.0
"""Seconds for which it is believed whether a model knows schemas; then it is found out again."""

_OWN_QUESTION = (Message("user", "Answer with anything that you like."),)


_About = tuple[str, bool]
"""A model, and whether it is asked with tools."""


@dataclasses.dataclass(frozen=True, slots=True)
class _Known:
    """Whether a model knows schemas, and until when that is believed."""

    knows: bool
    until: float


@dataclasses.dataclass(slots=True)
class Spent:
    """What one step has taken so far."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    usd: float = 0.0
    calls: int = 0
    hits: int = 0

    @property
    def all_from_cassette(self) -> bool:
        """Whether no endpoint was asked."""
        return 0 < self.calls == self.hits


class Endpoint:
    """Where all sessions of a server ask.

    Args:
        settings: What the server was told.
    """

    def __init__(self, settings: SimulatorSettings) -> None:
        self.settings = settings
        self.budget = Budget(settings.server_budget, "server")
        self._knows_schemas: dict[_About, _Known] = {}
        self._finding_out = asyncio.Lock()
        self._chat: Chat | None = None
        self._opening = asyncio.Lock()
        self._healthy_until = 0.0
        self._cassette = None
        if settings.cassette is not None and settings.cassette_mode is not CassetteMode.OFF:
            self._cassette = Cassette(settings.cassette)

    async def open(self) -> None:
        """Reads the cassette, so that a broken one is known at once.

        Raises:
            BadCassette: See there.
        """
        if self._cassette is not None:
            await self._cassette.read()

    async def knows_schemas(self, model: str, *, with_tools: bool = False) -> bool:
        """Whether a model can be asked for replies by a JSON schema, as far as it is known.

        Where it cannot, that is in the cassette, too: or a replay would ask otherwise. Some servers
        know schemas, and not beside tools.
        """
        if self.settings.reply_format is ReplyFormat.TEXT:
            return False
        about = model, with_tools
        known = self._known(about)
        if known is None and await self._recorded(_schema_key(about), None):
            self._note(about, knows=False)
            return False
        return known is not False

    def _known(self, about: _About) -> bool | None:
        """Whether a model knows schemas; None where that was not found out lately."""
        known = self._knows_schemas.get(about)
        if known is None or time.monotonic() >= known.until:
            return None
        return known.knows

    def _note(self, about: _About, *, knows: bool) -> None:
        self._knows_schemas[about] = _Known(knows, time.monotonic() + _KNOWN_FOR)

    async def note_without_schema(self, request: ChatRequest, error: SchemaUnknown) -> None:
        """Notes that a model knows no JSON schemas.

        Raises:
            ModelUnusable: The server demands them.
        """
        if self.settings.reply_format is ReplyFormat.JSON:
            raise ModelUnusable(
                f"the endpoint does not know JSON schemas for {request.model!r} ({error}); "
                "set PLUMB_SIMULATOR_REPLY_FORMAT=auto"
            ) from error
        self._note(_about(request), knows=False)
        if self._cassette is not None:
            noted = ChatReply(content=None, finish_reason="no_schema")
            await self._cassette.add(_schema_key(_about(request)), request, noted)

    def check_configured(self) -> None:
        """Checks that there is somebody to ask.

        Raises:
            ModelUnauthorized: There is neither an endpoint nor a cassette to replay.
            Unsupported: What is needed to ask is not installed.
        """
        check_installed("openai")
        replays = self._cassette and self.settings.cassette_mode is CassetteMode.REPLAY
        if not self.settings.has_endpoint and not replays:
            raise ModelUnauthorized(
                "no model endpoint is configured; set OPENAI_API_KEY, or OPENAI_BASE_URL for a "
                "server of your own, and start the server again"
            )

    async def check_health(self) -> None:
        """Asks whether the endpoint answers, if there is one; not more often than it bears.

        Raises:
            ModelUnavailable: It does not.
        """
        if self.settings.has_endpoint and time.monotonic() >= self._healthy_until:
            await (await self._opened()).ping()
            self._healthy_until = time.monotonic() + _HEALTHY_FOR

    async def close(self) -> None:
        """Closes its connections."""
        if self._chat is not None:
            await self._chat.close()

    async def ask(
        self, request: ChatRequest, key: str, *, deadline: float, budget: Budget, spent: Spent
    ) -> ChatReply:
        """Asks, and notes what it took.

        Args:
            request: The question.
            key: What its reply is found by; see `cassette`.
            deadline: When to give up, on the event loop's clock.
            budget: The session's.
            spent: The step's; is added to.

        Raises:
            SchemaUnknown: See `Chat.complete`.
            ModelError: One of its kinds; no reply that was refused or cut is given.
        """
        reply = await self._recorded(key, request)
        if reply is None:
            reply = await self._from_endpoint(request, key, deadline, budget, spent)
        else:
            spent.hits += 1
            self.settings.on_call(Call(model=request.model, outcome="cassette"))
        spent.calls += 1
        spent.prompt_tokens += reply.prompt_tokens
        spent.completion_tokens += reply.completion_tokens
        _check_whole(reply, request)
        return reply

    async def once(self, key: str, request: ChatRequest, make: Callable[[], Awaitable[str]]) -> str:
        """A text that is made for a reply: the recorded one; else it is made, and recorded.

        Raises:
            CassetteMiss: There is none, and it may not be made.
        """
        found = await self._recorded(key, request)
        if found is not None:
            return found.content or ""
        text = await make()
        if self._cassette is not None:
            await self._cassette.add(key, request, ChatReply(content=text, finish_reason="made"))
        return text

    async def _recorded(self, key: str, request: ChatRequest | None) -> ChatReply | None:
        """What is recorded; without a request it is no error that there is nothing."""
        mode = self.settings.cassette_mode
        if self._cassette is None or mode is CassetteMode.RECORD:
            return None
        reply = await self._cassette.find(key)
        if reply is None and mode is CassetteMode.REPLAY and request is not None:
            raise CassetteMiss(
                f"the cassette {self.settings.cassette} has no reply to this request: the model, a "
                "parameter, a prompt, the grounding or the history is another one; record it with "
                "PLUMB_SIMULATOR_CASSETTE_MODE=auto",
                {"key": key},
            )
        return reply

    async def _from_endpoint(
        self, request: ChatRequest, key: str, deadline: float, budget: Budget, spent: Spent
    ) -> ChatReply:
        budget.check()
        started = time.monotonic()
        outcome, reply = "cancelled", ChatReply(content=None, finish_reason="")
        try:
            chat = await self._opened()
            try:
                reply = await chat.complete(request, deadline=deadline)
            except ModelRequestRejected as error:
                if await self._lacks_schemas(chat, request, deadline):
                    raise SchemaUnknown(str(error)) from error
                raise
            if request.schema is not None:
                self._note(_about(request), knows=True)
            outcome = "replied"
        except SchemaUnknown as error:
            outcome = type(error).__name__
            await self.note_without_schema(request, error)
            raise
        except Exception as error:
            outcome = type(error).__name__
            raise
        finally:
            seconds, usd = time.monotonic() - started, self._cost(request.model, reply)
            tokens = reply.prompt_tokens + reply.completion_tokens
            budget.spend(tokens=tokens, usd=usd, seconds=seconds)
            spent.usd += usd
            self.settings.on_call(
                Call(
                    model=request.model,
                    outcome=outcome,
                    prompt_tokens=reply.prompt_tokens,
                    completion_tokens=reply.completion_tokens,
                    usd=usd,
                    seconds=seconds,
                )
            )
        if self._cassette is not None:
            await self._cassette.add(key, request, reply)
        return reply

    async def _lacks_schemas(self, chat: "Chat", request: ChatRequest, deadline: float) -> bool:
        """Finds out whether it is the schema that was rejected.

        What the endpoint says is no evidence, for it may quote what an agent typed. So the same is
        asked without a word of the agent's, with the schema and without: only if that is rejected
        with the schema, and answered without, the model knows none.
        """
        if request.schema is None:
            return False
        async with self._finding_out:
            known = self._known(_about(request))
            if known is not None:
                return not known
            ours = dataclasses.replace(request, messages=_OWN_QUESTION)
            lacks = not await _is_answered(chat, ours, deadline) and await _is_answered(
                chat, dataclasses.replace(ours, schema=None), deadline
            )
            self._note(_about(request), knows=not lacks)
            return lacks

    async def _opened(self) -> "Chat":
        async with self._opening:
            if self._chat is None:
                # Its package takes most of a second to import: not when a server starts that may
                # never need it, and not on the event loop.
                module = await asyncio.to_thread(
                    importlib.import_module, "plumb_backends.simulated.chat"
                )
                self._chat = module.Chat(
                    api_key=self.settings.api_key,
                    base_url=self.settings.base_url,
                    concurrency=self.settings.concurrency,
                    max_retries=self.settings.max_retries,
                )
        return self._chat

    def _cost(self, model: str, reply: ChatReply) -> float:
        price = self.settings.prices.get(model)
        if price is None:
            return 0.0
        return (
            reply.prompt_tokens * price.prompt + reply.completion_tokens * price.completion
        ) / _MILLION


async def _is_answered(chat: "Chat", request: ChatRequest, deadline: float) -> bool:
    """Whether an endpoint takes a request; an error that says nothing of it is raised."""
    try:
        await chat.complete(request, deadline=deadline)
    except (ModelRequestRejected, SchemaUnknown):
        return False
    return True


def _about(request: ChatRequest) -> _About:
    return request.model, bool(request.tools)


def _schema_key(about: _About) -> str:
    model, with_tools = about
    return digest_of({"model": model, "knows": "schemas beside tools" if with_tools else "schemas"})


def check_installed(package: str) -> None:
    """Checks that a package of the extra `simulator` is there.

    Raises:
        Unsupported: It is not.
    """
    if importlib.util.find_spec(package) is None:
        raise Unsupported(
            f"the server lacks the package {package!r}, which this simulator needs; "
            "pip install './plumb[simulator]' there"
        )


def _check_whole(reply: ChatReply, request: ChatRequest) -> None:
    if reply.refusal or reply.finish_reason == "content_filter":
        why = reply.refusal or "a content filter withheld it"
        raise ModelRefused(
            f"the model {request.model!r} refused to reply: {why[:200]}; "
            "use another model, or mend task and grounding"
        )
    if reply.finish_reason == "length":
        raise ModelReplyCut(
            f"the reply of {request.model!r} was cut after {reply.completion_tokens} tokens; "
            f"raise PLUMB_SIMULATOR_MAX_REPLY_TOKENS, now {request.max_reply_tokens}"
        )


def deadline_in(seconds: float) -> float:
    """That many seconds from now, on the event loop's clock."""
    return asyncio.get_running_loop().time() + seconds
