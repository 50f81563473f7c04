"""One action's output as it appears, for asyncio."""

import asyncio
import weakref
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, suppress
from types import AsyncGeneratorType
from typing import TYPE_CHECKING, Self

import grpc

from plumb.v1 import environment_pb2 as wire
from plumb_client import checks, values
from plumb_client.errors import (
    InvalidInput,
    PlumbError,
    StepInProgress,
    is_answer,
    translated,
)
from plumb_client.home import StaysHere, is_forked

if TYPE_CHECKING:
    from plumb_client.agent_session import AgentSession

_ATTEMPTS = 3
_ENDS_WITHIN = 60.0
"""Seconds that an interrupted action may take to end, before its stream is left all the same."""


class Stream(StaysHere):
    """One action's output as it appears. Made by `AgentSession.stream`; read once.

    Leaving it early, by `break`, an exception, a cancellation or `close`, interrupts the action and
    waits for its end; `observation` is there then, and the next step may be taken. Where that is
    not possible (an agent's token, a backend that cannot be interrupted), the action runs on, and
    the next step raises StepInProgress until it has ended.
    """

    def __init__(self, session: "AgentSession", action: str | bytes, timeout: float | None) -> None:
        checks.data("action", action)
        if timeout is not None:
            checks.seconds("timeout", timeout)
        self._session = session
        self._action = action
        self._timeout = timeout
        self._observation: values.Observation | None = None
        self._was_read = False
        # Weak, so that a reader that breaks off lets go of it at once.
        self._pieces: weakref.ref[AsyncGenerator[bytes, None]] | None = None
        self._is_running = self._has_begun = False
        self._over = asyncio.Event()

    def __repr__(self) -> str:
        state = "read" if self._observation else "running" if self._is_running else "not begun"
        return f"<Stream of {self._action!r}, {state}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def observation(self) -> values.Observation:
        """What came of the action; only when it has ended.

        Raises:
            StepInProgress: It has not.
        """
        if self._observation is None:
            raise StepInProgress(
                "the action has not ended; read the stream to its end first, or close it"
            )
        return self._observation

    async def close(self) -> None:
        """Interrupts the action, unless it has ended, and waits for its end; may be called again.

        Another task that reads the stream reads it to its end.
        """
        if is_forked():
            return
        self._was_read = True
        pieces = self._pieces() if self._pieces is not None else None
        if isinstance(pieces, AsyncGeneratorType) and pieces.ag_running:
            if self._has_begun:
                await self._interrupt()
        elif pieces is not None:
            await pieces.aclose()
        if self._is_running:
            await self._over.wait()

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Gives the output piece by piece."""
        if self._was_read:
            raise InvalidInput("a stream is read once, and not after it was closed; make another")
        self._was_read = True
        pieces = self._read()
        self._pieces = weakref.ref(pieces)
        return pieces

    async def _read(self) -> AsyncGenerator[bytes, None]:
        session = self._session
        self._is_running = True
        try:
            async with session._turn:
                session._home.check()
                with translated():
                    step = await session._next_step(self._action, self._timeout)
                self._has_begun = True
                try:
                    async with aclosing(self._resumed(step)) as pieces:
                        async for piece in pieces:
                            yield piece
                except (GeneratorExit, asyncio.CancelledError):
                    await self._leave(step)
                    raise
        finally:
            self._over.set()

    async def _resumed(self, step: wire.StepRequest) -> AsyncGenerator[bytes, None]:
        """Reads to the end; where the connection breaks, from where it broke."""
        session = self._session
        offset, attempts = 0, _ATTEMPTS
        with translated():
            while self._observation is None:
                call = session._stub.StreamStep(wire.StreamStepRequest(step=step, offset=offset))
                try:
                    with session._asking(step):
                        async for event in call:
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
                        raise
                finally:
                    call.cancel()  # where nobody wants the rest; else it is over

    async def _leave(self, step: wire.StepRequest) -> None:
        """Ends the action and keeps its observation, as far as that is possible.

        The step is only asked for again where it certainly ran: else that would begin it.
        """
        session = self._session
        session._lost, session._is_unsure = None, True
        with suppress(PlumbError, TimeoutError):
            async with asyncio.timeout(_ENDS_WITHIN):
                if not await self._interrupt():
                    return
                with translated(), session._asking(step):
                    response = await session._stub.Step(step)
                self._observation = values.read_observation(
                    response.observation, response.step_index
                )

    async def _interrupt(self) -> bool:
        session = self._session
        with translated():
            response = await session._stub.Interrupt(wire.InterruptRequest(name=session.name))
        return response.interrupted
