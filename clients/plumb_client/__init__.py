"""The client: real or simulated environments behind one interface.

    import plumb_client

    with plumb_client.connect("127.0.0.1:50051") as plumb:
        with plumb.session("shell", init=["echo 42 > /srv/n"]) as shell:
            print(shell.step("cat /srv/n").text)

`plumb_client.aio.connect` is the same for asyncio.
"""

from plumb_client import fork_support as fork_support

# isort: split
from plumb_client import aio
from plumb_client.comparisons import ComparedStep, Report
from plumb_client.errors import (
    ConnectionClosed,
    ForkedProcess,
    ImageMissing,
    InitFailed,
    InvalidInput,
    InvalidType,
    LimitReached,
    ModelFailed,
    NotRecorded,
    OutOfOrder,
    PermissionDenied,
    PlumbError,
    ReportNotFound,
    SandboxUnavailable,
    ServerFault,
    ServerUnavailable,
    SessionNotFound,
    StepInProgress,
    Unauthenticated,
    Unavailable,
    Unsupported,
    UnusableConnection,
    WrongEventLoop,
)
from plumb_client.groundings import (
    CapturedGrounding,
    GeneratedGrounding,
    GroundingAttempt,
    GroundingCheck,
    GroundingOptions,
    StateEntry,
)
from plumb_client.journal import (
    Finding,
    JournaledRequest,
    JournaledSession,
    JournaledStep,
    JournalFilter,
    JournalPage,
    StepPage,
)
from plumb_client.options import RecordedTurn, SessionOptions
from plumb_client.sync import AgentSession, Plumb, Session, Stream, connect
from plumb_client.tls import Tls
from plumb_client.values import (
    BackendInfo,
    Cell,
    Ending,
    ExecResult,
    Facts,
    InitResult,
    KindInfo,
    Observation,
    Provenance,
    SessionInfo,
    SqlResult,
    Verdict,
)

__all__ = [
    "AgentSession",
    "BackendInfo",
    "CapturedGrounding",
    "Cell",
    "ComparedStep",
    "ConnectionClosed",
    "Ending",
    "ExecResult",
    "Facts",
    "Finding",
    "ForkedProcess",
    "GeneratedGrounding",
    "GroundingAttempt",
    "GroundingCheck",
    "GroundingOptions",
    "ImageMissing",
    "InitFailed",
    "InitResult",
    "InvalidInput",
    "InvalidType",
    "JournalFilter",
    "JournalPage",
    "JournaledRequest",
    "JournaledSession",
    "JournaledStep",
    "KindInfo",
    "LimitReached",
    "ModelFailed",
    "NotRecorded",
    "Observation",
    "OutOfOrder",
    "PermissionDenied",
    "Plumb",
    "PlumbError",
    "Provenance",
    "RecordedTurn",
    "Report",
    "ReportNotFound",
    "SandboxUnavailable",
    "ServerFault",
    "ServerUnavailable",
    "Session",
    "SessionInfo",
    "SessionNotFound",
    "SessionOptions",
    "SqlResult",
    "StateEntry",
    "StepInProgress",
    "StepPage",
    "Stream",
    "Tls",
    "Unauthenticated",
    "Unavailable",
    "Unsupported",
    "UnusableConnection",
    "Verdict",
    "WrongEventLoop",
    "aio",
    "connect",
]
