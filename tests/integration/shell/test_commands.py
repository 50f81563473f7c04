"""What ordinary commands give: exactly what a terminal gives."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from plumb_backends.environment import Action, Ending, Program
from plumb_backends.kinds.shell import ShellOptions
from plumb_backends.real.shell_environment import RealShell

if TYPE_CHECKING:
    from tests.conftest import MakeShell

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.mark.parametrize(
    ("command", "text", "status"),
    [
        ("echo hi", "hi\n", 0),
        ("printf 'no newline'", "no newline", 0),
        ("printf 'a\\n\\n\\n'", "a\n\n\n", 0),
        ("printf '  padded  \\n'", "  padded  \n", 0),
        ("printf 'tab\\there\\n'", "tab\there\n", 0),
        ("true", "", 0),
        ("false", "", 1),
        ("(exit 42)", "", 42),
        ("foo", "bash: foo: command not found\n", 127),
        ("cd /nope", "bash: cd: /nope: No such file or directory\n", 1),
        ("/etc/passwd", "bash: /etc/passwd: Permission denied\n", 126),
        ("cat nope", "cat: nope: No such file or directory\n", 1),
        ("echo out; echo err >&2", "out\nerr\n", 0),
        ("pwd", "/root\n", 0),
        ("whoami; hostname", "root\nsandbox\n", 0),
        ("date +%Z", "UTC\n", 0),
        ("echo $LANG $PAGER $TERM", "C.UTF-8 cat xterm-256color\n", 0),
        ("stty size", "40 120\n", 0),
        ("tty -s", "", 0),
        ("echo !! wow!", "!! wow!\n", 0),
        ("echo 'grüße 世界 🦉'", "grüße 世界 🦉\n", 0),
        ("echo $(seq 3)", "1 2 3\n", 0),
        ("echo a\necho b\r\necho c", "a\nb\nc\n", 0),
        ("for i in 1 2; do\n  echo $i\ndone", "1\n2\n", 0),
        ("cat <<X\nalice@host:~$ ls\nX", "alice@host:~$ ls\n", 0),
        ("printf 'progress 10%%\\rprogress 100%%\\n'", "progress 100%\n", 0),
        ("mkdir d; ls --color=always", "d\n", 0),
        ("# only a comment", "", 0),
        ("", "", 0),
        ("\n\n", "", 0),
        ("   ", "", 0),
        ("echo 'tab\tin the action'", "tab\tin the action\n", 0),
        ("echo '\x1b[201~; false'", "; false\n", 0),
        ("echo \x1b[201~; false", "\n", 1),
        (")", "bash: syntax error near unexpected token `)'\n", 2),
        ("if true; fi", "bash: syntax error near unexpected token `fi'\n", 2),
    ],
)
async def test_gives_what_a_terminal_gives(
    shell: RealShell, command: str, text: str, status: int
) -> None:
    seen = await shell.step(Action(command.encode()))
    assert (seen.text, seen.exit_code, seen.ending) == (text, status, Ending.EXITED)


async def test_an_observation_says_where_the_shell_is_and_who_it_runs_as(shell: RealShell) -> None:
    seen = await shell.step(Action(b"cd /usr/lib"))
    assert seen.shell is not None
    assert (seen.shell.cwd, seen.shell.user, seen.shell.host) == ("/usr/lib", "root", "sandbox")
    assert not seen.shell.restarted


@pytest.mark.parametrize("name", ["a b", "a;b", "a'b", "grüße", "a\nb", "a\x1bb", "$x", "\\n"])
async def test_any_directory_name_comes_back_as_the_working_directory(
    make_shell: MakeShell, name: str
) -> None:
    quoted = "$'" + "".join(f"\\x{byte:02x}" for byte in name.encode()) + "'"
    shell = await make_shell(init=[f"mkdir -p /srv/{quoted}"])
    seen = await shell.step(Action(f"cd /srv/{quoted}".encode()))
    assert seen.shell is not None
    assert seen.shell.cwd == f"/srv/{name}"


async def test_the_status_of_a_command_is_what_the_next_one_sees(shell: RealShell) -> None:
    await shell.step(Action(b"(exit 42)"))
    assert (await shell.step(Action(b"echo $?"))).text == "42\n"


async def test_directory_variables_functions_and_aliases_persist(shell: RealShell) -> None:
    await shell.step(Action(b"cd /tmp; x=1; f() { echo in f; }; alias greet='echo hello'"))
    assert (await shell.step(Action(b"pwd; echo $x; f; greet"))).text == "/tmp\n1\nin f\nhello\n"


async def test_jobs_can_be_listed_and_brought_to_the_foreground(shell: RealShell) -> None:
    started = await shell.step(Action(b"mkfifo go; cat go &"))
    assert started.text.startswith("[1] ")
    listed = await shell.step(Action(b"jobs"))
    assert listed.text == "[1]+  Running                 cat go &\n"
    in_front = asyncio.Event()
    foreground = asyncio.create_task(shell.step(Action(b"fg"), on_output=lambda _: in_front.set()))
    await in_front.wait()
    await shell.execute(Program(["bash", "-c", "echo went >~/go"]))
    assert (await foreground).text == "cat go\nwent\n"
    assert (await shell.step(Action(b"jobs"))).text == ""


async def test_a_stopped_job_can_go_on_in_the_background(shell: RealShell) -> None:
    stopped = await shell.step(Action(b"sh -c 'kill -STOP $$; echo went on >/root/proof'"))
    assert "Stopped" in stopped.text
    assert (await shell.step(Action(b"bg"))).text.startswith("[1]+ sh -c")
    assert (await shell.step(Action(b"wait; cat proof"))).text.endswith("went on\n")


async def test_a_job_can_be_killed_by_its_number(shell: RealShell) -> None:
    await shell.step(Action(b"sleep 1000 &"))
    seen = await shell.step(Action(b"kill %1; wait %1"))
    assert (seen.exit_code, "Terminated" in seen.text) == (143, True)


async def test_a_background_child_may_print_during_a_later_action(shell: RealShell) -> None:
    await shell.step(Action(b"mkfifo go; (read < go; echo from behind) & disown"))
    seen = await shell.step(Action(b"echo > go; tail --pid=$! -f /dev/null; echo in front"))
    assert seen.text == "from behind\nin front\n"


async def test_what_a_background_child_prints_between_two_actions_is_in_neither(
    shell: RealShell,
) -> None:
    await shell.step(Action(b"mkfifo go done; (read < go; echo late; echo > done) & disown"))
    await shell.execute(Program(["bash", "-c", "echo > go; read < done"]))
    assert (await shell.step(Action(b"echo here"))).text == "here\n"


async def test_a_background_child_that_holds_the_terminal_delays_nothing(shell: RealShell) -> None:
    seen = await shell.step(Action(b"sleep 1000 </dev/tty >/dev/tty 2>&1 & disown"))
    assert seen.ending is Ending.EXITED
    assert (await shell.step(Action(b"echo next"))).text == "next\n"


async def test_a_background_child_that_never_stops_printing_does_not_stop_the_session(
    shell: RealShell,
) -> None:
    await shell.step(Action(b"yes noise >/dev/tty & disown"))
    seen = await shell.step(Action(b"kill $!; true", timeout=20))
    assert (seen.ending, seen.exit_code) == (Ending.EXITED, 0)
    assert (await shell.step(Action(b"echo quiet again"))).text.endswith("quiet again\n")


async def test_history_holds_the_actions_and_no_line_of_ours(shell: RealShell) -> None:
    await shell.step(Action(b"stty sane"))
    await shell.step(Action(b"echo 'unfinished"))
    await shell.step(Action(b"PROMPT_COMMAND="))
    seen = await shell.step(Action(b"history"))
    commands = [line.split(maxsplit=1)[1] for line in seen.text.splitlines()]
    assert commands[0] == "stty sane"
    assert commands[-2:] == ["PROMPT_COMMAND=", "history"]
    assert "plumb" not in seen.text


@pytest.fixture
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A prompt may come in two pieces, with any time between them: readline is not asked."""
    monkeypatch.setattr("plumb_backends.real.terminal._ANSWER_WITHIN", 10.0)


