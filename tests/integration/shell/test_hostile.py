"""What an agent does to its own shell, on purpose or not: the session must stay in step.

Every test ends with `_is_in_step`: a fresh line is the whole of the next observation.
"""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING, Any

import pytest
from aiodocker.execs import Exec

from plumb_backends.environment import Action, Ending, Observation
from plumb_backends.errors import SandboxUnavailable
from plumb_backends.real.marks import ASK, Mark
from plumb_backends.real.shell_environment import RealShell

if TYPE_CHECKING:
    from tests.conftest import MakeShell

pytestmark = pytest.mark.asyncio(loop_scope="session")

ANOTHER_KEY = "0123456789abcdef" * 2


async def _is_in_step(shell: RealShell) -> bool:
    nonce = secrets.token_hex(8)
    seen = await shell.step(Action(f"echo {nonce}".encode(), timeout=60))
    assert (seen.text, seen.exit_code, seen.ending) == (f"{nonce}\n", 0, Ending.EXITED)
    return True


def _restarted(seen: Observation) -> bool:
    assert seen.shell is not None
    return seen.shell.restarted


# What is printed.


@pytest.mark.parametrize("letter", "ABCDPRX")
async def test_marks_of_another_key_are_output(shell: RealShell, letter: str) -> None:
    mark = f"\\e]133;{letter};{ANOTHER_KEY};0;1;/;root;elsewhere\\a"
    seen = await shell.step(Action(f"printf 'before{mark}after\\n'; (exit 3)".encode()))
    assert (seen.text, seen.exit_code) == ("beforeafter\n", 3)
    assert mark.replace("\\e", "\x1b").replace("\\a", "\a").encode() in seen.raw
    assert await _is_in_step(shell)


async def test_the_prompt_strings_printed_by_the_agent_are_output(shell: RealShell) -> None:
    seen = await shell.step(Action(b'printf %s "$PS0$PS1$PS2$PROMPT_COMMAND"; echo end'))
    assert seen.text.endswith("end\n")
    assert await _is_in_step(shell)


async def test_the_expanded_prompt_printed_by_the_agent_ends_nothing(shell: RealShell) -> None:
    seen = await shell.step(Action(b'printf %s "${PS1@P}"; echo end; (exit 3)'))
    assert seen.text.endswith("end\n")
    assert seen.exit_code == 3
    assert await _is_in_step(shell)


async def test_nul_bytes_are_in_raw_and_not_in_text(shell: RealShell) -> None:
    seen = await shell.step(Action(b"printf 'a\\0b\\n'"))
    assert seen.text == "ab\n"
    assert b"a\0b\r\n" in seen.raw
    assert await _is_in_step(shell)


async def test_invalid_utf_8_is_in_raw_and_replaced_in_text(shell: RealShell) -> None:
    seen = await shell.step(Action(b"printf 'a\\xff\\xfeb\\n'"))
    assert seen.text == "a\ufffd\ufffdb\n"
    assert b"a\xff\xfeb\r\n" in seen.raw
    assert await _is_in_step(shell)


async def test_an_action_need_not_be_utf_8(shell: RealShell) -> None:
    seen = await shell.step(Action(b"printf '\xff' | od -An -tx1"))
    assert seen.text == " ff\n"
    assert await _is_in_step(shell)


@pytest.mark.parametrize(
    "printed",
    [
        "\\e[?2004h",
        "\\e[?2004l",
        "\\e[?2004l\\r",
        "\\e[6n",
        "\\e[c",
        "\\e]0;never ended",
        "\\eP never ended",
        "\\e[",
        "\\e",
        "\\x0e",
        "\\x13",
        "\\e[?1049h",
        "\\ec",
    ],
)
async def test_control_sequences_do_not_confuse_the_session(shell: RealShell, printed: str) -> None:
    seen = await shell.step(Action(f"printf '{printed}'".encode()))
    assert (seen.ending, seen.exit_code) == (Ending.EXITED, 0)
    assert await _is_in_step(shell)


# What ends the shell.


