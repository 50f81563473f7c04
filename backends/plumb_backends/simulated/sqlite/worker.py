"""A session's process as the server sees it: started, asked, and killed."""

import asyncio
import contextlib
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping

from plumb_backends.children import environment
from plumb_backends.errors import SandboxUnavailable
from plumb_backends.simulated.sqlite.messages import (
    LENGTH,
    MAX_MESSAGE_BYTES,
    BadMessage,
    Begin,
    Probe,
    Ran,
    Request,
    Run,
    pack_request,
    read_facts,
    read_ran,
    unpack,
)

_START_WITHIN = 60.0
_OBEY_WITHIN = 5.0
"""Seconds that the process gets to stop a statement by itself, before it is killed."""

_INHERITED = ("PATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL")
"""What the process gets of the server's environment: neither keys nor tokens."""


class Worker:
    """One process. Made by `start`; asked one thing at a time.

    Attributes:
        is_lost: Whether the process is gone, and the database with it.
    """

    def __init__(self, process: Process) -> None:
        self._process = process
        self.is_lost = False

    @classmethod
    async def start(cls) -> "Worker":
        """Starts a process.

        Raises:
            SandboxUnavailable: It could not be started.
        """
        command = (sys.executable, "-P", "-m", __package__, str(os.getpid()))
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=PIPE,
                stdout=PIPE,
                env=environment(_INHERITED),
                cwd="/",
                start_new_session=True,
            )
        except OSError as error:
            raise SandboxUnavailable(
                f"no process could be started for the SQLite baseline: {error}"
            ) from error
        return cls(process)

    async def begin(self, request: Begin) -> None:
        """Makes the grounded state; see `Begin`."""
        scripts = len(request.scripts) * (request.script_seconds + _OBEY_WITHIN)
        await self._ask(request, within=_START_WITHIN + scripts)

    async def run(self, request: Run) -> Ran:
        """Runs an action; see `Run`."""
        return read_ran(await self._ask(request, within=request.seconds + _OBEY_WITHIN))

    async def probe(self, request: Probe) -> Mapping[str, str]:
        """Answers a probe suite; see `Probe`."""
        return read_facts(await self._ask(request, within=request.seconds + _OBEY_WITHIN))

    async def close(self) -> None:
        """Kills the process and waits for its end. Never raises."""
        self.is_lost = True
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await asyncio.shield(self._process.wait())

    async def _ask(self, request: Request, *, within: float) -> Mapping[str, object]:
        """Asks; a process that does not answer as it should, or in time, is killed.

        Raises:
            SandboxUnavailable: It was, now or earlier.
        """
        if self.is_lost:
            raise _lost("its process has been ended")
        try:
            async with asyncio.timeout(within):
                return await self._exchange(request)
        except TimeoutError:
            await self.close()
            raise _lost("a statement could not be stopped at its timeout") from None
        except (asyncio.IncompleteReadError, OSError):
            await self.close()
            raise _lost(f"its process ended by itself ({self._process.returncode})") from None
        except BadMessage as error:
            await self.close()
            raise _lost(f"its process sent {error}") from error
        except BaseException:  # what is left on the pipes is not known
            await self.close()
            raise

    async def _exchange(self, request: Request) -> Mapping[str, object]:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None  # noqa: S101 - both are pipes
        assert stdout is not None  # noqa: S101 - see above
        stdin.write(pack_request(request))
        await stdin.drain()
        (length,) = LENGTH.unpack(await stdout.readexactly(LENGTH.size))
        if length > MAX_MESSAGE_BYTES:
            raise BadMessage(f"a message of {length} bytes")
        return unpack(await stdout.readexactly(length))


def _lost(why: str) -> SandboxUnavailable:
    return SandboxUnavailable(
        f"the database of the SQLite baseline is gone: {why}; reset the session"
    )
