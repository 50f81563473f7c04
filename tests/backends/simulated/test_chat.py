"""The only file that knows `openai`, against a real HTTP endpoint: what goes wrong has a name."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.model_endpoint import (
    KEY,
    Endpoint,
    answers_with,
    completion,
    fails,
    says,
    trickles,
)

from plumb_backends.errors import (
    ContextFull,
    ModelError,
    ModelRateLimited,
    ModelRefused,
    ModelRequestRejected,
    ModelTimedOut,
    ModelUnauthorized,
    ModelUnavailable,
    ModelUnknown,
    ModelUnusable,
)
from plumb_backends.simulated.chat import Chat
from plumb_backends.simulated.messages import ChatReply, ChatRequest, Message, SchemaUnknown

SCHEMA = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}


@pytest.fixture
async def chat(endpoint: Endpoint) -> AsyncIterator[Chat]:
    made = Chat(api_key=KEY, base_url=endpoint.url, concurrency=2, max_retries=2)
    yield made
    await made.close()


def request(**fields: Any) -> ChatRequest:
    return ChatRequest(**{"model": "m", "messages": (Message("user", "hi"),), **fields})


async def ask(chat: Chat, *, within: float = 20.0, **fields: Any) -> ChatReply:
    deadline = asyncio.get_running_loop().time() + within
    return await chat.complete(request(**fields), deadline=deadline)


async def test_a_reply_comes_with_its_reason_and_usage(chat: Chat, endpoint: Endpoint) -> None:
    endpoint.script(says("hello"))
    assert await ask(chat) == ChatReply(
        content="hello", finish_reason="stop", prompt_tokens=100, completion_tokens=10
    )


async def test_model_parameters_and_schema_are_sent(chat: Chat, endpoint: Endpoint) -> None:
    await ask(chat, temperature=0.5, seed=7, max_reply_tokens=99, schema=SCHEMA)
    (body,) = endpoint.requests
    assert body == {
        "model": "m",
        "messages": [{"role": "user", "content": "hi"}],
        "temperature": 0.5,
        "seed": 7,
        "max_completion_tokens": 99,
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "reply", "strict": True, "schema": SCHEMA},
        },
    }


async def test_what_is_not_set_is_not_sent(chat: Chat, endpoint: Endpoint) -> None:
    await ask(chat)
    assert set(endpoint.requests[0]) == {"model", "messages", "max_completion_tokens"}


async def test_missing_usage_is_estimated_and_never_nothing(chat: Chat, endpoint: Endpoint) -> None:
    endpoint.script(says("x" * 300, usage=False))
    reply = await ask(chat)
    assert reply.completion_tokens >= 100
    assert reply.prompt_tokens > 0


async def test_refusals_and_cut_replies_are_told_apart_from_text(
    chat: Chat, endpoint: Endpoint
) -> None:
    endpoint.script(says(None, refusal="no"), says("x", finish_reason="length"))
    assert (await ask(chat)).refusal == "no"
    assert (await ask(chat)).finish_reason == "length"


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503])
async def test_what_may_pass_is_tried_again(chat: Chat, endpoint: Endpoint, status: int) -> None:
    endpoint.script(fails(status, retry_after=0.01), says("there"))
    assert (await ask(chat)).content == "there"
    assert len(endpoint.requests) == 2


async def test_it_waits_as_long_as_the_endpoint_says(chat: Chat, endpoint: Endpoint) -> None:
    endpoint.script(fails(429, retry_after=0.3), says("there"))
    await ask(chat)
    first, second = endpoint.seen_at
    assert second - first >= 0.3


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
async def test_what_does_not_pass_is_not_tried_again(
    chat: Chat, endpoint: Endpoint, status: int
) -> None:
    endpoint.script(fails(status))
    with pytest.raises(ModelError):
        await ask(chat)
    assert len(endpoint.requests) == 1


@pytest.mark.parametrize(
    ("answer", "error", "says_so"),
    [
        (fails(401, "Incorrect API key sk-secret"), ModelUnauthorized, "set OPENAI_API_KEY"),
        (fails(403, "no"), ModelUnauthorized, "does not accept the key"),
        (fails(404, "no such model"), ModelUnknown, "has no model 'm' .*no such model"),
        (fails(400, "too long", code="context_length_exceeded"), ContextFull, "shorten"),
        (fails(400, "maximum context length is 5"), ContextFull, "too long for the context"),
        (fails(400, "filtered", code="content_filter"), ModelRefused, "withheld the action"),
        (fails(400, "temperature is not supported"), ModelRequestRejected, "temperature is not"),
        (fails(429, "quota", code="insufficient_quota"), ModelRateLimited, "quota"),
        (answers_with("<html>", "text/html"), ModelUnusable, "mend OPENAI_BASE_URL"),
        (answers_with("", "text/plain"), ModelUnusable, "mend OPENAI_BASE_URL"),
        (answers_with('"text"'), ModelUnusable, "mend OPENAI_BASE_URL"),
        (answers_with("{}"), ModelUnusable, "without a choice"),
        (answers_with('{"choices": []}'), ModelUnusable, "without a choice"),
        (answers_with('{"choices": 3}'), ModelUnusable, "without a choice"),
        (answers_with('{"cho'), ModelUnusable, "no chat completion"),
    ],
)
async def test_each_failure_has_its_error_and_its_mend(
    chat: Chat, endpoint: Endpoint, answer: Any, error: type[ModelError], says_so: str
) -> None:
    endpoint.script(answer)
    with pytest.raises(error, match=says_so) as caught:
        await ask(chat)
    assert type(caught.value) is error
    assert "secret" not in str(caught.value)
    assert KEY not in str(caught.value)
    assert len(endpoint.requests) == 1


async def test_a_wrong_key_is_not_quoted(endpoint: Endpoint) -> None:
    chat = Chat(api_key="sk-wrong", base_url=endpoint.url, concurrency=1, max_retries=0)
    with pytest.raises(ModelUnauthorized) as caught:
        await ask(chat)
    assert "sk-wrong" not in str(caught.value)
    await chat.close()


async def test_a_storm_of_429_says_when_to_try_again(chat: Chat, endpoint: Endpoint) -> None:
    endpoint.otherwise = fails(429, "slow down", retry_after=0.01)
    with pytest.raises(ModelRateLimited, match="slow down") as caught:
        await ask(chat)
    assert caught.value.retry_after == 0.01
    assert len(endpoint.requests) == 3  # once, and two retries


async def test_a_wait_that_would_go_past_the_deadline_is_not_begun(
    chat: Chat, endpoint: Endpoint
) -> None:
    endpoint.otherwise = fails(429, retry_after=100)
    started = asyncio.get_running_loop().time()
    with pytest.raises(ModelRateLimited) as caught:
        await ask(chat, within=60)
    assert asyncio.get_running_loop().time() - started < 30
    assert caught.value.retry_after == 100


async def test_an_endpoint_that_keeps_failing_is_unavailable(
    chat: Chat, endpoint: Endpoint
) -> None:
    endpoint.otherwise = fails(503, "overloaded", retry_after=0.01)
    with pytest.raises(ModelUnavailable, match="status 503: overloaded"):
        await ask(chat)


async def test_a_dead_endpoint_is_unavailable_and_named_without_its_password() -> None:
    chat = Chat(
        api_key="", base_url="http://user:hidden@127.0.0.1:9/v1", concurrency=1, max_retries=0
    )
    where = r"http://127\.0\.0\.1:9/v1 does not answer"
    with pytest.raises(ModelUnavailable, match=where) as caught:
        await ask(chat)
    assert "hidden" not in str(caught.value)
    with pytest.raises(ModelUnavailable):
        await chat.ping()
    await chat.close()


@pytest.mark.parametrize("answer", ["never", "trickles"])
async def test_a_slow_reply_ends_at_the_deadline(
    chat: Chat, endpoint: Endpoint, answer: str
) -> None:
    held, _ = endpoint.held()
    endpoint.script(held if answer == "never" else trickles())
    with pytest.raises(ModelTimedOut, match="did not reply in time"):
        await ask(chat, within=0.3)


async def test_a_cancelled_question_is_cut_off_at_the_endpoint(
    chat: Chat, endpoint: Endpoint
) -> None:
    held, _ = endpoint.held()
    endpoint.script(held)
    asking = asyncio.create_task(ask(chat))
    await asyncio.wait_for(endpoint.arrived.wait(), 10)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await asyncio.wait_for(endpoint.cut_off.wait(), 10)


async def test_no_more_requests_run_at_once_than_allowed(chat: Chat, endpoint: Endpoint) -> None:
    gate = asyncio.Event()
    two_there = asyncio.Event()

    async def answer(body: Any) -> Any:
        if endpoint.running == 2:
            two_there.set()
        await gate.wait()
        return await says("x")(body)

    endpoint.otherwise = answer
    asking = [asyncio.create_task(ask(chat)) for _ in range(6)]
    await asyncio.wait_for(two_there.wait(), 10)
    gate.set()
    await asyncio.gather(*asking)
    assert endpoint.most_running == 2
    assert len(endpoint.requests) == 6


async def test_an_endpoint_that_knows_no_schemas_is_told_by_the_parameter_it_names(
    chat: Chat, endpoint: Endpoint
) -> None:
    names = fails(400, "no", param="response_format")
    endpoint.script(names, names)
    with pytest.raises(SchemaUnknown):
        await ask(chat, schema=SCHEMA)
    with pytest.raises(ModelRequestRejected):  # it was not asked for one
        await ask(chat)


@pytest.mark.parametrize("message", ["'response_format' is not supported", "something guided"])
async def test_what_an_endpoint_says_in_words_is_no_evidence(
    chat: Chat, endpoint: Endpoint, message: str
) -> None:
    endpoint.script(fails(400, message))
    with pytest.raises(ModelRequestRejected):
        await ask(chat, schema=SCHEMA)


@pytest.mark.parametrize("count", [-5, 10**400, True, "7", None, 1.5])
async def test_a_usage_that_cannot_be_is_an_estimate(
    chat: Chat, endpoint: Endpoint, count: object
) -> None:
    body = completion("four words are here")
    body["usage"] = {"prompt_tokens": count, "completion_tokens": count}
    endpoint.script(answers_with(json.dumps(body)))
    answered = await ask(chat)
    assert 0 < answered.prompt_tokens < 1000
    assert 0 < answered.completion_tokens < 1000


async def test_any_answer_means_that_the_endpoint_is_there(chat: Chat, endpoint: Endpoint) -> None:
    await chat.ping()
