"""One step of a session: what was asked, its output as it appears, and its answer."""

import asyncio
import dataclasses

from plumb.v1 import environment_pb2 as wire
from plumb_backends.environment import Action, Observation
from plumb_server.output_log import OutputLog


@dataclasses.dataclass(frozen=True, slots=True)
class AskedStep:
    """A step as it is asked for: the first time, or again.

    Attributes:
        session: The session's name.
        nonce: Tells it from another one with the same index and action.
    """

    session: str
    index: int
    action: Action
    nonce: str = ""


class StepRun:
    """A step that is running or answered.

    Attributes:
        nonce: Tells it from another one with the same index and action.
        message: The observation as it is journaled and sent; made once.
        unwritten: The answer while the journal cannot be written; an error is given instead.
    """

    def __init__(self, index: int, action: Action, nonce: str = "") -> None:
        self.index = index
        self.action = action
        self.nonce = nonce
        self.output = OutputLog()
        self.message = wire.Observation()
        self.unwritten: Observation | Exception | None = None
        self._answer: Observation | BaseException = RuntimeError("not answered yet")
        self._answered = asyncio.Event()

    @property
    def is_answered(self) -> bool:
        """Whether it is over."""
        return self._answered.is_set()

    @property
    def observation(self) -> wire.Observation | None:
        """The observation that it was answered with; None before, and for an error."""
        has_one = self.is_answered and isinstance(self._answer, Observation)
        return self.message if has_one else None

    def settle(self, answer: Observation | BaseException) -> None:
        """Gives the answer to all who wait, now or later."""
        self._answer = answer
        self.output.close()
        self._answered.set()

    def reopen(self) -> None:
        """Takes the answer back, for another one that is to come."""
        self._answered.clear()

    async def ended(self) -> None:
        """Waits until it is over, however it was answered."""
        await self._answered.wait()

    async def answer(self) -> Observation:
        """Waits for the observation; raises what the step was answered with instead."""
        await self._answered.wait()
        if isinstance(self._answer, Observation):
            return self._answer
        raise self._answer.with_traceback(None)
