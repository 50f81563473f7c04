"""Who calls: the operator, or an agent that may take the steps of one session and nothing else.

A caller is looked at once a call, never once a message, and the operator's calls go to their
handlers untouched. What is refused is raised where `interceptors.Guard` turns it into a status.
"""

import dataclasses
import hashlib
import hmac
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, NoReturn, TypeAlias

import grpc

from plumb_backends.errors import PlumbError, Unauthenticated
from plumb_server.agents import AgentCalls
from plumb_server.session import name_of

_AGENT_PREFIX = "plumb-agent."
_AGENTS_DOMAIN = b"plumb.v1 tokens of agents"
_OPEN_TO_ALL = "/grpc.health.v1.Health/Check"
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
        self._agents = AgentCalls()

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        """Gives the handler, one that shows an agent its part, or one that refuses."""
        handler = await continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None or method == _OPEN_TO_ALL:
            return handler
        try:
            caller = self._tokens.identify(_authorization(handler_call_details))
            if not caller.session:
                return handler
            return self._agents.handler(handler, method, caller.session)
        except PlumbError as error:
            return _refusing(handler, error)


def _authorization(details: grpc.HandlerCallDetails) -> str:
    """The one header; two are as good as none, for nobody can say which was meant."""
    metadata: Sequence[tuple[str, str | bytes]] = details.invocation_metadata or ()
    found = [value for key, value in metadata if key == _HEADER]
    return found[0] if len(found) == 1 and isinstance(found[0], str) else ""


def _refusing(handler: Any, error: PlumbError) -> Any:
    """Refuses without reading what was sent: whoever may not call makes no work."""

    async def refuse(requests: AsyncIterator[Any], context: _Context) -> NoReturn:
        raise error

    return grpc.stream_unary_rpc_method_handler(
        refuse, handler.request_deserializer, handler.response_serializer
    )