@pytest.mark.parametrize(
    ("command", "text", "status"),
    [
        ("exit", "exit\n", 0),
        ("exit 7", "exit\n", 7),
        ("exec true", "", 0),
        ("exec sh -c 'exit 9'", "", 9),
        ("exec sleep 0.1", "", 0),
        ("set -e; false", "", 1),
        ("kill -9 $$", "", 137),
        ("kill -HUP $$", "", 129),
        ("exec 0</dev/null", "exit\n", 0),
    ],
)
async def test_a_shell_that_ends_is_replaced_and_the_observation_says_so(
    shell: RealShell, command: str, text: str, status: int
) -> None:
    await shell.step(Action(b"cd /tmp; x=1"))
    seen = await shell.step(Action(command.encode()))
    assert (seen.ending, seen.exit_code) == (Ending.SHELL_EXITED, status)
    assert seen.text.endswith(text)
    assert _restarted(seen)
    after = await shell.step(Action(b"pwd; echo [$x]"))
    assert after.text == "/tmp\n[]\n"
    assert not _restarted(after)
    assert await _is_in_step(shell)


async def test_a_shell_whose_input_is_cut_off_shows_nothing_of_ours(shell: RealShell) -> None:
    seen = await shell.step(Action(b"exec 0</dev/null"))
    assert "^^" not in seen.text


async def test_a_shell_s_status_is_waited_for_where_the_engine_knows_it_later(
    shell: RealShell, monkeypatch: pytest.MonkeyPatch
) -> None:
    inspect, asked = Exec.inspect, 0

    async def late(process: Exec) -> dict[str, Any]:
        nonlocal asked
        asked += 1
        found = await inspect(process)
        return {**found, "Running": True, "ExitCode": None} if asked < 3 else found

    monkeypatch.setattr(Exec, "inspect", late)
    seen = await shell.step(Action(b"exit 3"))
    assert (seen.ending, seen.exit_code) == (Ending.SHELL_EXITED, 3)
    assert asked >= 3
    assert await _is_in_step(shell)


async def test_an_exec_that_does_not_end_is_stopped_at_the_timeout(shell: RealShell) -> None:
    seen = await shell.step(Action(b"exec sleep 1000", timeout=2))
    assert seen.ending is Ending.TIMED_OUT
    assert _restarted(seen)
    assert await _is_in_step(shell)


async def test_a_shell_killed_between_two_actions_is_replaced_before_the_next(
    shell: RealShell,
) -> None:
    await shell.step(Action(b"cd /tmp"))
    await shell.step(Action(b"mkfifo go; (read < go; kill -9 $$; echo > go) & disown"))
    seen = await shell.step(Action(b"echo > go; read < go; echo unreached"))
    assert seen.ending is Ending.SHELL_EXITED
    assert await _is_in_step(shell)


@pytest.mark.parametrize("restarts", [3])
async def test_ending_the_shell_again_and_again_changes_nothing(
    shell: RealShell, restarts: int
) -> None:
    for _ in range(restarts):
        assert _restarted(await shell.step(Action(b"exit")))
        assert await _is_in_step(shell)


async def test_a_start_up_file_that_ends_the_shell_is_an_error_and_no_output(
    shell: RealShell,
) -> None:
    await shell.step(Action(b"echo 'PS1=mine' > ~/.bashrc"))
    seen = await shell.step(Action(b"exit"))
    assert _restarted(seen)
    assert await _is_in_step(shell)


# Where its output goes.


async def test_standard_output_can_be_sent_away_and_back(shell: RealShell) -> None:
    away = await shell.step(Action(b"exec >/dev/null"))
    assert (away.text, away.exit_code) == ("", 0)
    assert (await shell.step(Action(b"echo unseen"))).text == ""
    assert (await shell.step(Action(b"foo"))).text == "bash: foo: command not found\n"
    await shell.step(Action(b"exec >/dev/tty"))
    assert await _is_in_step(shell)


async def test_standard_output_can_be_closed(shell: RealShell) -> None:
    await shell.step(Action(b"exec >&-"))
    seen = await shell.step(Action(b"echo unseen"))
    assert seen.text == "bash: echo: write error: Bad file descriptor\n"
    await shell.step(Action(b"exec >/dev/tty"))
    assert await _is_in_step(shell)


