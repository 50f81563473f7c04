"""Errors become statuses, once: code, reason, a sentence, and nothing of plumb's innards."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any

import grpc
import pytest
import structlog
from google.rpc import code_pb2, error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_status import rpc_status

from plumb.v1 import environment_pb2 as wire
from plumb.v1 import environment_pb2_grpc as wire_grpc
from plumb_backends import errors
from plumb_server.interceptors import STATUSES, Guard, to_status

if TYPE_CHECKING:
    from tests.server.conftest import Kit

REASONS = list(wire.Reason.keys())
CLASSES = [
    value
    for value in vars(errors).values()
    if inspect.isclass(value) and issubclass(value, errors.PlumbError)
]
WITHOUT_A_CLASS = {
    "REASON_UNSPECIFIED",  # never sent
    "REASON_INTERNAL",  # for whatever is no PlumbError
}
NAMES = {error: error.__name__ for error in CLASSES}


def made(error: type[errors.PlumbError], message: str = "a sentence") -> errors.PlumbError:
    if issubclass(error, errors.LimitReached):
        return error(message, limit="PLUMB_MAX_SESSIONS", retry_after=1.5)
    return error(message, {"a": "b"})


BASES = (errors.PlumbError, errors.ModelError)  # are never raised themselves


@pytest.mark.parametrize("error", [c for c in CLASSES if c not in BASES], ids=NAMES.get)
def test_every_error_has_a_status_and_a_reason_of_its_own(error: type[errors.PlumbError]) -> None:
    assert error in STATUSES
    status = to_status(made(error))
    assert status.code == STATUSES[error][0].value[0]
    assert status.message == "a sentence"
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    assert info.domain == "plumb.v1"
    assert f"REASON_{info.reason}" in REASONS
    assert info.metadata


def test_every_reason_is_used_by_exactly_one_error() -> None:
    used = [wire.Reason.Name(reason) for _, reason in STATUSES.values()]
    assert sorted(used) == sorted(set(REASONS) - WITHOUT_A_CLASS)


def test_an_error_without_an_entry_takes_that_of_its_base() -> None:
    class Odd(errors.UnknownKind):
        pass

    info = error_details_pb2.ErrorInfo()
    to_status(Odd("x")).details[0].Unpack(info)
    assert info.reason == "UNKNOWN_KIND"


def test_an_error_of_no_known_class_is_a_fault_of_plumb_s_own() -> None:
    assert to_status(errors.PlumbError("x")).code == code_pb2.INTERNAL


def test_a_reached_limit_tells_when_to_retry() -> None:
    status = to_status(made(errors.LimitReached))
    retry = error_details_pb2.RetryInfo()
    assert status.details[1].Unpack(retry)
    assert retry.retry_delay.ToNanoseconds() == 1_500_000_000


class Servicer(wire_grpc.EnvironmentServiceServicer):
    """Raises what it is told to, in each of the shapes that a call can have."""

    def __init__(self) -> None:
        self.error: Exception | None = None

    async def GetSession(self, request: Any, context: Any) -> Any:  # noqa: N802
        if self.error:
            raise self.error
        return wire.GetSessionResponse()

    async def StreamStep(self, request: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802
        yield wire.StreamStepResponse(chunk=wire.OutputChunk(data=b"a"))
        if self.error:
            raise self.error

    async def Converse(  # noqa: N802
        self, request_iterator: AsyncIterator[Any], context: Any
    ) -> AsyncIterator[Any]:
        async for _ in request_iterator:
            if self.error:
                raise self.error
            yield wire.ConverseResponse()


@pytest.fixture
def servicer() -> Servicer:
    return Servicer()  # type: ignore[abstract]


@pytest.fixture
async def address(servicer: Servicer) -> AsyncIterator[str]:
    from grpc_health.v1 import health
    from grpc_reflection.v1alpha import reflection

    server = grpc.aio.server(interceptors=[Guard()])
    wire_grpc.add_EnvironmentServiceServicer_to_server(servicer, server)
    health_pb2_grpc.add_HealthServicer_to_server(health.aio.HealthServicer(), server)
    reflection.enable_server_reflection([reflection.SERVICE_NAME], server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield f"127.0.0.1:{port}"
    await server.stop(None)


@pytest.fixture
async def channel(address: str) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(address) as opened:
        yield opened


async def _unary(stub: Any) -> None:
    await stub.GetSession(wire.GetSessionRequest())


async def _stream(stub: Any) -> None:
    seen = []
    try:
        async for message in stub.StreamStep(wire.StreamStepRequest()):
            seen.append(message)
    finally:
        assert len(seen) == 1  # what came before the error came through


async def _conversation(stub: Any) -> None:
    talk = stub.Converse()
    await talk.write(wire.ConverseRequest())
    await talk.read()
    await talk.done_writing()
    assert await talk.read() is grpc.aio.EOF


SHAPES = {"unary": _unary, "stream": _stream, "conversation": _conversation}
Call = Callable[[Any], Awaitable[None]]


async def refused(channel: grpc.aio.Channel, call: Call) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call(wire_grpc.EnvironmentServiceStub(channel))
    return caught.value


def info_of(error: grpc.aio.AioRpcError) -> error_details_pb2.ErrorInfo:
    status = rpc_status.from_call(error)  # type: ignore[no-untyped-call,unused-ignore]
    assert status is not None
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    return info


@pytest.mark.parametrize("shape", SHAPES)
async def test_what_a_handler_returns_comes_through(
    channel: grpc.aio.Channel, shape: str, kit: Kit
) -> None:
    await kit.soon(SHAPES[shape](wire_grpc.EnvironmentServiceStub(channel)))


@pytest.mark.parametrize("shape", SHAPES)
async def test_an_error_of_ours_arrives_with_code_reason_sentence_and_facts(
    servicer: Servicer, channel: grpc.aio.Channel, shape: str
) -> None:
    servicer.error = errors.StepOutOfOrder("step_index is 7 ☃; use 3", {"expected": "3"})
    error = await refused(channel, SHAPES[shape])
    assert error.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert error.details() == "step_index is 7 ☃; use 3"
    assert info_of(error).reason == "STEP_OUT_OF_ORDER"
    assert dict(info_of(error).metadata) == {"expected": "3"}


@pytest.mark.parametrize("shape", SHAPES)
async def test_an_unexpected_exception_is_internal_with_a_reference_and_shows_no_innards(
    servicer: Servicer, channel: grpc.aio.Channel, shape: str
) -> None:
    servicer.error = KeyError("secret innards")
    error = await refused(channel, SHAPES[shape])
    assert error.code() is grpc.StatusCode.INTERNAL
    info = info_of(error)
    assert info.reason == "INTERNAL"
    assert info.metadata["reference"] in (error.details() or "")
    everything = repr(error) + repr(info) + repr(error.trailing_metadata())
    assert "secret" not in everything
    assert "KeyError" not in everything


async def test_two_faults_have_two_references(
    servicer: Servicer, channel: grpc.aio.Channel
) -> None:
    servicer.error = KeyError()
    references = {info_of(await refused(channel, _unary)).metadata["reference"] for _ in range(2)}
    assert len(references) == 2


async def test_a_call_that_grpc_has_ended_is_no_fault_of_plumb_s_own(
    servicer: Servicer, channel: grpc.aio.Channel
) -> None:
    servicer.error = grpc.aio.UsageError("RPC already finished.")  # as of a read at a server's stop
    with structlog.testing.capture_logs() as logs:
        await refused(channel, _conversation)
    assert "call failed" not in {line["event"] for line in logs}


@pytest.mark.parametrize("letter", ["x", "ä", "\n", "☃"])
async def test_an_error_that_says_very_much_still_arrives(
    servicer: Servicer, channel: grpc.aio.Channel, letter: str
) -> None:
    servicer.error = errors.InitFailed(
        "init script 1 failed: " + letter * 1_000_000 + " the end",
        {"script": "1", "tail": letter * 4096 + "the end"},
    )
    error = await refused(channel, _unary)
    assert error.code() is grpc.StatusCode.FAILED_PRECONDITION
    info = info_of(error)
    assert info.reason == "INIT_FAILED"
    assert info.metadata["script"] == "1"
    assert info.metadata["tail"].endswith("the end")
    assert (error.details() or "").startswith("init script 1 failed: ")
    assert (error.details() or "").endswith("the end")


async def test_a_call_that_is_refused_leaves_the_connection_usable(
    servicer: Servicer, channel: grpc.aio.Channel
) -> None:
    servicer.error = KeyError()
    await refused(channel, _unary)
    servicer.error = None
    await _unary(wire_grpc.EnvironmentServiceStub(channel))


async def test_health_may_be_checked_and_watched(channel: grpc.aio.Channel, kit: Kit) -> None:
    stub = health_pb2_grpc.HealthStub(channel)
    assert (await stub.Check(health_pb2.HealthCheckRequest())).status == 1
    watch = stub.Watch(health_pb2.HealthCheckRequest())
    assert (await kit.soon(watch.read())).status == 1
    watch.cancel()


async def test_reflection_answers(channel: grpc.aio.Channel, kit: Kit) -> None:
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    call = stub.ServerReflectionInfo()
    await call.write(reflection_pb2.ServerReflectionRequest(list_services=""))
    answer = await kit.soon(call.read())
    assert answer.list_services_response.service
    call.cancel()
