"""The synchronous client: a thin face over `aio`, on one event loop in a thread of its own."""

import asyncio
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping, Sequence
from typing import Any, Self, TypeVar, Unpack

from plumb_client import aio, values
from plumb_client.comparisons import ComparedStep, Report
from plumb_client.groundings import CapturedGrounding, GeneratedGrounding, GroundingOptions
from plumb_client.journal import (
    Finding,
    JournaledRequest,
    JournaledSession,
    JournalFilter,
    JournalPage,
    StepPage,
)
from plumb_client.requests import SessionOptions
from plumb_client.tls import Tls

_Result = TypeVar("_Result")


class _Loop:
    """An event loop in a thread, for as long as somebody uses it.

    One for all connections of the process: gRPC's asyncio side does not like several loops.
    """

    def __init__(self) -> None:
        self._users = 0
        self._guard = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._thread: threading.Thread | None = None

    def acquire(self) -> asyncio.AbstractEventLoop:
        """Starts the loop for the first user."""
        with self._guard:
            self._users += 1
            if self._loop is None:
                runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
                self._loop, self._stop = runner.get_loop(), asyncio.Event()
                self._thread = threading.Thread(
                    target=_run_until, args=(runner, self._stop), name="plumb-client", daemon=True
                )
                self._thread.start()
            return self._loop

    def release(self) -> None:
        """Ends the loop after the last user."""
        with self._guard:
            self._users -= 1
            if self._users or self._loop is None or self._stop is None or self._thread is None:
                return
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join()
            self._loop = self._stop = self._thread = None


def _run_until(runner: asyncio.Runner, stop: asyncio.Event) -> None:
    """Runs a loop, and ends what it still runs: gRPC watches each call with a task of its own."""
    with runner:
        runner.run(stop.wait())


_shared_loop = _Loop()


async def _next(events: AsyncIterator[_Result]) -> _Result | None:
    return await anext(events, None)


def _run(loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, _Result]) -> _Result:
    future = asyncio.run_coroutine_threadsafe(coroutine, loop)
    try:
        return future.result()
    except BaseException:
        future.cancel()  # Ctrl-C here must not leave the call behind there
        raise


def connect(
    address: str = aio.DEFAULT_ADDRESS, *, token: str | None = None, tls: Tls | None = None
) -> "Plumb":
    """Connects to a server, as soon as something is asked of it.

    Args:
        address: HOST:PORT.
        token: The server's, or an agent's; None where the server has none.
        tls: How to speak TLS; None to speak plainly, so that whoever is on the way can read all.

    Returns:
        To be used as a context manager, or closed.

    Raises:
        InvalidInput: The token cannot be one, or a file of TLS is missing.
    """
    loop = _shared_loop.acquire()

    async def make() -> aio.Plumb:
        return aio.connect(address, token=token, tls=tls)

    try:
        return Plumb(loop, _run(loop, make()))
    except BaseException:
        _shared_loop.release()
        raise


class Plumb:
    """A connection to a server. Made by `connect`; see `aio.Plumb`."""

    def __init__(self, loop: asyncio.AbstractEventLoop, plumb: aio.Plumb) -> None:
        self._loop = loop
        self._plumb = plumb
        self._is_closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connection; may be called again."""
        if not self._is_closed:
            self._is_closed = True
            _run(self._loop, self._plumb.close())
            _shared_loop.release()

    def session(
        self, kind: str, backend: str = "real", **options: Unpack[SessionOptions]
    ) -> "Session":
        """Makes a session, which closes itself as a context manager; see `aio.Plumb.session`."""
        opening = self._plumb.session(kind, backend, **options)

        async def make() -> aio.Session:
            return await opening

        return Session(self._loop, _run(self._loop, make()))

    def attach(self, name: str) -> "Session":
        """Takes over a live session; see `aio.Plumb.attach`."""
        return Session(self._loop, _run(self._loop, self._plumb.attach(name)))

    def agent_session(self, name: str) -> "AgentSession":
        """The agent's part of a live session; see `aio.Plumb.agent_session`."""
        return AgentSession(self._loop, self._plumb.agent_session(name))

    def sessions(self) -> list[values.SessionInfo]:
        """All live sessions of the server, oldest first."""
        return _run(self._loop, self._plumb.sessions())

    def generate_grounding(
        self, kind: str, task: str, model: str, **options: Unpack[GroundingOptions]
    ) -> GeneratedGrounding:
        """Has a model write init scripts; see `aio.Plumb.generate_grounding`."""
        generating = self._plumb.generate_grounding(kind, task, model, **options)
        return _run(self._loop, generating)

    def compare(
        self,
        kind: str,
        actions: Sequence[str | bytes],
        *,
        replicas: int = 3,
        timeout: float | None = None,
        **options: Unpack[SessionOptions],
    ) -> Iterator[ComparedStep | Report]:
        """Compares a simulator with real sandboxes; see `aio.Plumb.compare`."""
        events = self._plumb.compare(kind, actions, replicas=replicas, timeout=timeout, **options)
        try:
            while (event := _run(self._loop, _next(events))) is not None:
                yield event
        finally:
            _run(self._loop, events.aclose())  # ends the call where nobody wants the rest

    def reports(self) -> list[Report]:
        """All kept reports, newest first."""
        return _run(self._loop, self._plumb.reports())

    def report(self, name: str) -> tuple[Report, list[ComparedStep]]:
        """One kept report, with its steps; see `aio.Plumb.report`."""
        return _run(self._loop, self._plumb.report(name))

    def capture_grounding(self, kind: str, **options: Unpack[SessionOptions]) -> CapturedGrounding:
        """Runs init scripts for real; see `aio.Plumb.capture_grounding`."""
        return _run(self._loop, self._plumb.capture_grounding(kind, **options))

    def journaled_sessions(self, **filters: Unpack[JournalFilter]) -> JournalPage:
        """A page of the journal's sessions; see `aio.Plumb.journaled_sessions`."""
        return _run(self._loop, self._plumb.journaled_sessions(**filters))

    def journaled_session(self, name: str) -> tuple[JournaledSession, JournaledRequest]:
        """A session that lives or has ended; see `aio.Plumb.journaled_session`."""
        return _run(self._loop, self._plumb.journaled_session(name))

    def journaled_steps(self, name: str, *, first: int = 0, page_size: int = 0) -> StepPage:
        """Answered steps of a session; see `aio.Plumb.journaled_steps`."""
        return _run(self._loop, self._plumb.journaled_steps(name, first=first, page_size=page_size))

    def diagnose(self) -> list[Finding]:
        """What the server stands on; see `aio.Plumb.diagnose`."""
        return _run(self._loop, self._plumb.diagnose())

    def kinds(self) -> list[values.KindInfo]:
        """What the server can make."""
        return _run(self._loop, self._plumb.kinds())