@pytest.mark.parametrize("to", ["&-", "/dev/null", "/root/errors", " >(cat >/dev/null)"])
async def test_standard_error_can_be_sent_away(shell: RealShell, to: str) -> None:
    seen = await shell.step(Action(f"exec 2>{to}".encode()))
    assert (seen.ending, seen.exit_code) == (Ending.EXITED, 0)
    assert await _is_in_step(shell)
    assert (await shell.step(Action(b"foo"))).exit_code == 127
    assert await _is_in_step(shell)
    assert (await shell.step(Action(b"exec 2>/dev/tty"))).exit_code == 0
    assert await _is_in_step(shell)
    assert (await shell.step(Action(b"foo"))).text == "bash: foo: command not found\n"


async def test_a_command_without_standard_error_is_stopped_at_its_timeout(
    shell: RealShell,
) -> None:
    await shell.step(Action(b"exec 2>/dev/null"))
    seen = await shell.step(Action(b"echo begun; sleep 1000", timeout=3))
    assert (seen.ending, seen.exit_code) == (Ending.TIMED_OUT, 130)
    assert seen.text.startswith("begun\n")
    assert await _is_in_step(shell)


# What frames its prompts.


@pytest.mark.parametrize(
    "command",
    [
        "PS1='$ '",
        "PS1=",
        "unset PS1",
        "PS0=",
        "unset PS0",
        "PS0='starting '; PS0=",
        "PS2='more: '",
        "PS1='\\n\\n$ '",
        "PS1='$(echo root@sandbox:~# )'",
        "PROMPT_COMMAND=",
        "unset PROMPT_COMMAND",
        "PROMPT_COMMAND='false'",
        "PROMPT_COMMAND=(true true)",
        "PROMPT_COMMAND='PS1=; PS0='",
        "unset PS0 PS1 PS2 PROMPT_COMMAND",
        "PS0= PS1= PS2= PROMPT_COMMAND=",
        "readonly PS0 PS1 PS2 PROMPT_COMMAND",
        "readonly PROMPT_COMMAND=",
        "readonly PS0=",
        "unset -f __plumb_prompt __plumb_arm __plumb_hook __plumb_answer",
        "set -o posix",
        "set -o vi",
        "set -u",
        "set -f",
        "set -n",
        "set -m",
        "set +m",
        "shopt -s extdebug",
        "shopt -u checkwinsize",
        "IFS=abc",
        "TERM=dumb",
        "TERM=nosuchterminal",
        "unset TERM",
        "LANG=C LC_ALL=C",
        "LC_ALL=nosuch.locale",
        "PATH=",
        "COLUMNS=3 LINES=1",
        "unset HOME USER PWD HOSTNAME",
        "set -- a b c",
        "ulimit -n 16",
        "ulimit -f 0",
        "cd /tmp && mkdir gone && cd gone && rmdir ../gone",
        "rm -rf /tmp /var/tmp",
        "umask 777",
    ],
)
async def test_changed_variables_and_options_do_not_matter(shell: RealShell, command: str) -> None:
    changed = await shell.step(Action(command.encode(), timeout=60))
    assert changed.ending is not Ending.TIMED_OUT
    assert await _is_in_step(shell)
    unfinished = await shell.step(Action(b"echo 'unfinished", timeout=60))
    assert unfinished.ending in (Ending.AWAITS_INPUT, Ending.EXITED)
    assert await _is_in_step(shell)
    assert (await shell.step(Action(b"(exit 42)"))).exit_code == 42
    assert await _is_in_step(shell)


@pytest.mark.parametrize(
    "command",
    [
        "printf() { return 1; }",
        "builtin() { return 1; }",
        "printf() { echo no; }; builtin() { echo no; }; bind() { echo no; }; set() { echo no; }",
        "alias printf=false builtin=false bind=false '[['=false case=false local=false",
        "enable -n printf builtin bind set local",
        "bind -r '\\C-^'",
        'bind \'"\\C-^": "false\\n"\'',
        "bind 'set enable-bracketed-paste off'",
        'bind \'"a": "b"\'; bind -r a; bind a:self-insert',
        "bind 'set editing-mode vi'",
        "bind 'set horizontal-scroll-mode on'",
    ],
)
async def test_redefined_builtins_and_keys_do_not_matter(shell: RealShell, command: str) -> None:
    changed = await shell.step(Action(command.encode(), timeout=60))
    assert changed.ending is not Ending.TIMED_OUT
    await shell.step(Action(b"unset -f printf builtin bind set; unalias -a", timeout=60))
    assert await _is_in_step(shell)
    assert await _is_in_step(shell)


