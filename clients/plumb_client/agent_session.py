"""The agent's part of a session, for asyncio: its steps, and their output as it appears."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Self

import grpc

from plumb.v1 import environment_pb2 as wire
from plumb.v1 import environment_pb2_grpc as wire_grpc
from plumb_client import requests, values
from plumb_client.errors import ServerFault, ServerUnavailable, is_answer, to_error, translated

_DEFAULT_TIMEOUT = 30.0  # of an action, as in the proto
_ANSWER_WITHIN = 60.0
"""Seconds that an answer may take beyond the action's own timeout."""


class AgentSession:
    """What an agent has of a live environment: its steps, one after the other, and nothing else.

    Attributes:
        name: The server's name for it, `sessions/{uuid}`.
    """

    def __init__(
        self,
        stub: "wire_grpc.EnvironmentServiceAsyncStub",
        name: str,
        last_step_index: int | None = None,
    ) -> None:
        self.name = name
        self._stub = stub
        self._last_index = last_step_index or 0
        self._lost: wire.StepRequest | None = None  # the last step, if its answer was lost
        # Whether the index after the last one may be used already.
        self._is_unsure = last_step_index is None
        self._turn = asyncio.Lock()
        self._talk: (
            grpc.aio.StreamStreamCall[wire.ConverseRequest, wire.ConverseResponse] | None
        ) = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Hangs up; the session lives on. May be called again."""
        await self._hang_up()

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
            self._last_index = await self._ask_last_index(action)
        return requests.step(self.name, self._last_index + 1, action, timeout)

    async def _ask_last_index(self, action: str | bytes) -> int:
        """Asks by a step that cannot be: an agent may ask nothing else. It runs nothing."""
        try:
            await self._stub.Step(requests.step(self.name, 0, action, None))
        except grpc.RpcError as error:
            refusal = to_error(error)
            if refusal.reason != "STEP_OUT_OF_ORDER":
                raise
            return int(refusal.metadata["expected"]) - 1
        raise ServerFault("the server took step 0, which there is not")

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


class Stream:
    """One action's output as it appears. Made by `AgentSession.stream`."""

    def __init__(self, session: AgentSession, action: str | bytes, timeout: float | None) -> None:
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