class AgentSession:
    """What an agent has of a live environment; see `aio.AgentSession`."""

    def __init__(self, loop: asyncio.AbstractEventLoop, session: aio.AgentSession) -> None:
        self._loop = loop
        self._steps = session
        self.name = session.name

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def step(self, action: str | bytes, *, timeout: float | None = None) -> values.Observation:
        """Performs one action; see `aio.AgentSession.step`."""
        return _run(self._loop, self._steps.step(action, timeout=timeout))

    def stream(self, action: str | bytes, *, timeout: float | None = None) -> "Stream":
        """Performs one action and gives its output as it appears; see `aio.AgentSession.stream`."""
        return Stream(self._loop, self._steps.stream(action, timeout=timeout))

    def close(self) -> None:
        """Hangs up; the session lives on. May be called again."""
        _run(self._loop, self._steps.close())


class Session(AgentSession):
    """A live environment; see `aio.Session`. Safe to use from several threads."""

    def __init__(self, loop: asyncio.AbstractEventLoop, session: aio.Session) -> None:
        super().__init__(loop, session)
        self._session = session
        self.kind = session.kind
        self.backend = session.backend
        self.init_results = session.init_results
        self.agent_token = session.agent_token

    def interrupt(self) -> bool:
        """Stops the running action, from another thread; returns whether there was one."""
        return _run(self._loop, self._session.interrupt())

    def exec(
        self,
        argv: Sequence[str],
        *,
        stdin: str | bytes = b"",
        env: Mapping[str, str] | None = None,
        cwd: str = "",
        user: str = "",
        timeout: float | None = None,
    ) -> values.ExecResult:
        """Runs one program in a fresh process of the sandbox; see `aio.Session.exec`."""
        call = self._session.exec(argv, stdin=stdin, env=env, cwd=cwd, user=user, timeout=timeout)
        return _run(self._loop, call)

    def reset(self) -> None:
        """Goes back to the grounded state, in a new sandbox."""
        _run(self._loop, self._session.reset())

    def probe(self, suite: str) -> Mapping[str, str]:
        """Asks a fixed question about the state, off the record."""
        return _run(self._loop, self._session.probe(suite))

    def info(self) -> values.SessionInfo:
        """The session's state."""
        return _run(self._loop, self._session.info())

    def close(self) -> None:
        """Ends the session and removes its sandbox; may be called again."""
        _run(self._loop, self._session.close())


class Stream:
    """One action's output as it appears. Made by `AgentSession.stream`."""

    def __init__(self, loop: asyncio.AbstractEventLoop, stream: aio.Stream) -> None:
        self._loop = loop
        self._stream = stream

    @property
    def observation(self) -> values.Observation:
        """What came of the action; only after the last piece."""
        return self._stream.observation

    def __iter__(self) -> Iterator[bytes]:
        """Gives the output piece by piece."""
        pieces = aiter(self._stream)

        async def next_piece() -> bytes | None:
            return await anext(pieces, None)

        while (piece := _run(self._loop, next_piece())) is not None:
            yield piece
