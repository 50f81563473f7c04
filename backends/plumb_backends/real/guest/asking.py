"""Asks plumb's own program in a sandbox. The answer is the truth, or there is none."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from plumb_backends.errors import SandboxUnavailable
from plumb_backends.real.engine import ProgramStream, Sandbox
from plumb_backends.real.guest import Answer, Frames

_STDOUT = 1
_MOST_WORDS = 1000

MOST_BYTES = 32 * 1024**2
"""What an answer may have: 2000 paths, each a link with a target of 4096 bytes, and accounts."""


ANSWER_WITHIN = 60.0
"""Seconds for a whole answer; an agent can stop what gives it."""

_GRACE = 10.0
"""Seconds that an action may end later than it should, for want of an answer."""


@asynccontextmanager
async def answering(until: float | None = None) -> AsyncIterator[None]:
    """Bounds the waiting for plumb's program.

    Args:
        until: When the action that waits should have ended, by the monotonic clock; None where
            none waits.

    Raises:
        SandboxUnavailable: It takes too long.
    """
    within = ANSWER_WITHIN
    if until is not None:
        within = min(within, max(0.0, until - time.monotonic()) + _GRACE)
    try:
        async with asyncio.timeout(within):
            yield
    except TimeoutError as error:
        raise SandboxUnavailable(
            f"plumb's program did not answer within {within:.3g} s; ask again, or reset the session"
        ) from error


async def ask(
    sandbox: Sandbox, *command: str, stdin: bytes = b"", until: float | None = None
) -> Frames:
    """Runs one command, and returns its whole answer.

    Args:
        sandbox: Where.
        command: The command, and its arguments.
        stdin: Its request.
        until: See `answering`.

    Raises:
        SandboxUnavailable: It cannot be started, was ended inside the sandbox, says more than
            `MOST_BYTES`, or takes too long.
    """
    answer, words = Answer(MOST_BYTES), bytearray()
    async with answering(until):
        stream = await sandbox.open_guest(command)
        try:
            await _read(stream, stdin, answer, words)
        finally:
            await stream.close()
    if answer.is_whole:
        return Frames(answer.frames)
    said = words.decode(errors="replace").strip() or "it was ended there, or says too much"
    raise SandboxUnavailable(
        f"plumb's program in the sandbox did not answer ({said}); ask again, or reset the session"
    )


async def _read(stream: ProgramStream, stdin: bytes, answer: Answer, words: bytearray) -> None:
    writing = asyncio.create_task(stream.write(stdin)) if stdin else None
    try:
        while piece := await stream.read():
            if not (answer.frames or words) and _is_the_engines(piece[1]):
                piece = (2, piece[1])
            if piece[0] != _STDOUT:
                words += piece[1][: _MOST_WORDS - len(words)]
            elif not answer.feed(piece[1]):
                break
    finally:
        if writing is not None:
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)


def _is_the_engines(data: bytes) -> bool:
    """Whether an engine says there, as older ones do, why it started nothing.

    A frame begins with the highest byte of its size, and none is that large.
    """
    return data[:1] != b"\0"
