"""What uses too much: its own session suffers, its neighbours and this process do not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from plumb_backends.environment import Action, Ending
from plumb_backends.errors import SandboxUnavailable
from plumb_backends.real.hardening import Limits
from plumb_backends.real.shell import RealShellSettings
from plumb_backends.real.shell_environment import RealShell
from plumb_backends.registry import Backends, open_backends

if TYPE_CHECKING:
    from tests.conftest import MakeShell

pytestmark = pytest.mark.asyncio(loop_scope="session")

MIB = 1024**2
GROWTH_BYTES = 32 * MIB


def _peak_bytes() -> int:
    """The most memory that this process has used since `_forget_peak`."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def _forget_peak() -> int:
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")
    return _peak_bytes()


@pytest.mark.parametrize(
    ("command", "size"),
    [
        pytest.param("yes | head -c 100000000", 150_000_000, id="100 MB in short lines"),
        pytest.param(
            "head -c 50000000 /dev/zero | tr '\\0' x; echo", 50_000_002, id="one line of 50 MB"
        ),
    ],
)
async def test_much_output_is_counted_capped_and_not_kept(
    shell: RealShell, command: str, size: int
) -> None:
    await shell.step(Action(b"seq 100000"))
    before = _forget_peak()
    seen = await shell.step(Action(command.encode(), timeout=280))
    assert (seen.ending, seen.exit_code, seen.truncated) == (Ending.EXITED, 0, True)
    assert seen.total_bytes == size
    assert len(seen.text.encode()) < 66 * 1024
    assert "bytes cut ...]" in seen.text
    assert _peak_bytes() - before < GROWTH_BYTES
    assert (await shell.step(Action(b"echo next"))).text == "next\n"


async def _answers(neighbour: RealShell) -> None:
    async with asyncio.timeout(60):
        assert (await neighbour.step(Action(b"echo here"))).text == "here\n"


@pytest_asyncio.fixture(loop_scope="session")
async def small_backends() -> AsyncIterator[Backends]:
    """Backends whose sandboxes may use little."""
    limits = Limits(memory_bytes=64 * MIB, processes=64, disk_bytes=16 * MIB)
    async with open_backends([RealShellSettings(limits=limits)]) as opened:
        yield opened


async def test_a_memory_hog_is_killed_and_said_to_be(
    small_backends: Backends, make_shell: MakeShell, shell: RealShell
) -> None:
    hog = await make_shell(backends=small_backends)
    step = asyncio.create_task(hog.step(Action(b"tail /dev/zero", timeout=60)))
    await _answers(shell)
    seen = await step
    assert (seen.ending, seen.exit_code, seen.signal) == (Ending.OUT_OF_MEMORY, 137, 9)
    assert (await hog.step(Action(b"echo next"))).text == "next\n"


async def test_a_shell_that_eats_the_memory_itself_is_replaced(
    small_backends: Backends, make_shell: MakeShell, shell: RealShell
) -> None:
    hog = await make_shell(backends=small_backends)
    step = asyncio.create_task(hog.step(Action(b"x=a; while :; do x=$x$x; done", timeout=60)))
    await _answers(shell)
    seen = await step
    assert seen.ending is Ending.OUT_OF_MEMORY
    assert (await hog.step(Action(b"echo next"))).text == "next\n"


async def test_a_kill_9_is_not_taken_for_a_lack_of_memory(shell: RealShell) -> None:
    seen = await shell.step(Action(b"sh -c 'kill -9 $$'"))
    assert (seen.ending, seen.signal) == (Ending.SIGNALED, 9)


async def test_a_full_disk_ends_its_own_sandbox_or_the_writer(
    small_backends: Backends, make_shell: MakeShell, shell: RealShell
) -> None:
    filler = await make_shell(backends=small_backends)
    fill = b"for i in $(seq 1000); do head -c 8M /dev/zero > $i || break; sleep 0.2; done; false"
    step = asyncio.create_task(filler.step(Action(fill, timeout=60)))
    await _answers(shell)
    try:
        seen = await step
    except SandboxUnavailable as error:
        assert "PLUMB_SHELL_DISK_BYTES" in str(error)  # noqa: PT017
        await filler.reset()
    else:
        assert "No space left on device" in seen.text
    await _answers(shell)
    assert (await filler.step(Action(b"ls"))).exit_code == 0
