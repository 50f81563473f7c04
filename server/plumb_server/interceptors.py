"""What happens round every call: errors become statuses, calls are logged.

The one table from our errors to statuses is here. A handler is wrapped, not its call: an error that
is raised while a stream runs must become a status too.
"""

import functools
import inspect
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NoReturn, TypeAlias

import grpc
import structlog
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from plumb.v1 import environment_pb2 as wire
from plumb_backends import errors
from plumb_server import metrics

_log = structlog.get_logger(__name__)

DOMAIN = "plumb.v1"

_MAX_MESSAGE_BYTES = 1024
_MAX_FACT_BYTES = 1536
"""gRPC sends both as headers, and refuses a call with more than 8 KiB of them."""

STATUSES: dict[type[errors.PlumbError], tuple[grpc.StatusCode, "wire.Reason.ValueType"]] = {
    errors.InvalidInput: (grpc.StatusCode.INVALID_ARGUMENT, wire.REASON_INVALID_INPUT),
    errors.UnknownKind: (grpc.StatusCode.INVALID_ARGUMENT, wire.REASON_UNKNOWN_KIND),
    errors.UnknownBackend: (grpc.StatusCode.INVALID_ARGUMENT, wire.REASON_UNKNOWN_BACKEND),
    errors.UnknownSuite: (grpc.StatusCode.INVALID_ARGUMENT, wire.REASON_UNKNOWN_SUITE),
    errors.SessionNotFound: (grpc.StatusCode.NOT_FOUND, wire.REASON_SESSION_NOT_FOUND),
    errors.ReportNotFound: (grpc.StatusCode.NOT_FOUND, wire.REASON_REPORT_NOT_FOUND),
    errors.StepOutOfOrder: (grpc.StatusCode.FAILED_PRECONDITION, wire.REASON_STEP_OUT_OF_ORDER),
    errors.StepMismatch: (grpc.StatusCode.FAILED_PRECONDITION, wire.REASON_STEP_MISMATCH),
    errors.StepInProgress: (grpc.StatusCode.FAILED_PRECONDITION, wire.REASON_STEP_IN_PROGRESS),
    errors.InitFailed: (grpc.StatusCode.FAILED_PRECONDITION, wire.REASON_INIT_FAILED),
    errors.ImageMissing: (grpc.StatusCode.FAILED_PRECONDITION, wire.REASON_IMAGE_MISSING),
    errors.Unsupported: (grpc.StatusCode.UNIMPLEMENTED, wire.REASON_UNSUPPORTED),
    errors.LimitReached: (grpc.StatusCode.RESOURCE_EXHAUSTED, wire.REASON_LIMIT_REACHED),
    errors.SandboxUnavailable: (grpc.StatusCode.UNAVAILABLE, wire.REASON_SANDBOX_UNAVAILABLE),
    errors.ServerStopping: (grpc.StatusCode.UNAVAILABLE, wire.REASON_SERVER_STOPPING),
    errors.Unauthenticated: (grpc.StatusCode.UNAUTHENTICATED, wire.REASON_UNAUTHENTICATED),
    errors.PermissionDenied: (grpc.StatusCode.PERMISSION_DENIED, wire.REASON_PERMISSION_DENIED),
    errors.JournalUnavailable: (grpc.StatusCode.UNAVAILABLE, wire.REASON_JOURNAL_UNAVAILABLE),
    errors.NotRecorded: (grpc.StatusCode.FAILED_PRECONDITION, wire.REASON_NOT_RECORDED),
    errors.ModelUnauthorized: (
        grpc.StatusCode.FAILED_PRECONDITION,
        wire.REASON_MODEL_UNAUTHORIZED,
    ),
    errors.ModelUnknown: (grpc.StatusCode.FAILED_PRECONDITION, wire.REASON_MODEL_UNKNOWN),
    errors.ModelRefused: (grpc.StatusCode.ABORTED, wire.REASON_MODEL_REFUSED),
    errors.ModelReplyCut: (grpc.StatusCode.ABORTED, wire.REASON_MODEL_REPLY_CUT),
    errors.ModelUnavailable: (grpc.StatusCode.UNAVAILABLE, wire.REASON_MODEL_UNAVAILABLE),
    errors.ModelRateLimited: (grpc.StatusCode.RESOURCE_EXHAUSTED, wire.REASON_MODEL_RATE_LIMITED),
    errors.ModelTimedOut: (grpc.StatusCode.DEADLINE_EXCEEDED, wire.REASON_MODEL_TIMED_OUT),
    errors.ModelUnusable: (grpc.StatusCode.ABORTED, wire.REASON_MODEL_UNUSABLE),
    errors.ModelRequestRejected: (
        grpc.StatusCode.FAILED_PRECONDITION,
        wire.REASON_MODEL_REQUEST_REJECTED,
    ),
    errors.ContextFull: (grpc.StatusCode.FAILED_PRECONDITION, wire.REASON_CONTEXT_FULL),
    errors.BudgetSpent: (grpc.StatusCode.RESOURCE_EXHAUSTED, wire.REASON_BUDGET_SPENT),
    errors.CassetteMiss: (grpc.StatusCode.FAILED_PRECONDITION, wire.REASON_CASSETTE_MISS),
}


