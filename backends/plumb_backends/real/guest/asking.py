"""Asks plumb's own program in a sandbox. The answer is the truth, or there is none."""

import asyncio

from plumb_backends.errors import SandboxUnavailable
from plumb_backends.real.engine import ProgramStream, Sandbox
from plumb_backends.real.guest import Answer, Frames

_STDOUT = 1
_MOST_WORDS = 1000

MOST_BYTES = 32 * 1024**2
"""What an answer may have: 2000 paths, each a link with a target of 4096 bytes, and accounts."""


ANSWER_WITHIN = 60.0
"""Seconds for a whole answer; an agent can stop what gives it."""


async def ask(sandbox: Sandbox, *command: str, stdin: bytes = b"") -> Frames:
    """Runs one command, and returns its whole answer.

    Raises:
        SandboxUnavailable: It cannot be started, was ended inside the sandbox, says more than
            `MOST_BYTES`, or takes too long.
    """
    answer, words = Answer(MOST_BYTES), bytearray()
    try:
        async with asyncio.timeout(ANSWER_WITHIN):
            stream = await sandbox.open_guest(command)
            try:
                await _read(stream, stdin, answer, words)
            finally:
                await stream.close()
    except TimeoutError as error:
        raise SandboxUnavailable(
            f"plumb's program did not answer within {ANSWER_WITHIN:g} s; ask again, or reset the "
            "session"
        ) from error
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
