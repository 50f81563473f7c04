"""One running bash in a sandbox: how it starts, and how what it runs in the foreground ends."""

import asyncio
import math
from contextlib import suppress

from plumb_backends.errors import SandboxUnavailable
from plumb_backends.kinds.shell import ShellOptions
from plumb_backends.real.engine import Sandbox, TerminalStream
from plumb_backends.real.guest import script
from plumb_backends.real.guest.asking import ask
from plumb_backends.real.marks import Prompt, new_key
from plumb_backends.real.program import open_ending
from plumb_backends.real.terminal import COLUMNS, ROWS, Terminal

START_WITHIN = 20.0
"""Seconds within which a bash must show its first prompt."""


_GATE = """read -rs key || exit
cd -- "$3" 2>/dev/null; unset OLDPWD
exec bash --rcfile <(printf 'set -- %q\\n%s' "$2" "${1//KEY/$key}") -i"""
"""What a terminal runs, once plumb's own program there sees that a key was typed: it takes the key,
and becomes the shell. So a terminal can stand ready for long, also while init scripts run, and its
shell is as new as any: it has read no file and knows no time before. The key comes on the terminal,
for whatever runs in the sandbox meanwhile can read arguments. It goes home itself, for the engine
would start nothing in a home that the agent has removed."""

_STDOUT = 1
_END_OF_INPUT = b"\x04"

_TYPED_WITHIN = 5.0
"""Seconds that Ctrl-C may take to be written; a terminal that nobody reads can be full."""


class Bash:
    """A running bash: its stream, its terminal, and the last prompt."""

    def __init__(self, stream: TerminalStream, terminal: Terminal, prompt: Prompt) -> None:
        self.stream = stream
        self.terminal = terminal
        self.prompt = prompt

    @classmethod
    async def start(
        cls,
        sandbox: Sandbox,
        options: ShellOptions,
        *,
        cwd: str = "",
        waiting: "WaitingBash | None" = None,
    ) -> "Bash":
        """Starts a bash and waits for its first prompt.

        Args:
            sandbox: Where.
            options: What its terminal is.
            cwd: Where it starts; empty for the home.
            waiting: The terminal that waits for it already; another one is opened where a script
                has ended that.
        """
        if waiting is not None:
            try:
                return await waiting.start()
            except SandboxUnavailable:
                if not waiting.ended_in_silence:
                    raise
        opened = await WaitingBash.open(sandbox, options, cwd=cwd)
        return await opened.start()

    async def close(self) -> None:
        """Hangs up."""
        await self.terminal.close()


class WaitingBash:
    """A terminal whose bash has not started: it waits for its key."""

    def __init__(self, stream: TerminalStream, key: str) -> None:
        self._stream = stream
        self._key = key
        self._terminal = Terminal(stream, key)
        self.ended_in_silence = False  # its process was ended before it became a shell

    @classmethod
    async def open(cls, sandbox: Sandbox, options: ShellOptions, *, cwd: str = "") -> "WaitingBash":
        """Opens the terminal.

        The shell's start-up file comes through a pipe: nothing is written into the sandbox.
        """
        argv = ["bash", "-c", _GATE, "bash", script("rc.bash"), cwd, sandbox.spec.home]
        env = {"TERM": "dumb" if options.dumb_terminal else "xterm-256color", "PAGER": "cat"}
        stream = await sandbox.open_terminal(argv, env=env)
        waiting = cls(stream, new_key())
        try:
            await stream.resize(columns=COLUMNS, rows=ROWS)
        except BaseException:
            await waiting.close()
            raise
        return waiting

    @property
    def is_lost(self) -> bool:
        """Whether the terminal is gone."""
        return self._terminal.lost

    async def start(self) -> Bash:
        """Lets bash start, and waits for its first prompt."""
        try:
            async with asyncio.timeout(START_WITHIN):
                await self._stream.write(self._key.encode() + b"\n")
                prompt = await self._terminal.first_prompt()
                return Bash(self._stream, self._terminal, prompt)
        except TimeoutError:
            await self.close()
            raise SandboxUnavailable(
                f"the session's bash showed no prompt within {START_WITHIN:g} s; "
                "its start-up files (~/.bashrc) may be waiting for something"
            ) from None
        except BaseException:
            self.ended_in_silence = self._terminal.ended_in_silence
            await self.close()
            raise

    async def send_away(self) -> None:
        """Ends it, and waits until it is gone."""
        with suppress(SandboxUnavailable, TimeoutError):
            async with asyncio.timeout(START_WITHIN):
                await self._stream.write(_END_OF_INPUT)
                await self._terminal.first_prompt()  # raises when the stream has ended
        await self.close()

    async def close(self) -> None:
        """Hangs up."""
        await self._terminal.close()


async def end_foreground(sandbox: Sandbox, bash: Bash) -> bool:
    """Ctrl-C, then TERM, then KILL for the terminal's foreground group.

    Returns:
        Whether that group is the shell's own, which is only asked by Ctrl-C.

    Raises:
        TimeoutError: See `open_ending`.
    """
    async with open_ending(sandbox, "foreground", bash.prompt.pid) as ending:
        # Typed only after the group is known: then it is the group that gets it, and its members
        # are looked for even if the shell has already shown its prompt.
        while (first := await ending.read()) and first[0] != _STDOUT:
            pass  # bash complains of a locale
        typed = bash.terminal.interrupt()
        await asyncio.wait({typed}, timeout=_TYPED_WITHIN)
        with suppress(SandboxUnavailable):  # it has ended: there was nothing to wait for
            await ending.write(b"\n")
        while await ending.read():
            pass
    return first is not None and first[1].startswith(b"shell")


async def end_readers(sandbox: Sandbox, *, until: float, within: float | None = None) -> bool:
    """Ends what could read the shell's terminal beside it.

    Args:
        sandbox: Where the shell is.
        until: When the action that waits should have ended; see `answering`.
        within: Only what has run for no longer than so many seconds; None for all.

    Returns:
        Whether there was anything.

    Raises:
        SandboxUnavailable: The sandbox is gone, or does not answer.
    """
    age = 0 if within is None else max(1, math.ceil(within))
    return int((await ask(sandbox, "readers", str(age), until=until)).take() or b"0") > 0
