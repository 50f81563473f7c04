"""What is said to a model and what comes back: plain values."""

import dataclasses
from collections.abc import Mapping
from typing import Any

MAX_TOKENS = 10**9
"""More than any reply or request can have."""


@dataclasses.dataclass(frozen=True, slots=True)
class Message:
    """One message: `role` is `system`, `user` or `assistant`."""

    role: str
    content: str


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
    """

    model: str
    messages: tuple[Message, ...]
    schema: Mapping[str, object] | None = None
    max_reply_tokens: int = 4096
    temperature: float | None = None
    seed: int | None = None

    def body(self) -> dict[str, Any]:
        """The request's body as it is sent."""
        body: dict[str, Any] = {
            "model": self.model,
            "messages": [dataclasses.asdict(message) for message in self.messages],
            "max_completion_tokens": self.max_reply_tokens,
        }
        if self.schema is not None:
            body["response_format"] = {
                "type": "json_schema",
                "json_schema": {"name": "reply", "strict": True, "schema": dict(self.schema)},
            }
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
    """

    content: str | None
    finish_reason: str
    refusal: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0


class SchemaUnknown(Exception):
    """The endpoint does not know JSON schemas; ask for text."""


def sendable(text: str) -> str:
    """A text without lone surrogates, which JSON can hold and nothing can send on."""
    return text.encode(errors="replace").decode()


def estimate_tokens(text: str) -> int:
    """How many tokens a text has at most, about: one for three bytes, as English has four."""
    return len(text.encode(errors="replace")) // 3 + 4
