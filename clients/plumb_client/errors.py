"""What goes wrong, as exceptions. A failed command is not here: it is an observation.

* PlumbError
  x InvalidInput               what was asked for makes no sense; the message says the mend
    - InvalidType              an argument has a wrong type, or is none that there is
  x SessionNotFound            the session never was, or has ended
  x OutOfOrder                 a step's index is wrong
    - StepInProgress           something is running already; wait for it, or interrupt it
  x InitFailed                 an init script failed; its attributes say which and how
  x ImageMissing               the engine does not have the image
  x Unsupported                the backend cannot do this
  x LimitReached               a limit of the server; its attributes say which, and when to retry
  x Unavailable
    - SandboxUnavailable       the session's sandbox is gone; reset the session, or make a new one
    - ServerUnavailable        the server is not there, going down, or cannot write its journal
  x Unauthenticated            no token was given, or none of this server
  x PermissionDenied           the token is an agent's, and may not do this
  x ReportNotFound             there is no report of this name
  x NotRecorded                the recording, or the cassette, has no answer to this
  x ModelFailed                a model that plays gave no observation; its reason says why
  x UnusableConnection         the connection cannot be used here
    - ConnectionClosed         it is closed
    - ForkedProcess            this process was forked from one that had used the client
    - WrongEventLoop           it belongs to another event loop, or none is running
  x ServerFault                a fault of plumb's own
"""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import grpc
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

DOMAIN = "plumb.v1"


