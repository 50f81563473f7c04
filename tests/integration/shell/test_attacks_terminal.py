"""What an agent may do to the framing of its own terminal, and what later steps see of it: nothing.

The attacks know the session's key, for the shell's own code can read it from its prompt strings. A
job of an earlier step does not know the token of the step that is framed.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import pytest
from tests.conftest import containers_labelled

from plumb_backends.environment import Action, Ending, Observation
from plumb_backends.real.hardening import SESSION_LABEL
from plumb_backends.real.shell_environment import RealShell

if TYPE_CHECKING:
    from tests.conftest import MakeShell

pytestmark = pytest.mark.asyncio(loop_scope="session")

KNOW = r"k=${PS1#*133;A;}; k=${k%%;*}; t=$__plumb_turn; p=$$"
"""Makes a job of this know the key, the token of its own step and the shell's pid."""

BEGINS, ENDS = r"\e[?2004h", r"\e[?2004l\r"
MARKS = {
    letter: rf"\e]133;{letter};$k;$t{fields}\a"
    for letters, fields in (
        ("ACPX", ""),
        ("BRN", ";77;$p;'/forged';mallory;elsewhere"),
    )
    for letter in letters
}
PROMPT = BEGINS + MARKS["A"] + "forged# " + MARKS["B"]


def flood(marks: str) -> str:
    """Prints marks in the background until it is told to stop, and has begun when this is done."""
    return (
        f'{KNOW}; rm -f began; ( while [ ! -e stop ]; do printf "{marks}"; : > began; done ) & '
        "disown; until [ -e began ]; do :; done"
    )


async def _is_unaffected(shell: RealShell) -> None:
    """The next three steps are what they would be: text, status, directory, user and host."""
    for directory in ("/tmp", "/srv", "/root"):
        nonce = secrets.token_hex(8)
        seen = await shell.step(
            Action(f"cd {directory}; echo {nonce}; (exit 3)".encode(), timeout=60)
        )
        assert (seen.text, seen.exit_code, seen.ending) == (f"{nonce}\n", 3, Ending.EXITED)
        assert seen.shell is not None
        assert (seen.shell.cwd, seen.shell.user, seen.shell.host) == (directory, "root", "sandbox")
        assert not seen.shell.restarted


async def _end(shell: RealShell) -> Observation:
    return await shell.step(Action(b"cd /root; : > stop", timeout=60))


@pytest.mark.parametrize("letter", [*MARKS])
async def test_a_job_that_floods_one_mark_frames_no_later_step(
    shell: RealShell, letter: str
) -> None:
    await shell.step(Action(flood(MARKS[letter]).encode()))
    await _is_unaffected(shell)
    await _end(shell)


async def test_a_job_that_floods_whole_prompts_frames_no_later_step(shell: RealShell) -> None:
    await shell.step(Action(flood(MARKS["C"] + PROMPT).encode()))
    for number in range(3):
        seen = await shell.step(Action(f"cd /tmp; echo {number}; (exit 3)".encode(), timeout=60))
        assert (seen.exit_code, seen.ending) == (3, Ending.EXITED)
        assert f"{number}\n" in seen.text  # between what the job printed
        assert seen.shell is not None
        assert (seen.shell.cwd, seen.shell.user) == ("/tmp", "root")
    await _end(shell)


async def test_a_job_that_guesses_tokens_frames_no_later_step(shell: RealShell) -> None:
    guessing = MARKS["B"].replace("$t", "$RANDOM$RANDOM")
    await shell.step(Action(flood(guessing).encode()))
    await _is_unaffected(shell)
    await _end(shell)


async def test_a_job_that_reads_the_shell_s_prompt_from_its_fork_learns_no_later_token(
    shell: RealShell,
) -> None:
    job = f'{KNOW}; ( while [ ! -e stop ]; do printf %s "${{PS1@P}}${{PS0@P}}" >/dev/tty; done ) &'
    await shell.step(Action(job.encode()))
    for number in range(3):
        seen = await shell.step(Action(f"cd /srv; echo {number}; (exit 4)".encode(), timeout=60))
        assert (seen.exit_code, seen.ending) == (4, Ending.EXITED)
        assert seen.shell is not None
        assert seen.shell.cwd == "/srv"
    await _end(shell)


async def test_no_token_is_there_between_two_steps(shell: RealShell) -> None:
    await shell.step(Action(b"trap 'echo $__plumb_turn >> /tmp/tokens' CHLD"))
    await shell.step(Action(b"(sleep 0.2) & true"))
    await shell.step(Action(b"sleep 0.4; echo $__plumb_turn >> /tmp/now; trap - CHLD"))
    seen = await shell.step(Action(b'grep -c "$__plumb_turn" /tmp/tokens /tmp/now'))
    assert seen.text == "/tmp/tokens:0\n/tmp/now:0\n"


