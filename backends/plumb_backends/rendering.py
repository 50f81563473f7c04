"""Renders what a terminal printed, whatever it is, without holding the event loop.

Text costs little, and is rendered at once. What moves the cursor costs a thousand times as much: an
action may have so much of it rendered at once, and the rest goes to a worker process. What is too
much even so, or not done in time, is read without its control characters, and says so.
"""

import asyncio
import collections

from plumb_backends import workers
from plumb_backends.capped import Capped
from plumb_backends.workers import WorkCut
from plumb_fidelity.signature import TextRenderer, weight, without_controls

INLINE_WEIGHT = 2_000
"""How much of an action is followed on the event loop; see `signature.weight`."""

MAX_WAITING_BYTES = 1024 * 1024
"""How much may wait for a worker."""

BATCH_SECONDS = 5.0
"""How long a worker may take for a batch, which takes it 0.1 to 0.6 s."""

_LIGHT = 16
_LONGEST_SEQUENCE = 64
_BATCH_BYTES = 128 * 1024
_NOTE = "\n[... from here on the cursor's movements are not followed: {} ...]\n"


class _Followed:
    """A stream as far as it has been rendered. Can be pickled."""

    def __init__(self, text: Capped) -> None:
        self.text = text
        self._renderer = TextRenderer()

    def feed(self, data: bytes) -> None:
        self.text.add(self._renderer.feed(data))

    def finish(self) -> None:
        self.text.add(self._renderer.finish())


def _fed(followed: _Followed, data: bytes) -> _Followed:
    followed.feed(data)
    return followed


class BoundedRendering:
    """Renders a stream, and keeps of its text what `Capped` keeps.

    Args:
        text: Where the text goes.
        owner: Whose stream it is; see `Workers.run`.
    """

    def __init__(self, text: Capped, owner: str) -> None:
        self._followed = _Followed(text)
        self._owner = owner
        self._left = INLINE_WEIGHT
        self._waiting: collections.deque[bytes] = collections.deque()
        self._waiting_bytes = 0
        self._work: asyncio.Task[None] | None = None
        self._batch: asyncio.Task[_Followed] | None = None
        self._why = ""  # it is not followed any more
        self._has_ended = False
        self._held = b""  # perhaps the beginning of a control sequence

    @property
    def text(self) -> Capped:
        """The text so far; all of it after `wait`."""
        return self._followed.text

    def feed(self, data: bytes) -> None:
        """Takes the next piece."""
        if self._work is None:
            if self._why:
                self._read(data)
                return
            heavy = weight(data)
            if heavy <= max(self._left, _LIGHT):
                self._left -= heavy
                self._followed.feed(data)
                return
        self._waiting.append(data)
        self._waiting_bytes += len(data)
        if self._waiting_bytes > MAX_WAITING_BYTES:
            self._give_up("there was too much of it")
        if self._work is None:
            self._work = asyncio.create_task(self._follow())

    def end(self) -> None:
        """Says that no more pieces come."""
        if not self._has_ended:
            self._has_ended = True
            if self._work is None:
                self._finish()

    async def wait(self, seconds: float) -> None:
        """Waits until all is text; what has not been followed by then is read without that."""
        work = self._work
        if work is None:
            return
        await asyncio.wait({work}, timeout=seconds)
        if not work.done():
            self._give_up(f"it took longer than {seconds:.3g} s")
        await asyncio.wait({work})
        work.result()

    async def _follow(self) -> None:
        """Has everything that waits rendered in a worker, batch by batch."""
        while self._waiting and not self._why:
            batch = self._next_batch()
            self._batch = asyncio.create_task(
                workers.run(_fed, self._followed, batch, deadline=BATCH_SECONDS, owner=self._owner)
            )
            try:
                await asyncio.wait({self._batch})
            finally:
                self._batch.cancel()  # where this task itself is
            try:
                self._followed = self._batch.result()
            except (WorkCut, asyncio.CancelledError) as cut:
                self._why = self._why or str(cut)
                self._waiting.appendleft(batch)
        await self._done()

    async def _done(self) -> None:
        if self._why:
            self._followed.finish()
            self.text.add(_NOTE.format(self._why).encode())
            while self._waiting:
                self._read(self._waiting.popleft())
                await asyncio.sleep(0)  # others may go first
        self._work = None
        if self._has_ended:
            self._finish()

    def _next_batch(self) -> bytes:
        batch = bytearray()
        while self._waiting and len(batch) < _BATCH_BYTES:
            batch += self._waiting.popleft()
        self._waiting_bytes -= len(batch)
        return bytes(batch)

    def _give_up(self, why: str) -> None:
        if not self._why:
            self._why = why
            if self._batch is not None:
                self._batch.cancel()

    def _read(self, data: bytes, *, final: bool = False) -> None:
        """Adds text without its control characters."""
        data = self._held + data
        begun = -1 if final else data.rfind(b"\x1b", max(0, len(data) - _LONGEST_SEQUENCE))
        end = begun if begun >= 0 else len(data)
        self.text.add(without_controls(data[:end]))
        self._held = data[end:]

    def _finish(self) -> None:
        if self._why:
            self._read(b"", final=True)
        else:
            self._followed.finish()


async def render_bounded(data: bytes, *, max_bytes: int, seconds: float, owner: str) -> Capped:
    """Renders a whole output; see `BoundedRendering`.

    Args:
        data: What was printed.
        max_bytes: How much of the text to keep.
        seconds: How long that may take.
        owner: Whose output it is.
    """
    rendering = BoundedRendering(Capped(max_bytes), owner)
    for start in range(0, len(data), _BATCH_BYTES):
        rendering.feed(data[start : start + _BATCH_BYTES])
    rendering.end()
    await rendering.wait(seconds)
    return rendering.text
