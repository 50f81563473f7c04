"""When a program's time begins, on an engine that starts it late: nothing here needs one."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from plumb_backends.environment import Program
from plumb_backends.errors import SandboxUnavailable
from plumb_backends.real import program as module
from plumb_backends.real.program import run_program

PID = 4711


class _Stream:
    """The wrapper's streams; it begins `after` some seconds, and then runs until it is killed."""

    def __init__(self, after: float) -> None:
        self._after = after
        self._key: asyncio.Future[str] = asyncio.Future()
        self.killed = asyncio.Event()
        self._has_begun = False

    async def write(self, data: bytes) -> None:
        self._key.set_result(data.decode().split()[0])

    async def read(self) -> tuple[int, bytes] | None:
        if not self._has_begun:
            key = await self._key
            await asyncio.sleep(self._after)
            self._has_begun = True
            return 2, f"{key}={PID}\nbegun".encode()
        await self.killed.wait()
        return None

    async def close(self) -> None:
        pass


class _Killer:
    """What ends processes, as the sandbox starts it."""

    def __init__(self, killed: asyncio.Event) -> None:
        self._said = [(1, b"gone\n")]
        killed.set()

    async def read(self) -> tuple[int, bytes] | None:
        return self._said.pop() if self._said else None

    async def close(self) -> None:
        pass


class _Sandbox:
    def __init__(self, stream: _Stream) -> None:
        self._stream = stream
        self.started: list[Sequence[str]] = []

    async def open_program(self, argv: Sequence[str], **_: object) -> _Stream | _Killer:
        self.started.append(argv)
        return self._stream if len(self.started) == 1 else _Killer(self._stream.killed)


async def test_the_timeout_counts_from_when_it_runs_and_kills_one_that_started_late() -> None:
    sandbox = _Sandbox(_Stream(after=0.3))
    ran = await run_program(sandbox, Program(["sleep", "9"], timeout=0.1))  # type: ignore[arg-type]
    assert (ran.timed_out, ran.exit_code, ran.stderr) == (True, 137, b"begun")
    assert ran.run_duration >= 0.4
    assert sandbox.started[1][-2:] == ["session", str(PID)]


async def test_one_that_does_not_start_is_an_error_and_no_observation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_START_WITHIN", 0.05)
    sandbox = _Sandbox(_Stream(after=3600))
    with pytest.raises(SandboxUnavailable, match="did not start within"):
        await run_program(sandbox, Program(["true"], timeout=0.01))  # type: ignore[arg-type]