class PlumbError(Exception):
    """The base of all that this client raises on purpose.

    Attributes:
        reason: The name of a plumb.v1.Reason without its prefix; empty if the server gave none.
        metadata: Facts for programs, as text.
        retry_after: Seconds after which trying again makes sense; 0 where the server names none.
    """

    def __init__(
        self,
        message: str,
        *,
        reason: str = "",
        metadata: Mapping[str, str] | None = None,
        retry_after: float = 0.0,
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.metadata = dict(metadata or {})
        self.retry_after = retry_after

    def __repr__(self) -> str:
        facts = {"reason": self.reason, "retry_after": self.retry_after, "metadata": self.metadata}
        known = "".join(f", {name}={value!r}" for name, value in facts.items() if value)
        return f"{type(self).__name__}({str(self)!r}{known})"


class InvalidInput(PlumbError, ValueError):
    """What was asked for makes no sense."""


class InvalidType(InvalidInput, TypeError):
    """An argument has a wrong type, or is none that there is."""


class SessionNotFound(PlumbError, LookupError):
    """The session never was, or has ended."""


class OutOfOrder(PlumbError):
    """A step's index is wrong: another caller has taken steps of this session."""


class StepInProgress(OutOfOrder):
    """A step, a probe or a reset of the session is running; wait for it, or interrupt it."""


class InitFailed(PlumbError):
    """An init script failed.

    Attributes:
        script: Its number, from 1.
        exit_code: Its exit status.
        tail: The last lines that it wrote.
    """

    @property
    def script(self) -> int:
        """Its number, from 1."""
        return int(self.metadata.get("script", "0"))

    @property
    def exit_code(self) -> int:
        """Its exit status."""
        return int(self.metadata.get("exit_code", "-1"))

    @property
    def tail(self) -> str:
        """The last lines that it wrote."""
        return self.metadata.get("tail", "")


class ImageMissing(PlumbError):
    """The engine does not have the image."""


class Unsupported(PlumbError):
    """The backend cannot do this."""


class LimitReached(PlumbError):
    """A limit of the server, or a budget of a simulator, is reached.

    `retry_after` is 0 where waiting does not help, as with a budget.
    """

    @property
    def limit(self) -> str:
        """The limit's name."""
        return self.metadata.get("limit", "")


class Unavailable(PlumbError):
    """Something that is needed is not there."""


class SandboxUnavailable(Unavailable):
    """The session's sandbox is gone."""


class ServerUnavailable(Unavailable, ConnectionError):
    """The server is not there, going down, or cannot write its journal.

    A step may have run or not: to ask for the same action again is safe, and gives its answer.
    """


class Unauthenticated(PlumbError):
    """No token was given, or none of this server."""


class PermissionDenied(PlumbError):
    """The token is an agent's, and may only take the steps of its own session."""


class ReportNotFound(PlumbError, LookupError):
    """There is no report of this name."""


class NotRecorded(PlumbError):
    """The recording, or the cassette, has no answer to this action at this place."""


class ModelFailed(PlumbError):
    """A model that plays an environment gave no observation.

    The action is not part of the episode; it may be tried again. `reason` says why, for example
    `MODEL_REFUSED`; the proto lists them. With `MODEL_RATE_LIMITED`, `retry_after` is set.
    """

    @property
    def side(self) -> str:
        """Which side failed, in a session with backend `paired`; else empty."""
        return self.metadata.get("side", "")


class UnusableConnection(PlumbError, RuntimeError):
    """The connection cannot be used here."""


class ConnectionClosed(UnusableConnection):
    """The connection is closed."""


class ForkedProcess(UnusableConnection):
    """This process was forked from one that had used the client; nothing would answer."""


class WrongEventLoop(UnusableConnection):
    """The connection belongs to another event loop, or none is running."""


class ServerFault(PlumbError):
    """A fault of plumb's own."""


REASONS: dict[str, type[PlumbError]] = {
    "INVALID_INPUT": InvalidInput,
    "UNKNOWN_KIND": InvalidInput,
    "UNKNOWN_BACKEND": InvalidInput,
    "UNKNOWN_SUITE": InvalidInput,
    "SESSION_NOT_FOUND": SessionNotFound,
    "STEP_OUT_OF_ORDER": OutOfOrder,
    "STEP_MISMATCH": OutOfOrder,
    "STEP_IN_PROGRESS": StepInProgress,
    "INIT_FAILED": InitFailed,
    "IMAGE_MISSING": ImageMissing,
    "UNSUPPORTED": Unsupported,
    "LIMIT_REACHED": LimitReached,
    "SANDBOX_UNAVAILABLE": SandboxUnavailable,
    "SERVER_STOPPING": ServerUnavailable,
    "JOURNAL_UNAVAILABLE": ServerUnavailable,
    "INTERNAL": ServerFault,
    "MODEL_UNAUTHORIZED": ModelFailed,
    "MODEL_UNKNOWN": ModelFailed,
    "MODEL_REFUSED": ModelFailed,
    "MODEL_REPLY_CUT": ModelFailed,
    "MODEL_UNAVAILABLE": ModelFailed,
    "MODEL_RATE_LIMITED": ModelFailed,
    "MODEL_TIMED_OUT": ModelFailed,
    "MODEL_UNUSABLE": ModelFailed,
    "MODEL_REQUEST_REJECTED": ModelFailed,
    "CONTEXT_FULL": ModelFailed,
    "BUDGET_SPENT": LimitReached,
    "CASSETTE_MISS": NotRecorded,
    "NOT_RECORDED": NotRecorded,
    "REPORT_NOT_FOUND": ReportNotFound,
    "UNAUTHENTICATED": Unauthenticated,
    "PERMISSION_DENIED": PermissionDenied,
}


_TOO_LARGE = "larger than max"  # gRPC's own words, before the server sees the request

_FOR_NOW = "JOURNAL_UNAVAILABLE"


def is_answer(error: grpc.RpcError) -> bool:
    """Whether plumb itself said this, for good, and not the connection."""
    return _details(error)[0].reason not in ("", _FOR_NOW)


def to_error(error: grpc.RpcError) -> PlumbError:
    """Turns what gRPC raises into one of ours."""
    info, retry = _details(error)
    message = str(_call(error).details() or _call(error).code())
    kind = REASONS.get(info.reason)
    if kind is None:
        return _without_reason(_call(error).code(), message)
    return kind(
        message,
        reason=info.reason,
        metadata=dict(info.metadata),
        retry_after=retry.retry_delay.ToNanoseconds() / 1e9,
    )


def _without_reason(code: grpc.StatusCode, message: str) -> PlumbError:
    if code is grpc.StatusCode.UNAVAILABLE:
        return ServerUnavailable(
            f"no plumb server answers ({message}); start one with `plumb serve`, and mind that "
            "both speak TLS, or neither"
        )
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return ServerUnavailable(f"the server did not answer in time ({message})")
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED:
        if _TOO_LARGE in message:
            return InvalidInput(f"the request is larger than the server takes: {message}")
        return LimitReached(message)
    return ServerFault(f"{code.name}: {message}")


def _details(
    error: grpc.RpcError,
) -> tuple[error_details_pb2.ErrorInfo, error_details_pb2.RetryInfo]:
    info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
    status: status_pb2.Status | None = rpc_status.from_call(_call(error))
    for detail in status.details if status else ():
        detail.Unpack(info)
        detail.Unpack(retry)
    if info.domain != DOMAIN:
        info.Clear()
    return info, retry


def _call(error: grpc.RpcError) -> grpc.Call:
    return error  # type: ignore[return-value]  # every error of a call is the call, too


@contextmanager
def translated() -> Iterator[None]:
    """Turns what gRPC raises into ours. Every call of the client is in one of these."""
    try:
        yield
    except grpc.RpcError as error:
        raise to_error(error) from error
    except grpc.aio.UsageError as error:
        raise _closed() from error
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise _closed() from error  # so gRPC ends the calls of a channel that somebody closes


def _closed() -> ConnectionClosed:
    return ConnectionClosed(
        "the connection was closed while this call ran; make another one with connect()"
    )
