"""Any call of any service over a real channel, and what no server may answer."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import grpc
from google.protobuf import message_factory
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2
from grpc_status import rpc_status

from plumb.v1 import diagnosis_pb2, environment_pb2, fidelity_pb2, grounding_pb2, journal_pb2

_FILES = (
    environment_pb2, fidelity_pb2, grounding_pb2, journal_pb2, diagnosis_pb2, health_pb2,
    reflection_pb2,
)  # fmt: skip
SERVICES: tuple[ServiceDescriptor, ...] = tuple(
    service for file in _FILES for service in file.DESCRIPTOR.services_by_name.values()
)
METHODS: dict[str, MethodDescriptor] = {
    method.full_name: method for service in SERVICES for method in service.methods
}
ENDLESS = ("grpc.health.v1.Health.Watch",)
"""Streams that end with their caller."""

WORDS: dict[str, Sequence[str]] = {
    "kind": ("shell", "mysql", "household"),
    "backend": ("real", "simulated", "paired", "replay", ""),
    "action": ("echo hi", "SELECT 1", "say x", "", "exit", "'", "\x03", "\x1b[201~"),
    "actions": ("echo hi", "SELECT 1", ""),
    "init": ("true", "SELECT 1", "false"),
    "argv": ("true", "echo", "no-such-program", ""),
    "cwd": ("/", "", "relative", "/none"),
    "user": ("root", "", "nobody", "-1"),
    "suite": ("cwd", "files", "schema", "counts", "rows"),
    "image": ("", "plumb-shell:latest", "none:none"),
    "database": ("", "shop", "mysql", "a.b"),
    "isolation": ("", "shared", "dedicated"),
    "rendering": ("", "client", "tuples", "json"),
    "observe": ("", "real", "simulated"),
    "model": ("baseline:always_empty", "sqlite", "gpt", ""),
    "strategy": ("", "naive", "few_shot", "grounded", "snapshot"),
    "verdict": ("", "EMPTY"),
    "page_token": ("", "1", "1.0 sessions/x", "nan x"),
    "request_id": ("", "a", "b"),
    "service": ("", "plumb.v1.EnvironmentService"),
}


def answer(channel: grpc.Channel, method: MethodDescriptor, requests: Sequence[Message]) -> str:
    """Calls, with as many requests as the method takes; the name of the status.

    Raises:
        AssertionError: The answer is none that plumb may give: a fault, or none in time.
    """
    path = f"/{method.containing_service.full_name}/{method.name}"
    reply_type = message_factory.GetMessageClass(method.output_type)
    make: Any = getattr(channel, _arity(method))
    call = make(path, request_serializer=_to_bytes, response_deserializer=reply_type.FromString)
    request = iter(requests) if method.client_streaming else requests[0]
    try:
        replies = call(request, timeout=180)
        if method.full_name in ENDLESS:
            next(replies)
            replies.cancel()
        elif method.server_streaming:
            for _ in itertools.islice(replies, 1000):
                pass
    except grpc.RpcError as error:
        return _check(error, method, requests)
    return "OK"


def _arity(method: MethodDescriptor) -> str:
    names = {True: "stream", False: "unary"}
    return f"{names[method.client_streaming]}_{names[method.server_streaming]}"


def _to_bytes(message: Message) -> bytes:
    return message.SerializeToString()


def _check(error: Any, method: MethodDescriptor, requests: Sequence[Message]) -> str:
    code: grpc.StatusCode = error.code()
    told = f"{method.full_name}({[str(one) for one in requests]}): {code.name}: {error.details()}"
    assert code not in (
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.CANCELLED,
    ), told
    if method.full_name.startswith("plumb."):
        status = rpc_status.from_call(error)
        info = error_details_pb2.ErrorInfo()
        assert status is not None, told
        assert any(detail.Unpack(info) for detail in status.details), told
        assert info.domain == "plumb.v1", told
        assert info.reason, told
    return code.name
