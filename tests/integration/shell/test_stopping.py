"""Timeouts, interrupts and the output limit: what runs is gone when the answer arrives."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from plumb_backends.environment import Action, Ending, Program
from plumb_backends.real.engine import TerminalStream
from plumb_backends.real.shell import RealShellSettings
from plumb_backends.real.shell_environment import RealShell
from plumb_backends.registry import Backends, open_backends

if TYPE_CHECKING:
    from tests.conftest import MakeShell

pytestmark = pytest.mark.asyncio(loop_scope="session")

OUTPUT_LIMIT = 256 * 1024


async def _runs(shell: RealShell, pattern: str) -> bool:
    """Whether something like this runs in the sandbox; asked beside the shell."""
    found = await shell.execute(Program(["pgrep", "-f", "--", pattern]))
    assert found.exit_code in (0, 1)
    return found.exit_code == 0


@pytest.mark.parametrize(
    ("command", "status", "pattern"),
    [
        ("sleep 1000", 130, "^sleep 1000"),
        ("sleep 1001 | sleep 1000", 130, "^sleep 100"),
        ("sh -c 'sleep 1000; true'", 130, "^sleep 1000"),
        ("(sleep 1000)", 130, "^sleep 1000"),
        ("sleep 1000; sleep 1000; sleep 1000", 130, "^sleep 1000"),
        ("while :; do sleep 1000; done", 130, "^sleep 1000"),
        ("yes", 130, "^yes"),
        ("nohup sleep 1000", 130, "^sleep 1000"),
        ("python3 -c 'while True: pass'", 130, "^python3"),
        ("sh -c 'trap \"\" INT; sleep 1000 & wait; sleep 1000'", 143, "^sleep 1000"),
        ("sh -c 'trap \"\" INT TERM; while :; do sleep 1000; done'", 137, "^sleep 1000"),
        ("sh -c 'kill -STOP $$; sleep 1000' & fg", 137, "^sleep 1000"),
    ],
)
async def test_a_command_is_gone_from_the_sandbox_when_its_timeout_is_answered(
    shell: RealShell, command: str, status: int, pattern: str
) -> None:
    seen = await shell.step(Action(command.encode(), timeout=2))
    assert not await _runs(shell, pattern)
    if "STOP" not in command:  # bash may see the job stop before it is told to end
        assert (seen.ending, seen.exit_code) == (Ending.TIMED_OUT, status)
    assert (await shell.step(Action(b"echo next"))).text == "next\n"


async def test_what_was_printed_before_the_timeout_is_in_the_observation(shell: RealShell) -> None:
    seen = await shell.step(Action(b"echo partial; sleep 1000; echo unreached", timeout=3))
    assert seen.text == "partial\n^C\n"
    assert seen.ending is Ending.TIMED_OUT
    assert seen.run_duration >= 3


async def test_a_ctrl_c_that_is_typed_late_still_comes_before_anything_else(
    shell: RealShell, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = TerminalStream.write

    async def late(stream: TerminalStream, data: bytes) -> None:
        if data == b"\x03":
            await asyncio.sleep(3)
        await write(stream, data)

    monkeypatch.setattr(TerminalStream, "write", late)
    seen = await shell.step(Action(b"sleep 1000; echo unreached", timeout=2))
    assert (seen.ending, seen.exit_code, seen.text) == (Ending.TIMED_OUT, 130, "^C\n")


async def test_a_command_that_ends_before_its_timeout_is_not_timed_out(shell: RealShell) -> None:
    seen = await shell.step(Action(b"sleep 0.1; echo done", timeout=20))
    assert (seen.text, seen.ending) == ("done\n", Ending.EXITED)


async def test_background_jobs_live_through_a_timeout(shell: RealShell) -> None:
    await shell.step(Action(b"sleep 2000 &"))
    await shell.step(Action(b"sleep 1000", timeout=0.3))
    assert await _runs(shell, "^sleep 2000")


async def test_a_shell_that_cannot_be_saved_is_restarted_in_its_directory_and_says_so(
    shell: RealShell,
) -> None:
    await shell.step(Action(b"mkdir -p '/srv/a b' && cd '/srv/a b'"))
    seen = await shell.step(Action(b"trap '' INT; while :; do :; done", timeout=2))
    assert (seen.ending, seen.exit_code) == (Ending.TIMED_OUT, 137)
    assert seen.shell is not None
    assert (seen.shell.restarted, seen.shell.cwd) == (True, "/srv/a b")
    assert (await shell.step(Action(b"pwd; trap"))).text == "/srv/a b\n"


async def test_a_busy_loop_of_the_shell_is_interrupted_and_the_shell_kept(shell: RealShell) -> None:
    await shell.step(Action(b"x=kept"))
    seen = await shell.step(Action(b"while :; do :; done", timeout=0.3))
    assert (seen.ending, seen.exit_code) == (Ending.TIMED_OUT, 130)
    assert (await shell.step(Action(b"echo $x"))).text == "kept\n"


async def test_an_interrupt_stops_the_running_action(shell: RealShell) -> None:
    begun = asyncio.Event()
    step = asyncio.create_task(
        shell.step(
            Action(b"echo begun; sleep 1000"),
            on_output=lambda data: begun.set() if b"begun" in data else None,
        )
    )
    await begun.wait()
    assert shell.interrupt()
    seen = await step
    assert (seen.ending, seen.exit_code) == (Ending.INTERRUPTED, 130)
    assert seen.text == "begun\n^C\n"
    assert not await _runs(shell, "^sleep 1000")
    assert (await shell.step(Action(b"echo next"))).text == "next\n"


async def test_an_interrupt_without_an_action_says_so_and_does_nothing(shell: RealShell) -> None:
    assert not shell.interrupt()
    assert (await shell.step(Action(b"echo next"))).text == "next\n"


@pytest.mark.parametrize(
    ("command", "signal"), [("kill -TERM $BASHPID", 15), ("kill -SEGV $BASHPID", 11)]
)
async def test_a_command_ended_by_a_signal_says_which(
    shell: RealShell, command: str, signal: int
) -> None:
    seen = await shell.step(Action(f"({command})".encode()))
    assert (seen.ending, seen.signal, seen.exit_code) == (Ending.SIGNALED, signal, 128 + signal)


@pytest_asyncio.fixture(loop_scope="session")
async def terse_backends() -> AsyncIterator[Backends]:
    """Backends whose actions may print little."""
    async with open_backends([RealShellSettings(max_output_bytes=OUTPUT_LIMIT)]) as opened:
        yield opened


async def test_an_action_that_prints_too_much_is_stopped(
    terse_backends: Backends, make_shell: MakeShell
) -> None:
    shell = await make_shell(backends=terse_backends)
    seen = await shell.step(Action(b"yes"))
    assert seen.ending is Ending.OUTPUT_LIMIT
    assert seen.truncated
    assert seen.total_bytes > OUTPUT_LIMIT
    assert not await _runs(shell, "^yes")
    assert (await shell.step(Action(b"echo next"))).text == "next\n"
