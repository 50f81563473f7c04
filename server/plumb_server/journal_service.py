"""plumb.v1.JournalService: reads the request, asks the history, writes the response."""

import datetime
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import grpc
from google.protobuf.timestamp_pb2 import Timestamp

from plumb.v1 import environment_pb2
from plumb.v1 import journal_pb2 as wire
from plumb.v1 import journal_pb2_grpc as wire_grpc
from plumb_backends.errors import InvalidInput, SessionNotFound
from plumb_server.history import Filter, History, PastSession, PastStep, Place
from plumb_server.paging import page_size
from plumb_server.session import check_name
from plumb_server.sessions import Sessions

_Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"

_MOST_PAGE_BYTES = 2 * 1024 * 1024
"""Below what gRPC's clients take by default (4 MiB), whatever one step may hold."""


class JournalService(wire_grpc.JournalServiceServicer):
    """The service. Every error that it raises is turned into a status by `interceptors.Guard`."""

    def __init__(self, history: History, sessions: Sessions) -> None:
        self._history = history
        self._sessions = sessions

    async def ListJournaledSessions(
        self, request: wire.ListJournaledSessionsRequest, context: _Context
    ) -> wire.ListJournaledSessionsResponse:
        """See the proto."""
        size = page_size(request.page_size)
        live, ends = self._sessions.names(), self._sessions.ends()
        wanted = _filter(request, live)
        found = await self._history.sessions(wanted, _read_token(request.page_token), size + 1)
        page = found[:size]
        return wire.ListJournaledSessionsResponse(
            sessions=[_session(one, live, ends) for one in page],
            next_page_token=_write_token(page[-1]) if len(found) > size else "",
            total_size=await self._history.count(wanted),
        )

    async def GetJournaledSession(
        self, request: wire.GetJournaledSessionRequest, context: _Context
    ) -> wire.GetJournaledSessionResponse:
        """See the proto."""
        # Before the journal is asked: what ends meanwhile is there, or was known to live.
        live, ends = self._sessions.names(), self._sessions.ends()
        found = await self._find(request.name)
        session = _session(found, live, ends)
        session.journal_bytes = await self._history.size(request.name)
        return wire.GetJournaledSessionResponse(session=session, request=_request(found))

    async def ListJournaledSteps(
        self, request: wire.ListJournaledStepsRequest, context: _Context
    ) -> wire.ListJournaledStepsResponse:
        """See the proto."""
        size = page_size(request.page_size)
        if request.first_step_index < 0:
            raise InvalidInput(
                f"first_step_index is {request.first_step_index}; use 0, or a step's index"
            )
        await self._find(request.name)
        found = await self._history.steps(request.name, request.first_step_index, size + 1)
        page = list(_that_fit(found[:size]))
        rest = found[len(page) :]
        return wire.ListJournaledStepsResponse(
            steps=map(_step, page), next_step_index=rest[0].step_index if rest else 0
        )

    async def _find(self, name: str) -> PastSession:
        check_name(name)
        found = await self._history.session(name)
        if found is None:
            raise SessionNotFound(
                f"the journal has no {name}; ListJournaledSessions has those that it has"
            )
        return found


def _filter(request: wire.ListJournaledSessionsRequest, live: frozenset[str]) -> Filter:
    has_wish = request.HasField("live")
    return Filter(
        kind=request.kind,
        backend=request.backend,
        verdict=request.verdict,
        among=live if has_wish and request.live else None,
        not_among=live if has_wish and not request.live else (),
    )


def _that_fit(found: Iterable[PastStep]) -> Iterable[PastStep]:
    """As many as fit on a page; one in any case."""
    size = 0
    for number, step in enumerate(found):
        size += len(step.action) + len(step.observation or b"")
        if number and size > _MOST_PAGE_BYTES:
            return
        yield step


def _session(
    found: PastSession, live: frozenset[str], ends: Mapping[str, str]
) -> wire.JournaledSession:
    model, strategy = _who_plays(_request(found))
    return wire.JournaledSession(
        name=found.name,
        kind=found.kind,
        backend=found.backend,
        model=model,
        strategy=strategy,
        create_time=_timestamp(found.created_at),
        end_time=_timestamp(found.ended_at) if found.ended_at else None,
        end_reason=found.ended_because or ends.get(found.name, ""),
        live=found.name in live and found.ended_at is None,
        steps=found.steps,
        verdicts=found.verdicts,
        first_divergence=found.first_divergence,
    )


def _request(found: PastSession) -> environment_pb2.CreateSessionRequest:
    return environment_pb2.CreateSessionRequest.FromString(found.request)


def _who_plays(request: environment_pb2.CreateSessionRequest) -> tuple[str, str]:
    """The model, and its strategy."""
    if request.HasField("replay"):
        return request.replay.model, request.replay.strategy
    if not request.HasField("simulator"):
        return "", ""
    simulator = request.simulator
    extras = [name for name in ("reason", "critic") if getattr(simulator, name)]
    return simulator.model, "+".join(filter(None, (simulator.strategy, *extras)))


def _step(found: PastStep) -> wire.JournaledStep:
    step = wire.JournaledStep(
        step_index=found.step_index,
        action=found.action,
        answer_time=_timestamp(found.answered_at),
        after_reset=found.after_reset,
    )
    if found.observation is None:
        step.error = found.error or ""
    else:
        step.observation.ParseFromString(found.observation)
    return step


def _timestamp(at: datetime.datetime) -> Timestamp:
    timestamp = Timestamp()
    timestamp.FromDatetime(at)
    return timestamp


def _write_token(last: PastSession) -> str:
    return f"{last.created_at.isoformat()} {last.name}"


def _read_token(token: str) -> Place | None:
    if not token:
        return None
    at, _, name = token.partition(" ")
    try:
        check_name(name)
        return datetime.datetime.fromisoformat(at).replace(tzinfo=None), name
    except (ValueError, InvalidInput):
        raise InvalidInput(
            f"page_token is {token[:100]!r}; use the next_page_token of the page before"
        ) from None
