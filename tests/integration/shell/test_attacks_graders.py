"""What an agent may try to make a grader believe: its own programs lie, and plumb's do not.

An agent is root in its sandbox. It can replace every program there, and end every process but the
first. It cannot look into plumb's own program, or into what that runs for an operator.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from plumb_backends.environment import Action, Program, ProgramResult
from plumb_backends.errors import SandboxUnavailable
from plumb_backends.grounding import Grounding
from plumb_backends.real import program as program_module
from plumb_backends.real.guest import GUEST, asking
from plumb_backends.real.shell_environment import RealShell
from plumb_backends.registry import Backends, Spec

pytestmark = pytest.mark.asyncio(loop_scope="session")

MIB = 1024**2
GROWTH_BYTES = 48 * MIB


async def act(shell: RealShell, text: str) -> str:
    """What an action of the agent printed; it succeeded."""
    seen = await shell.step(Action(text.encode(), timeout=100))
    assert seen.exit_code == 0, seen.text
    return seen.text


async def begin(shell: RealShell, code: str) -> None:
    """Starts a program of the agent's that goes on, and waits until it says that it runs."""
    await act(shell, f"cat >/tmp/attack.py <<'END'\n{code}\nEND")
    await act(shell, "mkfifo /tmp/up; python3 /tmp/attack.py >/tmp/log 2>&1 & read x </tmp/up")


UP = "open('/tmp/up', 'w').write('up\\n')"

LIAR = r"""#!/usr/bin/python3 -Es
import os, sys
key = sys.stdin.readline().split()[0] if not sys.stdin.isatty() else ''
print('all 12 tests passed', flush=True)
sys.stderr.write(f'{key}={os.getpid()}\n{key}:0\n')
sys.stdout.write(key)
"""

REPLACED = ("bash", "sh", "xargs", "getent", "stat", "find", "head", "cat", "ps", "sha256sum", "tr",
            "readlink", "env", "id", "stty")  # fmt: skip


async def test_a_grader_is_told_the_truth_where_every_program_is_replaced(
    shell: RealShell,
) -> None:
    await act(shell, "mkdir /srv/a; echo 42 >/srv/a/n; cd /srv/a")
    code = (
        f"import os\nfor name in {REPLACED!r}:\n"
        "  for folder in ('/usr/local/bin', '/usr/bin', '/bin'):\n"
        "    path = f'{folder}/{name}'\n"
        "    if os.path.lexists(path): os.unlink(path)\n"
        f"    open(path, 'w').write({LIAR!r}); os.chmod(path, 0o755)\n"
    )
    await act(shell, f"cat >/tmp/lie.py <<'END'\n{code}\nEND\npython3 /tmp/lie.py")
    assert await shell.execute(Program(["/bin/false"])) == result(exit_code=1)
    assert await shell.execute(Program(["/usr/bin/printf", "true"])) == result(b"true")
    assert (await shell.probe("cwd")).facts == {"cwd": "/srv/a"}
    files = (await shell.probe("files")).facts
    assert "size 3" in files["/srv/a/n"]
    assert "/usr/local/bin/xargs" in files
    environment = (await shell.probe("environment")).facts
    assert "variable PATH" in environment
    assert environment["user root"].startswith("uid 0")


class result:  # noqa: N801 - reads as what it stands for
    """Equal to a program's result that says this, however long it ran."""

    def __init__(self, stdout: bytes = b"", stderr: bytes = b"", exit_code: int = 0) -> None:
        self._said = (stdout, stderr, exit_code, False)

    def __eq__(self, other: object) -> bool:
        assert isinstance(other, ProgramResult)
        return self._said == (other.stdout, other.stderr, other.exit_code, other.timed_out)

    def __repr__(self) -> str:
        return repr(self._said)

    __hash__ = None  # type: ignore[assignment]


# Into the streams, the memory and the names of what runs for a grader.

INTRUDER = (
    r"""
import os, signal
me = {os.getpid(), os.getppid()}
seen = open('/tmp/seen', 'a', buffering=1)
def try_all(pid):
    for what in ('fd/0', 'fd/1', 'fd/2', 'mem', 'environ', 'cwd/x', 'exe', 'root/tmp/x'):
        path = f'/proc/{pid}/{what}'
        try:
            handle = os.open(path, os.O_RDWR | (os.O_CREAT if what[-1] == 'x' else 0))
        except OSError:
            continue
        seen.write(f'{path} {open(f"/proc/{pid}/cmdline").read()!r}\n')
        if what.startswith('fd'):
            os.write(handle, b'PASS(forged)\n')
        os.close(handle)
"""
    + UP
    + r"""
while True:
    for entry in os.listdir('/proc'):
        if entry.isdigit() and int(entry) not in me:
            try_all(int(entry))
"""
)


