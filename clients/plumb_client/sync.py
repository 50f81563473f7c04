"""The synchronous client: a thin face over `aio`, on one event loop in a thread of its own."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Self, TypeVar, Unpack

from plumb_client import aio, values
from plumb_client.comparisons import ComparedStep, Report
from plumb_client.groundings import CapturedGrounding, GeneratedGrounding, GroundingOptions
from plumb_client.home import StaysHere, is_forked, refuse_fork
from plumb_client.journal import (
    Finding,
    JournaledRequest,
    JournaledSession,
    JournalFilter,
    JournalPage,
    StepPage,
)
from plumb_client.loop_thread import LoopThread, run
from plumb_client.options import ComparedOptions, SessionOptions
from plumb_client.sync_session import AgentSession, Session, Stream
from plumb_client.tls import Tls

__all__ = ["AgentSession", "Plumb", "Session", "Stream", "connect"]

_Result = TypeVar("_Result")

_shared_loop = LoopThread()


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
        InvalidInput: The address or the token cannot be one, or a file of TLS is missing.
        ForkedProcess: The process was forked from one that had used the client.
    """
    refuse_fork()
    loop = _shared_loop.acquire()

    async def make() -> aio.Plumb:
        return aio.connect(address, token=token, tls=tls)

    try:
        return Plumb(loop, run(loop, make()))
    except BaseException:
        _shared_loop.release()
        raise


class Plumb(StaysHere):
    """A connection to a server. Made by `connect`. Safe to use from several threads.

    Every method raises a PlumbError: ServerUnavailable where no server answers, Unauthenticated
    where the token is wrong, UnusableConnection after `close` and in a forked process, InvalidInput
    for an argument that makes no sense.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, plumb: aio.Plumb) -> None:
        self._loop = loop
        self._plumb = plumb
        self._is_closed = False

    def __repr__(self) -> str:
        return repr(self._plumb)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connection; sessions live on until they are closed or idle too long.

        May be called again. In a forked process it does nothing: the connection is the parent's.
        """
        if not self._is_closed and not is_forked():
            self._is_closed = True
            run(self._loop, self._plumb.close())
            _shared_loop.release()

    def session(
        self,
        kind: str,
        backend: str = "real",
        *,
        wait: float = 0.0,
        **options: Unpack[SessionOptions],
    ) -> Session:
        """Makes a session, which closes itself as a context manager.

        Args:
            kind: Which kind of environment, for example `shell`.
            backend: What stands behind it: `real`, `simulated`, `paired` or `replay`.
            wait: Seconds that a server without a free place is asked again, when and as often as
                it says; default 0, not at all. Ctrl-C ends the waiting.
            **options: See `SessionOptions`.

        Raises:
            InvalidInput: An argument makes no sense.
            LimitReached: There was no place in time; `retry_after` says when to try again.
            InitFailed: An init script failed; nothing is left behind.
            ImageMissing: The engine does not have the image.
            SandboxUnavailable: The sandbox could not be made.
        """
        opening = self._plumb.session(kind, backend, wait=wait, **options)

        async def make() -> aio.Session:
            return await opening

        return Session(self._loop, run(self._loop, make()))

    def attach(self, name: str) -> Session:
        """Takes over a live session that anybody made.

        Args:
            name: The session's `name`.

        Raises:
            SessionNotFound: It never was, or has ended.
        """
        return Session(self._loop, run(self._loop, self._plumb.attach(name)))

    def agent_session(self, name: str) -> AgentSession:
        """The agent's part of a live session, for a connection with that agent's token.

        Asks nothing of the server yet, and closing it ends nothing.
        """
        return AgentSession(self._loop, self._plumb.agent_session(name))

    def sessions(self) -> list[values.SessionInfo]:
        """All live sessions of the server, oldest first."""
        return run(self._loop, self._plumb.sessions())

    def generate_grounding(
        self, kind: str, task: str, model: str, **options: Unpack[GroundingOptions]
    ) -> GeneratedGrounding:
        """Has a model write init scripts that make a task solvable, and runs them for real.

        Args:
            kind: Which kind of environment.
            task: What somebody shall be able to do then.
            model: Who writes them.
            **options: See `GroundingOptions`.

        Returns:
            The scripts with the state that they left and every attempt; where `grounded` is False,
            the attempts say why.
        """
        generating = self._plumb.generate_grounding(kind, task, model, **options)
        return run(self._loop, generating)

    def compare(
        self,
        kind: str,
        actions: Sequence[str | bytes],
        *,
        replicas: int = 3,
        timeout: float | None = None,
        **options: Unpack[ComparedOptions],
    ) -> Iterator[ComparedStep | Report]:
        """Plays actions on fresh real sandboxes and on a simulator, and compares every step.

        Args:
            kind: Which kind of environment.
            actions: What to type, in order; a list.
            replicas: How many real sandboxes take them; 3 or more tell what is volatile.
            timeout: Seconds that each action may run; above 0, at most 600, default 30.
            **options: As of a session with backend `paired`: `init`, `task`, and either `simulator`
                or `recordings`.

        Yields:
            Each step as soon as both sides have taken it; at last the report, which is kept.
        """
        events = self._plumb.compare(kind, actions, replicas=replicas, timeout=timeout, **options)
        try:
            while (event := run(self._loop, _next(events))) is not None:
                yield event
        finally:
            run(self._loop, events.aclose())  # ends the call where nobody wants the rest

    def reports(self) -> list[Report]:
        """All kept reports, newest first."""
        return run(self._loop, self._plumb.reports())

    def report(self, name: str) -> tuple[Report, list[ComparedStep]]:
        """One kept report, with its steps.

        Raises:
            ReportNotFound: There is none of this name.
        """
        return run(self._loop, self._plumb.report(name))

    def capture_grounding(self, kind: str, **options: Unpack[SessionOptions]) -> CapturedGrounding:
        """Runs init scripts for real, and tells what they leave; nothing is left behind.

        Args:
            kind: Which kind of environment.
            **options: As of a session with backend `real`; `init` above all.
        """
        return run(self._loop, self._plumb.capture_grounding(kind, **options))

    def journaled_sessions(self, **filters: Unpack[JournalFilter]) -> JournalPage:
        """A page of the sessions that the journal has, live ones among them, newest first.

        Args:
            **filters: See `JournalFilter`.
        """
        return run(self._loop, self._plumb.journaled_sessions(**filters))

    def journaled_session(self, name: str) -> tuple[JournaledSession, JournaledRequest]:
        """A session that lives or has ended, and what it was created from.

        Raises:
            SessionNotFound: The journal has none of this name.
        """
        return run(self._loop, self._plumb.journaled_session(name))

    def journaled_steps(self, name: str, *, first: int = 0, page_size: int = 0) -> StepPage:
        """Answered steps of a session that lives or has ended.

        Args:
            name: The session's.
            first: The page begins with the first step that has this index or a later one.
            page_size: How many at most; 1 to 1000, default 100.

        Raises:
            SessionNotFound: The journal has none of this name.
        """
        return run(self._loop, self._plumb.journaled_steps(name, first=first, page_size=page_size))

    def diagnose(self) -> list[Finding]:
        """What the server stands on, whether it works, and how to mend what does not."""
        return run(self._loop, self._plumb.diagnose())

    def kinds(self) -> list[values.KindInfo]:
        """What the server can make."""
        return run(self._loop, self._plumb.kinds())


async def _next(events: AsyncIterator[_Result]) -> _Result | None:
    return await anext(events, None)
