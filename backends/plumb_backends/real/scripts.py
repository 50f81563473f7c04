"""Runs a session's init scripts.

One of plumb's own programs runs one after the other, as long as nobody who was left behind holds
its streams: starting another costs many times what a script does.
"""

import asyncio
import re
import shlex
from contextlib import suppress

from plumb_backends.environment import Program, ProgramResult
from plumb_backends.errors import SandboxUnavailable
from plumb_backends.real.engine import ProgramStream, Sandbox
from plumb_backends.real.program import run_on
from plumb_backends.real.program_streams import NOBODY

_GONE_WITHIN = 5.0
"""Seconds for the end of what waits for a script."""

_INTERPRETER = re.compile(r"#![ \t]*(/[^\n]+)\n")
_IS_SHELL = re.compile(r"(?:/|\s)(?:ba|da)?sh\b")


async def open_runner(sandbox: Sandbox) -> ProgramStream:
    """Starts what runs scripts; it waits for the first.

    Raises:
        SandboxUnavailable: See `Sandbox.open_guest`.
    """
    return await sandbox.open_guest(["run", "again"])


async def send_away(runner: ProgramStream) -> None:
    """Ends what waits for a script, and waits until it is gone."""
    try:
        with suppress(SandboxUnavailable, TimeoutError):
            async with asyncio.timeout(_GONE_WITHIN):
                await runner.write(NOBODY)
                while await runner.read():
                    pass
    finally:
        await runner.close()


class Scripts:
    """What runs scripts in a sandbox.

    Args:
        sandbox: Where.
        runner: What waits there for the first script; None where that must be started.
    """

    def __init__(self, sandbox: Sandbox, runner: ProgramStream | None) -> None:
        self._sandbox = sandbox
        self._runner = runner

    async def run(self, text: str, timeout: float) -> ProgramResult:
        """Runs one script.

        Raises:
            SandboxUnavailable: See `run_program`.
        """
        if self._runner is None:
            self._runner = await open_runner(self._sandbox)
        # Not marked: what it leaves running is a part of the world, which the agent may look into.
        program = _program(text, timeout)
        ran = await run_on(self._runner, self._sandbox, program, is_marked=False)
        if not ran.may_another_follow:
            await self.close()
        return ran.result

    async def end(self) -> None:
        """Ends what runs scripts, so that nobody finds it any more."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await send_away(runner)

    async def close(self) -> None:
        """Lets go of what runs scripts, where the sandbox goes next, or it has ended."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.close()


def _program(text: str, timeout: float) -> Program:
    """The program that a script is; one that begins with `#!` by the interpreter that it names.

    It comes on standard input: in argv it would be limited to 128 KiB, and a `pgrep -f` in it would
    find the script itself.
    """
    text = text.replace("\r\n", "\n")
    argv = ["bash", "-c", 'eval "$(</dev/stdin)" </dev/null', "bash"]
    named = _INTERPRETER.match(text)
    if named and not _IS_SHELL.search(named[1]):
        argv = [*shlex.split(named[1]), "/dev/stdin"]
    return Program(argv, stdin=text.encode(), timeout=timeout)
