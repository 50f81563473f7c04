"""plumb.v1.GroundingService: reads the request, asks the backends, writes the response."""

import uuid
from typing import Any, TypeAlias

import grpc

from plumb.v1 import grounding_pb2 as wire
from plumb.v1 import grounding_pb2_grpc as wire_grpc
from plumb_backends.errors import InvalidInput
from plumb_backends.grounding import (
    MAX_ROUNDS,
    GeneratedGrounding,
    Grounding,
    GroundingAttempt,
    GroundingCheck,
    GroundingWish,
    decode_scripts,
)
from plumb_backends.registry import Backends, Spec, check_names
from plumb_backends.simulated.options import MAX_TEMPERATURE
from plumb_backends.simulated.truth import Truths
from plumb_backends.snapshot import Entry
from plumb_server.convert import check_task, init_results_to_wire, kind_options_from_wire
from plumb_server.places import Places

_SANDBOXES = 2
"""What a grounding's state is captured from: two, so that what is volatile shows."""

_Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


class GroundingService(wire_grpc.GroundingServiceServicer):
    """The service. Every error that it raises is turned into a status by `interceptors.Guard`."""

    def __init__(self, backends: Backends, places: Places) -> None:
        self._backends = backends
        self._places = places

    async def CaptureGrounding(
        self, request: wire.CaptureGroundingRequest, context: _Context
    ) -> wire.CaptureGroundingResponse:
        """See the proto."""
        spec = _spec(request)
        truths = Truths(self._backends)  # one for each call: what is captured is what is so now
        with self._places.held(_SANDBOXES):
            try:
                truth = await truths.of(spec, with_card=False, with_state=True)
            finally:
                await truths.close()
        return wire.CaptureGroundingResponse(
            init_results=init_results_to_wire(truth.init_results),
            state=map(_entry, truth.state.entries if truth.state else ()),
            state_cut=truth.state.cut if truth.state else (),
        )

    async def GenerateGrounding(
        self, request: wire.GenerateGroundingRequest, context: _Context
    ) -> wire.GenerateGroundingResponse:
        """See the proto."""
        wish = _wish(request)
        with self._places.held(_SANDBOXES):
            return _to_wire(await self._backends.generate(wish))


def _spec(request: wire.CaptureGroundingRequest) -> Spec:
    check_names(request.kind, "real")
    return Spec(
        kind=request.kind,
        backend="real",
        session_id=str(uuid.uuid4()),
        grounding=Grounding(
            decode_scripts(request.init), tolerate_failures=request.tolerate_init_failures
        ),
        options=kind_options_from_wire(request),
    )


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