@pytest.mark.usefixtures("unhurried")
async def test_raw_is_the_echo_the_output_and_the_prompt_of_ubuntu_with_its_title(
    shell: RealShell,
) -> None:
    seen = await shell.step(Action(b"cd /tmp; echo hi"))
    assert seen.raw.startswith(b"cd /tmp; echo hi\r\n\x1b[?2004l\r")
    assert seen.raw.endswith(b"hi\r\n\x1b[?2004h\x1b]0;root@sandbox: /tmp\x07root@sandbox:/tmp# ")


@pytest.mark.parametrize(
    "command",
    [
        "echo hi",
        "echo 'unfinished",
        ")",
        "PS1=; PROMPT_COMMAND=",
        "set -x; echo hi",
        "exec 2>/dev/null",
        "exit",
        "stty -echo",
        "TERM=dumb",
    ],
)
async def test_raw_and_text_hold_no_mark_of_ours(shell: RealShell, command: str) -> None:
    first = await shell.step(Action(command.encode()))
    second = await shell.step(Action(b"echo hi"))
    for seen in (first, second):
        assert b"133;" not in seen.raw
        assert "133;" not in seen.text


async def test_what_set_v_shows_is_the_agent_s_own(shell: RealShell) -> None:
    await shell.step(Action(b"set -v"))
    for _ in range(2):
        assert (await shell.step(Action(b"echo hi"))).text == "hi\n"
    bounded = await shell.step(Action(b"PROMPT_COMMAND='true mine'; $PROMPT_COMMAND"))
    assert "plumb" not in bounded.text
    seen = await shell.step(Action(b"echo hi"))
    assert "plumb" not in seen.text
    assert "true mine\n" in seen.text


