"""Errors: every reason of the wire has a class, and the tree in the docstring is the real one."""

from __future__ import annotations

import re

import grpc
import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

import plumb_client
from plumb.v1 import environment_pb2 as wire
from plumb_client import errors
from plumb_client.errors import REASONS, PlumbError, is_answer, to_error, translated

REASONS_OF_THE_WIRE = {
    name.removeprefix("REASON_")
    for name in wire.Reason.keys()  # noqa: SIM118
    if name != "REASON_UNSPECIFIED"
}
CLASSES = {
    value.__name__: value
    for value in vars(errors).values()
    if isinstance(value, type) and issubclass(value, PlumbError)
}


def rpc_error(code: grpc.StatusCode, message: str, *details: object) -> grpc.aio.AioRpcError:
    packed = []
    for detail in details:
        any_message = AnyMessage()
        any_message.Pack(detail)  # type: ignore[arg-type]
        packed.append(any_message)
    status = rpc_status.to_status(
        status_pb2.Status(code=code.value[0], message=message, details=packed)
    )
    trailing = status.trailing_metadata if details else ()
    return grpc.aio.AioRpcError(
        code, grpc.aio.Metadata(), grpc.aio.Metadata(*trailing), details=message
    )


def refused(
    reason: str, *more: object, domain: str = "plumb.v1", **facts: str
) -> grpc.aio.AioRpcError:
    info = error_details_pb2.ErrorInfo(reason=reason, domain=domain, metadata=facts)
    return rpc_error(grpc.StatusCode.FAILED_PRECONDITION, "a sentence", info, *more)


def test_every_reason_of_the_wire_has_a_class_and_no_other_has() -> None:
    assert set(REASONS) == REASONS_OF_THE_WIRE


@pytest.mark.parametrize("reason", sorted(REASONS_OF_THE_WIRE))
def test_a_reason_becomes_its_class_with_sentence_reason_and_facts(reason: str) -> None:
    error = to_error(refused(reason, expected="3"))
    assert type(error) is REASONS[reason]
    assert str(error) == "a sentence"
    assert error.reason == reason
    assert error.metadata == {"expected": "3"}


def test_every_class_is_in_the_docstring_s_tree_at_its_place() -> None:
    assert errors.__doc__ is not None
    path: list[str] = []
    drawn: dict[str, str] = {}
    for line in errors.__doc__.splitlines():
        match = re.match(r"( *)[*x-] (\w+)", line)
        if match:
            path = [*path[: len(match[1]) // 2], match[2]]
            drawn[match[2]] = path[-2] if len(path) > 1 else "Exception"
    assert drawn == {name: value.__bases__[0].__name__ for name, value in CLASSES.items()}


@pytest.mark.parametrize("name", CLASSES)
def test_every_error_is_a_plumb_error_and_exported(name: str) -> None:
    assert getattr(plumb_client, name) is CLASSES[name]
    assert issubclass(CLASSES[name], PlumbError)


def test_errors_are_also_what_python_calls_them() -> None:
    assert issubclass(plumb_client.InvalidInput, ValueError)
    assert issubclass(plumb_client.SessionNotFound, LookupError)
    assert issubclass(plumb_client.ServerUnavailable, ConnectionError)


def test_a_failed_init_script_tells_its_number_status_and_last_lines() -> None:
    error = to_error(refused("INIT_FAILED", script="2", exit_code="3", tail="why"))
    assert isinstance(error, plumb_client.InitFailed)
    assert (error.script, error.exit_code, error.tail) == (2, 3, "why")


def test_a_reached_limit_tells_which_and_when_to_retry() -> None:
    retry = error_details_pb2.RetryInfo(retry_delay=Duration(seconds=1, nanos=500_000_000))
    error = to_error(refused("LIMIT_REACHED", retry, limit="PLUMB_MAX_SESSIONS"))
    assert isinstance(error, plumb_client.LimitReached)
    assert (error.limit, error.retry_after) == ("PLUMB_MAX_SESSIONS", 1.5)


def test_without_a_reason_unavailable_says_how_to_start_a_server() -> None:
    error = to_error(rpc_error(grpc.StatusCode.UNAVAILABLE, "connection refused"))
    assert type(error) is plumb_client.ServerUnavailable
    assert "connection refused" in str(error)
    assert "`plumb serve`" in str(error)


def test_without_a_reason_a_deadline_is_an_unavailable_server() -> None:
    error = to_error(rpc_error(grpc.StatusCode.DEADLINE_EXCEEDED, "late"))
    assert type(error) is plumb_client.ServerUnavailable
    assert "did not answer in time" in str(error)


@pytest.mark.parametrize("code", [grpc.StatusCode.UNKNOWN, grpc.StatusCode.UNIMPLEMENTED])
def test_any_other_status_without_a_reason_is_a_fault(code: grpc.StatusCode) -> None:
    assert type(to_error(rpc_error(code, "x"))) is plumb_client.ServerFault


def test_a_reason_of_a_newer_server_is_not_rebuilt_from_its_name() -> None:
    error = to_error(refused("SystemExit"))
    assert type(error) is plumb_client.ServerFault


def test_a_reason_of_somebody_else_s_is_not_taken_for_ours() -> None:
    error = refused("INVALID_INPUT", domain="example.com")
    assert not is_answer(error)
    assert type(to_error(error)) is plumb_client.ServerFault


def test_plumb_s_own_answers_are_told_from_a_broken_connection() -> None:
    assert is_answer(refused("SANDBOX_UNAVAILABLE"))
    assert not is_answer(rpc_error(grpc.StatusCode.UNAVAILABLE, "connection reset"))


def test_the_translation_keeps_the_cause_and_lets_all_else_pass() -> None:
    cause = refused("STEP_MISMATCH")
    with pytest.raises(plumb_client.OutOfOrder) as caught, translated():
        raise cause
    assert caught.value.__cause__ is cause
    with pytest.raises(KeyError), translated():
        raise KeyError
