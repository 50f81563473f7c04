"""A live session, for asyncio: all that whoever runs the agent may ask of it."""

from collections.abc import Mapping, Sequence

from plumb.v1 import environment_pb2 as wire
from plumb.v1 import environment_pb2_grpc as wire_grpc
from plumb_client import requests, values
from plumb_client.agent_session import AgentSession
from plumb_client.errors import translated


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
        session: wire.Session,
        init_results: Sequence[values.InitResult] = (),
        agent_token: str = "",
    ) -> None:
        super().__init__(stub, session.name, session.last_step_index)
        self.kind = session.kind
        self.backend = session.backend
        self.init_results = tuple(init_results)
        self.agent_token = agent_token

    async def _ask_last_index(self, action: str | bytes) -> int:
        response = await self._stub.GetSession(wire.GetSessionRequest(name=self.name))
        return response.session.last_step_index

    async def interrupt(self) -> bool:
        """Stops the running action, from another task; returns whether there was one."""
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

        Args:
            argv: The program and its arguments; no shell looks at them.
            stdin: What it reads; nothing by default.
            env: Variables added to the sandbox's.
            cwd: An absolute path; the home directory by default.
            user: Name or number; root by default.
            timeout: Seconds after which it and its children are killed; at most 600, default 30.
        """
        request = requests.execute(
            self.name, argv, stdin=stdin, env=env or {}, cwd=cwd, user=user, timeout=timeout
        )
        with translated():
            return values.read_exec_result(await self._stub.Exec(request))

    async def reset(self) -> None:
        """Goes back to the grounded state, in a new sandbox."""
        with translated():
            response = await self._stub.ResetSession(wire.ResetSessionRequest(name=self.name))
        self._lost, self._is_unsure = None, False
        self._last_index = response.session.last_step_index

    async def probe(self, suite: str) -> Mapping[str, str]:
        """Asks a fixed question about the state, off the record."""
        with translated():
            return values.read_probe(
                await self._stub.Probe(wire.ProbeRequest(name=self.name, suite=suite))
            )

    async def info(self) -> values.SessionInfo:
        """The session's state."""
        with translated():
            response = await self._stub.GetSession(wire.GetSessionRequest(name=self.name))
        return values.read_session(response.session)

    async def close(self) -> None:
        """Ends the session and removes its sandbox; may be called again."""
        await super().close()
        with translated():
            await self._stub.DeleteSession(wire.DeleteSessionRequest(name=self.name))