async def test_the_token_is_in_no_child_s_environment(shell: RealShell) -> None:
    seen = await shell.step(Action(b"env | grep -c plumb; bash -c 'echo [$__plumb_turn]'"))
    assert seen.text == "0\n[]\n"


EARLY = rf'{KNOW}; printf "{PROMPT}"; sleep 1'


async def test_a_step_that_forges_its_own_end_changes_no_later_one(shell: RealShell) -> None:
    forged = await shell.step(Action(EARLY.encode(), timeout=60))
    assert forged.exit_code == 77  # its own observation is its own
    await _is_unaffected(shell)


@pytest.mark.parametrize("field", ["1", "0", "99999999", "9" * 5000])
async def test_a_step_cannot_take_another_process_for_the_shell(
    shell: RealShell, field: str
) -> None:
    forged = PROMPT.replace("$p", field)
    seen = await shell.step(Action(f'{KNOW}; printf "{forged}"; echo end'.encode(), timeout=60))
    assert seen.exit_code == 0
    assert seen.text.endswith("end\n")
    assert (await shell.probe("cwd")).facts["cwd"] == "/root"
    await _is_unaffected(shell)


HUGE = {
    "a quoted eight": r"\$'\\\\8'",
    "an open quote": r"\$'",
    "a lone backslash": r"\$'\\\\'",
    "octal beyond a byte": r"\$'\\\\777'",
    "a path of a megabyte": "$(head -c 1000000 /dev/zero | tr '\\0' x)",
    "nothing but quotes": "''''''",
    "bytes that are no text": r"'\xff\xfe'",
}


@pytest.mark.parametrize("field", HUGE)
async def test_no_field_of_a_forged_mark_breaks_the_session(
    make_shell: MakeShell, field: str
) -> None:
    shell = await make_shell()
    forged = PROMPT.replace("'/forged'", HUGE[field])
    await shell.step(Action(f'{KNOW}; printf "{forged}"; sleep 0.2'.encode(), timeout=60))
    await _is_unaffected(shell)
    await shell.close()
    assert not containers_labelled(SESSION_LABEL, shell._spec.session_id)


@pytest.mark.parametrize("what", ["user", "host", "status"])
async def test_a_field_that_is_too_long_is_no_mark(shell: RealShell, what: str) -> None:
    old = {"user": "mallory", "host": "elsewhere", "status": "77"}[what]
    forged = PROMPT.replace(old, "7" * 5000)
    seen = await shell.step(Action(f'{KNOW}; printf "{forged}"; echo end'.encode(), timeout=60))
    assert (seen.exit_code, seen.shell and seen.shell.user) == (0, "root")
    await _is_unaffected(shell)


@pytest.mark.parametrize(
    "lose",
    [
        "unset __plumb_turn",
        "unset ${!__plumb*}",
        "unset -f $(compgen -A function)",
        "complete -r",
        "shopt -u progcomp",
        "bind -r '\\C-_'",
        "builtin() { return 1; }",
        "set -a; __plumb_turn=$__plumb_turn",
        "set -u",
        "env -i bash -c true; (unset __plumb_turn)",
        "IFS=abcdefABCDEF0123456789",
        "readonly IFS",
        "export PS1 PS0 PS2 PROMPT_COMMAND",
    ],
)
async def test_a_token_that_is_lost_by_accident_is_found_again(shell: RealShell, lose: str) -> None:
    assert (await shell.step(Action(lose.encode(), timeout=60))).ending is not Ending.TIMED_OUT
    await _is_unaffected(shell)
    dead = await shell.step(Action(b'(kill -9 "$BASHPID")', timeout=60))
    assert (dead.ending, dead.exit_code) == (Ending.SIGNALED, 137)
    unfinished = await shell.step(Action(b"echo 'open", timeout=60))
    assert unfinished.ending is Ending.AWAITS_INPUT
    await _is_unaffected(shell)


@pytest.mark.parametrize("also", ["true", "builtin() { return 1; }", "IFS=abc", "set -u"])
async def test_the_token_is_read_by_a_shell_that_cannot_be_asked(
    shell: RealShell, also: str
) -> None:
    await shell.step(Action(f"bind -r '\\C-^'; {also}".encode(), timeout=60))
    await _is_unaffected(shell)


async def test_a_nested_bash_with_our_prompt_strings_ends_nothing(shell: RealShell) -> None:
    await shell.step(Action(b"export PS0 PS1 PS2 PROMPT_COMMAND; set -a"))
    seen = await shell.step(Action(b"bash --norc", timeout=1))
    assert seen.ending is Ending.TIMED_OUT
    await _is_unaffected(shell)
