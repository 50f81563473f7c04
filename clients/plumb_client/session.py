"""A live session, for asyncio: all that whoever runs the agent may ask of it."""

from collections.abc import Mapping, Sequence

from plumb.v1 import environment_pb2 as wire
from plumb.v1 import environment_pb2_grpc as wire_grpc
from plumb_client import checks, requests, values
from plumb_client.agent_session import AgentSession
from plumb_client.errors import translated
from plumb_client.home import Home, is_forked


class Session(AgentSession):
    """A live environment. Its steps run one after the other, whoever asks for them.

    Attributes:
        name: The server's name for it, `sessions/{uuid}`.
        kind: The kind of environment.
        backend: What stands behind it.
        init_results: What each init script did.
        agent_token: For the agent: may take this session's steps and nothing else. Empty where the
            server has no token, and for a session that was attached.
    """

    def __init__(
        self,
        stub: "wire_grpc.EnvironmentServiceAsyncStub",
        home: Home,
        session: wire.Session,
        init_results: Sequence[values.InitResult] = (),
        agent_token: str = "",
    ) -> None:
        within = session.answer_within.ToTimedelta().total_seconds()
        super().__init__(stub, home, session.name, session.last_step_index, within)
        self.kind = session.kind
        self.backend = session.backend
        self.init_results = tuple(init_results)
        self.agent_token = agent_token

    def __repr__(self) -> str:
        return f"<Session {self.name}, {self.kind} {self.backend}, {self._last_index} steps>"

    async def _ask_last_index(self) -> int:
        response = await self._stub.GetSession(wire.GetSessionRequest(name=self.name))
        return response.session.last_step_index

    async def interrupt(self) -> bool:
        """Stops the running action, from another task; returns whether there was one.

        Returns when the action has ended, which takes at most 30 s: the next step may be taken
        then. Its own call returns its observation, with ending INTERRUPTED.

        Raises:
            Unsupported: The backend cannot be interrupted.
            SessionNotFound: The session has ended.
        """
        with translated():
            response = await self._stub.Interrupt(wire.InterruptRequest(name=self.name))
        return response.interrupted

    async def exec(
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
        request = requests.execute(
            self.name, argv, stdin=stdin, env=env, cwd=cwd, user=user, timeout=timeout
        )
        with translated():
            return values.read_exec_result(await self._stub.Exec(request))

    async def reset(self) -> None:
        """Goes back to the grounded state, in a new sandbox. The steps are counted on.

        Raises:
            StepInProgress: A step is running.
            SandboxUnavailable: It could not be made anew; try again.
        """
        with translated():
            response = await self._stub.ResetSession(wire.ResetSessionRequest(name=self.name))
        self._lost, self._is_unsure = None, False
        self._last_index = response.session.last_step_index

    async def probe(self, suite: str) -> values.Facts:
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
        suite = checks.text("suite", suite)
        with translated():
            return values.read_probe(
                await self._stub.Probe(wire.ProbeRequest(name=self.name, suite=suite))
            )

    async def info(self) -> values.SessionInfo:
        """The session's state, as the server has it now.

        Raises:
            SessionNotFound: It has ended.
        """
        with translated():
            response = await self._stub.GetSession(wire.GetSessionRequest(name=self.name))
        return values.read_session(response.session)

    async def close(self) -> None:
        """Ends the session and removes its sandbox; may be called again.

        In a forked process it does nothing: the session is the parent's.
        """
        if is_forked():
            return
        await super().close()
        with translated():
            await self._stub.DeleteSession(wire.DeleteSessionRequest(name=self.name))
