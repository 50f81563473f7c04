"""What an agent may call, how much of it at the same time, and what it is shown."""

import collections
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import aclosing, contextmanager
from typing import Any, TypeAlias

import grpc

from plumb.v1 import environment_pb2 as wire
from plumb_backends.errors import (
    InvalidInput,
    JournalUnavailable,
    LimitReached,
    PermissionDenied,
    PlumbError,
    SandboxUnavailable,
    ServerStopping,
    SessionNotFound,
    StepInProgress,
    StepMismatch,
    StepOutOfOrder,
    Unauthenticated,
)

_Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
_Requests: TypeAlias = AsyncIterator[Any]
_Wrapped: TypeAlias = Callable[[_Requests, _Context], AsyncIterator[Any]]

MOST_CALLS = 8
"""Calls that the agents of one session may have open: one that steps, and some that ask again."""

_LIMIT = "calls of a session's agent at the same time"


class AgentCalls:
    """The calls that agents have open, by session."""

    def __init__(self) -> None:
        self._open: collections.Counter[str] = collections.Counter()

    def handler(self, handler: Any, method: str, session: str) -> Any:
        """The handler as an agent has it: for its own session, and with what it may see.

        What is not in the table is refused, and so is whatever will be added to the wire. Each
        reads its requests itself, and none before it is counted: one takes up to 16 MiB.

        Raises:
            PermissionDenied: Agents may not call it.
        """
        wrap = _FOR_AGENTS.get(method)
        if wrap is None:
            raise PermissionDenied(
                f"an agent's token may only take steps, and not call {method.rpartition('/')[2]}; "
                "leave that to the operator's token"
            )
        inner = wrap(handler, session)

        async def counted(requests: _Requests, context: _Context) -> AsyncIterator[Any]:
            with self._counted(session), _told_an_agent():
                async for response in inner(requests, context):
                    yield response

        return grpc.stream_stream_rpc_method_handler(
            counted, handler.request_deserializer, handler.response_serializer
        )

    @contextmanager
    def _counted(self, session: str) -> Iterator[None]:
        if self._open[session] >= MOST_CALLS:
            raise LimitReached(
                f"the agents of {session} have {MOST_CALLS} calls open, and that is their most; "
                "end one, or wait for one to end",
                limit=_LIMIT,
                retry_after=1.0,
            )
        self._open[session] += 1
        try:
            yield
        finally:
            self._open[session] -= 1
            if not self._open[session]:
                del self._open[session]


def _step(handler: Any, session: str) -> _Wrapped:
    async def step(requests: _Requests, context: _Context) -> AsyncIterator[wire.StepResponse]:
        async for request in requests:
            _check_own(request, session)
            response: wire.StepResponse = await handler.unary_unary(request, context)
            _hide(response.observation)
            yield response
            return

    return step


def _stream_step(handler: Any, session: str) -> _Wrapped:
    async def stream_step(
        requests: _Requests, context: _Context
    ) -> AsyncIterator[wire.StreamStepResponse]:
        async for request in requests:
            _check_own(request.step, session)
            async with aclosing(handler.unary_stream(request, context)) as responses:
                async for response in responses:
                    if response.HasField("observation"):
                        _hide(response.observation)
                    yield response
            return

    return stream_step


def _converse(handler: Any, session: str) -> _Wrapped:
    async def own(requests: _Requests) -> AsyncIterator[wire.ConverseRequest]:
        async for request in requests:
            _check_own(request.step, session)
            yield request

    async def converse(
        requests: _Requests, context: _Context
    ) -> AsyncIterator[wire.ConverseResponse]:
        async for response in handler.stream_stream(own(requests), context):
            _hide(response.step.observation)
            yield response

    return converse


_FOR_AGENTS: Mapping[str, Callable[[Any, str], _Wrapped]] = {
    "/plumb.v1.EnvironmentService/Step": _step,
    "/plumb.v1.EnvironmentService/StreamStep": _stream_step,
    "/plumb.v1.EnvironmentService/Converse": _converse,
}


def _check_own(step: wire.StepRequest, session: str) -> None:
    if step.name != session:
        raise PermissionDenied(
            f"this token is for the agent of {session}, not for {step.name!r}; "
            "use the agent_token of that session"
        )


def _hide(observation: wire.Observation) -> None:
    """Takes off what tells how true, or by whom, an observation is. The message is the call's own.

    Not only the thought: an agent must not care, and so not know, what stands behind it.
    """
    for field in ("verdict", "counterpart", "provenance"):
        observation.ClearField(field)


_TOLD_WHOLE = (InvalidInput, StepOutOfOrder, StepMismatch, StepInProgress, PermissionDenied,
               Unauthenticated, LimitReached, JournalUnavailable, ServerStopping)  # fmt: skip
"""What is about the call, and not about what stands behind the session."""

_TOLD_FACTS = {"expected", "limit", "answer_within"}
"""The facts of such an error; one with any other tells of what stands behind the session."""

_IN_OTHER_WORDS: Mapping[type[PlumbError], str] = {
    SessionNotFound: "the session has ended, or never was; ask your operator for another one",
    SandboxUnavailable: "the environment is gone; ask your operator to reset the session",
}
_NO_OBSERVATION = "the environment gave no observation; try again, or tell your operator"


@contextmanager
def _told_an_agent() -> Iterator[None]:
    """Tells of most failures nothing but their reason.

    The rest quotes what a model wrote, or says that there is a model, a pair or a recording.
    """
    try:
        yield
    except PlumbError as error:
        if isinstance(error, _TOLD_WHOLE) and error.metadata.keys() <= _TOLD_FACTS:
            raise
        told = type(error).__new__(type(error))  # the session keeps the other
        told.__dict__.update(error.__dict__)
        told.args = (_IN_OTHER_WORDS.get(type(error), _NO_OBSERVATION),)
        told.metadata = {}
        raise told from None
