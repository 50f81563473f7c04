"""plumb.v1.DiagnosisService: has everything looked at, and writes the response."""

from typing import Any, TypeAlias

import grpc

from plumb.v1 import diagnosis_pb2 as wire
from plumb.v1 import diagnosis_pb2_grpc as wire_grpc
from plumb_server.diagnosis import State, diagnose
from plumb_server.settings import Settings

_Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"

_STATES = {
    State.WELL: wire.FINDING_STATE_WELL,
    State.MISSING: wire.FINDING_STATE_MISSING,
    State.BROKEN: wire.FINDING_STATE_BROKEN,
}


class DiagnosisService(wire_grpc.DiagnosisServiceServicer):
    """The service. Every error that it raises is turned into a status by `interceptors.Guard`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def Diagnose(
        self, request: wire.DiagnoseRequest, context: _Context
    ) -> wire.DiagnoseResponse:
        """See the proto."""
        return wire.DiagnoseResponse(
            findings=[
                wire.Finding(
                    subject=finding.subject,
                    state=_STATES[finding.state],
                    summary=finding.summary,
                    mend=finding.mend,
                )
                for finding in await diagnose(self._settings)
            ]
        )
