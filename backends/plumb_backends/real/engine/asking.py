"""Asks the container engine: each answer is bounded in time, each failure one of our errors."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import aiodocker
import aiohttp

from plumb_backends.errors import ImageMissing, InvalidInput, PlumbError, SandboxUnavailable

_ANSWER_WITHIN = 60.0
"""Seconds for one answer of the engine; creations queue up inside it under load."""

_NO_CONNECTION = 900
"""The status that aiodocker makes up where the engine cannot be reached."""


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Turns what Docker and the connection raise into our errors. The only place."""
    try:
        yield
    except aiodocker.DockerError as error:
        raise _translate(error, doing) from error
    except TimeoutError as error:
        raise SandboxUnavailable(
            f"the container engine did not answer within {_ANSWER_WITHIN:g} s while {doing}; "
            "look at its log and load"
        ) from error
    except (aiohttp.ClientError, OSError) as error:
        raise SandboxUnavailable(
            f"the container engine does not answer while {doing} ({error}); "
            "start it, and see `plumb doctor`"
        ) from error


def _translate(error: aiodocker.DockerError, doing: str) -> PlumbError:
    if error.status == 404 and "no such image" in error.message.lower():
        return ImageMissing(
            f"{error.message.strip()}: the engine does not have this image; "
            "make it with `make images`, pull it, or name another one"
        )
    if error.status == 400:
        return InvalidInput(f"the container engine refused while {doing}: {error.message.strip()}")
    if error.status == _NO_CONNECTION:
        return SandboxUnavailable(
            f"the container engine does not answer while {doing} ({error.message.strip()}); "
            "start it, and see `plumb doctor`"
        )
    return SandboxUnavailable(f"the sandbox failed while {doing}: {error.message.strip()}")


@asynccontextmanager
async def asking(doing: str) -> AsyncIterator[None]:
    """For one question to the engine: bounded in time, its failures translated."""
    with translated(doing):
        async with asyncio.timeout(_ANSWER_WITHIN):
            yield
