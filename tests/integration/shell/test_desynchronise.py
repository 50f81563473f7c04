"""No action can bring a session out of step: 500 random ones, each followed by a fresh line."""

from __future__ import annotations

import asyncio
import random
import secrets
from typing import TYPE_CHECKING

import pytest

from plumb_backends.environment import Action

if TYPE_CHECKING:
    from tests.conftest import MakeShell

SESSIONS = 5
ACTIONS_EACH = 100
SEED = 20_261

QUICK = (
    "true",
    "(exit 42)",
    "foo",
    ")",
    "echo 'unbalanced",
    "cat <<END\nnever ended",
    "if true; then",
    "echo one\necho two",
    "# nothing",
    "",
    "exit",
    "exit 3",
    "exec true",
    "kill -9 $$",
    "kill -HUP $$",
    "set -e; false",
    "set -x; set +x",
    "set -u; echo $nosuch; set +u",
    "PS1='$ '",
    "PS1=",
    "unset PS1",
    "PS2=",
    "PROMPT_COMMAND=",
    "unset PROMPT_COMMAND",
    "PROMPT_COMMAND=true",
    "printf() { :; }; unset -f printf",
    "builtin() { return 1; }",
    "unset -f builtin",
    "exec >/dev/null; exec >/dev/tty",
    "exec 2>&-",
    "exec 2>/dev/null",
    "exec 2>/dev/tty",
    "stty -echo",
    "stty raw -echo",
    "stty intr a",
    "stty -icanon",
    "stty sane",
    "clear",
    "trap 'true' INT",
    "trap - INT",
    "trap 'echo bye' EXIT",
    "printf '\\e]133;A;0\\a\\e]133;B;0;0;1;/;root;h\\a'",
    "printf '\\e[?2004h'",
    "printf '\\e[?2004l\\r'",
    "printf '\\e]0;never ended'",
    "printf 'a\\0\\xff\\x80'",
    "printf 'no newline'",
    'printf %s "$PS1$PS0"',
    "yes | head -c 1000000",
    "head -c 300000 /dev/zero | tr '\\0' x",
    "head -c 100000 /dev/urandom",
    "(sleep 0.01 &)",
    "(sleep 0.02) & disown",
    "sleep 1000 & disown $!; kill $!",
    "cd /tmp",
    "cd /; cd -",
    "bind -r '\\C-^'",
    "bind 'set enable-bracketed-paste off'",
    "set -o vi",
    "set -o emacs",
    "unset HOME PWD; cd /root",
    "IFS=abc; unset IFS",
    "TERM=dumb",
    "TERM=xterm-256color",
    "f() { f2 () { :; }; f2; }; f",
    "kill -INT $$",
    "kill -TERM $$",
    "enable -n printf; enable printf",
    "history -c",
    "shopt -s extglob; shopt -u extglob",
)

SLOW = (
    "sleep 1000",
    "cat",
    "read x",
    "bash",
    "exec bash --norc",
    "while :; do :; done",
    "trap '' INT; while :; do :; done",
    "sh -c 'trap \"\" INT TERM; sleep 1000'",
    "python3",
    "yes",
    "suspend",
)


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("session", range(SESSIONS))
async def test_after_any_action_a_fresh_line_is_the_whole_of_the_next_observation(
    make_shell: MakeShell, session: int
) -> None:
    chance = random.Random(SEED + session)
    commands = [chance.choice(SLOW if index % 12 == 11 else QUICK) for index in range(ACTIONS_EACH)]
    shell = await make_shell()
    for index, command in enumerate(commands):
        timeout = 0.15 if command in SLOW else 2
        async with asyncio.timeout(60):
            await shell.step(Action(command.encode(), timeout=timeout))
            nonce = secrets.token_hex(8)
            seen = await shell.step(Action(f"echo {nonce}".encode(), timeout=20))
        assert seen.text == f"{nonce}\n", f"after {commands[: index + 1]}"


def test_the_mix_has_forty_kinds_and_five_hundred_actions() -> None:
    assert len({*QUICK, *SLOW}) >= 40
    assert SESSIONS * ACTIONS_EACH == 500
