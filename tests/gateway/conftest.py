"""The gateway in front of a real server in this process, whose sandboxes are scripted.

A sandbox does what the action says: `say X` prints X, `wait` waits until it is interrupted or
released, `differ` is a pair that differs, `gone` and `fault` raise. Nothing here needs Docker.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import grpc
import httpx2 as httpx
import pytest
import structlog
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as grpc_health

from plumb.v1 import (
    diagnosis_pb2,
    diagnosis_pb2_grpc,
    environment_pb2_grpc,
    fidelity_pb2_grpc,
    grounding_pb2_grpc,
    journal_pb2_grpc,
)
from plumb_backends.environment import (
    Action,
    Ending,
    Observation,
    OutputSink,
    ProbeResult,
    Program,
    ProgramResult,
    Provenance,
)
from plumb_backends.errors import LimitReached, SandboxUnavailable
from plumb_backends.registry import Backends, Grounded, Spec
from plumb_fidelity.verdict import Aligned, Verdict
from plumb_gateway.app import make_app
from plumb_gateway.callers import own_hosts
from plumb_gateway.serving import run_gateway
from plumb_gateway.settings import GatewaySettings
from plumb_gateway.upstream import Upstream, open_upstream
from plumb_server.auth import Authentication, Tokens
from plumb_server.fidelity_service import FidelityService
from plumb_server.grounding_service import GroundingService
from plumb_server.history import History
from plumb_server.interceptors import Guard
from plumb_server.journal import open_journal
from plumb_server.journal_service import JournalService
from plumb_server.service import EnvironmentService
from plumb_server.sessions import SessionLimits, Sessions, open_sessions

if TYPE_CHECKING:
    from fastapi import FastAPI

_Result = TypeVar("_Result")
SOON = 60.0
"""Seconds after which what should have happened has not, however busy the machine is."""
TOKEN = "0123456789abcdef0123"
BASE = "http://127.0.0.1:8080"


@pytest.fixture(autouse=True)
def _quiet_logs() -> Iterator[None]:
    with structlog.testing.capture_logs():
        yield


async def soon(awaitable: Awaitable[_Result]) -> _Result:
    """Waits for what must come soon; fails instead of hanging."""
    return await asyncio.wait_for(awaitable, SOON)


class Sandbox:
    """Performs scripted actions."""

    def __init__(self) -> None:
        self.ran: list[bytes] = []
        self.begun = asyncio.Event()
        self.release = asyncio.Event()
        self.closed = asyncio.Event()
        self._interrupted = False

    async def step(self, action: Action, *, on_output: OutputSink | None = None) -> Observation:
        self.ran.append(action.text)
        word, _, rest = action.text.partition(b" ")
        match word:
            case b"gone":
                raise SandboxUnavailable("the sandbox is gone; reset the session")
            case b"full":
                raise LimitReached("no more; wait", limit="PLUMB_MAX_SESSIONS", retry_after=1.2)
            case b"fault":
                raise RuntimeError("secret innards")
            case b"wait":
                self.begun.set()
                await self.release.wait()
        if on_output and rest:
            on_output(rest)
        seen = Observation(
            text=rest.decode(errors="replace"),
            raw=b"\x1b[0m" + rest,
            ending=Ending.INTERRUPTED if self._interrupted else Ending.EXITED,
            exit_code=0,
            provenance=Provenance(backend="real"),
        )
        return _paired(seen) if word == b"differ" else seen

    async def reset(self) -> None:
        pass

    async def probe(self, suite: str) -> ProbeResult:
        return ProbeResult(suite, {"cwd": "/root"})

    def interrupt(self) -> bool:
        self._interrupted = True
        self.release.set()
        return True

    async def execute(self, program: Program) -> ProgramResult:
        return ProgramResult(stdout=" ".join(program.argv).encode(), stderr=b"", exit_code=0)

    async def close(self) -> None:
        self.closed.set()


def _paired(seen: Observation) -> Observation:
    """With another side that has a line too many."""
    doubtful = Provenance(
        backend="simulated", model="m", thought="hm", attempts=6, flags=("fence: ```<b>",)
    )
    other = dataclasses.replace(seen, text="made up\n", provenance=doubtful)
    verdict = Verdict(
        "FABRICATED",
        ("FABRICATED", "WRONG_VALUE"),
        ("a line too many: made up",),
        (Aligned("one two", "one 2", "wrong"), Aligned(None, "made up", "extra")),
    )
    return dataclasses.replace(seen, verdict=verdict, counterpart=other)


class Provider:
    """Makes scripted sandboxes, when it is let."""

    def __init__(self) -> None:
        self.made: list[Sandbox] = []
        self.creating = asyncio.Event()
        self.may_create = asyncio.Event()
        self.may_create.set()
        self.given_up = asyncio.Event()

    async def create(self, spec: Spec) -> Grounded:
        self.creating.set()
        try:
            await self.may_create.wait()
        except asyncio.CancelledError:
            self.given_up.set()
            raise
        self.made.append(Sandbox())
        return Grounded(self.made[-1], ())

    async def check(self) -> None:
        pass

    async def sweep(self) -> int:
        return 0


class _Diagnosis(diagnosis_pb2_grpc.DiagnosisServiceServicer):
    """Finds one thing of each state."""

    async def Diagnose(  # noqa: N802 - the wire's name
        self, request: diagnosis_pb2.DiagnoseRequest, context: object
    ) -> diagnosis_pb2.DiagnoseResponse:
        states = diagnosis_pb2.FindingState.values()[1:]
        return diagnosis_pb2.DiagnoseResponse(
            findings=[
                diagnosis_pb2.Finding(subject=f"thing {s}", state=s, summary="so", mend="mend it")
                for s in states
            ]
        )


@dataclasses.dataclass(frozen=True, slots=True)
class Server:
    """One that runs in this process.

    Attributes:
        address: Where, for gRPC.
        health: What it says of itself; to be changed.
    """

    address: str
    provider: Provider
    sessions: Sessions
    health: grpc_health.HealthServicer


@asynccontextmanager
async def _serve(folder: Path, token: str) -> AsyncIterator[Server]:
    provider, tokens = Provider(), Tokens(token)
    names = [("shell", name) for name in ("real", "paired", "simulated", "replay")]
    backends = Backends(dict.fromkeys(names, provider))
    async with (
        open_journal("sqlite://") as journal,
        open_sessions(backends, journal, SessionLimits(), sweep_interval=3600) as sessions,
    ):
        server = grpc.aio.server(interceptors=[Guard(), Authentication(tokens)])
        environment_pb2_grpc.add_EnvironmentServiceServicer_to_server(
            EnvironmentService(sessions, tokens.agent_token), server
        )
        fidelity_pb2_grpc.add_FidelityServiceServicer_to_server(
            FidelityService(backends, journal, sessions), server
        )
        grounding_pb2_grpc.add_GroundingServiceServicer_to_server(
            GroundingService(backends, sessions.places), server
        )
        journal_pb2_grpc.add_JournalServiceServicer_to_server(
            JournalService(History(journal), sessions), server
        )
        diagnosis_pb2_grpc.add_DiagnosisServiceServicer_to_server(_Diagnosis(), server)
        health = grpc_health.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(health, server)
        await health.set("", health_pb2.HealthCheckResponse.SERVING)
        address = f"unix:{folder}/grpc"
        server.add_insecure_port(address)
        await server.start()
        try:
            yield Server(address, provider, sessions, health)
        finally:
            await sessions.drain(0)
            await server.stop(0.5)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    """One without a token."""
    async with _serve(tmp_path, "") as running:
        yield running


@pytest.fixture
def settings(tmp_path: Path) -> GatewaySettings:
    """Folders of a test's own, and nothing that waits."""
    return GatewaySettings(
        listen="127.0.0.1:0", scenarios=tmp_path / "scenarios", runs=tmp_path / "runs"
    )


