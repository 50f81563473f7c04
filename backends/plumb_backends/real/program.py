"""Runs one program in a fresh process of a sandbox, for checks and init scripts.

Plumb's own program in the sandbox (`containers/guest/run.c`) starts it, ends it at its timeout, and
marks on both streams where it ended, because a child that it leaves behind may hold them open for
ever. How it ended is signed with a secret that nothing else in the sandbox can read.
"""

import asyncio
import dataclasses
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

from plumb_backends.environment import DEFAULT_TIMEOUT, Program, ProgramResult
from plumb_backends.errors import InvalidInput, SandboxUnavailable
from plumb_backends.real import hardening
from plumb_backends.real.engine import ProgramStream, Sandbox
from plumb_backends.real.guest import MAX_REQUEST_BYTES, raw
from plumb_backends.real.program_streams import STDERR, STDOUT, Order, Reader

MAX_STDIN_BYTES = 8 * 1024**2
"""What a program can be given to read; less than a request of the wire may have."""

MAX_TEXT_BYTES = 128 * 1024 - 1
"""What Linux takes as one argument, or as one variable with its name."""

_KILLED = 128 + 9
_START_WITHIN = 60.0
"""Seconds within which the program must have begun; its own timeout counts from there."""

_AFTERLIFE = 15.0
"""Seconds after its timeout within which it must be gone, and said to be."""

_END_WITHIN = 20.0
"""Seconds for ending processes, which takes 5 at most; an agent can stop what does it."""

_REFUSALS = {
    "user": "unable to find user {0.user}; name one that there is",
    "folder": "chdir to cwd {1!r} failed; name a directory that there is",
    "arguments": "its arguments and variables are too large together; pass data on stdin",
}
"""Why a program is not started, by the words of `run.c`: the caller's own fault."""


async def run_program(
    sandbox: Sandbox, program: Program, *, is_marked: bool = True
) -> ProgramResult:
    """Runs a program to its end or its timeout.

    Args:
        sandbox: Where to run it.
        program: What to run.
        is_marked: Whether the agent's processes are kept from looking into its own, and from
            writing where it writes; they can look into what it leaves behind, where they are not.

    Raises:
        InvalidInput: The user or the working directory does not exist, or something is too large.
        SandboxUnavailable: The sandbox is gone, nothing can be started in it, or how the program
            ended cannot be known.
    """
    _check_sizes(program)
    stream = await sandbox.open_guest(["run"])
    try:
        return (await run_on(stream, sandbox, program, is_marked=is_marked)).result
    finally:
        await stream.close()


@dataclasses.dataclass(frozen=True, slots=True)
class Ran:
    """What came of a program, and whether another may be run on the same stream."""

    result: ProgramResult
    may_another_follow: bool


async def run_on(
    stream: ProgramStream, sandbox: Sandbox, program: Program, *, is_marked: bool
) -> Ran:
    """Runs a program over a stream to plumb's own program, which waits for an order there.

    Raises:
        InvalidInput, SandboxUnavailable: See `run_program`.
    """
    _check_sizes(program)
    started = time.monotonic()
    order = Order(sandbox, program, mark=hardening.MARK if is_marked else 0)
    spelled = order.spelled()
    if len(spelled) > MAX_REQUEST_BYTES:
        raise _refused("arguments", program, order.cwd)
    reader = Reader(order)
    await _run(sandbox, stream, reader, spelled + program.stdin, program.timeout)
    reader.cut_off()
    how = reader.how or await _why_lost(sandbox, reader)
    if not how.isdigit() and how != "timeout":
        raise _refused(how, program, order.cwd)
    result = ProgramResult(
        stdout=reader.channels[STDOUT].output.content(),
        stderr=reader.channels[STDERR].output.content(),
        exit_code=_KILLED if how == "timeout" else int(how),
        truncated=any(channel.output.cut_bytes for channel in reader.channels.values()),
        timed_out=how == "timeout",
        run_duration=time.monotonic() - started,
    )
    return Ran(result, reader.may_another_follow)


