"""Programs beside the shell: `execute`."""

from __future__ import annotations

import asyncio

import pytest

from plumb_backends.environment import Action, Ending, Program
from plumb_backends.errors import InvalidInput
from plumb_backends.real.program_streams import MAX_STREAM_BYTES
from plumb_backends.real.shell_environment import RealShell

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_standard_output_and_standard_error_are_apart(shell: RealShell) -> None:
    ran = await shell.execute(Program(["sh", "-c", "echo out; echo err >&2; exit 3"]))
    assert (ran.stdout, ran.stderr, ran.exit_code) == (b"out\n", b"err\n", 3)
    assert not ran.timed_out
    assert not ran.truncated


async def test_no_shell_looks_at_the_arguments(shell: RealShell) -> None:
    ran = await shell.execute(Program(["printf", "%s\\n", "$HOME", "a  b", "*", "", "'"]))
    assert ran.stdout == b"$HOME\na  b\n*\n\n'\n"


@pytest.mark.parametrize("stdin", [b"hi", b"\x00\xff\n" * 1000, b"x" * 3_000_000])
async def test_standard_input_arrives_whole(shell: RealShell, stdin: bytes) -> None:
    ran = await shell.execute(Program(["wc", "-c"], stdin=stdin))
    assert ran.stdout.strip() == str(len(stdin)).encode()


async def test_standard_input_is_closed_where_there_is_none(shell: RealShell) -> None:
    assert (await shell.execute(Program(["cat"], timeout=60))).exit_code == 0


async def test_a_program_need_not_read_its_standard_input(shell: RealShell) -> None:
    ran = await shell.execute(Program(["true"], stdin=b"x" * 1_000_000, timeout=60))
    assert (ran.exit_code, ran.timed_out) == (0, False)


async def test_variables_directory_and_user_can_be_given(shell: RealShell) -> None:
    program = Program(
        ["sh", "-c", "echo $X; pwd; whoami"], env={"X": "a b"}, cwd="/tmp", user="nobody"
    )
    assert (await shell.execute(program)).stdout == b"a b\n/tmp\nnobody\n"


async def test_another_user_can_open_its_standard_streams_again(shell: RealShell) -> None:
    copy = "cat /dev/stdin > /dev/stderr; echo out > /dev/stdout"
    ran = await shell.execute(Program(["sh", "-c", copy], stdin=b"in", user="nobody"))
    assert (ran.stdout, ran.stderr, ran.exit_code) == (b"out\n", b"in", 0)


async def test_it_runs_at_home_as_root_by_default(shell: RealShell) -> None:
    ran = await shell.execute(Program(["sh", "-c", "pwd; whoami"]))
    assert ran.stdout == b"/root\nroot\n"


async def test_the_shell_s_directory_and_variables_are_not_shared(shell: RealShell) -> None:
    await shell.step(Action(b"cd /tmp; export X=1"))
    ran = await shell.execute(Program(["sh", "-c", "pwd; echo [$X]"]))
    assert ran.stdout == b"/root\n[]\n"
    assert (await shell.step(Action(b"pwd"))).text == "/tmp\n"


async def test_a_program_that_is_not_found_is_an_ordinary_result(shell: RealShell) -> None:
    ran = await shell.execute(Program(["nosuchprogram"]))
    assert ran.exit_code == 127
    assert b"nosuchprogram" in ran.stderr


async def test_a_program_that_may_not_run_is_an_ordinary_result(shell: RealShell) -> None:
    assert (await shell.execute(Program(["/etc/passwd"]))).exit_code == 126


async def test_a_program_ended_by_a_signal_has_128_and_its_number(shell: RealShell) -> None:
    assert (await shell.execute(Program(["sh", "-c", "kill -TERM $$"]))).exit_code == 143


@pytest.mark.parametrize(
    "program",
    [Program(["true"], user="no-such"), Program(["true"], cwd="/no-such")],
    ids=["user", "cwd"],
)
async def test_an_unknown_user_or_directory_is_refused_with_a_sentence(
    shell: RealShell, program: Program
) -> None:
    with pytest.raises(InvalidInput, match=r"cannot be started: .*no-such"):
        await shell.execute(program)


async def test_no_shell_of_the_sandbox_is_needed(shell: RealShell) -> None:
    assert (await shell.execute(Program(["rm", "/bin/bash", "/bin/sh"]))).exit_code == 0
    assert (await shell.execute(Program(["/bin/false"]))).exit_code == 1


@pytest.mark.parametrize("name", ["LC_ALL", "BASH_ENV", "BASH_FUNC_printf%%", "CDPATH"])
async def test_its_variables_are_its_own_and_change_nothing_of_how_it_is_run(
    shell: RealShell, name: str
) -> None:
    values = {"LC_ALL": "no_SUCH", "BASH_ENV": "/etc/passwd",
              "BASH_FUNC_printf%%": "() { echo mine; }", "CDPATH": "/tmp"}  # fmt: skip
    program = Program(["/usr/bin/env"], env={name: values[name]}, stdin=b"x")
    ran = await shell.execute(program)
    assert f"{name}={values[name]}".encode() in ran.stdout.splitlines()
    assert (ran.stderr, ran.exit_code) == (b"", 0)


async def test_the_timeout_kills_it_and_all_that_it_started(shell: RealShell) -> None:
    script = "echo partial; echo err >&2; trap '' TERM INT; sleep 1000 & sleep 1000"
    ran = await shell.execute(Program(["sh", "-c", script], timeout=3))
    assert (ran.timed_out, ran.exit_code) == (True, 137)
    assert (ran.stdout, ran.stderr) == (b"partial\n", b"err\n")
    found = await shell.execute(Program(["pgrep", "sleep"]))
    assert (found.exit_code, found.stdout) == (1, b"")


async def test_a_background_child_that_holds_the_streams_does_not_delay_it(
    shell: RealShell,
) -> None:
    ran = await shell.execute(Program(["sh", "-c", "sleep 1000 & echo done"], timeout=20))
    assert (ran.stdout, ran.exit_code, ran.timed_out) == (b"done\n", 0, False)


async def test_much_output_keeps_its_head_and_its_tail(shell: RealShell) -> None:
    ran = await shell.execute(Program(["seq", "1000000"]))
    assert ran.truncated
    assert len(ran.stdout) == MAX_STREAM_BYTES
    assert ran.stdout.startswith(b"1\n2\n")
    assert ran.stdout.endswith(b"\n999999\n1000000\n")


async def test_it_runs_while_an_action_runs(shell: RealShell) -> None:
    step = asyncio.create_task(shell.step(Action(b"mkfifo go; echo ready > ready; read x < go")))
    wait = "until [ -p go ]; do :; done; echo > go; pwd"
    ran = await shell.execute(Program(["bash", "-c", wait]))
    assert ran.stdout == b"/root\n"
    assert (await step).ending is Ending.EXITED


async def test_many_at_once_do_not_mix(shell: RealShell) -> None:
    programs = [Program(["echo", str(number)]) for number in range(20)]
    ran = await asyncio.gather(*map(shell.execute, programs))
    assert [result.stdout for result in ran] == [b"%d\n" % number for number in range(20)]
