"""Runs one program in a fresh process of a sandbox, for checks, probes and init scripts.

The program runs below `guest/run_program.bash`, which says on both streams when it has ended,
because a child that it leaves behind may hold them open for ever.
"""

import asyncio
import re
import time
from collections.abc import Sequence

from plumb_backends.capped import Capped
from plumb_backends.environment import DEFAULT_TIMEOUT, Program, ProgramResult
from plumb_backends.errors import InvalidInput, SandboxUnavailable
from plumb_backends.real.engine import ProgramStream, Sandbox
from plumb_backends.real.guest import command, script
from plumb_backends.real.marks import new_key

WRAPPER = ("bash", "-p", "-c")
"""How the wrapper of a program begins; without `-p` it would heed the program's own variables."""

MAX_STREAM_BYTES = 1024 * 1024
"""What is kept of standard output and of standard error, each."""

_STDOUT, _STDERR = 1, 2
_KILLED = 128 + 9
_LONGEST_LINE = 64  # of the wrapper's: a key and a number
_START_WITHIN = 60.0
"""Seconds within which the wrapper must have begun; the program's own timeout counts from there."""

_AFTERLIFE = 5.0
"""Seconds within which a killed program's streams must have ended."""

_REFUSAL = re.compile("unable to find user|chdir to cwd")
"""How older engines say, in the place of output, that there is no such user or directory."""


async def run_program(sandbox: Sandbox, program: Program) -> ProgramResult:
    """Runs a program to its end or its timeout.

    Raises:
        InvalidInput: The user or the working directory does not exist.
        SandboxUnavailable: The sandbox is gone, or nothing can be started in it.
    """
    started = time.monotonic()
    reader = _Reader(key := new_key())
    argv = [*WRAPPER, script("run_program.bash"), "plumb", *program.argv]
    try:
        stream = await sandbox.open_program(
            argv, stdin=True, env=program.env, cwd=program.cwd, user=program.user
        )
    except InvalidInput as error:  # as newer engines say it
        raise _refused(str(error)) from error
    given = f"{key} {len(program.stdin)}\n".encode() + program.stdin
    try:
        timed_out = not await _run(sandbox, stream, reader, given, program.timeout)
        status = _KILLED if timed_out else reader.status
        reader.cut_off()
        if status is None:
            status = await _status_of_lost(sandbox, stream, reader)
    finally:
        await stream.close()
    return ProgramResult(
        stdout=reader.channels[_STDOUT].output.content(),
        stderr=reader.channels[_STDERR].output.content(),
        exit_code=status,
        truncated=any(channel.output.cut_bytes for channel in reader.channels.values()),
        timed_out=timed_out,
        run_duration=time.monotonic() - started,
    )


async def run_helper(
    sandbox: Sandbox, argv: Sequence[str], *, stdin: bytes = b"", timeout: float = DEFAULT_TIMEOUT
) -> ProgramResult:
    """Runs a program of our own: in `/`, for an action may have removed the home directory.

    Raises:
        SandboxUnavailable: See `run_program`.
    """
    return await run_program(sandbox, Program(argv, stdin=stdin, cwd="/", timeout=timeout))


async def _run(
    sandbox: Sandbox, stream: ProgramStream, reader: "_Reader", given: bytes, timeout: float
) -> bool:
    """Feeds and reads until the end; returns whether that came before the timeout."""
    reading = asyncio.create_task(reader.read(stream))
    writing = asyncio.create_task(stream.write(given))
    beginning = asyncio.create_task(reader.begun.wait())
    try:
        started, _ = await asyncio.wait(
            {reading, beginning}, timeout=_START_WITHIN, return_when=asyncio.FIRST_COMPLETED
        )
        if not started:  # it has no pid, and cannot be killed
            raise SandboxUnavailable(
                f"the program did not start within {_START_WITHIN:g} s; look at the engine's load, "
                "and reset the session"
            )
        done, _ = await asyncio.wait({reading}, timeout=timeout)
        if done:
            reading.result()
            return True
        await end_session(sandbox, reader.pid)
        await asyncio.wait({reading}, timeout=_AFTERLIFE)
        return False
    finally:
        for task in (reading, writing, beginning):
            task.cancel()
        await asyncio.gather(reading, writing, beginning, return_exceptions=True)


