"""A scripted environment, and sessions on it: nothing here needs Docker.

The environment does what the action says: `say X` prints X, `wait` waits until it is released,
`invalid`, `gone` and `fault` raise.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest
import structlog
from tests.postgres import binary, new_database, postgres

from plumb_backends.environment import (
    Action,
    Ending,
    Environment,
    Observation,
    OutputSink,
    ProbeResult,
    Program,
    ProgramResult,
    Provenance,
)
from plumb_backends.errors import InvalidInput, SandboxUnavailable
from plumb_backends.grounding import Grounding
from plumb_backends.registry import Backends, Grounded, Spec
from plumb_server.journal import Journal, open_journal
from plumb_server.session import Session
from plumb_server.sessions import SessionLimits, Sessions, Wish, open_sessions

_Result = TypeVar("_Result")
DATABASES = ("sqlite", "postgresql")
SOON = 60.0
"""Seconds after which what should have happened has not."""


@pytest.fixture(autouse=True)
def _quiet_logs() -> Iterator[None]:
    with structlog.testing.capture_logs():
        yield


async def soon(awaitable: Awaitable[_Result]) -> _Result:
    """Waits for what must come soon; fails instead of hanging."""
    return await asyncio.wait_for(awaitable, SOON)


async def fails_soon(awaitable: Awaitable[object]) -> BaseException:
    """What the awaitable raises, soon."""
    done = (await soon(asyncio.gather(awaitable, return_exceptions=True)))[0]
    assert isinstance(done, BaseException), f"it gave {done!r}"
    return done


class FakeEnvironment:
    """Performs scripted actions, and remembers all that was asked of it."""

    def __init__(self) -> None:
        self.ran: list[bytes] = []
        self.resets = 0
        self.closes = 0
        self.entered = asyncio.Event()  # something waits
        self.release = asyncio.Event()
        self.closed = asyncio.Event()
        self.reset_error: Exception | None = None
        self.waits_in_reset = False
        self.waits_in_close = False
        self._interrupted = False

    async def step(self, action: Action, *, on_output: OutputSink | None = None) -> Observation:
        if action.text == b"invalid":
            raise InvalidInput("the action is invalid; use another")
        self.ran.append(action.text)
        word, _, rest = action.text.partition(b" ")
        match word:
            case b"gone":
                raise SandboxUnavailable("the sandbox is gone; reset the session")
            case b"fault":
                raise RuntimeError("secret innards")
            case b"wait":
                await self._wait()
        if on_output and rest:
            on_output(rest)
        ending = Ending.INTERRUPTED if self._interrupted else Ending.EXITED
        self._interrupted = False
        return Observation(
            text=rest.decode(),
            raw=rest,
            ending=ending,
            exit_code=0,
            provenance=Provenance(backend="real"),
        )

    async def _wait(self) -> None:
        self.entered.set()
        await self.release.wait()
        self.entered.clear()
        self.release.clear()

    async def reset(self) -> None:
        self.resets += 1
        if self.waits_in_reset:
            await self._wait()
        if self.reset_error:
            raise self.reset_error

    async def probe(self, suite: str) -> ProbeResult:
        if suite == "wait":
            await self._wait()
        return ProbeResult(suite, {"cwd": "/root"})

    async def close(self) -> None:
        self.closes += 1
        if self.waits_in_close:
            await self._wait()
        self.closed.set()


class FullEnvironment(FakeEnvironment):
    """One that can do everything."""

    def interrupt(self) -> bool:
        if not self.entered.is_set():
            return False
        self._interrupted = True
        self.release.set()
        return True

    async def execute(self, program: Program) -> ProgramResult:
        return ProgramResult(stdout=" ".join(program.argv).encode(), stderr=b"", exit_code=0)


class FakeProvider:
    """Makes fake environments, when it is let."""

    def __init__(self) -> None:
        self.made: list[FakeEnvironment] = []
        self.asked = 0
        self.may_create = asyncio.Event()
        self.may_create.set()
        self.creating = asyncio.Event()
        self.create_error: Exception | None = None
        self.check_error: Exception | None = None
        self.sweep_error: Exception | None = None
        self.sweeps = 0

    async def create(self, spec: Spec) -> Grounded:
        self.asked += 1
        self.creating.set()
        await self.may_create.wait()
        if self.create_error:
            raise self.create_error
        environment = FullEnvironment()
        self.made.append(environment)
        return Grounded(environment, ())

    async def check(self) -> None:
        if self.check_error:
            raise self.check_error

    async def sweep(self) -> int:
        self.sweeps += 1
        if self.sweep_error:
            raise self.sweep_error
        return 0


def spec(session_id: str = "") -> Spec:
    """What every session here is."""
    return Spec(
        kind="shell",
        backend="real",
        session_id=session_id or str(uuid.uuid4()),
        grounding=Grounding(),
    )


def wish(request_id: str = "", idle_timeout: float | None = None) -> Wish:
    """Asks for a session."""
    return Wish(spec=spec(), request_id=request_id, idle_timeout=idle_timeout)


def action(text: bytes) -> Action:
    """One action."""
    return Action(text)


class Kit:
    """What the tests of this folder need of this file: pytest imports no test folder by name."""

    spec = staticmethod(spec)
    wish = staticmethod(wish)
    action = staticmethod(action)
    soon = staticmethod(soon)
    fails_soon = staticmethod(fails_soon)
    FakeEnvironment = FakeEnvironment
    FullEnvironment = FullEnvironment
    FakeProvider = FakeProvider


@pytest.fixture
def kit() -> type[Kit]:
    """Helpers."""
    return Kit


@pytest.fixture
async def provider() -> FakeProvider:
    """The backend behind `sessions`."""
    return FakeProvider()


@pytest.fixture
def backends(provider: FakeProvider) -> Backends:
    """The fake backend, in the real one's place."""
    return Backends({("shell", "real"): provider})