@pytest.mark.parametrize("user", ["", "nobody"])
async def test_nobody_writes_where_a_grader_s_program_writes(shell: RealShell, user: str) -> None:
    await begin(shell, INTRUDER)
    for _ in range(3):
        argv = ["/usr/bin/perl", "-e", "print 'real'; select undef, undef, undef, 0.2; exit 3"]
        ran = await shell.execute(Program(argv, user=user))
        assert ran == result(b"real", exit_code=3)
        assert (await shell.probe("cwd")).facts == {"cwd": "/root"}
    await act(shell, "kill %1; wait || true")
    assert await act(shell, "cat /tmp/seen") == ""


async def test_what_is_looked_into_without_leave_is_told(shell: RealShell) -> None:
    """Or the test above could not fail."""
    await begin(shell, INTRUDER)
    await act(shell, "sleep 1000 & until grep -q sleep /tmp/seen; do :; done; kill %1 %2")


async def test_an_agent_traces_neither_the_first_process_nor_a_grader_s(shell: RealShell) -> None:
    running = asyncio.create_task(shell.execute(Program(["sleep", "3"])))
    code = "import ctypes, sys; print(ctypes.CDLL(None).ptrace(16, int(sys.argv[1]), 0, 0))"
    said = await act(
        shell,
        "until pid=$(pgrep -x sleep); do :; done; "
        f'for pid in 1 $pid; do python3 -c "{code}" $pid; done',
    )
    assert said == "-1\n-1\n"
    assert (await running).exit_code == 0


async def test_what_is_left_behind_by_a_grader_s_program_cannot_change_how_it_ended(
    shell: RealShell,
) -> None:
    """It holds the streams, and so can read them: it learns how their ends are marked."""
    code = r"""
import os, re, time
if os.fork() == 0:
    os.setsid()
    mine = os.open('/proc/self/fd/2', os.O_RDONLY | os.O_NONBLOCK)
    for _ in range(3000):
        try:
            stolen = os.read(mine, 4096)
        except BlockingIOError:
            time.sleep(0.001)
            continue
        os.write(2, re.sub(rb':1:', b':0:', stolen) + re.sub(rb':1:.*', b':0:' + b'0' * 64, stolen))
    os._exit(0)
time.sleep(0.3)
os._exit(1)
"""
    for _ in range(3):
        with contextlib.suppress(SandboxUnavailable):
            ran = await shell.execute(Program(["python3", "-c", code], timeout=5))
            assert ran.timed_out or ran.exit_code == 1


# Ending, stopping and crowding out.

KILLER = (
    r"""
import os, signal
"""
    + UP
    + rf"""
while True:
    for entry in os.listdir('/proc'):
        try:
            if entry.isdigit() and b'{GUEST}' in open(f'/proc/{{entry}}/cmdline', 'rb').read():
                os.kill(int(entry), signal.%s)
        except OSError:
            pass
"""
)


@pytest.mark.parametrize("signal", ["SIGKILL", "SIGSTOP"])
async def test_an_agent_that_ends_plumb_s_program_gets_no_answer_changed(
    shell: RealShell, monkeypatch: pytest.MonkeyPatch, signal: str
) -> None:
    monkeypatch.setattr(program_module, "_AFTERLIFE", 0.5)
    monkeypatch.setattr(program_module, "_START_WITHIN", 5.0)
    monkeypatch.setattr(program_module, "_END_WITHIN", 2.0)
    monkeypatch.setattr(asking, "ANSWER_WITHIN", 2.0)
    await begin(shell, KILLER % signal)
    for _ in range(2):
        with contextlib.suppress(SandboxUnavailable):
            ran = await shell.execute(Program(["/bin/false"], timeout=1))
            assert ran.timed_out or ran.exit_code == 1
        with contextlib.suppress(SandboxUnavailable):
            assert (await shell.probe("cwd")).facts == {"cwd": "/root"}