async def run_helper(
    sandbox: Sandbox, argv: Sequence[str], *, stdin: bytes = b"", timeout: float = DEFAULT_TIMEOUT
) -> ProgramResult:
    """Runs a program of the sandbox's own: in `/`, for an action may have removed the home.

    Raises:
        SandboxUnavailable: See `run_program`.
    """
    return await run_program(sandbox, Program(argv, stdin=stdin, cwd="/", timeout=timeout))


def _check_sizes(program: Program) -> None:
    if len(program.stdin) > MAX_STDIN_BYTES:
        raise InvalidInput(
            f"stdin has {len(program.stdin)} bytes, at most {MAX_STDIN_BYTES} are allowed; "
            "write it to a file in pieces"
        )
    for name, value in program.env.items():
        if len(raw(name)) + 1 + len(raw(value)) > MAX_TEXT_BYTES:
            raise InvalidInput(
                f"variable {name[:100]!r} has more than {MAX_TEXT_BYTES} bytes with its name, "
                "which no program can be given; pass it on stdin"
            )
    for index, part in enumerate(program.argv):
        if len(raw(part)) > MAX_TEXT_BYTES:
            raise InvalidInput(
                f"argument {index} has more than {MAX_TEXT_BYTES} bytes, which no program can be "
                "given; pass it on stdin"
            )


async def _run(
    sandbox: Sandbox, stream: ProgramStream, reader: Reader, given: bytes, timeout: float
) -> None:
    """Feeds and reads until the end, or until it is clear that none comes."""
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
        done, _ = await asyncio.wait({reading}, timeout=timeout + _AFTERLIFE)
        if done:
            reading.result()
        elif reader.pid is not None:  # stopped, perhaps; with it goes the program
            await end_processes(sandbox, "process", reader.pid)
    finally:
        for task in (reading, writing, beginning):
            task.cancel()
        await asyncio.gather(reading, writing, beginning, return_exceptions=True)


async def _why_lost(sandbox: Sandbox, reader: Reader) -> str:
    """Raises: nothing said how the program ended."""
    if await sandbox.has_ended():
        because = f": {sandbox.ended_because}" if sandbox.ended_because else ""
        raise SandboxUnavailable(f"the sandbox is gone{because}; reset the session")
    if reader.pid is not None:
        raise SandboxUnavailable(
            "how the program ended is not known: what runs programs was ended or stopped inside "
            "the sandbox; run it again, or reset the session"
        )
    # What stands in the place of output is the engine's word, not the program's.
    said = reader.channels[STDOUT].output.content().decode(errors="replace").strip()
    raise SandboxUnavailable(
        f"the program did not start: {said or 'its sandbox has no room for it'}; ask again, or "
        "reset the session"
    )


def _refused(how: str, program: Program, cwd: str) -> InvalidInput | SandboxUnavailable:
    if how in _REFUSALS:
        return InvalidInput(f"the program cannot be started: {_REFUSALS[how].format(program, cwd)}")
    why = "its sandbox has no room for it" if how == "room" else f"its {how} failed"
    return SandboxUnavailable(f"the program did not start: {why}; ask again, or reset the session")


async def end_processes(sandbox: Sandbox, how: str, pid: int) -> str:
    """Ends a `session` or a `process` (see `command_end` of `processes.c`).

    Returns:
        `gone` or `stuck`; `stuck`, too, where what ends them says nothing in time.
    """
    said = b""
    with suppress(TimeoutError):
        async with open_ending(sandbox, how, pid) as stream:
            while piece := await stream.read():
                said += piece[1]
    return (said.decode(errors="replace").split() or ["stuck"])[-1]


@asynccontextmanager
async def open_ending(sandbox: Sandbox, how: str, pid: int) -> AsyncIterator[ProgramStream]:
    """Ends processes; `foreground` asks back before it does.

    Raises:
        TimeoutError: It takes longer than it can take, unless it was stopped itself.
    """
    async with asyncio.timeout(_END_WITHIN):
        stream = await sandbox.open_guest(["end", how, str(pid)])
        try:
            yield stream
        finally:
            await stream.close()
