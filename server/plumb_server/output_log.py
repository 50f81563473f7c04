"""The output of a step as it appears: its last part, with offsets, for many readers."""

import asyncio
import bisect
import dataclasses

KEPT_OUTPUT_BYTES = 1024 * 1024
"""How much of a step's output is kept for readers that come late or read slowly."""

MAX_CHUNK_BYTES = 64 * 1024


@dataclasses.dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of output, and where it begins."""

    offset: int
    data: bytes


class OutputLog:
    """The output of one step: at least its last `KEPT_OUTPUT_BYTES`, in blocks.

    Small pieces are gathered in blocks, so that neither the number of pieces nor that of readers
    makes a read slower: a read finds its block by the offset.
    """

    def __init__(self) -> None:
        self._blocks: list[bytearray] = []
        self._starts: list[int] = []  # where each block begins, for the search
        self._end = 0
        self._closed = False
        self._readers: list[asyncio.Future[None]] = []

    def add(self, data: bytes) -> None:
        """Takes the next piece."""
        view = memoryview(data)
        while view:
            block = self._open_block()
            taken = view[: MAX_CHUNK_BYTES - len(block)]
            block += taken
            self._end += len(taken)
            view = view[len(taken) :]
        self._drop_old()
        self._wake()

    def close(self) -> None:
        """Says that nothing more will come."""
        self._closed = True
        self._wake()

    async def next(self, offset: int) -> Chunk | None:
        """Waits for output at or behind an offset; None at the end.

        The chunk begins later than asked for where the bytes between are no longer kept.
        """
        while offset >= self._end:
            if self._closed:
                return None
            reader = asyncio.get_running_loop().create_future()
            self._readers.append(reader)
            await reader
        number = max(0, bisect.bisect_right(self._starts, offset) - 1)
        skip = max(0, offset - self._starts[number])
        return Chunk(self._starts[number] + skip, bytes(self._blocks[number][skip:]))

    def _open_block(self) -> bytearray:
        if not self._blocks or len(self._blocks[-1]) == MAX_CHUNK_BYTES:
            self._blocks.append(bytearray())
            self._starts.append(self._end)
        return self._blocks[-1]

    def _drop_old(self) -> None:
        """Drops the blocks without which enough is kept."""
        while len(self._starts) > 1 and self._end - self._starts[1] >= KEPT_OUTPUT_BYTES:
            del self._blocks[0], self._starts[0]

    def _wake(self) -> None:
        readers, self._readers = self._readers, []
        for reader in readers:
            if not reader.done():  # it may have gone away
                reader.set_result(None)
