"""What an action may be, and what reads the terminal while it runs."""

from __future__ import annotations

import pytest

from plumb_backends.environment import Action, Ending
from plumb_backends.errors import InvalidInput
from plumb_backends.real.shell_environment import RealShell

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.mark.parametrize(
    "action",
    [
        "echo 'unbalanced",
        'echo "unbalanced',
        "echo $(unbalanced",
        "echo `unbalanced",
        "cat <<END\nnever ended",
        "if true; then",
        "for i in 1 2; do",
        "f() {",
        "echo trailing \\",
        "true &&",
        "ls |",
    ],
)
async def test_unfinished_input_is_seen_at_once(shell: RealShell, action: str) -> None:
    seen = await shell.step(Action(action.encode(), timeout=60))
    assert seen.ending is Ending.AWAITS_INPUT
    assert seen.run_duration < 30
    assert seen.exit_code == 130
    assert "> " in seen.text
    assert (await shell.step(Action(b"echo next"))).text == "next\n"


async def test_a_block_with_an_unfinished_end_runs_its_finished_part_once(shell: RealShell) -> None:
    seen = await shell.step(Action(b"echo ran >> log\necho 'unbalanced"))
    assert seen.ending is Ending.AWAITS_INPUT
    assert (await shell.step(Action(b"cat log"))).text == "ran\n"


async def test_a_heredoc_is_taken_as_it_is(shell: RealShell) -> None:
    body = "a $HOME `b`\n\tindented\n'quoted\n> looks like a prompt\nroot@sandbox:~# ls"
    await shell.step(Action(f"cat > file <<'END'\n{body}\nEND".encode()))
    assert (await shell.step(Action(b"cat file"))).text == f"{body}\n".replace("\t", "\t")


async def test_a_function_over_many_lines_is_one_action(shell: RealShell) -> None:
    await shell.step(Action(b"f() {\n  echo one\n\n  # nothing\n  echo two\n}"))
    assert (await shell.step(Action(b"f"))).text == "one\ntwo\n"


@pytest.mark.parametrize("size", [5_000, 200_000])
async def test_a_long_action_on_one_line_arrives_whole(shell: RealShell, size: int) -> None:
    seen = await shell.step(Action(b"printf %s " + b"x" * size + b" | wc -c"))
    assert seen.text == f"{size}\n"


async def test_a_long_action_of_many_lines_arrives_whole(shell: RealShell) -> None:
    lines = b"\n".join(b"line %d" % number for number in range(20_000))
    seen = await shell.step(Action(b"cat > file <<'END'\n" + lines + b"\nEND"))
    assert (seen.text, seen.exit_code) == ("", 0)
    assert (await shell.step(Action(b"wc -lc < file"))).text.split() == [
        "20000",
        str(len(lines) + 1),
    ]


@pytest.mark.parametrize("reader", ["cat", "read x", "head -1", "python3 -c 'input()'", "sort"])
async def test_a_program_that_reads_the_terminal_runs_into_its_timeout(
    shell: RealShell, reader: str
) -> None:
    seen = await shell.step(Action(reader.encode(), timeout=1))
    assert (seen.ending, seen.exit_code) == (Ending.TIMED_OUT, 130)
    assert (await shell.step(Action(b"echo next"))).text == "next\n"


@pytest.mark.parametrize("code", [0x00, 0x01, 0x03, 0x04, 0x08, 0x1A, 0x1C, 0x1E, 0x7F])
async def test_a_control_character_is_refused_and_nothing_runs(shell: RealShell, code: int) -> None:
    with pytest.raises(InvalidInput, match=f"0x{code:02x} at byte 10"):
        await shell.step(Action(b"touch file" + bytes([code]) + b"\n"))
    assert (await shell.step(Action(b"ls"))).text == ""
