"""Init scripts that run one after the other: each as if it were alone."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from plumb_backends.environment import Action, Program, ProgramResult
from plumb_backends.errors import InitFailed
from plumb_backends.grounding import Grounding
from plumb_backends.real.shell_environment import RealShell
from plumb_backends.registry import Backends, Spec

if TYPE_CHECKING:
    from tests.conftest import MakeShell

pytestmark = pytest.mark.asyncio(loop_scope="session")

Ground = Callable[[Sequence[str]], Awaitable[tuple[RealShell, Sequence[ProgramResult]]]]
WHO_RUNS_IT = "tr '\\0' ' ' </proc/$PPID/cmdline; echo $PPID"


@pytest_asyncio.fixture(loop_scope="session")
async def ground(backends: Backends) -> AsyncIterator[Ground]:
    """Makes sessions by scripts whose failures are tolerated, and tells what those said."""
    shells: list[RealShell] = []

    async def make(init: Sequence[str]) -> tuple[RealShell, Sequence[ProgramResult]]:
        grounding = Grounding(tuple(init), tolerate_failures=True, timeout=60)
        spec = Spec(kind="shell", backend="real", session_id=str(uuid.uuid4()), grounding=grounding)
        made = await backends.create(spec)
        assert isinstance(made.environment, RealShell)
        shells.append(made.environment)
        return made.environment, made.init_results

    yield make
    for shell in shells:
        await shell.close()


async def say(shell: RealShell, action: str) -> str:
    return (await shell.step(Action(action.encode(), timeout=60))).text


async def test_one_process_runs_them_all_and_is_gone_after_them(ground: Ground) -> None:
    shell, results = await ground([WHO_RUNS_IT] * 3)
    first, second, third = (result.stdout.decode() for result in results)
    assert "guest run again" in first
    assert first == second == third
    assert await say(shell, "ps -e -o args | grep -c '[g]uest run'") == "0\n"


async def test_each_has_its_own_output_status_and_input(ground: Ground) -> None:
    scripts = [
        "echo one; echo bad >&2; exit 3",
        "cat; echo two",
        "#!/bin/true\n" + "x" * 300_000,  # which nobody reads
        "kill -9 $$",
        "nope",
        "echo last",
    ]
    _, results = await ground(scripts)
    said = [(one.exit_code, one.stdout, one.stderr) for one in results]
    assert said[:4] == [(3, b"one\n", b"bad\n"), (0, b"two\n", b""), (0, b"", b""), (137, b"", b"")]
    assert (said[4][0], said[5]) == (127, (0, b"last\n", b""))


@pytest.mark.parametrize(
    "left",
    [
        "(while :; do echo noise; echo noise >&2; sleep 0.01; done) &",
        "setsid sh -c 'while :; do echo noise; sleep 0.01; done' 2>/dev/null &",
        "exec 5>&1; (exec >/dev/null 2>&1; while :; do echo noise >&5; sleep 0.01; done) &",
    ],
    ids=["a job", "one in a session of its own", "one that holds another descriptor"],
)
async def test_what_one_leaves_running_does_not_write_into_the_next(
    ground: Ground, left: str
) -> None:
    _, results = await ground([left, f"sleep 0.3; {WHO_RUNS_IT}", WHO_RUNS_IT])
    _, second, third = results
    assert b"noise" not in second.stdout + second.stderr
    assert second.stdout == third.stdout  # where nothing is left, the same process goes on


async def test_what_is_left_running_can_go_on_writing_where_the_script_wrote(
    ground: Ground,
) -> None:
    """The engine ends the streams of a process 3 seconds after it."""
    write = "while :; do echo noise; echo noise >&2; echo 1 >>/srv/%s; sleep 0.1; done"
    shell, _ = await ground([f"({write % 'first'}) &", f"setsid sh -c '{write % 'second'}' &"])
    await shell.execute(Program(["sh", "-c", f"({write % 'third'}) &"]))
    waits = "until (($(wc -l </srv/{0}) > 60)); do sleep 0.1; done; echo {0}"
    for name in ("first", "second", "third"):
        assert await say(shell, waits.format(name)) == f"{name}\n"
    await say(shell, "pkill -f '[n]oise'; pkill -f '^bash -c eval'")
    gone = await shell.step(
        Action(b"while pgrep -f '[g]uest run' >/dev/null; do :; done", timeout=60)
    )
    assert gone.exit_code == 0


async def test_what_one_leaves_running_in_silence_costs_nothing(ground: Ground) -> None:
    _, results = await ground(["sleep 1000 >/dev/null 2>&1 &", WHO_RUNS_IT, WHO_RUNS_IT])
    assert b"guest run again" in results[1].stdout
    assert results[1].stdout == results[2].stdout


async def test_one_that_runs_too_long_is_ended_and_named(backends: Backends) -> None:
    grounding = Grounding(("true", "sleep 1000"), timeout=1)
    spec = Spec(kind="shell", backend="real", session_id=str(uuid.uuid4()), grounding=grounding)
    with pytest.raises(InitFailed, match=r"init script 2 \(sleep 1000\) ran longer than 1 s"):
        await backends.create(spec)


async def test_a_shell_starts_though_a_script_has_ended_the_terminal_that_waits(
    make_shell: MakeShell,
) -> None:
    shell = await make_shell(init=["pkill -9 -f '[g]uest terminal'; true"])
    assert await say(shell, "echo here; tty") == "here\n/dev/pts/0\n"


async def test_what_scripts_change_of_accounts_and_start_up_files_counts_for_the_shell(
    make_shell: MakeShell,
) -> None:
    scripts = ["sed -i 's/^root:/boss:/' /etc/passwd", "echo 'GREETING=hello' >> ~/.bashrc"]
    shell = await make_shell(init=scripts)
    assert await say(shell, "id -un") == "boss\n"
    assert await say(shell, "echo $GREETING $((SECONDS < 60))") == "hello 1\n"
