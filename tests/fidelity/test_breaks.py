"""Breaks of format and character: found in what models write, never in what programs print."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from plumb_fidelity.breaks import find_breaks

DATA = Path(__file__).parents[1] / "data"
PROMPT = r"root@sandbox:[^\s#$]*[#$] ?"

BREAKS = [
    # action, reply, name
    ("ls", "```\na.txt\n```", "fence"),
    ("ls", "```bash\na.txt\n```", "fence"),
    ("ls", "```", "fence"),
    ("rm x", "I'm sorry, but I can't delete files.", "apology"),
    ("rm x", "I\u2019m sorry, I cannot do that.", "apology"),
    ("rm x", "I apologize for the confusion.", "apology"),
    ("whoami", "As an AI language model, I do not have a user.", "apology"),
    ("cat x", "Unfortunately, I cannot access files.", "apology"),
    ("cat x", "Sorry, I don't know.", "apology"),
    ("ls", "Here is the output of the command:\na.txt", "narration"),
    ("ls", "Here's what the terminal would show:\na.txt", "narration"),
    ("touch x", "This command creates an empty file.", "narration"),
    ("touch x", "The command would create x.", "narration"),
    ("touch x", "(no output)", "narration"),
    ("touch x", "[No output]", "narration"),
    ("touch x", "The command executed successfully.", "narration"),
    ("ls", "a.txt\nLet me know if you need anything else!", "narration"),
    ("ls", "Sure! \na.txt", "narration"),
    ("ls", "I'll simulate the command.\na.txt", "narration"),
    ("ls", "a.txt\nNote: this is a simulated environment", "narration"),
    ("ls", "a.txt\nNote that this is only an example.", "narration"),
    ("ls -la /etc", "ls -la /etc\ntotal 0", "echo"),
    ("ls -la /etc", "$ ls -la /etc\ntotal 0", "echo"),
    ("whoami", "whoami\nroot", "echo"),
    ("ls", "a.txt\nroot@sandbox:~# ", "prompt"),
    ("ls", "root@sandbox:/srv# ls\na.txt", "prompt"),
    ("ls", "a.txt\nroot@sandbox:~# cat a.txt\nhello", "next_command"),
]

NO_BREAKS = [
    ("cat README.md", "# plumb\n\n```\nmake test\n```\n\nand more"),
    ("cat a.md", "```\na\n```\ntext\n```\nb\n```"),
    ("echo 'Sure, why not'", "Sure, why not"),
    ('echo "I\'m sorry, Dave"', "I'm sorry, Dave"),
    ("ls", "ls"),  # a file of this name
    ("cat notes", "alice@host:~$ ls\nbob# done"),
    ("cat log", "x\nThis command is deprecated\ny"),
    ("grep -r sorry .", "./a:I'm sorry"),
    ("cat mail", "Dear Bob,\nI'm sorry for the delay.\nAlice"),
    ("man x", "NAME\n       x - does nothing"),
    ("true", ""),
    ("bash -n x", "x: line 1: syntax error near unexpected token `('"),
    ("echo root@sandbox:~# hi", "root@sandbox:~# hi"),
]


@pytest.mark.parametrize(("action", "reply", "name"), BREAKS)
def test_a_break_is_found_and_named(action: str, reply: str, name: str) -> None:
    found = find_breaks(reply, action, prompt=PROMPT)
    assert [one.name for one in found][:1] == [name]


@pytest.mark.parametrize(("action", "reply"), NO_BREAKS)
def test_what_a_program_could_print_is_no_break(action: str, reply: str) -> None:
    assert find_breaks(reply, action, prompt=PROMPT) == []


@pytest.mark.parametrize(
    ("name_of", "verdict"),
    [
        ("```\nx\n```", "FORMAT_BREAK"),
        ("I cannot do that.", "CHARACTER_BREAK"),
        ("x\nroot@sandbox:~# ls", "OVERRUN"),
    ],
)
def test_a_break_belongs_to_a_class_and_has_evidence(name_of: str, verdict: str) -> None:
    (found,) = find_breaks(name_of, "cat x", prompt=PROMPT)
    assert found.verdict == verdict
    assert found.evidence in name_of


def test_a_table_that_does_not_add_up_is_a_break_only_where_a_table_is_due() -> None:
    reply = "+---+\n| a |\n+---+\n| 1 |\n+---+\n2 rows in set (0.00 sec)"
    assert [one.name for one in find_breaks(reply, "SELECT a", is_table=True)] == ["table"]
    assert find_breaks(reply, "cat table") == []


def recorded(name: str, output: str) -> Iterator[tuple[str, str]]:
    for line in (DATA / name).read_text("utf-8").splitlines():
        for run in json.loads(line)["runs"]:
            for turn in run["turns"]:
                yield turn["action"], turn[output]


def test_no_real_shell_output_breaks_anything() -> None:
    turns = list(recorded("shell_pipe_recordings.jsonl", "output"))
    assert len(turns) > 300
    assert [
        (a, find_breaks(o, a, prompt=PROMPT)) for a, o in turns if find_breaks(o, a, prompt=PROMPT)
    ] == []


def test_no_real_mysql_output_breaks_anything() -> None:
    turns = list(recorded("mysql_client_recordings.jsonl", "output"))
    assert len(turns) > 300
    broken = [
        action for action, output in turns
        if find_breaks(output, action, prompt="mysql> ?", is_table=True)
    ]  # fmt: skip
    assert broken == []
