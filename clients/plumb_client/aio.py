"""The client for asyncio. The synchronous one is a thin face over it."""

import json
from collections.abc import AsyncGenerator, Generator, Sequence
from typing import Any, Self, Unpack

import grpc

from plumb.v1 import environment_pb2 as wire
from plumb.v1 import environment_pb2_grpc as wire_grpc
from plumb.v1 import fidelity_pb2, fidelity_pb2_grpc, grounding_pb2_grpc
from plumb_client import comparisons, groundings, requests, values
from plumb_client.comparisons import ComparedStep, Report
from plumb_client.errors import translated
from plumb_client.groundings import GeneratedGrounding, GroundingOptions
from plumb_client.requests import SessionOptions
from plumb_client.session import Session, Stream

__all__ = ["DEFAULT_ADDRESS", "Opening", "Plumb", "Session", "Stream", "connect"]

DEFAULT_ADDRESS = "127.0.0.1:50051"

_SERVICE = "plumb.v1.EnvironmentService"
# Exec is left out: it is not idempotent; and ResetSession, because a reset that fails for want of
# the engine ends the session: asked again, the reason would be lost. All others carry their own
# identity, or only ask.
_RETRIED = ("ListKinds", "CreateSession", "GetSession", "ListSessions", "Step", "StreamStep",
            "Interrupt", "Probe", "DeleteSession")  # fmt: skip
_SERVICE_CONFIG = json.dumps(
    {
        "methodConfig": [
            {
                "name": [{"service": _SERVICE, "method": method} for method in _RETRIED],
                "retryPolicy": {
                    "maxAttempts": 4,
                    "initialBackoff": "0.1s",
                    "maxBackoff": "1s",
                    "backoffMultiplier": 2,
                    "retryableStatusCodes": ["UNAVAILABLE"],
                },
            }
        ]
    }
)
_CHANNEL_OPTIONS = [
    ("grpc.service_config", _SERVICE_CONFIG),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2_000),  # a server that is back is found, not after minutes
    ("grpc.max_send_message_length", -1),  # the server says what is too large, with a sentence
]


def connect(address: str = DEFAULT_ADDRESS) -> "Plumb":
    """Connects to a server, as soon as something is asked of it.

    Args:
        address: HOST:PORT.

    Returns:
        To be used as an async context manager, or closed.
    """
    return Plumb(grpc.aio.insecure_channel(address, options=_CHANNEL_OPTIONS))