def to_status(error: errors.PlumbError) -> status_pb2.Status:
    """Writes an error as a status: its code, its sentence, and its details."""
    code, reason = _look_up(type(error))
    details = [_packed(_error_info(wire.Reason.Name(reason), error.metadata))]
    if isinstance(error, (errors.LimitReached, errors.ModelRateLimited)):
        delay = Duration()
        delay.FromNanoseconds(round(error.retry_after * 1e9))
        details.append(_packed(error_details_pb2.RetryInfo(retry_delay=delay)))
    message = _capped(str(error), _MAX_MESSAGE_BYTES)
    return status_pb2.Status(code=code.value[0], message=message, details=details)


def _look_up(error: type[errors.PlumbError]) -> tuple[grpc.StatusCode, "wire.Reason.ValueType"]:
    for ancestor in error.__mro__:
        if ancestor in STATUSES:
            return STATUSES[ancestor]
    return grpc.StatusCode.INTERNAL, wire.REASON_INTERNAL


def _internal(reference: str) -> status_pb2.Status:
    return status_pb2.Status(
        code=code_pb2.INTERNAL,
        message=f"a fault of plumb's own; report it with the server's log around {reference}",
        details=[_packed(_error_info("REASON_INTERNAL", {"reference": reference}))],
    )


def _error_info(reason: str, metadata: dict[str, str]) -> error_details_pb2.ErrorInfo:
    facts = {key: _capped(value, _MAX_FACT_BYTES) for key, value in metadata.items()}
    return error_details_pb2.ErrorInfo(
        reason=reason.removeprefix("REASON_"), domain=DOMAIN, metadata=facts
    )


def _capped(text: str, most: int) -> str:
    """Keeps the beginning and the end of a text that is too long for a header."""
    data = text.encode(errors="replace")
    if len(data) <= most:
        return data.decode()
    half = most // 2
    return f"{data[:half].decode(errors='ignore')} ... {data[-half:].decode(errors='ignore')}"


def _packed(message: Any) -> AnyMessage:
    packed = AnyMessage()
    packed.Pack(message)
    return packed


_Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


class Guard(grpc.aio.ServerInterceptor):
    """Turns what handlers raise into statuses with details, and logs calls."""

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        """Wraps the handler of a call."""
        handler = await continuation(handler_call_details)
        if handler is None:
            return None
        method = handler_call_details.method.rpartition("/")[2]
        inner = (
            handler.unary_unary
            or handler.unary_stream
            or handler.stream_unary
            or handler.stream_stream
        )
        # A streaming handler may also be a coroutine that writes by itself, as health's Watch is.
        wrap = _wrap_stream if inspect.isasyncgenfunction(inner) else _wrap_unary
        read = _read_each if handler.request_streaming else _read
        read = functools.partial(read, handler.request_deserializer)
        return handler_like(handler, wrap(inner, method, read), deserializer=None)


def handler_like(handler: Any, inner: Any, *, deserializer: Any) -> Any:
    """A handler of the same shape that does something else, and reads requests so."""
    kinds = {
        (False, False): grpc.unary_unary_rpc_method_handler,
        (False, True): grpc.unary_stream_rpc_method_handler,
        (True, False): grpc.stream_unary_rpc_method_handler,
        (True, True): grpc.stream_stream_rpc_method_handler,
    }
    make = kinds[handler.request_streaming, handler.response_streaming]
    return make(inner, deserializer, handler.response_serializer)


def _read(deserialize: Callable[[bytes], Any], data: bytes) -> Any:
    """Reads a request here, where what is none can be refused with a reason."""
    try:
        return deserialize(data)
    except DecodeError as error:
        raise errors.InvalidInput(
            f"the request is no message of this call ({error}); make the client from plumb's protos"
        ) from error


async def _read_each(
    deserialize: Callable[[bytes], Any], requests: AsyncIterator[bytes]
) -> AsyncIterator[Any]:
    async for data in requests:
        yield _read(deserialize, data)


def _wrap_unary(inner: Any, method: str, read: Callable[[Any], Any]) -> Any:
    async def wrapped(request: Any, context: _Context) -> Any:
        try:
            reply = await inner(read(request), context)
        except Exception as error:  # noqa: BLE001 - every error becomes a status here
            await _abort(context, method, error)
        _log.debug("call", method=method)
        return reply

    return wrapped


def _wrap_stream(inner: Any, method: str, read: Callable[[Any], Any]) -> Any:
    async def wrapped(request: Any, context: _Context) -> AsyncIterator[Any]:
        try:
            async for reply in inner(read(request), context):
                yield reply
        except Exception as error:  # noqa: BLE001 - every error becomes a status here
            await _abort(context, method, error)
        _log.debug("call", method=method)

    return wrapped


async def _abort(context: _Context, method: str, error: Exception) -> NoReturn:
    if isinstance(error, grpc.aio.BaseError):  # gRPC's own: the call is over, or the server is
        raise error
    if isinstance(error, NotImplementedError):  # of a service that is not ours, as health's List
        error = errors.Unsupported(f"{method} is not served here; use another call")
    if isinstance(error, errors.PlumbError):
        status = to_status(error)
        _log.info("call refused", method=method, message=status.message)
    else:
        status = _internal(uuid.uuid4().hex[:8])
        _log.error("call failed", method=method, message=status.message, exc_info=error)
    info = error_details_pb2.ErrorInfo()
    status.details[0].Unpack(info)
    metrics.call_failed(method, info.reason)
    rich = rpc_status.to_status(status)
    await context.abort(rich.code, rich.details, rich.trailing_metadata)
    raise AssertionError("abort raises")
