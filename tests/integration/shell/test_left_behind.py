"""What an action leaves behind must not read what is typed for the next one."""

from __future__ import annotations

import pytest

from plumb_backends.environment import Action, Ending, Program
from plumb_backends.real.shell_environment import RealShell

pytestmark = pytest.mark.asyncio(loop_scope="session")

BOB = "useradd -m bob; cd /tmp; touch f; chmod 0444 f; chown bob f; chmod 0777 /tmp; cd /root"


async def _next_steps_are_read(shell: RealShell) -> None:
    for number in range(3):
        seen = await shell.step(Action(f"echo {number}; (exit 5)".encode(), timeout=60))
        # A job's end may be told behind the output, as bash tells it.
        assert (seen.text.partition("\n")[0], seen.exit_code) == (str(number), 5)
        assert seen.ending is Ending.EXITED
        assert seen.shell is not None
        assert not seen.shell.restarted


async def _is_gone(shell: RealShell, names: str) -> None:
    """Waits: what ends with a terminal of its own, as under `script`, does so a moment later."""
    await shell.execute(
        Program(["sh", "-c", f"while pgrep -r DRST -x '{names}'; do sleep 0.05; done"], timeout=60)
    )
    left = await shell.execute(Program(["pgrep", "-r", "DRST", "-x", names]))
    assert left.stdout == b""


@pytest.mark.parametrize(
    "command",
    [
        "su bob -c 'rm /tmp/f'",
        "su bob -c 'cat'",
        "su - bob -c 'read x; echo $x'",
        "su - bob",
        "su bob -c 'sh -c \"trap : INT TERM; cat; cat; cat\"'",
        "script -qc cat /dev/null",
        "script -qc 'su bob -c cat' /dev/null",
        "setsid -w sh -c 'trap \"\" INT TERM; cat'",
        "setsid -w sh -c 'exec 3</dev/pts/0; exec </dev/null; cat <&3'",
        "(setsid cat </dev/tty &) ; sleep 100",
    ],
)
async def test_a_reader_that_a_timeout_leaves_behind_is_gone_with_its_answer(
    shell: RealShell, command: str
) -> None:
    await shell.step(Action(BOB.encode()))
    seen = await shell.step(Action(command.encode(), timeout=1))
    assert seen.ending is Ending.TIMED_OUT
    await _next_steps_are_read(shell)
    await _is_gone(shell, "cat|rm|su|script")


@pytest.mark.parametrize(
    "command",
    [
        "setsid sh </dev/tty &",
        "setsid cat </dev/tty >/dev/null &",
        "(setsid cat >/dev/null &)",
        "setsid sh -c 'cat <&0' >/dev/null 2>&1 & disown",
        "set +m; cat </dev/tty >/dev/null & disown; set -m",
        "set +m; (cat </dev/tty >/dev/null &)",
        "setsid su bob -c cat >/dev/null 2>&1 & sleep 0.5",
        "cat </dev/tty &",
        "sleep 100 & kill -STOP $!",
        "sh -c 'kill -STOP $$; cat'",
    ],
)
async def test_a_reader_in_the_background_does_not_take_the_next_action(
    shell: RealShell, command: str
) -> None:
    await shell.step(Action(BOB.encode()))
    seen = await shell.step(Action(command.encode(), timeout=60))
    assert seen.ending in (Ending.EXITED, Ending.SIGNALED)  # a job that stops is said to be so
    await _next_steps_are_read(shell)


@pytest.mark.parametrize(
    "server",
    [
        "sleep 3333 &",
        "nohup sleep 3333 >/dev/null 2>&1 &",
        "setsid sleep 3333 </dev/null >/dev/null 2>&1 &",
        "(sleep 3333 &)",
        "su bob -c 'setsid sleep 3333 </dev/null >/dev/null 2>&1 &'",
        "setsid sleep 3333 & sleep 3",
    ],
)
async def test_what_serves_in_the_background_lives_through_another_action_s_timeout(
    shell: RealShell, server: str
) -> None:
    await shell.step(Action(BOB.encode()))
    await shell.step(Action(server.encode(), timeout=60))
    seen = await shell.step(Action(b"cat", timeout=0.3))
    assert seen.ending is Ending.TIMED_OUT
    assert (await shell.step(Action(b"pgrep -cfx 'sleep 3333'"))).text == "1\n"