@pytest.fixture(scope="session")
def postgres_socket() -> Iterator[str]:
    """A PostgreSQL, or a skipped test where none is installed."""
    if binary("initdb") is None:
        pytest.skip("no PostgreSQL is here; install it, or run make postgres")
    with postgres() as socket:
        yield socket


@pytest.fixture(params=DATABASES)
def journal_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where an empty journal can be opened, in each kind of database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/journal.sqlite"
    return new_database(request.getfixturevalue("postgres_socket"))


@pytest.fixture
async def journal() -> AsyncIterator[Journal]:
    """A journal in memory; the tests of the journal itself use each kind of database."""
    async with open_journal("sqlite://") as opened:
        yield opened


@pytest.fixture
async def sessions(backends: Backends, journal: Journal) -> AsyncIterator[Sessions]:
    """Sessions with the usual limits."""
    async with open_sessions(backends, journal, SessionLimits(), sweep_interval=3600) as opened:
        yield opened


@pytest.fixture
def environment() -> FullEnvironment:
    """The environment behind `session`."""
    return FullEnvironment()


MakeSession = Callable[[Environment, Journal], Session]


@pytest.fixture
def make_session() -> MakeSession:
    """Makes a session on an environment, outside of any `Sessions`."""

    def make(environment: Environment, journal: Journal) -> Session:
        return Session(
            spec(), Grounded(environment, ()), journal, idle_timeout=100.0, max_life=1000.0
        )

    return make


@pytest.fixture
async def session(
    environment: FullEnvironment, journal: Journal, make_session: MakeSession
) -> AsyncIterator[Session]:
    """A session on `environment`."""
    made = make_session(environment, journal)
    yield made
    await made.close()


class Clock:
    """The time as the tests say, in place of the module `time`.

    Attributes:
        now: Unix time while nobody has set the clock.
        set_by: Seconds by which somebody has set it.
    """

    def __init__(self) -> None:
        self.now = 1_000_000.0
        self.set_by = 0.0

    def time(self) -> float:
        return self.now + self.set_by

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Stands still until it is put forward; sessions go by it."""
    clock = Clock()
    monkeypatch.setattr("plumb_server.session.time", clock)
    return clock