@pytest.fixture
async def upstream(server: Server) -> AsyncIterator[Upstream]:
    """The gateway's connection."""
    async with open_upstream(server.address, None) as opened:
        yield opened


@asynccontextmanager
async def open_http(app: FastAPI, base: str = BASE) -> AsyncIterator[httpx.AsyncClient]:
    """Asks an application as HTTP does, without a port."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url=base, timeout=SOON) as client,
    ):
        yield client


@pytest.fixture
def app(upstream: Upstream, settings: GatewaySettings) -> FastAPI:
    """The application, as on loopback."""
    return make_app(upstream, settings, own_hosts("127.0.0.1", frozenset()))


@pytest.fixture
async def http(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A program that calls it."""
    async with open_http(app) as client:
        yield client


@pytest.fixture
async def guarded_http(
    tmp_path: Path, settings: GatewaySettings
) -> AsyncIterator[httpx.AsyncClient]:
    """A program that calls one whose server wants a token."""
    async with (
        _serve(tmp_path, TOKEN) as running,
        open_upstream(running.address, None) as upstream,
        open_http(make_app(upstream, settings, frozenset())) as client,
    ):
        yield client


@pytest.fixture
async def url(server: Server, settings: GatewaySettings) -> AsyncIterator[str]:
    """A gateway on a port of its own, for what needs sockets."""
    async with run_gateway(settings, server=server.address) as running:
        yield running


class Kit:
    """What the tests of this folder need of this file: pytest imports no test folder by name."""

    BASE = BASE
    TOKEN = TOKEN
    open_http = staticmethod(open_http)
    soon = staticmethod(soon)

    @staticmethod
    async def create(http: httpx.AsyncClient, **fields: object) -> str:
        """Makes a session; its path."""
        answer = await http.post("/v1/sessions", json={"kind": "shell", **fields})
        assert answer.status_code == 201, answer.text
        return f"/v1/{answer.json()['session']['name']}"

    @staticmethod
    async def step(http: httpx.AsyncClient, path: str, *actions: str) -> None:
        """Takes the first steps of a session, whatever comes of them."""
        for index, action in enumerate(actions, 1):
            await http.post(f"{path}/steps", json={"step_index": index, "action": action})


@pytest.fixture
def kit() -> type[Kit]:
    """Helpers."""
    return Kit
