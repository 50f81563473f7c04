"""The client for asyncio. The synchronous one is a thin face over it."""

from collections.abc import AsyncGenerator, Sequence
from typing import Self, Unpack

import grpc

from plumb.v1 import (
    diagnosis_pb2,
    diagnosis_pb2_grpc,
    fidelity_pb2,
    fidelity_pb2_grpc,
    grounding_pb2_grpc,
    journal_pb2,
    journal_pb2_grpc,
)
from plumb.v1 import environment_pb2 as wire
from plumb.v1 import environment_pb2_grpc as wire_grpc
from plumb_client import checks, comparisons, groundings, journal, requests, values
from plumb_client.agent_session import AgentSession
from plumb_client.channel import bound, open_channel
from plumb_client.comparisons import ComparedStep, Report
from plumb_client.errors import translated
from plumb_client.groundings import CapturedGrounding, GeneratedGrounding, GroundingOptions
from plumb_client.home import StaysHere
from plumb_client.journal import (
    Finding,
    JournaledRequest,
    JournaledSession,
    JournalFilter,
    JournalPage,
    StepPage,
)
from plumb_client.opening import Opening
from plumb_client.options import ComparedOptions, SessionOptions
from plumb_client.session import Session
from plumb_client.stream import Stream
from plumb_client.tls import Tls

__all__ = ["DEFAULT_ADDRESS", "AgentSession", "Opening", "Plumb", "Session", "Stream", "connect"]

DEFAULT_ADDRESS = "127.0.0.1:50051"


def connect(
    address: str = DEFAULT_ADDRESS, *, token: str | None = None, tls: Tls | None = None
) -> "Plumb":
    """Connects to a server, as soon as something is asked of it.

    Args:
        address: HOST:PORT.
        token: The server's, or an agent's; None where the server has none.
        tls: How to speak TLS; None to speak plainly, so that whoever is on the way can read all.

    Returns:
        To be used as an async context manager, or closed.

    Raises:
        InvalidInput: The address or the token cannot be one, or a file of TLS is missing.
        ForkedProcess: The process was forked from one that had used the client.
        WrongEventLoop: No event loop is running.
    """
    return Plumb(open_channel(address, token, tls))


class Plumb(StaysHere):
    """A connection to a server. Made by `connect`, on the running event loop.

    Every method raises a PlumbError: ServerUnavailable where no server answers, Unauthenticated
    where the token is wrong, UnusableConnection after `close`, in a forked process and on another
    event loop, InvalidInput for an argument that makes no sense.
    """

    def __init__(self, channel: grpc.aio.Channel) -> None:
        channel = self._channel = bound(channel)
        self._home = channel.home
        self._stub: wire_grpc.EnvironmentServiceAsyncStub = wire_grpc.EnvironmentServiceStub(
            channel
        )
        self._groundings: grounding_pb2_grpc.GroundingServiceAsyncStub = (
            grounding_pb2_grpc.GroundingServiceStub(channel)
        )
        self._fidelity: fidelity_pb2_grpc.FidelityServiceAsyncStub = (
            fidelity_pb2_grpc.FidelityServiceStub(channel)
        )
        self._journal: journal_pb2_grpc.JournalServiceAsyncStub = (
            journal_pb2_grpc.JournalServiceStub(channel)
        )
        self._diagnosis: diagnosis_pb2_grpc.DiagnosisServiceAsyncStub = (
            diagnosis_pb2_grpc.DiagnosisServiceStub(channel)
        )

    def __repr__(self) -> str:
        return f"<Plumb {self._channel.address}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes the connection; sessions live on until they are closed or idle too long."""
        await self._channel.close()

    def session(
        self,
        kind: str,
        backend: str = "real",
        *,
        wait: float = 0.0,
        **options: Unpack[SessionOptions],
    ) -> Opening:
        """Makes a session.

        Args:
            kind: Which kind of environment, for example `shell`.
            backend: What stands behind it: `real`, `simulated`, `paired` or `replay`.
            wait: Seconds that a server without a free place is asked again, when and as often as
                it says; default 0, not at all. Cancelling ends the waiting.
            **options: See `SessionOptions`.

        Returns:
            To be awaited, or used with `async with`, which closes the session at the end.

        Raises:
            InvalidInput: An argument makes no sense; raised at once.
            LimitReached: There was no place in time; `retry_after` says when to try again. Raised,
                as the following are, when it is awaited or entered; nothing is left behind.
            InitFailed: An init script failed.
            ImageMissing: The engine does not have the image.
            SandboxUnavailable: The sandbox could not be made.
        """
        request = requests.create_session(kind, backend, **options)
        return Opening(self._stub, self._home, request, checks.seconds("wait", wait, least=0))

    async def attach(self, name: str) -> "Session":
        """Takes over a live session that anybody made.

        Raises:
            SessionNotFound: It never was, or has ended.
        """
        with translated():
            response = await self._stub.GetSession(
                wire.GetSessionRequest(name=checks.text("name", name))
            )
        return Session(self._stub, self._home, response.session)

    def agent_session(self, name: str) -> "AgentSession":
        """The agent's part of a live session, for a connection with that agent's token.

        Asks nothing of the server yet, and closing it ends nothing.
        """
        return AgentSession(self._stub, self._home, name)

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
        **options: Unpack[ComparedOptions],
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
            response = await self._fidelity.GetReport(
                fidelity_pb2.GetReportRequest(name=checks.text("name", name))
            )
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

    async def capture_grounding(
        self, kind: str, **options: Unpack[SessionOptions]
    ) -> CapturedGrounding:
        """Runs init scripts for real, and tells what they leave; nothing is left behind.

        Args:
            kind: Which kind of environment.
            **options: As of a session with backend `real`; `init` above all.
        """
        with translated():
            return groundings.read_capture_response(
                await self._groundings.CaptureGrounding(
                    groundings.write_capture_request(kind, options)
                )
            )

    async def journaled_sessions(self, **filters: Unpack[JournalFilter]) -> JournalPage:
        """A page of the sessions that the journal has, live ones among them, newest first.

        Args:
            **filters: See `JournalFilter`.
        """
        with translated():
            return journal.read_page(
                await self._journal.ListJournaledSessions(journal.write_list_request(**filters))
            )

    async def journaled_session(self, name: str) -> tuple[JournaledSession, JournaledRequest]:
        """A session that lives or has ended, and what it was created from.

        Raises:
            SessionNotFound: The journal has none of this name.
        """
        with translated():
            return journal.read_whole_session(
                await self._journal.GetJournaledSession(
                    journal_pb2.GetJournaledSessionRequest(name=checks.text("name", name))
                )
            )

    async def journaled_steps(self, name: str, *, first: int = 0, page_size: int = 0) -> StepPage:
        """Answered steps of a session that lives or has ended.

        Args:
            name: The session's.
            first: The page begins with the first step that has this index or a later one.
            page_size: How many at most; 1 to 1000, default 100.

        Raises:
            SessionNotFound: The journal has none of this name.
        """
        request = journal.write_steps_request(name, first, page_size)
        with translated():
            return journal.read_steps(await self._journal.ListJournaledSteps(request))

    async def diagnose(self) -> list[Finding]:
        """What the server stands on, whether it works, and how to mend what does not."""
        with translated():
            response = await self._diagnosis.Diagnose(diagnosis_pb2.DiagnoseRequest())
        return [journal.read_finding(finding) for finding in response.findings]

    async def kinds(self) -> list[values.KindInfo]:
        """What the server can make."""
        with translated():
            response = await self._stub.ListKinds(wire.ListKindsRequest())
        return [values.read_kind(kind) for kind in response.kinds]
