"""All that is asked of a model's endpoint; the only file that knows the `openai` package.

One question, one answer: a list of messages goes out, the reply with its reason and usage comes
back, or one of our errors. Nothing here knows what the messages mean. Retries are ours and not the
package's, so that a wait that would go past the deadline is not begun.
"""

import asyncio
import json
import random
from typing import Any

import openai
import tenacity
from openai.types.chat import ChatCompletion

from plumb_backends.errors import (
    ContextFull,
    ModelRateLimited,
    ModelRefused,
    ModelRequestRejected,
    ModelTimedOut,
    ModelUnauthorized,
    ModelUnavailable,
    ModelUnknown,
    ModelUnusable,
)
from plumb_backends.simulated.messages import (
    MAX_TOKENS,
    ChatReply,
    ChatRequest,
    Message,
    SchemaUnknown,
    ToolCall,
    sendable,
)

_FIRST_WAIT, _LONGEST_WAIT = 0.5, 20.0
_REQUEST_TIMEOUT, _CONFLICT, _TOO_MANY, _SERVER_ERROR = 408, 409, 429, 500
_MAX_QUOTED = 200
_SCHEMA_PARAMETER = "response_format"


class Chat:
    """One endpoint.

    Args:
        api_key: Its key; empty where it wants none.
        base_url: Where it is; empty for OpenAI's.
        concurrency: Requests at the same time; others wait.
        max_retries: How often one request is tried again.
    """

    def __init__(self, *, api_key: str, base_url: str, concurrency: int, max_retries: int) -> None:
        self._client = openai.AsyncOpenAI(
            api_key=api_key or "none", base_url=base_url or None, max_retries=0, timeout=None
        )
        url = self._client.base_url
        port = f":{url.port}" if url.port else ""
        self._where = f"{url.scheme}://{url.host}{port}{url.path.rstrip('/')}"
        self._places = asyncio.Semaphore(concurrency)
        self._max_retries = max_retries

    async def complete(self, request: ChatRequest, *, deadline: float) -> ChatReply:
        """Asks once, and again where that may help.

        Args:
            request: The question.
            deadline: When to give up, on the event loop's clock.

        Raises:
            SchemaUnknown: The request had a schema, and the endpoint names that as the reason. What
                its message says in words is no reason: it may quote what an agent typed.
            ModelError: One of its kinds.
        """
        retrying = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception(_may_pass),
            wait=_wait,
            stop=tenacity.stop_any(
                tenacity.stop_after_attempt(self._max_retries + 1), _StopBefore(deadline)
            ),
            reraise=True,
        )
        try:
            async with asyncio.timeout_at(deadline):
                return await retrying(self._ask, request)
        except TimeoutError:
            raise ModelTimedOut(
                f"the model {request.model!r} did not reply in time (PLUMB_SIMULATOR_STEP_SECONDS);"
                " try again, or allow more"
            ) from None
        except openai.APIError as error:
            raise self._translated(error, request) from error
        except ValueError as error:  # what it sent as JSON is none
            raise self._no_completion(error) from error

    async def ping(self) -> None:
        """Asks whether the endpoint answers at all, whatever it says.

        Raises:
            ModelUnavailable: It does not.
        """
        try:
            await self._client.models.list(timeout=3.0)
        except openai.APIStatusError:
            return
        except openai.APIError as error:
            raise ModelUnavailable(self._not_there(error)) from error

    async def close(self) -> None:
        """Closes its connections."""
        await self._client.close()

    async def _ask(self, request: ChatRequest) -> ChatReply:
        async with self._places:
            # Not chat.completions.create: that looks at every message by its type, on the event
            # loop, which takes 4 ms for 40 messages where all the rest takes 1.
            completion = await self._client.post(
                "/chat/completions", cast_to=ChatCompletion, body=request.body()
            )
        return _read(completion, request)

    def _not_there(self, error: Exception) -> str:
        why = error.__cause__ or error
        return (
            f"the model endpoint {self._where} does not answer ({_short(str(why))}); "
            "start it, or set OPENAI_BASE_URL"
        )

    def _translated(self, error: openai.APIError, request: ChatRequest) -> Exception:
        said = _short(_message_of(error))
        match error:
            case openai.APIConnectionError():
                return ModelUnavailable(self._not_there(error))
            case openai.AuthenticationError() | openai.PermissionDeniedError():
                return ModelUnauthorized(  # what it said may quote the key
                    f"the model endpoint {self._where} does not accept the key for "
                    f"{request.model!r} (status {error.status_code}); set OPENAI_API_KEY"
                )
            case openai.NotFoundError():
                return ModelUnknown(
                    f"the model endpoint {self._where} has no model {request.model!r} ({said}); "
                    "use one that it has, or mend OPENAI_BASE_URL"
                )
            case openai.RateLimitError():
                limited = ModelRateLimited(
                    f"the model endpoint {self._where} lets no more requests through ({said}); "
                    "wait, or lower PLUMB_SIMULATOR_CONCURRENCY"
                )
                limited.retry_after = _retry_after(error) or _LONGEST_WAIT
                return limited
            case openai.APIStatusError() if error.status_code >= _SERVER_ERROR:
                return ModelUnavailable(
                    f"the model endpoint {self._where} fails (status {error.status_code}: {said}); "
                    "try again later"
                )
            case openai.APIStatusError():
                return _rejected(error, said, request)
        return self._no_completion(error)

    def _no_completion(self, error: Exception) -> ModelUnusable:
        return ModelUnusable(
            f"the model endpoint {self._where} answered something that is no chat completion "
            f"({_short(str(error))}); mend OPENAI_BASE_URL"
        )


