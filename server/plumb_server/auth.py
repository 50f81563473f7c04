"""Who calls: the operator, or an agent that may take the steps of one session and nothing else.

A caller is looked at once a call, never once a message, and the operator's calls go to their
handlers untouched. What is refused is raised where `interceptors.Guard` turns it into a status.
"""

import dataclasses
import hashlib
import hmac
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn, TypeAlias

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
from plumb_server.interceptors import handler_like
from plumb_server.session import name_of

_AGENT_PREFIX = "plumb-agent."
_AGENTS_DOMAIN = b"plumb.v1 tokens of agents"
_OPEN_TO_ALL = "/grpc.health.v1.Health/"
_HEADER = "authorization"


@dataclasses.dataclass(frozen=True, slots=True)
class Caller:
    """Who calls: the agent of a session, or, where that is empty, the operator."""

    session: str = ""


class Tokens:
    """The operator's token, and those of agents, which follow from it.

    An agent's token names its session and proves that a server with this operator's token made it,
    so that nothing of it need be kept, and it survives the process. Once the session is gone it
    gets answers that were given already, and nothing else.

    Args:
        token: The operator's; empty for none, and then nobody needs one.
    """

    def __init__(self, token: str) -> None:
        self.are_needed = bool(token)
        self._operator = _digest(token)
        self._key = _agents_key(token)

    def agent_token(self, session: str) -> str:
        """The token of a session's agent; empty where nobody needs one."""
        if not self.are_needed:
            return ""
        proof = hmac.digest(self._key, session.encode(), hashlib.sha256).hex()
        return f"{_AGENT_PREFIX}{session.removeprefix('sessions/')}.{proof}"

    def identify(self, authorization: str) -> Caller:
        """Tells who sends a header `authorization`.

        Raises:
            Unauthenticated: Nobody we know; the message shows nothing of what was sent.
        """
        if not self.are_needed:
            return Caller()
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Unauthenticated(
                "the call carries no token; send the metadata `authorization: Bearer TOKEN`"
            )
        caller = self._owner(token) if token.isascii() else None
        if caller is None:
            raise Unauthenticated(
                "the call's token is not one of this server; use its PLUMB_TOKEN, or the "
                "agent_token of one of its sessions"
            )
        return caller

    def _owner(self, token: str) -> Caller | None:
        if hmac.compare_digest(_digest(token), self._operator):
            return Caller()
        session = name_of(token.removeprefix(_AGENT_PREFIX).partition(".")[0])
        if hmac.compare_digest(_digest(token), _digest(self.agent_token(session))):
            return Caller(session)
        return None


def _agents_key(token: str) -> bytes:
    """The key that agents' tokens are made with.

    It is slow to make: an agent has what it takes to try guesses of a weak operator's token.
    """
    if not token:
        return secrets.token_bytes(32)
    return hashlib.scrypt(token.encode(), salt=_AGENTS_DOMAIN, n=2**14, r=8, p=1, dklen=32)


def _digest(token: str) -> bytes:
    """Of one length for all tokens, so that a comparison tells nothing of theirs."""
    return hashlib.sha256(token.encode()).digest()


_Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


class Authentication(grpc.aio.ServerInterceptor):
    """Lets through what the caller may do. Stands behind `Guard`."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        """Gives the handler, one that shows an agent its part, or one that refuses."""
        handler = await continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None or method.startswith(_OPEN_TO_ALL):
            return handler
        try:
            caller = self._tokens.identify(_authorization(handler_call_details))
            return _for_agent(handler, method, caller.session) if caller.session else handler
        except PlumbError as error:
            return _refusing(handler, error)


def _authorization(details: grpc.HandlerCallDetails) -> str:
    """The one header; two are as good as none, for nobody can say which was meant."""
    metadata: Sequence[tuple[str, str | bytes]] = details.invocation_metadata or ()
    found = [value for key, value in metadata if key == _HEADER]
    return found[0] if len(found) == 1 and isinstance(found[0], str) else ""


def _refusing(handler: Any, error: PlumbError) -> Any:
    async def refuse(request: Any, context: _Context) -> NoReturn:
        raise error

    return handler_like(handler, refuse, deserializer=handler.request_deserializer)


def _for_agent(handler: Any, method: str, session: str) -> Any:
    """The handler as an agent has it: for its own session, and with what it may see.

    What is not in the table is refused, and so is whatever will be added to the wire.
    """
    wrap = _FOR_AGENTS.get(method)
    if wrap is None:
        raise PermissionDenied(
            f"an agent's token may only take steps, and not call {method.rpartition('/')[2]}; "
            "leave that to the operator's token"
        )
    return handler_like(handler, wrap(handler, session), deserializer=handler.request_deserializer)


def _step(handler: Any, session: str) -> Any:
    async def step(request: wire.StepRequest, context: _Context) -> wire.StepResponse:
        _check_own(request, session)
        with _told_an_agent():
            response: wire.StepResponse = await handler.unary_unary(request, context)
        _hide(response.observation)
        return response

    return step


def _stream_step(handler: Any, session: str) -> Any:
    async def stream_step(
        request: wire.StreamStepRequest, context: _Context
    ) -> AsyncIterator[wire.StreamStepResponse]:
        _check_own(request.step, session)
        with _told_an_agent():
            async for response in handler.unary_stream(request, context):
                if response.HasField("observation"):
                    _hide(response.observation)
                yield response

    return stream_step


def _converse(handler: Any, session: str) -> Any:
    async def own(
        requests: AsyncIterator[wire.ConverseRequest],
    ) -> AsyncIterator[wire.ConverseRequest]:
        async for request in requests:
            _check_own(request.step, session)
            yield request

    async def converse(
        requests: AsyncIterator[wire.ConverseRequest], context: _Context
    ) -> AsyncIterator[wire.ConverseResponse]:
        with _told_an_agent():
            async for response in handler.stream_stream(own(requests), context):
                _hide(response.step.observation)
                yield response

    return converse


_FOR_AGENTS: Mapping[str, Callable[[Any, str], Any]] = {
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

_TOLD_FACTS = {"expected", "limit"}
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