@pytest.mark.parametrize(
    "command",
    [
        "readonly PS1='$ '",
        "readonly PS0= PS1='$ ' PROMPT_COMMAND=",
        "unset PROMPT_COMMAND PS1; unset -f __plumb_arm",
        "builtin() { return 1; }; PS1= PROMPT_COMMAND=",
        "bind -r '\\C-^'; exec 2>&-",
        "set +o emacs",
        "shopt -u promptvars",
        "unset -f __plumb_prompt; __plumb_prompt() { sleep 1000; }",
        "stty olcuc",
        "trap 'true' INT; echo 'unfinished",
    ],
)
async def test_what_defeats_the_marks_costs_the_shell_and_not_the_session(
    shell: RealShell, command: str
) -> None:
    seen = await shell.step(Action(command.encode(), timeout=0.5))
    assert seen.ending is not Ending.SHELL_EXITED
    unfinished = await shell.step(Action(b"echo 'unfinished", timeout=0.5))
    assert unfinished.ending in (Ending.AWAITS_INPUT, Ending.TIMED_OUT, Ending.EXITED)
    assert await _is_in_step(shell)
    assert await _is_in_step(shell)


async def test_what_the_agent_puts_into_ps0_is_shown_before_its_output(shell: RealShell) -> None:
    await shell.step(Action(b"PS0='starting '"))
    assert (await shell.step(Action(b"echo hi"))).text == "starting hi\n"


async def test_a_redefined_printf_is_the_agent_s_own_and_only_there(shell: RealShell) -> None:
    await shell.step(Action(b"printf() { echo no; }"))
    assert (await shell.step(Action(b"printf hi"))).text == "no\n"
    assert await _is_in_step(shell)


async def test_tracing_shows_the_agent_s_commands_and_none_of_ours(shell: RealShell) -> None:
    assert (await shell.step(Action(b"set -x"))).text == ""
    assert (await shell.step(Action(b"echo hi"))).text == "+ echo hi\nhi\n"
    assert (await shell.step(Action(b"set +x"))).text == "+ set +x\n"
    assert await _is_in_step(shell)


async def test_traps_fire_where_the_agent_set_them(shell: RealShell) -> None:
    await shell.step(Action(b"trap 'echo bye' EXIT; trap 'echo caught' USR1"))
    assert (await shell.step(Action(b"kill -USR1 $$"))).text == "caught\n"
    assert (await shell.step(Action(b"trap"))).text.startswith("trap -- 'echo bye' EXIT\n")
    assert (await shell.step(Action(b"exit"))).text == "exit\nbye\n"
    assert await _is_in_step(shell)


@pytest.mark.parametrize("signal", ["ERR", "RETURN", "INT", "TERM", "HUP", "CHLD", "WINCH"])
async def test_a_trap_on_any_signal_leaves_the_session_in_step(
    shell: RealShell, signal: str
) -> None:
    await shell.step(Action(f"trap 'true' {signal}".encode()))
    assert await _is_in_step(shell)


async def test_an_agent_that_traps_every_command_sees_its_trap_and_its_command(
    shell: RealShell,
) -> None:
    await shell.step(Action(b"trap 'echo tick' DEBUG"))
    seen = await shell.step(Action(b"echo hi"))
    assert seen.text.startswith("tick\nhi\n")
    await shell.step(Action(b"trap - DEBUG"))
    assert await _is_in_step(shell)


# What its terminal does.