def _rejected(error: openai.APIStatusError, said: str, request: ChatRequest) -> Exception:
    message = _message_of(error).lower()
    if error.code == "context_length_exceeded" or "context length" in message:
        return ContextFull(
            f"grounding and action are too long for the context of {request.model!r} ({said}); "
            "shorten them, or use a model with a larger one"
        )
    if error.code == "content_filter" or "content management policy" in message:
        return ModelRefused(
            f"a filter before {request.model!r} withheld the action ({said}); "
            "use another model, or another action"
        )
    if request.schema is not None and error.param == _SCHEMA_PARAMETER:
        return SchemaUnknown(said)
    mend = "mend the simulator's options"
    if request.tools:
        mend += ", or use a strategy without tools if this model can call none"
    return ModelRequestRejected(
        f"the model endpoint rejected the request for {request.model!r} "
        f"(status {error.status_code}: {said}); {mend}"
    )


def _read(completion: ChatCompletion, request: ChatRequest) -> ChatReply:
    """Reads an answer. The package checks no types, so an endpoint may send anything."""
    choices: Any = getattr(completion, "choices", None)
    is_there = isinstance(choices, list) and bool(choices)
    message = getattr(choices[0], "message", None) if is_there else None
    if message is None:
        raise ModelUnusable(
            f"the endpoint answered for {request.model!r} without a choice; mend OPENAI_BASE_URL"
        )
    content = getattr(message, "content", None)
    usage = getattr(completion, "usage", None)
    sent = sum(part.tokens for part in request.messages)
    calls = _read_calls(getattr(message, "tool_calls", None))
    received = Message("assistant", str(content or ""), calls).tokens
    return ChatReply(
        content=sendable(content) if isinstance(content, str) else None,
        finish_reason=str(getattr(choices[0], "finish_reason", None) or ""),
        refusal=sendable(str(getattr(message, "refusal", None) or "")),
        prompt_tokens=_count(usage, "prompt_tokens", sent),
        completion_tokens=_count(usage, "completion_tokens", received),
        calls=calls,
    )


def _read_calls(said: object) -> tuple[ToolCall, ...]:
    """Reads calls of tools; some endpoints give no ids, or arguments that are no text."""
    calls = []
    for number, call in enumerate(said if isinstance(said, list) else ()):
        function = getattr(call, "function", None)
        arguments = getattr(function, "arguments", "")
        calls.append(
            ToolCall(
                sendable(str(getattr(call, "id", None) or f"call_{number}")),
                sendable(str(getattr(function, "name", None) or "")),
                sendable(arguments if isinstance(arguments, str) else json.dumps(arguments)),
            )
        )
    return tuple(calls)


def _count(usage: object, field: str, otherwise: int) -> int:
    """A count of tokens; an estimate where the endpoint gives none, or one that cannot be."""
    value = getattr(usage, field, None)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_TOKENS:
        return value
    return otherwise


# Retries.


def _may_pass(error: BaseException) -> bool:
    if isinstance(error, openai.APIStatusError):
        if error.code == "insufficient_quota":  # a 429 that no waiting mends
            return False
        passing = (_REQUEST_TIMEOUT, _CONFLICT, _TOO_MANY)
        return error.status_code in passing or error.status_code >= _SERVER_ERROR
    return isinstance(error, openai.APIConnectionError)


def _wait(state: tenacity.RetryCallState) -> float:
    """As long as the endpoint says; else longer each time, and not all at the same moment."""
    error = state.outcome.exception() if state.outcome else None
    said = _retry_after(error) if isinstance(error, openai.APIStatusError) else None
    if said is not None:
        return said
    longest = min(_FIRST_WAIT * 2.0 ** (state.attempt_number - 1), _LONGEST_WAIT)
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 - no secret


class _StopBefore(tenacity.stop.stop_base):
    """Not to wait for what will come too late."""

    def __init__(self, deadline: float) -> None:
        self._deadline = deadline

    def __call__(self, retry_state: tenacity.RetryCallState) -> bool:
        return asyncio.get_running_loop().time() + retry_state.upcoming_sleep >= self._deadline


def _retry_after(error: openai.APIStatusError) -> float | None:
    try:
        seconds = float(error.response.headers.get("retry-after", ""))
    except ValueError:
        return None
    return seconds if seconds >= 0 else None


def _message_of(error: openai.APIError) -> str:
    body = error.body
    if isinstance(body, dict) and isinstance(body.get("message"), str):
        return str(body["message"])
    return error.message


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _MAX_QUOTED else line[: _MAX_QUOTED - 3] + "..."
