"""plumb.v1.EnvironmentService: reads the request, asks `sessions`, writes the response."""

import uuid
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeAlias

import grpc
from google.protobuf.timestamp_pb2 import Timestamp

from plumb.v1 import environment_pb2 as wire
from plumb.v1 import environment_pb2_grpc as wire_grpc
from plumb_backends.errors import InvalidInput
from plumb_backends.registry import all_backends, all_kinds
from plumb_server import convert
from plumb_server.paging import page_size
from plumb_server.past_steps import PastStep
from plumb_server.session import Session
from plumb_server.sessions import Sessions, Wish
from plumb_server.steps import StepRun

_Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"

_NOT_REMOVED = (
    "the session has ended, but its sandbox could not be removed yet; the server tries again, and "
    "its log says why"
)


class EnvironmentService(wire_grpc.EnvironmentServiceServicer):
    """The service. Every error that it raises is turned into a status by `interceptors.Guard`.

    Args:
        sessions: All there are.
        agent_token: Makes the token of a session's agent.
    """

    def __init__(self, sessions: Sessions, agent_token: Callable[[str], str]) -> None:
        self._sessions = sessions
        self._agent_token = agent_token

    async def ListKinds(
        self, request: wire.ListKindsRequest, context: _Context
    ) -> wire.ListKindsResponse:
        """See the proto."""
        backends = all_backends().values()
        return wire.ListKindsResponse(
            kinds=[
                convert.kind_to_wire(
                    kind, [backend for backend in backends if backend.kind == kind.name]
                )
                for kind in all_kinds().values()
            ]
        )

    async def CreateSession(
        self, request: wire.CreateSessionRequest, context: _Context
    ) -> wire.CreateSessionResponse:
        """See the proto."""
        request, plan = await self._sessions.replays.read(request)
        wish = Wish(
            spec=convert.spec_from_wire(request, str(uuid.uuid4())),
            plan=plan,
            request=request.SerializeToString(),
            request_id=request.request_id,
            idle_timeout=convert.idle_timeout_from_wire(request),
        )
        session = await self._sessions.create(wish)
        return wire.CreateSessionResponse(
            session=_to_wire(session),
            init_results=convert.init_results_to_wire(session.init_results),
            agent_token=self._agent_token(session.name),
            replayed=_replayed_to_wire(session),
        )

    async def GetSession(
        self, request: wire.GetSessionRequest, context: _Context
    ) -> wire.GetSessionResponse:
        """See the proto."""
        return wire.GetSessionResponse(session=_to_wire(await self._sessions.get(request.name)))

    async def ListSessions(
        self, request: wire.ListSessionsRequest, context: _Context
    ) -> wire.ListSessionsResponse:
        """See the proto."""
        size = page_size(request.page_size)
        start = _page_start(request.page_token)
        rows = sorted(self._sessions.list(), key=lambda session: (session.created, session.name))
        rest = [session for session in rows if (session.created, session.name) > start]
        page = rest[:size]
        more = len(rest) > size
        return wire.ListSessionsResponse(
            sessions=map(_to_wire, page),
            next_page_token=f"{page[-1].created!r} {page[-1].name}" if more else "",
        )

    async def ResetSession(
        self, request: wire.ResetSessionRequest, context: _Context
    ) -> wire.ResetSessionResponse:
        """See the proto."""
        return wire.ResetSessionResponse(session=_to_wire(await self._sessions.reset(request.name)))

    async def Step(self, request: wire.StepRequest, context: _Context) -> wire.StepResponse:
        """See the proto."""
        return await _response(await self._begin(request))

    async def StreamStep(
        self, request: wire.StreamStepRequest, context: _Context
    ) -> AsyncIterator[wire.StreamStepResponse]:
        """See the proto."""
        if request.offset < 0:
            raise InvalidInput(f"offset is {request.offset}; use 0, or how many bytes you have")
        step = await self._begin(request.step)
        offset = request.offset
        while chunk := await step.output.next(offset):
            offset = chunk.offset + len(chunk.data)
            yield wire.StreamStepResponse(
                chunk=wire.OutputChunk(offset=chunk.offset, data=chunk.data)
            )
        await step.answer()
        yield wire.StreamStepResponse(observation=step.message)

    async def Converse(
        self, request_iterator: AsyncIterator[wire.ConverseRequest], context: _Context
    ) -> AsyncIterator[wire.ConverseResponse]:
        """See the proto."""
        name = ""
        async for request in request_iterator:
            name = name or request.step.name
            if request.step.name != name:
                raise InvalidInput(
                    f"this conversation is with {name!r}, not with {request.step.name!r}; "
                    "begin another one"
                )
            yield wire.ConverseResponse(step=await _response(await self._begin(request.step)))

    async def Interrupt(
        self, request: wire.InterruptRequest, context: _Context
    ) -> wire.InterruptResponse:
        """See the proto."""
        session = await self._sessions.get(request.name)
        step = await session.interrupt()
        if step is None:
            return wire.InterruptResponse(interrupted=False)
        return wire.InterruptResponse(
            interrupted=True,
            step_index=step.index,
            ended=step.is_answered,
            observation=step.observation,
        )

    async def Exec(self, request: wire.ExecRequest, context: _Context) -> wire.ExecResponse:
        """See the proto."""
        program = convert.program_from_wire(request)
        session = await self._sessions.get(request.name)
        return convert.program_result_to_wire(await session.execute(program))

    async def Probe(self, request: wire.ProbeRequest, context: _Context) -> wire.ProbeResponse:
        """See the proto."""
        session = await self._sessions.get(request.name)
        return convert.probe_result_to_wire(await session.probe(request.suite))

    async def DeleteSession(
        self, request: wire.DeleteSessionRequest, context: _Context
    ) -> wire.DeleteSessionResponse:
        """See the proto."""
        is_gone = await self._sessions.delete(request.name)
        return wire.DeleteSessionResponse(not_removed="" if is_gone else _NOT_REMOVED)

    async def _begin(self, request: wire.StepRequest) -> StepRun | PastStep:
        return await self._sessions.begin_step(convert.step_from_wire(request))


async def _response(step: StepRun | PastStep) -> wire.StepResponse:
    await step.answer()
    return wire.StepResponse(observation=step.message, step_index=step.index)


def _replayed_to_wire(session: Session) -> wire.Replayed | None:
    replayed = session.replayed
    if replayed is None:
        return None
    return wire.Replayed(steps=replayed.steps, differing_steps=replayed.differing)


def _to_wire(session: Session) -> wire.Session:
    state = wire.SESSION_STATE_READY
    if session.is_busy:
        state = wire.SESSION_STATE_BUSY
    elif session.is_broken:
        state = wire.SESSION_STATE_BROKEN
    return wire.Session(
        name=session.name,
        kind=session.kind,
        backend=session.backend,
        state=state,
        last_step_index=session.last_step_index,
        create_time=_timestamp(session.created),
        idle_expire_time=_timestamp(session.idle_expires),
        expire_time=_timestamp(session.expires),
        journal_bytes=session.budget.used,
        max_journal_bytes=session.budget.most,
        answer_within=convert.duration(session.answer_within),
    )


def _timestamp(seconds: float) -> Timestamp:
    timestamp = Timestamp()
    timestamp.FromNanoseconds(round(seconds * 1e9))
    return timestamp


def _page_start(token: str) -> tuple[float, str]:
    created, _, name = token.partition(" ")
    try:
        return (float(created), name) if token else (0.0, "")
    except ValueError:
        raise InvalidInput(
            f"page_token is {token!r}; use the next_page_token of the page before"
        ) from None
