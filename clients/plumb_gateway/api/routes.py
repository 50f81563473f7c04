"""Which RPC is where. The path's names are filled into the request, all else is body or query."""

import dataclasses
from collections.abc import Mapping

from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from plumb.v1 import diagnosis_pb2, environment_pb2, fidelity_pb2, grounding_pb2, journal_pb2

FILES = (environment_pb2, fidelity_pb2, grounding_pb2, journal_pb2, diagnosis_pb2)

SERVICES: Mapping[str, ServiceDescriptor] = {
    name: service for file in FILES for name, service in file.DESCRIPTOR.services_by_name.items()
}

LIVE_PATH = "/v1/sessions/{session}/live"
"""A WebSocket: what `Converse` is in gRPC, with output as it appears."""

OVER_WEBSOCKET = frozenset({"Converse"})


@dataclasses.dataclass(frozen=True, slots=True)
class Route:
    """One RPC.

    Attributes:
        service: The service's name.
        rpc: The RPC's.
        verb: Of HTTP.
        path: With the names of what is filled in.
        status: Of success.
        name_field: Where the resource's name goes, `step.name` for one in a message.
    """

    service: str
    rpc: str
    verb: str
    path: str
    status: int = 200
    name_field: str = "name"

    @property
    def method(self) -> MethodDescriptor:
        """The RPC's description."""
        return SERVICES[self.service].methods_by_name[self.rpc]

    @property
    def is_stream(self) -> bool:
        """Whether it answers with many messages: one line each."""
        return bool(self.method.server_streaming)

    @property
    def has_body(self) -> bool:
        """Whether the request's fields come in a body, and not in the query."""
        return self.verb == "POST"

    @property
    def full_method(self) -> str:
        """What gRPC calls it."""
        return f"/{self.method.containing_service.full_name}/{self.rpc}"

    @property
    def request_type(self) -> type[Message]:
        """The class of its request."""
        return GetMessageClass(self.method.input_type)

    @property
    def response_type(self) -> type[Message]:
        """The class of its response."""
        return GetMessageClass(self.method.output_type)

    def bind(self, parameters: Mapping[str, str]) -> dict[str, str]:
        """Which fields the path fills: name -> value."""
        return dict(self._bound(name, value) for name, value in parameters.items())

    def _bound(self, name: str, value: str) -> tuple[str, str]:
        collection = _COLLECTIONS.get(name)
        return (self.name_field, f"{collection}/{value}") if collection else (name, value)


_COLLECTIONS = {"session": "sessions", "report": "reports"}

_S, _F, _G, _J = "EnvironmentService", "FidelityService", "GroundingService", "JournalService"
_SESSION = "/v1/sessions/{session}"

ROUTES = (
    Route(_S, "ListKinds", "GET", "/v1/kinds"),
    Route(_S, "CreateSession", "POST", "/v1/sessions", status=201),
    Route(_S, "ListSessions", "GET", "/v1/sessions"),
    Route(_S, "GetSession", "GET", _SESSION),
    Route(_S, "DeleteSession", "DELETE", _SESSION),
    Route(_S, "Step", "POST", f"{_SESSION}/steps"),
    Route(_S, "StreamStep", "POST", f"{_SESSION}/steps/stream", name_field="step.name"),
    Route(_S, "Interrupt", "POST", f"{_SESSION}/interrupt"),
    Route(_S, "ResetSession", "POST", f"{_SESSION}/reset"),
    Route(_S, "Exec", "POST", f"{_SESSION}/exec"),
    Route(_S, "Probe", "GET", f"{_SESSION}/probes/{{suite}}"),
    Route(_F, "Compare", "POST", "/v1/comparisons"),
    Route(_F, "ListReports", "GET", "/v1/reports"),
    Route(_F, "GetReport", "GET", "/v1/reports/{report}"),
    Route(_G, "CaptureGrounding", "POST", "/v1/groundings/capture"),
    Route(_G, "GenerateGrounding", "POST", "/v1/groundings/generate"),
    Route(_J, "ListJournaledSessions", "GET", "/v1/journal/sessions"),
    Route(_J, "GetJournaledSession", "GET", "/v1/journal/sessions/{session}"),
    Route(_J, "ListJournaledSteps", "GET", "/v1/journal/sessions/{session}/steps"),
    Route("DiagnosisService", "Diagnose", "GET", "/v1/diagnosis"),
)
