"""All services of the wire, put onto a gRPC server."""

import dataclasses

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from plumb.v1 import (
    diagnosis_pb2,
    diagnosis_pb2_grpc,
    environment_pb2,
    environment_pb2_grpc,
    fidelity_pb2,
    fidelity_pb2_grpc,
    grounding_pb2,
    grounding_pb2_grpc,
    journal_pb2,
    journal_pb2_grpc,
)
from plumb_backends.registry import Backends
from plumb_server.auth import Tokens
from plumb_server.diagnosis_service import DiagnosisService
from plumb_server.fidelity_service import FidelityService
from plumb_server.grounding_service import GroundingService
from plumb_server.history import History
from plumb_server.journal import Journal
from plumb_server.journal_service import JournalService
from plumb_server.service import EnvironmentService
from plumb_server.sessions import Sessions
from plumb_server.settings import Settings

_FILES = (
    environment_pb2, fidelity_pb2, grounding_pb2, journal_pb2, diagnosis_pb2, health_pb2,
)  # fmt: skip


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What the services stand on."""

    settings: Settings
    backends: Backends
    journal: Journal
    sessions: Sessions
    tokens: Tokens
    health: health.aio.HealthServicer


def add_services(server: grpc.aio.Server, parts: Parts) -> None:
    """Adds every service, health and reflection."""
    backends, sessions = parts.backends, parts.sessions
    environment_pb2_grpc.add_EnvironmentServiceServicer_to_server(
        EnvironmentService(sessions, parts.tokens.agent_token), server
    )
    grounding_pb2_grpc.add_GroundingServiceServicer_to_server(
        GroundingService(backends, sessions.places), server
    )
    fidelity_pb2_grpc.add_FidelityServiceServicer_to_server(
        FidelityService(backends, parts.journal, sessions), server
    )
    journal_pb2_grpc.add_JournalServiceServicer_to_server(
        JournalService(History(parts.journal), sessions), server
    )
    diagnosis_pb2_grpc.add_DiagnosisServiceServicer_to_server(
        DiagnosisService(parts.settings), server
    )
    health_pb2_grpc.add_HealthServicer_to_server(parts.health, server)
    names = [
        service.full_name
        for file in _FILES
        for service in file.DESCRIPTOR.services_by_name.values()
    ]
    reflection.enable_server_reflection([*names, reflection.SERVICE_NAME], server)
