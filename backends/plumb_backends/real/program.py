"""Runs one program in a fresh process of a sandbox, for checks and init scripts.

Plumb's own program in the sandbox (`containers/guest/run.c`) starts it, ends it at its timeout, and
marks on both streams where it ended, because a child that it leaves behind may hold them open for
ever. How it ended is signed with a secret that nothing else in the sandbox can read.
"""

import asyncio
import dataclasses
import hashlib
import re
import secrets
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

from plumb_backends.capped import Capped
from plumb_backends.environment import DEFAULT_TIMEOUT, Program, ProgramResult
from plumb_backends.errors import InvalidInput, SandboxUnavailable
from plumb_backends.real import hardening
from plumb_backends.real.engine import ProgramStream, Sandbox
from plumb_backends.real.guest import MAX_REQUEST_BYTES, raw, request, texts
from plumb_backends.real.marks import new_key

MAX_STREAM_BYTES = 1024 * 1024
"""What is kept of standard output and of standard error, each."""

MAX_STDIN_BYTES = 8 * 1024**2
"""What a program can be given to read; less than a request of the wire may have."""

MAX_TEXT_BYTES = 128 * 1024 - 1
"""What Linux takes as one argument, or as one variable with its name."""

_STDOUT, _STDERR = 1, 2
_KILLED = 128 + 9
_LONGEST_LINE = 128  # of the marks: a key, a status and a signature
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
    started = time.monotonic()
    order = _Order(sandbox, program, mark=hardening.MARK if is_marked else 0)
    reader = _Reader(order)
    stream = await sandbox.open_guest(["run"])
    try:
        await _run(sandbox, stream, reader, order.spelled() + program.stdin, program.timeout)
        reader.cut_off()
        how = reader.how or await _why_lost(sandbox, reader)
    finally:
        await stream.close()
    if not how.isdigit() and how != "timeout":
        raise _refused(how, program, order.cwd)
    return ProgramResult(
        stdout=reader.channels[_STDOUT].output.content(),
        stderr=reader.channels[_STDERR].output.content(),
        exit_code=_KILLED if how == "timeout" else int(how),
        truncated=any(channel.output.cut_bytes for channel in reader.channels.values()),
        timed_out=how == "timeout",
        run_duration=time.monotonic() - started,
    )


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


class _Order:
    """What `run.c` is told, and by what its answer is known."""

    def __init__(self, sandbox: Sandbox, program: Program, *, mark: int) -> None:
        self.keys = {_STDOUT: new_key(), _STDERR: new_key()}
        self.cwd = program.cwd or sandbox.spec.home
        self._secret = secrets.token_hex(32)
        self._program = program
        self._spec = sandbox.spec
        self._mark = mark

    def spelled(self) -> bytes:
        """The request.

        Raises:
            InvalidInput: It is too large.
        """
        program, spec = self._program, self._spec
        variables = [f"{name}={value}" for name, value in program.env.items()]
        numbers = (
            int(program.timeout * 1000),
            len(program.stdin),
            hardening.capability_mask(spec.capabilities),
            self._mark,
            spec.limits.disk_bytes,
        )
        said = request([
            *(key.encode() for key in self.keys.values()),
            self._secret.encode(),
            raw(program.user or spec.user),
            raw(self.cwd),
            *(str(number).encode() for number in numbers),
            *texts(program.argv),
            *texts(variables),
        ])  # fmt: skip
        if len(said) > MAX_REQUEST_BYTES:
            raise _refused("arguments", program, self.cwd)
        return said

    def has_signed(self, how: str, signature: str) -> bool:
        """Whether it was `run.c` that said how the program ended."""
        right = hashlib.sha256(f"{self._secret}{how}".encode()).hexdigest()
        return secrets.compare_digest(right, signature)


async def _run(
    sandbox: Sandbox, stream: ProgramStream, reader: "_Reader", given: bytes, timeout: float
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


async def _why_lost(sandbox: Sandbox, reader: "_Reader") -> str:
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
    said = reader.channels[_STDOUT].output.content().decode(errors="replace").strip()
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


@dataclasses.dataclass(frozen=True, slots=True)
class _End:
    """How a stream says that the program has ended."""

    status: str = ""
    signature: str = ""


class _Channel:
    """One of a program's streams: what the program wrote, between plumb's own lines."""

    def __init__(self, first: str, last: str) -> None:
        self.output = Capped(MAX_STREAM_BYTES)
        self.opened: re.Match[bytes] | None = None
        self.ended: _End | None = None
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
                self._hold_first(data)
                return
            data = data[self.opened.end() :]
        last = self._last.search(data)
        certain = last.start() if last else max(0, len(data) - _LONGEST_LINE)
        self.output.add(data[:certain])
        self._held = data[certain:]
        if last:
            self.ended = _End(*(group.decode() for group in last.groups()))

    def _hold_first(self, data: bytes) -> None:
        self._held = data[:_LONGEST_LINE]

    def cut_off(self) -> None:
        """Takes what was held for what the program wrote: the last line will not come."""
        if not self.ended:
            self.output.add(self._held)


class _Reader:
    """Reads a program's streams."""

    def __init__(self, order: _Order) -> None:
        key = order.keys[_STDERR]
        self._order = order
        self._stdout = _Channel("", order.keys[_STDOUT])
        self._stderr = _Channel(
            rf"{key}=([0-9]{{1,10}})\n|(?={key}:)", rf"{key}:([a-z0-9]{{1,16}}):([0-9a-f]{{64}})\n"
        )
        self.channels = {_STDOUT: self._stdout, _STDERR: self._stderr}
        self.begun = asyncio.Event()

    @property
    def pid(self) -> int | None:
        """The pid of what runs the program; None until it has begun."""
        found = self._stderr.opened and self._stderr.opened[1]
        return int(found) if found else None

    @property
    def how(self) -> str:
        """The exit status, or why there is none; empty where that is not known."""
        ended = self._stderr.ended
        if not ended or not self._order.has_signed(ended.status, ended.signature):
            return ""
        return ended.status

    async def read(self, stream: ProgramStream) -> None:
        """Reads until both streams say that the program has ended."""
        while not (self._stdout.ended and self._stderr.ended):
            piece = await stream.read()
            if piece is None:
                break
            self.channels[piece[0]].feed(piece[1])
            if self._stderr.opened:
                self.begun.set()

    def cut_off(self) -> None:
        """Ends the reading, whether the last words have come or not."""
        self._stdout.cut_off()
        self._stderr.cut_off()
