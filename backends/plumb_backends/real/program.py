"""Runs one program in a fresh process of a sandbox, for checks, probes and init scripts.

The program runs below `guest/run_program.bash`, which says on both streams when it has ended,
because a child that it leaves behind may hold them open for ever.
"""

import asyncio
import re
import time

from plumb_backends.environment import Program, ProgramResult
from plumb_backends.errors import SandboxUnavailable
from plumb_backends.real.capped import Capped
from plumb_backends.real.engine import ProgramStream, Sandbox
from plumb_backends.real.guest import script
from plumb_backends.real.marks import new_key

MAX_STREAM_BYTES = 1024 * 1024
"""What is kept of standard output and of standard error, each."""

_STDOUT, _STDERR = 1, 2
_KILLED = 128 + 9
_AFTERLIFE = 5.0
"""Seconds within which a killed program's streams must have ended."""


async def run_program(sandbox: Sandbox, program: Program) -> ProgramResult:
    """Runs a program to its end or its timeout.

    Raises:
        InvalidInput: The user or the working directory does not exist.
        SandboxUnavailable: The sandbox is gone.
    """
    started = time.monotonic()
    reader = _Reader(key := new_key())
    argv = [
        "bash",
        "-c",
        script("run_program.bash"),
        "plumb",
        key,
        str(len(program.stdin)),
        *program.argv,
    ]
    stream = await sandbox.open_program(
        argv, stdin=bool(program.stdin), env=program.env, cwd=program.cwd, user=program.user
    )
    try:
        timed_out = not await _run(sandbox, stream, reader, program)
        status = _KILLED if timed_out else reader.status
        if status is None:
            status = await _status_of_lost(sandbox, stream)
    finally:
        await stream.close()
    return ProgramResult(
        stdout=reader.output[_STDOUT].content(),
        stderr=reader.output[_STDERR].content(),
        exit_code=status,
        truncated=any(output.cut_bytes for output in reader.output.values()),
        timed_out=timed_out,
        run_duration=time.monotonic() - started,
    )


async def _run(
    sandbox: Sandbox, stream: ProgramStream, reader: "_Reader", program: Program
) -> bool:
    """Feeds and reads until the end; returns whether that came before the timeout."""
    reading = asyncio.create_task(reader.read(stream))
    writing = asyncio.create_task(stream.write(program.stdin)) if program.stdin else None
    try:
        done, _ = await asyncio.wait({reading}, timeout=program.timeout)
        if done:
            reading.result()
            return True
        await end_session(sandbox, reader.pid)
        await asyncio.wait({reading}, timeout=_AFTERLIFE)
        return False
    finally:
        tasks = [task for task in (reading, writing) if task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _status_of_lost(sandbox: Sandbox, stream: ProgramStream) -> int:
    """For a program whose wrapper died with it: killed for memory, or the sandbox is gone."""
    if not await sandbox.is_running():
        raise SandboxUnavailable(f"the sandbox is gone{_because(sandbox)}; reset the session")
    return await stream.exit_code()


def _because(sandbox: Sandbox) -> str:
    return f": {sandbox.ended_because}" if sandbox.ended_because else ""


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
    argv = ["bash", "-c", script("end_processes.bash"), "plumb", how, str(pid)]
    return await sandbox.open_program(argv, stdin=False, env={}, cwd="/", user="")


class _Reader:
    """Reads a program's streams, and takes the wrapper's lines out of them."""

    def __init__(self, key: str) -> None:
        self.output = {_STDOUT: Capped(MAX_STREAM_BYTES), _STDERR: Capped(MAX_STREAM_BYTES)}
        self.pid: int | None = None
        self.status: int | None = None
        self._key = key.encode()
        self._line = re.compile(self._key + rb":(\d+)\n")
        self._held = {_STDOUT: b"", _STDERR: b""}
        self._open = {_STDOUT, _STDERR}

    async def read(self, stream: ProgramStream) -> None:
        """Reads until the wrapper has said on both streams that the program has ended."""
        while self._open and (piece := await stream.read()):
            self._take(*piece)
        for descriptor in self._open:
            self.output[descriptor].add(self._held[descriptor])

    def _take(self, descriptor: int, data: bytes) -> None:
        if descriptor not in self._open:
            return  # from a child that was left behind
        data = self._held[descriptor] + data
        if descriptor == _STDERR and self.pid is None:
            header = self._line.match(data)
            if header is None:
                self._held[descriptor] = data
                return
            self.pid = int(header[1])
            data = data[header.end() :]
        end = self._line.search(data) if descriptor == _STDERR else re.search(self._key, data)
        if end:
            self._open.discard(descriptor)
            if descriptor == _STDERR:
                self.status = int(end[1])
            data, self._held[descriptor] = data[: end.start()], b""
            self.output[descriptor].add(data)
            return
        keep = self._possible_key(data)
        self._held[descriptor] = data[len(data) - keep :]
        self.output[descriptor].add(data[: len(data) - keep])

    def _possible_key(self, data: bytes) -> int:
        """How many bytes at the end may be the beginning of a wrapper's line."""
        return min(len(data), len(self._key) + 16)