async def test_an_action_ends_though_what_stops_it_is_stopped(
    shell: RealShell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(program_module, "_END_WITHIN", 2.0)
    monkeypatch.setattr(asking, "ANSWER_WITHIN", 2.0)
    await begin(shell, KILLER % "SIGSTOP")
    with pytest.raises(SandboxUnavailable, match="reset the session"):
        async with asyncio.timeout(60):
            await shell.step(Action(b"sleep 1000", timeout=1))
    await shell.reset()
    assert await act(shell, "echo whole") == "whole\n"


@pytest.mark.parametrize(
    "action",
    [
        "bash -c 'kill -9 $$'",  # was it for want of memory?
        "stty -echo",  # the terminal has to be put in order
        "read -r x < /dev/tty; sleep 1000",  # what reads the terminal has to end
    ],
)
async def test_an_action_that_wants_an_answer_of_a_stopped_program_ends_soon_after_its_time(
    shell: RealShell, monkeypatch: pytest.MonkeyPatch, action: str
) -> None:
    monkeypatch.setattr(program_module, "_END_WITHIN", 2.0)
    monkeypatch.setattr(asking, "_GRACE", 2.0)
    await begin(shell, KILLER % "SIGSTOP")
    started = time.monotonic()
    with contextlib.suppress(SandboxUnavailable):  # it may have answered before it was stopped
        await shell.step(Action(action.encode(), timeout=2))
    assert time.monotonic() - started < asking.ANSWER_WITHIN / 2
    await shell.reset()
    assert await act(shell, "echo whole") == "whole\n"


async def test_a_program_is_gone_when_what_ran_it_was_killed(shell: RealShell) -> None:
    running = asyncio.create_task(shell.execute(Program(["sleep", "1000"])))
    await act(shell, f"until pgrep -x sleep; do :; done; pkill -9 -f '^{GUEST} run'")
    with pytest.raises(SandboxUnavailable, match="how the program ended is not known"):
        await running
    await act(shell, "while pgrep -x sleep; do :; done")


async def test_the_first_process_cannot_be_ended_or_stopped(shell: RealShell) -> None:
    await act(shell, "for s in KILL STOP TERM HUP INT QUIT; do kill -$s 1; done; kill -CONT 1")
    assert await act(shell, "grep -c 'State:.[SR]' /proc/1/status") == "1\n"


# The place of plumb's program.


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def graded(backends: Backends) -> AsyncIterator[RealShell]:
    """One shell for all attacks that leave nothing."""
    spec = Spec(kind="shell", backend="real", session_id=str(uuid.uuid4()), grounding=Grounding())
    shell = (await backends.create(spec)).environment
    assert isinstance(shell, RealShell)
    yield shell
    await shell.close()


@pytest.mark.parametrize(
    "attack",
    [
        "mv /dev/.plumb /dev/x",
        "rmdir /dev/.plumb",
        "rm -rf /dev/.plumb",
        "umount /dev/.plumb",
        "umount -l /dev/.plumb",
        "mount -o remount,rw /dev/.plumb",
        "mount --bind /tmp /dev/.plumb",
        "mount -t tmpfs none /dev/.plumb",
        "mv /dev /x",
        "ln -sfn /tmp /dev/.plumb && false",
        "cp /bin/true /dev/.plumb/guest",
        "chmod 0 /dev/.plumb/guest",
        "setfattr -n user.a -v b /dev/.plumb/guest",
    ],
)
async def test_plumb_s_program_stays_where_it_is(graded: RealShell, attack: str) -> None:
    seen = await graded.step(Action(f"{attack} 2>&1".encode()))
    assert seen.exit_code != 0, seen.text
    assert (await graded.probe("cwd")).facts == {"cwd": "/root"}


async def test_what_plumb_s_program_does_for_an_agent_it_could_do_itself(
    shell: RealShell,
) -> None:
    said = await act(
        shell,
        f"{GUEST} shell 1099511627775 9999999999 sh -c 'grep CapPrm /proc/self/status' || true; "
        f"{GUEST} end process 1 || true; {GUEST} init 1 1 1 & wait; echo here",
    )
    assert "here\n" in said
    assert not re.search("CapPrm:\t0*[3-9a-f][0-9a-f]{9}", said)


async def test_nothing_of_it_shows_in_a_listing_of_files_disks_or_processes(
    shell: RealShell,
) -> None:
    said = await act(shell, "ls -A /; df; ps ax -o args; find / -xdev -name '*plumb*'")
    assert "plumb" not in said
    assert "/etc/hosts" in said  # as df shows the engine's own mounts without ours


# What its programs and its users' files are made to say.


async def test_a_library_that_is_loaded_into_every_program_is_not_loaded_into_plumb_s(
    shell: RealShell,
) -> None:
    await act(shell, "echo 1 >/srv/n; echo /tmp/evil.so >/etc/ld.so.preload")
    assert "/srv/n" in (await shell.probe("files")).facts
    assert "user root" in (await shell.probe("environment")).facts
    ran = await shell.execute(Program(["/bin/false"], env={"LD_PRELOAD": "/tmp/evil.so"}))
    assert ran.exit_code == 1
    assert b"plumb" not in ran.stderr


@pytest.mark.parametrize(
    "attack",
    [
        pytest.param("printf 'evil:x:%05000d:0::/:/bin/sh\\n' 9 >>/etc/passwd", id="digits"),
        pytest.param("head -c 20M /dev/zero | tr '\\0' a >>/etc/passwd", id="a line of 20 MB"),
        pytest.param("yes :::::: | head -c 20M >/etc/passwd", id="lines that are none"),
        pytest.param("printf '\\xff\\0\\n' >/etc/passwd", id="no text"),
        pytest.param("rm /etc/passwd /etc/group", id="none"),
        pytest.param("rm /etc/passwd; mkfifo /etc/passwd", id="a pipe"),
        pytest.param("rm /etc/passwd; ln -s /dev/zero /etc/passwd", id="an endless file"),
        pytest.param("rm /etc/group; ln -s /proc/self/mem /etc/group", id="memory"),
    ],
)
async def test_whatever_the_accounts_file_is_a_probe_answers_or_is_an_error(
    shell: RealShell, monkeypatch: pytest.MonkeyPatch, attack: str
) -> None:
    """An engine reads that file, too, and may start nothing then, or not end that."""
    monkeypatch.setattr(asking, "ANSWER_WITHIN", 5.0)
    await act(shell, f"echo 1 >/srv/n; {attack}")
    with contextlib.suppress(SandboxUnavailable):
        environment = (await shell.probe("environment")).facts
        assert "variable PATH" in environment
        assert not any(key.startswith("user evil") for key in environment)
    with contextlib.suppress(SandboxUnavailable):
        assert "/srv/n" in (await shell.probe("files")).facts


async def test_a_name_may_hold_anything(shell: RealShell) -> None:
    await act(
        shell,
        "cd /srv; touch -- $'a\\nb' $'c\\e[2J\\x01' $'\\xff\\xfe' $'\"}],{' '-n' $'\\u2603'; "
        "ln -s $'x\\n\\xff' link; mkfifo fifo; "
        "printf 1 >$'size \\n9'",
    )
    files = (await shell.probe("files")).facts
    for name in ("a\nb", "c\x1b[2J\x01", '"}],{', "-n", "\N{SNOWMAN}", "fifo"):
        assert f"/srv/{name}" in files, name
    assert files["/srv/link"] == "type link, target x\n\\xff"
    assert "size 1" in files["/srv/size \n9"]


def _peak_bytes() -> int:
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


async def test_many_files_with_long_paths_do_not_fill_the_memory(shell: RealShell) -> None:
    code = (
        "import os\nfor _ in range(14): os.mkdir('d' * 250); os.chdir('d' * 250)\n"
        "for n in range(20000): os.close(os.open(str(n), os.O_CREAT))"
    )
    await act(shell, f'cd /srv; python3 -c "{code}"')
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")
    before = _peak_bytes()
    captured = await shell.capture()
    assert _peak_bytes() - before < GROWTH_BYTES
    assert any("more paths" in note for note in captured.cut)


async def test_a_path_that_is_too_long_for_the_engine_hides_nothing(shell: RealShell) -> None:
    deep = "d=$(printf 'a%.0s' {1..250}); for i in {1..20}; do mkdir $d && cd $d; done"
    await act(shell, f"cd /srv; {deep}; cd /; echo 42 >/root/answer")
    files = (await shell.probe("files")).facts
    assert "size 3" in files["/root/answer"]
    captured = await shell.capture()
    assert any("too long" in note for note in captured.cut)


@pytest.mark.parametrize(
    ("argv", "exit_code", "stderr"),
    [
        (["nosuch"], 127, b"exec: nosuch: not found\n"),
        (["/no/such"], 127, b"exec: /no/such: No such file or directory\n"),
        (["/etc/passwd"], 126, b"exec: /etc/passwd: Permission denied\n"),
        (["/root"], 126, b"exec: /root: Permission denied\n"),
        (["sh", "-c", "kill -9 $$"], 137, b""),
        (["sh", "-c", "kill -9 0"], 137, b""),
        (["sh", "-c", "kill -SEGV $$"], 139, b""),
    ],
)
async def test_standard_error_holds_nothing_of_plumb_s(
    graded: RealShell, argv: list[str], exit_code: int, stderr: bytes
) -> None:
    assert await graded.execute(Program(argv)) == result(b"", stderr, exit_code)
