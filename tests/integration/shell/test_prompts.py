"""The output ends where the prompt begins, whatever somebody made the prompt into."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from plumb_backends.environment import Action, Ending
from plumb_backends.errors import SandboxUnavailable
from plumb_backends.kinds.shell import ShellOptions
from plumb_backends.real.shell_environment import RealShell

if TYPE_CHECKING:
    from tests.conftest import MakeShell

pytestmark = pytest.mark.asyncio(loop_scope="session")

VENV = r"""
deactivate() { PS1=$_OLD; unset _OLD; unset -f deactivate; }
_OLD=$PS1; PS1="(v) ${PS1-}"; export PS1"""

CONDA = r"""
_conda() { PS1="($1) $_BASE"; export PS1; }
_BASE=$PS1; _conda base; _conda other"""

PROMPTS = {
    "a virtual environment": VENV,
    "one that was left": f"{VENV}\ndeactivate",
    "conda": CONDA,
    "an empty line": r'PS1="\n$PS1"',
    "two lines": r'PS1="\w\n$PS1"',
    "a colour": r'PS1="\[\e[32m\](v)\[\e[0m\] $PS1"',
    "a command": 'PS1="\\$(echo sub; false) $PS1"',
    "text behind": 'PS1="$PS1 behind> "',
    "text on both sides": 'PS1="[$PS1]"; PS1="<$PS1>"',
    "another prompt": r"PS1='\u \w > '",
    "another prompt in front of ours": 'PS1="mine> $PS1$PS1"',
    "none": "PS1=",
    "right-aligned": r"PS1='\[\e[s\e[80C\]right\[\e[u\]$ '",
    "a hook": """PROMPT_COMMAND='PS1="(hook) $ "'""",
    "a hook behind ours": """PROMPT_COMMAND="$PROMPT_COMMAND; PS1='(hook) $ '" """,
    "a hook in front of ours": """PROMPT_COMMAND="PS1='(hook) $ '; $PROMPT_COMMAND" """,
    "a hook in an array": "PROMPT_COMMAND+=(\"PS1='(hook) $ '\")",
    "a hook that adds to the prompt": """PROMPT_COMMAND+=('PS1="(v) ${PS1#(v) }"')""",
    "starship": 'starship() { PS1="\\n$(echo $?) in \\w\\n> "; }; PROMPT_COMMAND=starship',
    "a hook that does not parse": "PROMPT_COMMAND='if'",
    "a dumb terminal": 'TERM=dumb; PS1="(v) $PS1"',
    "no announcement": """bind 'set enable-bracketed-paste off'; PS1="(v) $PS1" """,
}


async def _shows_only_output(shell: RealShell, *, hook_fails: bool = False) -> None:
    for command, text, status in (
        ("echo hi", "hi\n", 0),
        ("printf hi; (exit 3)", "hi", 3),
        ("# nothing", "", 3),
        ("true", "", 0),
        (")", "bash: syntax error near unexpected token `)'\n", 2),
    ):
        seen = await shell.step(Action(command.encode(), timeout=60))
        if hook_fails:  # what bash says of it, it says before each prompt
            assert seen.text.startswith(text)
        else:
            assert seen.text == text
        assert seen.exit_code == status
    seen = await shell.step(Action(b"echo begun; sleep 1000", timeout=1))
    assert (seen.ending, seen.exit_code) == (Ending.TIMED_OUT, 130)
    assert seen.text.startswith("begun\n^C\n")
    assert hook_fails or seen.text == "begun\n^C\n"
    unfinished = await shell.step(Action(b"echo 'open", timeout=60))
    assert unfinished.ending is Ending.AWAITS_INPUT


@pytest.mark.parametrize("prompt", PROMPTS)
async def test_nothing_of_a_prompt_is_in_the_output(shell: RealShell, prompt: str) -> None:
    changed = await shell.step(Action(PROMPTS[prompt].encode(), timeout=60))
    assert changed.ending is Ending.EXITED
    await _shows_only_output(shell, hook_fails="not parse" in prompt)


@pytest.mark.parametrize("prompt", ["a virtual environment", "conda", "an empty line", "a hook"])
async def test_nothing_of_a_dumb_terminal_s_prompt_is_in_the_output(
    make_shell: MakeShell, prompt: str
) -> None:
    shell = await make_shell(options=ShellOptions(dumb_terminal=True))
    await shell.step(Action(PROMPTS[prompt].encode(), timeout=60))
    await _shows_only_output(shell)


async def test_a_prompt_of_a_start_up_file_is_not_in_the_output(make_shell: MakeShell) -> None:
    hook = """PS1="(v) $PS1"; PROMPT_COMMAND='PS1="(h) ${PS1#(h) }"'"""
    shell = await make_shell(init=[f"cat > ~/.bashrc <<'END'\n{hook}\nEND"])
    await _shows_only_output(shell)


async def test_raw_has_the_whole_prompt(shell: RealShell) -> None:
    await shell.step(Action(VENV.encode()))
    seen = await shell.step(Action(b"echo hi"))
    assert seen.raw.startswith(b"echo hi\r\n")
    assert seen.raw.endswith(b"root@sandbox:~# ")
    assert b"(v) " in seen.raw
    assert b"]133;" not in seen.raw


@pytest.mark.parametrize("name", ["PS0", "PS1", "PS2", "PROMPT_COMMAND"])
@pytest.mark.parametrize("how", ["readonly {}", "readonly {}=x", "declare -r {}=x; set -u"])
async def test_a_start_up_file_that_makes_a_variable_of_prompts_readonly_is_named_at_once(
    make_shell: MakeShell, name: str, how: str
) -> None:
    script = f"echo '{how.format(name)}' > ~/.bashrc"
    with pytest.raises(SandboxUnavailable, match=rf"\(~/.bashrc\) make {name} readonly"):
        await make_shell(init=[script])
