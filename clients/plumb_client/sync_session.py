"""Sessions of the synchronous client: a thin face over those of `aio`."""

import asyncio
import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Self

from plumb_client import aio, values
from plumb_client.errors import UnusableConnection
from plumb_client.home import StaysHere, is_forked
from plumb_client.loop_thread import run


class AgentSession(StaysHere):
    """What an agent has of a live environment: its steps, one after the other, and nothing else.

    Safe to use from several threads. As a context manager it hangs up at the end, and ends nothing.

    Attributes:
        name: The server's name for it, `sessions/{uuid}`.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, session: aio.AgentSession) -> None:
        self._loop = loop
        self._steps = session
        self.name = session.name

    def __repr__(self) -> str:
        return repr(self._steps)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def step(self, action: str | bytes, *, timeout: float | None = None) -> values.Observation:
        """Performs one action. What fails inside the environment is an observation.

        Ctrl-C does not stop the action. Until it has ended the next step raises StepInProgress;
        `interrupt` ends it.

        Args:
            action: What the agent typed, at most 1 MiB.
            timeout: Seconds that the action may run; above 0, at most 600, default 30.

        Raises:
            InvalidInput: The action cannot be performed as it is; nothing ran.
            OutOfOrder: Somebody else has taken a step meanwhile; nothing ran. The next call goes
                on from there.
            StepInProgress: The step before is still running; nothing ran.
            SessionNotFound: The session has ended.
            SandboxUnavailable: The sandbox is gone.
            ServerUnavailable: The answer was lost. The same action asked for again is the same
                step: it gives its answer, and nothing runs twice.
        """
        return run(self._loop, self._steps.step(action, timeout=timeout))

    def stream(self, action: str | bytes, *, timeout: float | None = None) -> "Stream":
        """Performs one action and gives its output as it appears.

        Args:
            action: What the agent typed, at most 1 MiB.
            timeout: Seconds that the action may run; above 0, at most 600, default 30.

        Returns:
            An iterator over pieces of output, as bytes; its `observation` is there when it has
            ended. It resumes by itself after a broken connection. Leaving it early interrupts the
            action.
        """
        return Stream(self._loop, self._steps.stream(action, timeout=timeout))

    def close(self) -> None:
        """Hangs up; the session lives on. May be called again."""
        if not is_forked():
            run(self._loop, self._steps.close())


class Session(AgentSession):
    """A live environment. Its steps run one after the other, whoever asks for them.

    Safe to use from several threads. As a context manager it ends the session at the end.

    Attributes:
        name: The server's name for it, `sessions/{uuid}`.
        kind: The kind of environment.
        backend: What stands behind it.
        init_results: What each init script did, in order.
        agent_token: For the agent: may take this session's steps and nothing else. Empty where the
            server has no token, and for a session that was attached.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, session: aio.Session) -> None:
        super().__init__(loop, session)
        self._session = session
        self.kind = session.kind
        self.backend = session.backend
        self.init_results = session.init_results
        self.agent_token = session.agent_token

    def interrupt(self) -> bool:
        """Stops the running action, from another thread; returns whether there was one.

        Returns when the action has ended, which takes at most 30 s: the next step may be taken
        then. Its own call returns its observation, with ending INTERRUPTED.

        Raises:
            Unsupported: The backend cannot be interrupted.
            SessionNotFound: The session has ended.
        """
        return run(self._loop, self._session.interrupt())

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
        """Runs one program in a fresh process of the sandbox, beside the shell.

        It may run beside a step. A program that fails, or is not found, is a result. It is not
        asked for again where the connection breaks: it may have run.

        Args:
            argv: The program and its arguments, a list; no shell looks at them.
            stdin: What it reads; nothing by default.
            env: Variables added to the sandbox's.
            cwd: An absolute path; the home directory by default.
            user: Name or number; root by default.
            timeout: Seconds after which it and its children are killed; above 0, at most 600,
                default 30.

        Raises:
            InvalidInput: An argument makes no sense, or is too large.
            Unsupported: The backend has no processes.
            SandboxUnavailable: The sandbox is gone.
        """
        call = self._session.exec(argv, stdin=stdin, env=env, cwd=cwd, user=user, timeout=timeout)
        return run(self._loop, call)

    def reset(self) -> None:
        """Goes back to the grounded state, in a new sandbox. The steps are counted on.

        Raises:
            StepInProgress: A step is running.
            SandboxUnavailable: It could not be made anew; try again.
        """
        run(self._loop, self._session.reset())

    def probe(self, suite: str) -> values.Facts:
        """Asks a fixed question about the state, off the record.

        Args:
            suite: One of the kind's `probe_suites`; see `kinds`.

        Returns:
            The answers by their keys; `provenance` says what a model was paid for them.

        Raises:
            InvalidInput: The kind has no such suite; the message lists those it has.
            StepInProgress: A step is running.
            Unsupported: The backend has no state.
        """
        return run(self._loop, self._session.probe(suite))

    def info(self) -> values.SessionInfo:
        """The session's state, as the server has it now.

        Raises:
            SessionNotFound: It has ended.
        """
        return run(self._loop, self._session.info())

    def close(self) -> None:
        """Ends the session and removes its sandbox; may be called again.

        In a forked process it does nothing: the session is the parent's.
        """
        if not is_forked():
            run(self._loop, self._session.close())


class Stream(StaysHere):
    """One action's output as it appears. Made by `AgentSession.stream`; read once.

    Leaving it early, by `break`, an exception, Ctrl-C or `close`, interrupts the action and waits
    for its end; `observation` is there then, and the next step may be taken. Where that is not
    possible (an agent's token, a backend that cannot be interrupted), the action runs on, and the
    next step raises StepInProgress until it has ended.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, stream: aio.Stream) -> None:
        self._loop = loop
        self._stream = stream

    def __repr__(self) -> str:
        return repr(self._stream)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def observation(self) -> values.Observation:
        """What came of the action; only when it has ended.

        Raises:
            StepInProgress: It has not.
        """
        return self._stream.observation

    def close(self) -> None:
        """Interrupts the action, unless it has ended, and waits for its end; may be called again.

        Another thread that reads the stream reads it to its end.
        """
        if not is_forked():
            run(self._loop, self._stream.close())

    def __iter__(self) -> Iterator[bytes]:
        """Gives the output piece by piece."""
        pieces = aiter(self._stream)

        async def next_piece() -> bytes | None:
            return await anext(pieces, None)

        try:
            while (piece := run(self._loop, next_piece())) is not None:
                yield piece
        finally:
            with contextlib.suppress(UnusableConnection):  # nothing is left to be interrupted
                self.close()