async def _status_of_lost(sandbox: Sandbox, stream: ProgramStream, reader: "_Reader") -> int:
    """For a program whose wrapper died with it (killed for memory), or never began."""
    if await sandbox.has_ended():
        raise _gone(sandbox)
    said = reader.channels[_STDOUT].output.content().decode(errors="replace").strip()
    if reader.pid is None and _REFUSAL.search(said):
        raise _refused(said)
    if reader.pid is None:  # what stands in the place of output is the engine's word, not its
        raise SandboxUnavailable(
            f"the program did not start: {said or 'its sandbox has no room for it'}; ask again, or "
            "reset the session"
        )
    status = await stream.exit_code()
    if await sandbox.has_ended():  # then the status is of that, and not the program's
        raise _gone(sandbox)
    return status


def _refused(why: str) -> InvalidInput:
    return InvalidInput(
        f"the program cannot be started: {why}; name a user and a directory there are"
    )


def _gone(sandbox: Sandbox) -> SandboxUnavailable:
    because = f": {sandbox.ended_because}" if sandbox.ended_because else ""
    return SandboxUnavailable(f"the sandbox is gone{because}; reset the session")


async def end_session(sandbox: Sandbox, pid: int | None) -> None:
    """Kills a program and all that it started (its process session)."""
    if pid is not None:
        await end_processes(sandbox, "session", pid)


async def end_processes(sandbox: Sandbox, how: str, pid: int) -> str:
    """Runs `guest/end_processes.bash`; returns the last word that it says."""
    stream = await open_ending(sandbox, how, pid)
    try:
        said = b""
        while piece := await stream.read():
            said += piece[1]
    finally:
        await stream.close()
    return (said.decode(errors="replace").split() or ["stuck"])[-1]


async def open_ending(sandbox: Sandbox, how: str, pid: int) -> ProgramStream:
    """Starts `guest/end_processes.bash`."""
    argv = command("end_processes.bash", how, str(pid))
    asks_back = how == "foreground"
    return await sandbox.open_program(argv, stdin=asks_back, env={}, cwd="/", user="")


class _Channel:
    """One of a program's streams: what the program wrote, between the wrapper's own lines."""

    def __init__(self, first: str, last: str) -> None:
        self.output = Capped(MAX_STREAM_BYTES)
        self.opened: re.Match[bytes] | None = None
        self.ended: re.Match[bytes] | None = None
        self._first = re.compile(first.encode())
        self._last = re.compile(last.encode())
        self._held = b""

    def feed(self, data: bytes) -> None:
        """Takes the next piece. What comes after the last line is from a child left behind."""
        if self.ended:
            return
        data = self._held + data
        if self.opened is None:
            self.opened = self._first.match(data)
            if self.opened is None:
                self._held = data
                return
            data = data[self.opened.end() :]
        self.ended = self._last.search(data)
        certain = self.ended.start() if self.ended else max(0, len(data) - _LONGEST_LINE)
        self.output.add(data[:certain])
        self._held = data[certain:]

    def cut_off(self) -> None:
        """Takes what was held for what the program wrote: the last line will not come."""
        if not self.ended:
            self.output.add(self._held)


class _Reader:
    """Reads a program's streams."""

    def __init__(self, key: str) -> None:
        # Before its first line bash may complain of a locale: of the program's, not by it.
        self._stdout = _Channel("", key)
        self._stderr = _Channel(rf"(?s:.*?){key}=(\d+)\n", rf"{key}:(\d+)\n")
        self.channels = {_STDOUT: self._stdout, _STDERR: self._stderr}
        self.begun = asyncio.Event()

    @property
    def pid(self) -> int | None:
        """The wrapper's pid, which is its session's; None until it has begun."""
        return int(self._stderr.opened[1]) if self._stderr.opened else None

    @property
    def status(self) -> int | None:
        """The program's exit status; None until it has ended."""
        return int(self._stderr.ended[1]) if self._stderr.ended else None

    async def read(self, stream: ProgramStream) -> None:
        """Reads until the wrapper has said on both streams that the program has ended."""
        while not (self._stdout.ended and self._stderr.ended):
            piece = await stream.read()
            if piece is None:
                break
            self.channels[piece[0]].feed(piece[1])
            if self.pid is not None:
                self.begun.set()

    def cut_off(self) -> None:
        """Ends the reading, whether the wrapper has said its last word or not."""
        self._stdout.cut_off()
        self._stderr.cut_off()