class Plumb:
    """A connection to a server. Made by `connect`."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._channel = channel
        self._stub: wire_grpc.EnvironmentServiceAsyncStub = wire_grpc.EnvironmentServiceStub(
            channel
        )
        self._groundings: grounding_pb2_grpc.GroundingServiceAsyncStub = (
            grounding_pb2_grpc.GroundingServiceStub(channel)
        )
        self._fidelity: fidelity_pb2_grpc.FidelityServiceAsyncStub = (
            fidelity_pb2_grpc.FidelityServiceStub(channel)
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes the connection; sessions live on until they are closed or idle too long."""
        await self._channel.close()

    def session(
        self, kind: str, backend: str = "real", **options: Unpack[SessionOptions]
    ) -> "Opening":
        """Makes a session.

        Args:
            kind: Which kind of environment, for example `shell`.
            backend: What stands behind it.
            **options: See `SessionOptions`.

        Returns:
            To be awaited, or used with `async with`, which closes the session at the end.

        Raises:
            PlumbError: When it is awaited or entered; nothing is left behind.
        """
        return Opening(self._stub, requests.create_session(kind, backend, **options))

    async def attach(self, name: str) -> "Session":
        """Takes over a live session that anybody made.

        Raises:
            SessionNotFound: It never was, or has ended.
        """
        with translated():
            response = await self._stub.GetSession(wire.GetSessionRequest(name=name))
        return Session(self._stub, response.session, ())

    async def sessions(self) -> list[values.SessionInfo]:
        """All live sessions of the server, oldest first."""
        found: list[values.SessionInfo] = []
        token = ""
        while True:
            with translated():
                page = await self._stub.ListSessions(
                    wire.ListSessionsRequest(page_size=1000, page_token=token)
                )
            found += map(values.read_session, page.sessions)
            token = page.next_page_token
            if not token:
                return found

    async def compare(
        self,
        kind: str,
        actions: Sequence[str | bytes],
        *,
        replicas: int = 3,
        timeout: float | None = None,
        **options: Unpack[SessionOptions],
    ) -> AsyncGenerator[ComparedStep | Report, None]:
        """Plays actions on fresh real sandboxes and on a simulator, and compares every step.

        Args:
            kind: Which kind of environment.
            actions: What to type, in order.
            replicas: How many real sandboxes take them; 3 or more tell what is volatile.
            timeout: Seconds that each action may run; default 30.
            **options: As of a session with backend `paired`: `init`, `task`, and either `simulator`
                or `recordings`.

        Yields:
            Each step as soon as both sides have taken it; at last the report, which is kept.
        """
        request = comparisons.write_request(
            kind, actions, options, replicas=replicas, timeout=timeout
        )
        call = self._fidelity.Compare(request)
        try:
            with translated():
                async for event in call:
                    match event.WhichOneof("event"):
                        case "step":
                            yield comparisons.read_step(event.step)
                        case "report":
                            yield comparisons.read_report(event.report)
        finally:
            call.cancel()  # where nobody wants the rest; else it is over, and this does nothing

    async def reports(self) -> list[Report]:
        """All kept reports, newest first."""
        found: list[Report] = []
        token = ""
        while True:
            with translated():
                page = await self._fidelity.ListReports(
                    fidelity_pb2.ListReportsRequest(page_size=1000, page_token=token)
                )
            found += map(comparisons.read_report, page.reports)
            token = page.next_page_token
            if not token:
                return found

    async def report(self, name: str) -> tuple[Report, list[ComparedStep]]:
        """One kept report, with its steps.

        Raises:
            ReportNotFound: There is none of this name.
        """
        with translated():
            response = await self._fidelity.GetReport(fidelity_pb2.GetReportRequest(name=name))
        return comparisons.read_report(response.report), [
            comparisons.read_step(step) for step in response.steps
        ]

    async def generate_grounding(
        self, kind: str, task: str, model: str, **options: Unpack[GroundingOptions]
    ) -> GeneratedGrounding:
        """Has a model write init scripts that make a task solvable; only such that ran are given.

        Args:
            kind: Which kind of environment.
            task: What somebody shall be able to do then.
            model: Who writes them.
            **options: See `GroundingOptions`.

        Returns:
            The scripts with the state that they left and every attempt; where `grounded` is False,
            the attempts say why.
        """
        with translated():
            return groundings.read_response(
                await self._groundings.GenerateGrounding(
                    groundings.write_request(kind, task, model, **options)
                )
            )

    async def kinds(self) -> list[values.KindInfo]:
        """What the server can make."""
        with translated():
            response = await self._stub.ListKinds(wire.ListKindsRequest())
        return [values.read_kind(kind) for kind in response.kinds]


class Opening:
    """A session about to be made: await it, or enter it."""

    def __init__(
        self, stub: "wire_grpc.EnvironmentServiceAsyncStub", request: wire.CreateSessionRequest
    ) -> None:
        self._stub = stub
        self._request = request
        self._session: Session | None = None

    def __await__(self) -> Generator[Any, None, "Session"]:
        return self._open().__await__()

    async def __aenter__(self) -> "Session":
        self._session = await self._open()
        return self._session

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def _open(self) -> "Session":
        with translated():
            response = await self._stub.CreateSession(self._request)
        return Session(
            self._stub, response.session, values.read_init_results(response.init_results)
        )