@pytest.mark.parametrize(
    "command",
    [
        "stty intr a",
        "stty raw -echo",
        "stty raw",
        "stty -echo",
        "stty -icanon",
        "stty -isig",
        "stty -onlcr -opost",
        "stty igncr",
        "stty iuclc",
        "stty -icrnl",
        "stty eof e",
        "stty erase c kill h",
        "stty quit o",
        "stty susp e",
        "stty cols 5 rows 2",
        "stty cols 0 rows 0",
        "stty 9600 -ixon",
        "stty ixon stop o",
        "stty lnext c werase h rprnt e",
        "stty tostop",
        "stty noflsh",
        "stty cs7 parenb",
        "stty flusho",
        "stty start e stop c",
        "reset",
        "clear",
        "tput reset",
        "python3 -c 'import tty; tty.setraw(0)'",
    ],
)
async def test_settings_of_the_terminal_do_not_matter(shell: RealShell, command: str) -> None:
    seen = await shell.step(Action(command.encode(), timeout=60))
    assert seen.ending is Ending.EXITED
    assert await _is_in_step(shell)
    assert (await shell.step(Action(b"sleep 1000", timeout=0.3))).exit_code == 130
    assert await _is_in_step(shell)


async def test_the_status_of_a_terminal_command_is_kept_for_the_next_action(
    shell: RealShell,
) -> None:
    seen = await shell.step(Action(b"stty nonsense"))
    assert seen.exit_code == 1
    assert (await shell.step(Action(b"echo $?"))).text == "1\n"


async def test_clear_has_no_text(shell: RealShell) -> None:
    assert (await shell.step(Action(b"clear"))).text == ""


# Other shells and full-screen programs in the foreground: they read the terminal until the timeout.


@pytest.mark.parametrize(
    "command",
    [
        "bash",
        "bash --norc",
        "sh",
        "python3",
        "vi",
        "less /etc/passwd",
        "top",
        "su nobody -s /bin/bash",
        "script -qc bash /dev/null",
        "exec bash",
        "exec bash --norc",
        "exec sh",
        "suspend",
        "kill -STOP $$",
        "exec cat",
    ],
)
async def test_a_program_that_takes_the_terminal_is_ended_at_the_timeout(
    shell: RealShell, command: str
) -> None:
    await shell.step(Action(b"cd /tmp"))
    seen = await shell.step(Action(command.encode(), timeout=0.4))
    assert seen.ending is Ending.TIMED_OUT
    assert await _is_in_step(shell)
    assert (await shell.step(Action(b"pwd; pgrep -c 'sh|python3|vi|less|top|cat'"))).text == (
        "/tmp\n1\n"  # the shell itself
    )


async def test_the_session_is_in_step_after_everything_at_once(make_shell: MakeShell) -> None:
    shell = await make_shell()
    for command in (b"set -eux", b"exit", b"exec 2>&-", b"stty raw -echo", b"exit", b"PS1="):
        await shell.step(Action(command))
    assert await _is_in_step(shell)


@pytest.mark.parametrize(
    "command",
    [
        "true",
        "unset -f __plumb_prompt __plumb_arm __plumb_hook __plumb_answer",
        "readonly PROMPT_COMMAND=",
        "set -u; unset PROMPT_COMMAND",
        "PROMPT_COMMAND=(true true)",
        "set -x",
    ],
)
async def test_a_shell_answers_when_it_is_asked_whatever_it_has_lost(
    shell: RealShell, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await shell.step(Action(command.encode(), timeout=60))
    assert shell._shell is not None
    terminal = shell._shell.terminal
    answers: asyncio.Queue[Mark] = asyncio.Queue()
    monkeypatch.setattr(terminal, "_turn", terminal._start)  # or nobody would listen
    monkeypatch.setattr(terminal, "_see_mark", answers.put_nowait)
    await shell._shell.stream.write(ASK)
    async with asyncio.timeout(60):
        while (await answers.get()).letter not in ("R", "N"):
            pass


# What is removed.


@pytest.mark.parametrize("end", ["stty sane", "(exit 137)", "exit 3", "kill -9 $$"])
async def test_an_action_that_removes_the_home_is_answered(shell: RealShell, end: str) -> None:
    seen = await shell.step(Action(f"echo gone; rm -rf /root; {end}".encode()))
    assert seen.text.startswith("gone\n")
    await shell.capture()
    assert await _is_in_step(shell)


async def test_an_action_that_ran_is_never_refused_as_one_that_did_not(shell: RealShell) -> None:
    with pytest.raises(SandboxUnavailable, match=r"reset the session"):
        await shell.step(Action(b"rm /etc/passwd; mkdir /etc/passwd; stty sane"))
