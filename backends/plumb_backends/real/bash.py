"""One running bash in a sandbox: how it starts, and how what it runs in the foreground ends."""

import asyncio

from plumb_backends.errors import SandboxUnavailable
from plumb_backends.kinds.shell import ShellOptions
from plumb_backends.real.engine import Sandbox, TerminalStream
from plumb_backends.real.guest import script
from plumb_backends.real.marks import Prompt, new_key
from plumb_backends.real.program import open_ending
from plumb_backends.real.terminal import COLUMNS, ROWS, Terminal

START_WITHIN = 20.0
"""Seconds within which a bash must show its first prompt."""


class Bash:
    """A running bash: its stream, its terminal, and the last prompt."""

    def __init__(self, stream: TerminalStream, terminal: Terminal, prompt: Prompt) -> None:
        self.stream = stream
        self.terminal = terminal
        self.prompt = prompt

    @classmethod
    async def start(cls, sandbox: Sandbox, options: ShellOptions, *, cwd: str = "") -> "Bash":
        """Starts a bash and waits for its first prompt.

        Its start-up file comes through a pipe: nothing is written into the sandbox.
        """
        key = new_key()
        argv = [
            "bash", "-c", 'exec bash --rcfile <(printf "set -- %q\\n%s" "$2" "$1") -i', "bash",
            script("rc.bash").replace("KEY", key), cwd,
        ]  # fmt: skip
        env = {"TERM": "dumb" if options.dumb_terminal else "xterm-256color", "PAGER": "cat"}
        stream = await sandbox.open_terminal(argv, env=env)
        terminal = Terminal(stream, key)
        try:
            async with asyncio.timeout(START_WITHIN):
                prompt, _ = await asyncio.gather(
                    terminal.first_prompt(), stream.resize(columns=COLUMNS, rows=ROWS)
                )
                return cls(stream, terminal, prompt)
        except TimeoutError:
            await terminal.close()
            raise SandboxUnavailable(
                f"the session's bash showed no prompt within {START_WITHIN:g} s; "
                "its start-up files (~/.bashrc) may be waiting for something"
            ) from None
        except BaseException:
            await terminal.close()
            raise

    async def close(self) -> None:
        """Hangs up."""
        await self.terminal.close()


async def end_foreground(sandbox: Sandbox, bash: Bash) -> bool:
    """Ctrl-C, then TERM, then KILL for the terminal's foreground group.

    Returns:
        Whether that group is the shell's own, which is only asked by Ctrl-C.
    """
    ending = await open_ending(sandbox, "foreground", bash.prompt.pid)
    try:
        # Typed only after the group is known: then it is the group that gets it, and its members
        # are looked for even if the shell has already shown its prompt.
        first = await ending.read()
        bash.terminal.interrupt()
        while await ending.read():
            pass
    finally:
        await ending.close()
    return first is not None and first[1].startswith(b"shell")
