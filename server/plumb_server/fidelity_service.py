"""plumb.v1.FidelityService: reads the request, has both sides played, and keeps the report."""

import collections
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import grpc

from plumb.v1 import fidelity_pb2 as wire
from plumb.v1 import fidelity_pb2_grpc as wire_grpc
from plumb_backends.comparison import ComparedStep, Comparison, ComparisonWish, open_comparison
from plumb_backends.errors import InvalidInput, ReportNotFound
from plumb_backends.registry import Backends
from plumb_backends.simulated.options import ReplayOptions
from plumb_fidelity.verdict import AGREEING, HALLUCINATIONS, UNSCORED
from plumb_server import convert, metrics
from plumb_server.journal import Journal
from plumb_server.paging import page_size
from plumb_server.sessions import Sessions

_Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


class FidelityService(wire_grpc.FidelityServiceServicer):
    """The service. Every error that it raises is turned into a status by `interceptors.Guard`."""

    def __init__(self, backends: Backends, journal: Journal, sessions: Sessions) -> None:
        self._backends = backends
        self._journal = journal
        self._sessions = sessions

    async def Compare(
        self, request: wire.CompareRequest, context: _Context
    ) -> AsyncIterator[wire.CompareResponse]:
        """See the proto."""
        wish = convert.comparison_from_wire(request)
        steps: list[wire.ComparedStep] = []
        async with self._comparison(wish) as comparison:
            grounded = wire.Grounded(replicas=wish.replicas, steps=len(wish.actions))
            yield wire.CompareResponse(grounded=grounded)
            async for step in comparison.steps():
                metrics.verdict_given(wish.kind, step.verdict.verdict)
                steps.append(_step(step))
                yield wire.CompareResponse(step=steps[-1])
        report = _report(wish, steps)
        whole = wire.GetReportResponse(report=report, steps=steps)
        await self._journal.report_made(
            report.name,
            request.SerializeToString(),
            report.SerializeToString(),
            whole.SerializeToString(),
        )
        yield wire.CompareResponse(report=report)

    @asynccontextmanager
    async def _comparison(self, wish: ComparisonWish) -> AsyncIterator[Comparison]:
        self._sessions.space.check()
        with self._sessions.places.held(wish.replicas):
            async with open_comparison(self._backends, wish) as comparison:
                yield comparison

    async def ListReports(
        self, request: wire.ListReportsRequest, context: _Context
    ) -> wire.ListReportsResponse:
        """See the proto."""
        size = page_size(request.page_size)
        found = await self._journal.reports(_before(request.page_token), size + 1)
        page = found[:size]
        return wire.ListReportsResponse(
            reports=[wire.Report.FromString(data) for _, data in page],
            next_page_token=str(page[-1][0]) if len(found) > size else "",
        )

    async def GetReport(
        self, request: wire.GetReportRequest, context: _Context
    ) -> wire.GetReportResponse:
        """See the proto."""
        data = await self._journal.report(request.name)
        if data is None:
            raise ReportNotFound(
                f"there is no report {request.name[:100]!r}; ListReports has the names"
            )
        return wire.GetReportResponse.FromString(data)


def _step(step: ComparedStep) -> wire.ComparedStep:
    return wire.ComparedStep(
        turn=step.turn,
        action=step.action.text,
        real=convert.observation_to_wire(step.real),
        simulated=convert.observation_to_wire(step.simulated) if step.simulated else None,
        verdict=convert.verdict_to_wire(step.verdict),
    )


def _report(wish: ComparisonWish, steps: Sequence[wire.ComparedStep]) -> wire.Report:
    verdicts = collections.Counter(step.verdict.verdict for step in steps)
    wrong = [step.turn for step in steps if step.verdict.verdict in HALLUCINATIONS]
    simulated = wish.simulated
    report = wire.Report(
        name=f"reports/{uuid.uuid4()}",
        kind=wish.kind,
        model=simulated.model,
        strategy=simulated.strategy if isinstance(simulated, ReplayOptions) else simulated.label,
        replicas=wish.replicas,
        steps=len(steps),
        scored_steps=sum(n for name, n in verdicts.items() if name not in UNSCORED),
        agreeing_steps=sum(n for name, n in verdicts.items() if name in AGREEING),
        verdicts=verdicts,
        first_divergence=wrong[0] if wrong else None,
    )
    report.create_time.GetCurrentTime()
    return report


def _before(token: str) -> int | None:
    if not token:
        return None
    if not (token.isascii() and token.isdigit() and len(token) < 16):
        raise InvalidInput(f"page_token is {token!r}; use the next_page_token of the page before")
    return int(token)
