"""plumb.v1.GroundingService: reads the request, asks the backends, writes the response."""

from typing import Any, TypeAlias

import grpc

from plumb.v1 import grounding_pb2 as wire
from plumb.v1 import grounding_pb2_grpc as wire_grpc
from plumb_backends.errors import InvalidInput
from plumb_backends.grounding import (
    MAX_ROUNDS,
    GeneratedGrounding,
    GroundingAttempt,
    GroundingCheck,
    GroundingWish,
)
from plumb_backends.registry import Backends, check_names
from plumb_backends.simulated.options import MAX_TEMPERATURE
from plumb_backends.snapshot import Entry
from plumb_server.convert import check_task, kind_options_from_wire

_Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


class GroundingService(wire_grpc.GroundingServiceServicer):
    """The service. Every error that it raises is turned into a status by `interceptors.Guard`."""

    def __init__(self, backends: Backends) -> None:
        self._backends = backends

    async def GenerateGrounding(
        self, request: wire.GenerateGroundingRequest, context: _Context
    ) -> wire.GenerateGroundingResponse:
        """See the proto."""
        return _to_wire(await self._backends.generate(_wish(request)))


def _wish(request: wire.GenerateGroundingRequest) -> GroundingWish:
    check_names(request.kind, "simulated")
    check_task(request.task)
    if request.HasField("temperature") and not 0 <= request.temperature <= MAX_TEMPERATURE:
        raise InvalidInput(f"temperature is {request.temperature:g}; use 0 to {MAX_TEMPERATURE:g}")
    return GroundingWish(
        kind=request.kind,
        task=request.task,
        model=request.model,
        options=kind_options_from_wire(request),
        rounds=request.rounds or MAX_ROUNDS,
        temperature=request.temperature if request.HasField("temperature") else None,
    )


def _to_wire(generated: GeneratedGrounding) -> wire.GenerateGroundingResponse:
    state = generated.state
    return wire.GenerateGroundingResponse(
        grounded=generated.is_grounded,
        init=generated.scripts,
        actions=generated.actions,
        check=_check(generated.check) if generated.check else None,
        state=map(_entry, state.entries if state else ()),
        state_cut=state.cut if state else (),
        attempts=map(_attempt, generated.attempts),
        prompt_tokens=generated.prompt_tokens,
        completion_tokens=generated.completion_tokens,
        cost_usd=generated.cost_usd,
    )


def _attempt(attempt: GroundingAttempt) -> wire.GroundingAttempt:
    return wire.GroundingAttempt(
        init=attempt.scripts,
        error=attempt.error,
        check=_check(attempt.check) if attempt.check else None,
    )


def _check(check: GroundingCheck) -> wire.GroundingCheck:
    return wire.GroundingCheck(command=check.command, passed=check.passed, output=check.output)


def _entry(entry: Entry) -> wire.StateEntry:
    return wire.StateEntry(
        key=entry.key,
        fields=[
            wire.StateField(
                name=name,
                value="" if name in entry.volatile else value,
                volatile=name in entry.volatile,
            )
            for name, value in entry.fields.items()
        ],
    )
