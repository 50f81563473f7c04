"""The client for asyncio. The synchronous one is a thin face over it."""

import asyncio
import json
from collections.abc import AsyncIterator, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self, Unpack

import grpc

from plumb.v1 import environment_pb2 as wire
from plumb.v1 import environment_pb2_grpc as wire_grpc
from plumb_client import requests, values
from plumb_client.errors import ServerUnavailable, is_answer, to_error, translated
from plumb_client.requests import SessionOptions

DEFAULT_ADDRESS = "127.0.0.1:50051"

_DEFAULT_TIMEOUT = 30.0  # of an action, as in the proto
_ANSWER_WITHIN = 60.0
"""Seconds that an answer may take beyond the action's own timeout."""

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


class Session:
    """A live environment. Its steps run one after the other, whoever asks for them.

    Attributes:
        name: The server's name for it, `sessions/{uuid}`.
        kind: The kind of environment.
        backend: What stands behind it.
        init_results: What each init script did.
    """

    def __init__(
        self,
        stub: "wire_grpc.EnvironmentServiceAsyncStub",
        session: wire.Session,
        init_results: Sequence[values.InitResult],
    ) -> None:
        self.name = session.name
        self.kind = session.kind
        self.backend = session.backend
        self.init_results = tuple(init_results)
        self._stub = stub
        self._last_index = session.last_step_index
        self._lost: wire.StepRequest | None = None  # the last step, if its answer was lost
        self._is_unsure = False  # whether the index after the last one may be used already
        self._turn = asyncio.Lock()
        self._talk: (
            grpc.aio.StreamStreamCall[wire.ConverseRequest, wire.ConverseResponse] | None
        ) = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def step(
        self, action: str | bytes, *, timeout: float | None = None
    ) -> values.Observation:
        """Performs one action. What fails inside the environment is an observation.

        Args:
            action: What the agent typed.
            timeout: Seconds that the action may run; above 0, at most 600, default 30.

        Raises:
            InvalidInput: The action cannot be performed as it is; nothing ran.
            SandboxUnavailable: The sandbox is gone.
        """
        async with self._turn:
            with translated():
                request = await self._next_step(action, timeout)
                with self._asking(request):
                    response = await self._answer(
                        request, (timeout or _DEFAULT_TIMEOUT) + _ANSWER_WITHIN
                    )
        return values.read_observation(response.observation, response.step_index)

    async def _next_step(self, action: str | bytes, timeout: float | None) -> wire.StepRequest:
        """Writes the next step; the last one again, if its answer was lost and it is asked again.

        After a failure only the server knows whether the index was used: it is asked.
        """
        lost = self._lost
        if lost is not None and lost.action == requests.to_bytes(action):
            return lost
        if self._is_unsure:
            response = await self._stub.GetSession(wire.GetSessionRequest(name=self.name))
            self._last_index = response.session.last_step_index
        return requests.step(self.name, self._last_index + 1, action, timeout)

    @contextmanager
    def _asking(self, request: wire.StepRequest) -> Iterator[None]:
        """Remembers a step for as long as it is not answered, and its index once it is."""
        self._lost, self._is_unsure = request, True
        try:
            yield
        except grpc.RpcError as error:
            if is_answer(error):
                self._lost = None
            raise
        self._lost, self._is_unsure = None, False
        self._last_index = request.step_index

    async def _answer(self, request: wire.StepRequest, within: float) -> wire.StepResponse:
        """Steps over the conversation; where that breaks, by a call of its own: it has an index."""
        try:
            async with asyncio.timeout(within):
                return await self._converse(request)
        except TimeoutError:
            raise ServerUnavailable(f"the server did not answer within {within:g} s") from None
        except grpc.RpcError as error:
            if is_answer(error):
                raise
        return await self._stub.Step(request, timeout=within)

    async def _converse(self, request: wire.StepRequest) -> wire.StepResponse:
        talk = self._talk = self._talk or self._stub.Converse()
        try:
            await talk.write(wire.ConverseRequest(step=request))
            response = await talk.read()
        except asyncio.InvalidStateError:  # it was over before we wrote
            await self._hang_up()
            return await self._stub.Step(request)
        except BaseException:
            await self._hang_up()
            raise
        if not isinstance(response, wire.ConverseResponse):  # the server ended it without an error
            await self._hang_up()
            return await self._stub.Step(request)
        return response.step

    async def _hang_up(self) -> None:
        talk, self._talk = self._talk, None
        if talk is not None:
            talk.cancel()

    def stream(self, action: str | bytes, *, timeout: float | None = None) -> "Stream":
        """Performs one action and gives its output as it appears.

        Returns:
            An async iterator over pieces of output, as bytes; its `observation` is there when it
            has ended. It resumes by itself after a broken connection.
        """
        return Stream(self, action, timeout)

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
        await self._hang_up()
        with translated():
            await self._stub.DeleteSession(wire.DeleteSessionRequest(name=self.name))


class Stream:
    """One action's output as it appears. Made by `Session.stream`."""

    def __init__(self, session: Session, action: str | bytes, timeout: float | None) -> None:
        self._session = session
        self._action = action
        self._timeout = timeout
        self._observation: values.Observation | None = None

    @property
    def observation(self) -> values.Observation:
        """What came of the action; only after the last piece."""
        if self._observation is None:
            raise RuntimeError("the action has not ended; read the stream to its end first")
        return self._observation

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Gives the output piece by piece."""
        session = self._session
        async with session._turn:
            with translated():
                step = await session._next_step(self._action, self._timeout)
            offset, attempts = 0, 3
            while self._observation is None:
                try:
                    with session._asking(step):
                        async for event in session._stub.StreamStep(
                            wire.StreamStepRequest(step=step, offset=offset)
                        ):
                            if event.HasField("observation"):
                                self._observation = values.read_observation(
                                    event.observation, step.step_index
                                )
                            else:
                                offset = event.chunk.offset + len(event.chunk.data)
                                yield event.chunk.data
                except grpc.RpcError as error:
                    attempts -= 1
                    if self._observation is None and (is_answer(error) or not attempts):
                        raise to_error(error) from error
