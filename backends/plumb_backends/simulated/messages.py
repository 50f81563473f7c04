"""What is said to a model and what comes back: plain values."""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

MAX_TOKENS = 10**9
"""More than any reply or request can have."""


@dataclasses.dataclass(frozen=True, slots=True)
class ToolCall:
    """A model's call of a tool; the arguments are as it wrote them, JSON or not."""

    id: str
    name: str
    arguments: str

    def body(self) -> dict[str, Any]:
        """The call as it is sent back. Chat templates read its arguments, so they are JSON."""
        arguments = self.arguments if _is_object(self.arguments) else "{}"
        return {
            "id": self.id,
            "type": "function",
            "function": {"name": self.name, "arguments": arguments},
        }


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


@dataclasses.dataclass(frozen=True, slots=True)
class Message:
    """One message.

    Attributes:
        role: `system`, `user`, `assistant` or `tool`.
        content: Its text.
        calls: The tools that an assistant's message calls.
        answers: The id of the call that a tool's message answers.
    """

    role: str
    content: str
    calls: tuple[ToolCall, ...] = ()
    answers: str = ""

    def body(self) -> dict[str, Any]:
        """The message as it is sent."""
        body: dict[str, Any] = {"role": self.role, "content": self.content}
        if self.calls:
            body |= {"content": self.content or None}
            body["tool_calls"] = [call.body() for call in self.calls]
        if self.answers:
            body["tool_call_id"] = self.answers
        return body

    @property
    def tokens(self) -> int:
        """How many tokens it has at most, about."""
        calls = "".join(call.name + call.arguments for call in self.calls)
        return estimate_tokens(self.content + calls)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ChatRequest:
    """One question to a model.

    Attributes:
        model: Its name.
        messages: What it is told.
        schema: The JSON schema of its reply; None for text.
        max_reply_tokens: What the reply may be long.
        temperature: None for the endpoint's.
        seed: None for none.
        tools: What the model may call, as the protocol says it.
        may_call: Whether it may call them now; they are said all the same, for calls before.
    """

    model: str
    messages: tuple[Message, ...]
    schema: Mapping[str, object] | None = None
    max_reply_tokens: int = 4096
    temperature: float | None = None
    seed: int | None = None
    tools: tuple[Mapping[str, object], ...] = ()
    may_call: bool = True

    def body(self) -> dict[str, Any]:
        """The request's body as it is sent."""
        body: dict[str, Any] = {
            "model": self.model,
            "messages": [message.body() for message in self.messages],
            "max_completion_tokens": self.max_reply_tokens,
        }
        if self.schema is not None:
            body["response_format"] = {
                "type": "json_schema",
                "json_schema": {"name": "reply", "strict": True, "schema": dict(self.schema)},
            }
        if self.tools:
            body["tools"] = [dict(tool) for tool in self.tools]
            body["tool_choice"] = "auto" if self.may_call else "none"
        if self.temperature is not None:
            body["temperature"] = self.temperature
        if self.seed is not None:
            body["seed"] = self.seed
        return body


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ChatReply:
    """What a model replied.

    Attributes:
        content: The text; None where it gave none.
        finish_reason: Why it ended: `stop`, `length`, `content_filter`, …
        refusal: What it said when it refused; empty if it did not.
        prompt_tokens: Sent, by the endpoint's count, or an estimate where it gives none.
        completion_tokens: Received.
        calls: The tools that it called instead of replying.
    """

    content: str | None
    finish_reason: str
    refusal: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    calls: tuple[ToolCall, ...] = ()


class SchemaUnknown(Exception):
    """The endpoint does not know JSON schemas; ask for text."""


def sendable(text: str) -> str:
    """A text without lone surrogates, which JSON can hold and nothing can send on."""
    return text.encode(errors="replace").decode()


def estimate_tokens(text: str) -> int:
    """How many tokens a text has at most, about: one for three bytes, as English has four."""
    return len(text.encode(errors="replace")) // 3 + 4
