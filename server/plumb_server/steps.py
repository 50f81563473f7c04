"""One step of a session: what was asked, its output as it appears, and its answer."""

import asyncio
import collections
import dataclasses

from plumb.v1 import environment_pb2 as wire
from plumb_backends.environment import Action, Observation

KEPT_OUTPUT_BYTES = 1024 * 1024
"""How much of a step's output is kept for readers that come late or read slowly."""

MAX_CHUNK_BYTES = 64 * 1024


@dataclasses.dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of output, and where it begins."""

    offset: int
    data: bytes


class OutputLog:
    """The output of one step: its last `KEPT_OUTPUT_BYTES`, with offsets, for many readers."""

    def __init__(self) -> None:
        self._chunks: collections.deque[Chunk] = collections.deque()
        self._kept = 0
        self._end = 0
        self._closed = False
        self._readers: list[asyncio.Future[None]] = []

    def add(self, data: bytes) -> None:
        """Takes the next piece."""
        for start in range(0, len(data), MAX_CHUNK_BYTES):
            piece = data[start : start + MAX_CHUNK_BYTES]
            self._chunks.append(Chunk(self._end, piece))
            self._end += len(piece)
            self._kept += len(piece)
        while self._kept > KEPT_OUTPUT_BYTES:
            self._kept -= len(self._chunks.popleft().data)
        self._wake()

    def close(self) -> None:
        """Says that nothing more will come."""
        self._closed = True
        self._wake()

    async def next(self, offset: int) -> Chunk | None:
        """Waits for output at or behind an offset; None at the end.

        The chunk begins later than asked for where the bytes between are no longer kept.
        """
        while True:
            for chunk in self._chunks:
                if chunk.offset + len(chunk.data) > offset:
                    skip = max(0, offset - chunk.offset)
                    return Chunk(chunk.offset + skip, chunk.data[skip:])
            if self._closed:
                return None
            reader = asyncio.get_running_loop().create_future()
            self._readers.append(reader)
            await reader

    def _wake(self) -> None:
        readers, self._readers = self._readers, []
        for reader in readers:
            if not reader.done():  # it may have gone away
                reader.set_result(None)


class StepRun:
    """A step that is running or answered.

    Attributes:
        message: The observation as it is journaled and sent; made once.
        unwritten: The answer while the journal cannot be written; an error is given instead.
    """

    def __init__(self, index: int, action: Action) -> None:
        self.index = index
        self.action = action
        self.output = OutputLog()
        self.message = wire.Observation()
        self.unwritten: Observation | Exception | None = None
        self._answer: Observation | BaseException = RuntimeError("not answered yet")
        self._answered = asyncio.Event()

    @property
    def is_answered(self) -> bool:
        """Whether it is over."""
        return self._answered.is_set()

    def settle(self, answer: Observation | BaseException) -> None:
        """Gives the answer to all who wait, now or later."""
        self._answer = answer
        self.output.close()
        self._answered.set()

    def reopen(self) -> None:
        """Takes the answer back, for another one that is to come."""
        self._answered.clear()

    async def answer(self) -> Observation:
        """Waits for the observation; raises what the step was answered with instead."""
        await self._answered.wait()
        if isinstance(self._answer, Observation):
            return self._answer
        raise self._answer.with_traceback(None)
