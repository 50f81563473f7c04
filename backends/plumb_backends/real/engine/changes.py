"""Reads the engine's list of what differs from an image, of any length, in bounded memory."""

import json
import re
from collections.abc import AsyncIterator

from plumb_backends.errors import SandboxUnavailable

_KINDS = {0: "changed", 1: "added", 2: "deleted"}
_ONE = re.compile(rb'\{(?:[^{}"]|"(?:[^"\\]|\\.)*")*\}', re.DOTALL)
_LONGEST = 64 * 1024  # a path has 4096 bytes, each of which JSON may write as six


async def read_changes(pieces: AsyncIterator[bytes]) -> AsyncIterator[tuple[str, str]]:
    """Yields path and kind of each change.

    Raises:
        SandboxUnavailable: The engine says something else.
    """
    held = b""
    async for piece in pieces:
        held += piece
        end = 0
        for found in _ONE.finditer(held):
            end = found.end()
            yield _read(found[0])
        held = held[end:]
        if len(held) > _LONGEST:
            break
    if held.strip(b" \n,[]") not in (b"", b"null"):
        raise SandboxUnavailable(
            "the container engine's list of a sandbox's changes cannot be read; see its log"
        )


def _read(text: bytes) -> tuple[str, str]:
    try:
        change = json.loads(text)
        return str(change["Path"]), _KINDS[change["Kind"]]
    except (ValueError, KeyError, TypeError) as error:
        raise SandboxUnavailable(
            f"the container engine lists a change that is none: {text[:200]!r}; see its log"
        ) from error