async def test_the_shell_shows_few_traces_of_what_frames_it(shell: RealShell) -> None:
    seen = await shell.step(Action(b"env | grep -ci plumb; alias | grep -ci plumb; ls -A /tmp"))
    assert seen.text == "0\n0\n"


async def test_a_dumb_terminal_has_no_title_no_paste_codes_and_the_same_text(
    make_shell: MakeShell,
) -> None:
    shell = await make_shell(options=ShellOptions(dumb_terminal=True))
    seen = await shell.step(Action(b"echo $TERM; ls -d /etc; for i in 1 2; do\n  echo $i\ndone"))
    assert seen.text == "dumb\n/etc\n1\n2\n"
    assert b"\x1b" not in seen.raw
    assert seen.raw.endswith(b"root@sandbox:~# ")


@pytest.mark.parametrize("command", [")", "# nothing", "", "echo 'unfinished", "foo", "PS1="])
async def test_a_dumb_terminal_keeps_its_turns_apart(make_shell: MakeShell, command: str) -> None:
    shell = await make_shell(options=ShellOptions(dumb_terminal=True))
    await shell.step(Action(command.encode()))
    assert (await shell.step(Action(b"echo next"))).text == "next\n"


@pytest.mark.usefixtures("unhurried")
async def test_the_host_name_can_be_chosen(make_shell: MakeShell) -> None:
    shell = await make_shell(options=ShellOptions(hostname="web-1"))
    seen = await shell.step(Action(b"hostname; getent hosts web-1"))
    assert seen.text.split() == ["web-1", "127.0.1.1", "web-1"]
    assert seen.shell is not None
    assert seen.shell.host == "web-1"
    assert seen.raw.endswith(b"root@web-1:~# ")


async def test_output_is_streamed_whole_and_in_order_while_the_action_runs(
    shell: RealShell,
) -> None:
    pieces: list[bytes] = []
    early: list[bytes] = []

    def see(piece: bytes) -> None:
        pieces.append(piece)
        if b"first" in piece:
            early.append(piece)
            shell.interrupt()

    seen = await shell.step(Action(b"echo first; sleep 1000"), on_output=see)
    assert seen.ending is Ending.INTERRUPTED
    assert early
    assert b"".join(pieces).startswith(b"first\r\n")


async def test_the_sandbox_is_alone(shell: RealShell) -> None:
    seen = await shell.step(Action(b"ls /sys/class/net; cat /proc/1/status | grep NoNewPrivs"))
    assert seen.text.split() == ["lo", "NoNewPrivs:", "1"]
