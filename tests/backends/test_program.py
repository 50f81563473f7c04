"""When a program's time begins, and who may say how it ended: nothing here needs an engine."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence

import pytest

from plumb_backends.environment import Program
from plumb_backends.errors import InvalidInput, SandboxUnavailable
from plumb_backends.real import program as module
from plumb_backends.real.hardening import SandboxSpec
from plumb_backends.real.program import run_program

PID = 4711


class _Stream:
    """The streams of plumb's program, which says `says` once it has begun, `after` some seconds."""

    def __init__(self, says: str, after: float = 0.0) -> None:
        self._says = says
        self._after = after
        self._order: asyncio.Future[list[bytes]] = asyncio.Future()
        self._pieces: list[tuple[int, bytes]] | None = None
        self.killed = asyncio.Event()

    async def write(self, data: bytes) -> None:
        self._order.set_result(data[4:].split(b"\0"))

    async def read(self) -> tuple[int, bytes] | None:
        if self._pieces is None:
            stdout_key, stderr_key, secret, *_ = await self._order
            await asyncio.sleep(self._after)
            signature = hashlib.sha256(secret + self._says.encode()).hexdigest()
            end = f":{self._says}:{signature}\n".encode()
            self._pieces = [(2, stderr_key + b"=%d\nbegun" % PID)]
            if self._says:
                self._pieces += [(2, stderr_key + self._ending(end)), (1, b"out" + stdout_key)]
        if self._pieces:
            return self._pieces.pop(0)
        await self.killed.wait()
        return None

    def _ending(self, end: bytes) -> bytes:
        return end

    async def close(self) -> None:
        pass


class _Forged(_Stream):
    def _ending(self, end: bytes) -> bytes:
        self.killed.set()
        return end.replace(b":1:", b":0:")


class _Killer:
    """What ends processes."""

    def __init__(self, killed: asyncio.Event) -> None:
        self._said = [(1, b"gone\n")]
        killed.set()

    async def read(self) -> tuple[int, bytes] | None:
        return self._said.pop() if self._said else None

    async def close(self) -> None:
        pass


class _Sandbox:
    spec = SandboxSpec(image="", session_id="", hostname="", env={})
    ended_because = ""

    def __init__(self, stream: _Stream) -> None:
        self._stream = stream
        self.started: list[Sequence[str]] = []

    async def open_guest(self, argv: Sequence[str]) -> _Stream | _Killer:
        self.started.append(argv)
        return self._stream if len(self.started) == 1 else _Killer(self._stream.killed)

    async def has_ended(self) -> bool:
        return False


async def test_a_program_that_started_late_has_its_whole_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_AFTERLIFE", 0.0)
    sandbox = _Sandbox(_Stream("3", after=0.3))
    ran = await run_program(sandbox, Program(["sleep", "9"], timeout=0.1))  # type: ignore[arg-type]
    assert (ran.exit_code, ran.stdout, ran.stderr) == (3, b"out", b"begun")
    assert ran.run_duration >= 0.3


async def test_one_whose_end_is_not_told_is_killed_and_no_observation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_AFTERLIFE", 0.1)
    sandbox = _Sandbox(_Stream(""))
    with pytest.raises(SandboxUnavailable, match="how the program ended is not known"):
        await run_program(sandbox, Program(["true"], timeout=0.1))  # type: ignore[arg-type]
    assert list(sandbox.started[1]) == ["end", "process", str(PID)]


async def test_an_end_that_somebody_else_tells_is_none() -> None:
    sandbox = _Sandbox(_Forged("1"))
    with pytest.raises(SandboxUnavailable, match="how the program ended is not known"):
        await run_program(sandbox, Program(["false"]))  # type: ignore[arg-type]


async def test_one_that_does_not_start_is_an_error_and_no_observation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_START_WITHIN", 0.05)
    sandbox = _Sandbox(_Stream("0", after=3600))
    with pytest.raises(SandboxUnavailable, match="did not start within"):
        await run_program(sandbox, Program(["true"], timeout=0.01))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("program", "said"),
    [
        (Program(["cat"], stdin=b"x" * 50 * 1024**2), r"stdin has 52428800 bytes, at most 8388608"),
        (Program(["env"], env={"BIG": "x" * 140_000}), r"variable 'BIG' has more than 131071"),
        (Program(["env"], env={"BIG": "é" * 66_000}), r"variable 'BIG'"),
        (Program(["echo", "x" * 140_000]), r"argument 1 has more than 131071"),
        (Program(["echo", *["x" * 100_000] * 90]), r"too large together"),
    ],
)
async def test_what_is_too_large_for_any_program_is_the_caller_s_fault(
    program: Program, said: str
) -> None:
    with pytest.raises(InvalidInput, match=said):
        await run_program(_Sandbox(_Stream("0")), program)  # type: ignore[arg-type]
