"""The agent's part of a session, for asyncio: its steps, one after the other."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

import grpc

from plumb.v1 import environment_pb2 as wire
from plumb.v1 import environment_pb2_grpc as wire_grpc
from plumb_client import checks, requests, values
from plumb_client.errors import ServerFault, ServerUnavailable, is_answer, to_error, translated
from plumb_client.home import Home, StaysHere, is_forked
from plumb_client.stream import Stream

_DEFAULT_TIMEOUT = 30.0  # of an action, as in the proto
_ANSWER_WITHIN = 60.0
"""Seconds that an answer may take beyond the action's timeout, until the server says how many."""


class AgentSession(StaysHere):
    """What an agent has of a live environment: its steps, one after the other, and nothing else.

    Attributes:
        name: The server's name for it, `sessions/{uuid}`.
    """

    def __init__(
        self,
        stub: "wire_grpc.EnvironmentServiceAsyncStub",
        home: Home,
        name: str,
        last_step_index: int | None = None,
        answer_within: float = 0.0,
    ) -> None:
        self.name = checks.text("name", name)
        self._stub = stub
        self._home = home
        self._last_index = last_step_index or 0
        self._patience = answer_within or _ANSWER_WITHIN
        self._lost: wire.StepRequest | None = None  # the last step, if its answer was lost
        self._answered: wire.StepRequest | None = None  # the last step that was
        # Whether the index after the last one may be used already.
        self._is_unsure = last_step_index is None
        self._turn = asyncio.Lock()
        self._talk: (
            grpc.aio.StreamStreamCall[wire.ConverseRequest, wire.ConverseResponse] | None
        ) = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}, {self._last_index} steps>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Hangs up; the session lives on. May be called again."""
        if not is_forked():
            self._hang_up()

    async def step(
        self, action: str | bytes, *, timeout: float | None = None
    ) -> values.Observation:
        """Performs one action. What fails inside the environment is an observation.

        Cancelling does not stop the action. Until it has ended the next step raises
        StepInProgress; `interrupt` ends it.

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
        async with self._turn:
            self._home.check()
            with translated():
                request = await self._next_step(action, timeout)
                with self._asking(request):
                    response = await self._answer(
                        request, (timeout or _DEFAULT_TIMEOUT) + self._patience
                    )
        return values.read_observation(response.observation, response.step_index)

    def stream(self, action: str | bytes, *, timeout: float | None = None) -> Stream:
        """Performs one action and gives its output as it appears.

        Args:
            action: What the agent typed, at most 1 MiB.
            timeout: Seconds that the action may run; above 0, at most 600, default 30.

        Returns:
            An async iterator over pieces of output, as bytes; its `observation` is there when it
            has ended. It resumes by itself after a broken connection. Leaving it early interrupts
            the action.
        """
        return Stream(self, action, timeout)

    async def _next_step(self, action: str | bytes, timeout: float | None) -> wire.StepRequest:
        """Writes the next step; the last one again, if its answer was lost and it is asked again.

        After a failure only the server knows whether the index was used: it is asked.
        """
        request = requests.step(self.name, 0, action, timeout, requests.new_nonce())
        lost = self._lost
        if lost is not None and lost.action == request.action:
            return lost
        if self._is_unsure:
            self._last_index = await self._ask_last_index()
        request.step_index = self._last_index + 1
        return request

    async def _ask_last_index(self) -> int:
        """Asks by a step that cannot be: an agent may ask nothing else. It runs nothing."""
        try:
            await self._stub.Step(requests.step(self.name, 0, "", None))
        except grpc.RpcError as error:
            refusal = to_error(error)
            if refusal.reason != "STEP_OUT_OF_ORDER":
                raise
            self._patience = float(refusal.metadata.get("answer_within", 0)) or self._patience
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
        except (asyncio.CancelledError, GeneratorExit):
            self._lost = None  # its caller gave it up: the same text again is another step
            raise
        self._lost, self._is_unsure = None, False
        self._answered, self._last_index = request, request.step_index

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
            self._hang_up()
            return await self._stub.Step(request)
        except BaseException:
            self._hang_up()
            raise
        if not isinstance(response, wire.ConverseResponse):  # the server ended it without an error
            self._hang_up()
            return await self._stub.Step(request)
        return response.step

    def _hang_up(self) -> None:
        talk, self._talk = self._talk, None
        if talk is not None:
            talk.cancel()
