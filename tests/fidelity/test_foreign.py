"""What a command wrote, out of other people's recordings of terminals."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from plumb_fidelity.foreign import strip
from plumb_fidelity.signature import render

_CAPTURES = json.loads(
    Path(__file__).with_name("data").joinpath("terminal_captures.json").read_text(encoding="utf-8")
)

_HEREDOC = "cat <<X > /tmp/f\nalice@host:~$ ls\nbob# done\nX"

_WRITTEN = {
    None: "",  # the first prompt
    "ls -1 /etc | wc -l": "83\n",
    "echo hello; false": "hello\n",
    'printf "a\\nb\\n"': "a\nb\n",
    "cd /tmp": "",
    "pwd": "/tmp\n",
    "for i in 1 2; do\n  echo $i\ndone": "1\n2\n",
    _HEREDOC: "",
    "cat /tmp/f": "alice@host:~$ ls\nbob# done\n",
    "grep alice /tmp/f": "alice@host:~$ ls\n",
    "ls --color=always / | head -3": "bin\nboot\ndev\n",
    'printf "no newline"': "no newline",
    'printf "\\033[31mred user@box: 5 $ left\\033[0m tail\\n"': "red user@box: 5 $ left tail\n",
    'su -s /bin/bash nobody -c "whoami"': "nobody\n",
    'python3 -c "print(1/0)"': (
        "Traceback (most recent call last):\n"
        '  File "<string>", line 1, in <module>\n'
        "ZeroDivisionError: division by zero\n"
    ),
    "nosuchcmd": "bash: nosuchcmd: command not found\n",
    'echo "x  "': "x  \n",
    "clear": "",
    'printf "progress 10%%\\rprogress 100%%\\n"': "progress 100%\n",
    'PS1="$ "': "",
    "echo after": "after\n",
    "bash": "",
    "echo sub": "sub\n",
    "exit": "exit\n",
    "echo done": "done\n",
}

READING = "\x1b[?2004h"
READ = "\x1b[?2004l\r"
PROMPT = "root@4d37337ef2d6:/# "
TITLE = "\x1b]0;root@4d37337ef2d6: /\x07"


def _capture_id(row: dict[str, str | None]) -> str:
    return f"{row['rc']}: {row['cmd']}"


@pytest.mark.parametrize("row", _CAPTURES, ids=_capture_id)
class TestACapture:
    def test_strips_to_what_the_command_wrote(self, row: dict[str, str]) -> None:
        assert strip(row["raw"]) == _WRITTEN[row["cmd"]]

    def test_strips_to_the_same_if_the_command_is_known(self, row: dict[str, str]) -> None:
        assert strip(row["raw"], command=row["cmd"] or "") == _WRITTEN[row["cmd"]]

    def test_strips_to_the_same_if_the_prompt_is_known(self, row: dict[str, str]) -> None:
        prompt = row["raw"].rpartition(READING)[2]
        assert strip(row["raw"], prompt=prompt) == _WRITTEN[row["cmd"]]

    def test_strips_to_the_same_as_bytes(self, row: dict[str, str]) -> None:
        assert strip(row["raw"].encode()) == _WRITTEN[row["cmd"]]

    def test_strips_to_the_same_if_the_echoed_text_was_dropped(self, row: dict[str, str]) -> None:
        first_line = (row["cmd"] or "").partition("\n")[0]
        assert strip(row["raw"].removeprefix(first_line)) == _WRITTEN[row["cmd"]]

    def test_strips_to_the_same_without_bracketed_paste(self, row: dict[str, str]) -> None:
        raw = row["raw"].replace(READ, "").replace(READING, "")
        prompt = row["raw"].rpartition(READING)[2]
        shown = strip(raw, command=row["cmd"] or "", prompt=prompt)
        assert shown == _WRITTEN[row["cmd"]]


def test_the_captures_are_all_expected() -> None:
    assert {row["cmd"] for row in _CAPTURES} == _WRITTEN.keys()
    assert {row["rc"] for row in _CAPTURES} == {"debian", "ubuntu"}


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        pytest.param("", "", id="nothing"),
        pytest.param("a\r\nb\r\n", "a\nb\n", id="output only"),
        pytest.param(f"ls\r\n{READ}a\r\n", "a\n", id="one line"),
        pytest.param(f"s -l\r\n{READ}a\r\n", "a\n", id="the end of a line"),
        pytest.param(f"\r\n{READ}a\r\n", "a\n", id="the line's end"),
        pytest.param(f"{READ}a\r\n", "a\n", id="the mark"),
        pytest.param(f"{READ}", "", id="nothing but the mark"),
        pytest.param(f"{READING}{PROMPT}ls\r\n{READ}a\r\n", "a\n", id="after a prompt"),
        pytest.param(f"{TITLE}{READING}{PROMPT}ls\r\n{READ}a\r\n", "a\n", id="after a title"),
        pytest.param(f"{READING}{TITLE}{PROMPT}ls\r\n{READ}a\r\n", "a\n", id="and a titled prompt"),
        pytest.param(
            f"cat <<X\r\n{READ}{READING}> > a\r\n{READ}{READING}> X\r\n{READ}> a\r\n",
            "> a\n",
            id="continuation, and output that looks like it",
        ),
        pytest.param(
            f"cd /tmp\r\n{READ}{READING}{TITLE}{PROMPT}pwd\r\n{READ}/tmp\r\n",
            "/tmp\n",
            id="a second command at once",
        ),
        pytest.param(f"ls \x1b[K\b-l\r\n{READ}a\r\n", "a\n", id="an edited line"),
        pytest.param(f"printf exit\r\n{READ}exit", "exit", id="output that has no line's end"),
    ],
)
def test_the_codes_show_the_end_of_the_echo(raw: str, shown: str) -> None:
    assert strip(raw) == shown
    assert strip(raw + READING + TITLE + PROMPT) == shown


@pytest.mark.parametrize(
    ("raw", "command", "shown"),
    [
        pytest.param("ls\r\na\r\n", "ls", "a\n", id="one line"),
        pytest.param("ls\r\na\r\n", "ls\n", "a\n", id="given with its end"),
        pytest.param("ls\r\nls\r\n", "ls", "ls\n", id="once"),
        pytest.param("ls\r\n", "ls", "", id="no output"),
        pytest.param(f"{PROMPT}ls\r\na\r\n", "ls", "a\n", id="after the known prompt"),
        pytest.param(f"{TITLE}{PROMPT}ls\r\na\r\n", "ls", "a\n", id="after the titled prompt"),
        pytest.param("cat <<X\r\n> a\r\n> X\r\na\r\n", "cat <<X\na\nX", "a\n", id="continuation"),
        pytest.param("if a\r\n> \r\n> fi\r\n", "if a\n\nfi", "", id="an empty line"),
        pytest.param("echo a\r\na\r\n", "echo a\necho b", "a\n", id="the first of two commands"),
        pytest.param("echo a\r\na\r\n", "echo a\na", "a\n", id="output like the second command"),
        pytest.param("echo abc \rdef\r\na\r\n", "echo abcdef", "a\n", id="a wrapped line"),
        pytest.param(
            f"f() {{\r\n  ls\r\n}}\r\n{READ}a\r\n", "f() {\n  ls\n}", "a\n", id="a pasted block"
        ),
        pytest.param(f"{READ}exit\r\n", "exit", "exit\n", id="the codes are surer"),
        pytest.param("grüße\r\na\r\n", "grüße", "a\n", id="beyond ASCII"),
    ],
)
def test_the_command_shows_the_echo_where_no_codes_do(raw: str, command: str, shown: str) -> None:
    assert strip(raw, command=command, prompt=PROMPT) == shown


@pytest.mark.parametrize(
    ("raw", "command"),
    [
        pytest.param("ls\r\na\r\n", "", id="no command is known"),
        pytest.param("ls -l\r\na\r\n", "ls", id="a longer line"),
        pytest.param("a\r\nls\r\n", "ls", id="a later line"),
        pytest.param("exit\n", "exit", id="clean text"),
        pytest.param("exit", "exit", id="a line without end"),
        pytest.param("> ls\r\n", "ls", id="an unknown prompt"),
        pytest.param(f"a\r\nb\r\n{READ}", "", id="output before a program's own mark"),
        pytest.param(f"a\r\nb\r\n{READ}", "b", id="or with another command"),
        pytest.param(f"a{READ}\n", "", id="a mark within a line"),
        pytest.param(f"a\r\n{READING}>>> 1\r\n{READ}1\r\n", "", id="a program that reads lines"),
    ],
)
def test_what_may_be_output_stays_at_the_beginning(raw: str, command: str) -> None:
    assert strip(raw, command=command) == render(raw.encode())


@pytest.mark.parametrize("output", ["", "a\r\n", "no newline", "\r\n", "alice@host:~$ ls\r\nb# "])
@pytest.mark.parametrize(
    "end",
    [
        pytest.param(f"{READING}{PROMPT}", id="after the mark"),
        pytest.param(f"{READING}{TITLE}{PROMPT}", id="after mark and title"),
        pytest.param(f"{TITLE}{READING}{PROMPT}", id="after title and mark"),
        pytest.param(f"{TITLE}{PROMPT}{READING}", id="between title and mark"),
        pytest.param(f"{TITLE}{PROMPT}", id="after the title"),
        pytest.param(f"{TITLE}{PROMPT}\x1b[K", id="redrawn"),
        pytest.param(f"{TITLE}{PROMPT.rstrip()}", id="without its space"),
        pytest.param(f"{TITLE}$ ", id="the sign alone"),
        pytest.param(f"{TITLE}(venv) {PROMPT}", id="with an environment"),
        pytest.param("\x1b]2;root@h:/tmp\x1b\\[root@h tmp]# ", id="in brackets"),
        pytest.param("\x1b]0;~\x07\x1b[01;32mroot@h\x1b[0m:\x1b[34m~\x1b[0m$ ", id="coloured"),
        pytest.param(f"{READING}$ ", id="a bare sign after the mark"),
        pytest.param(f"{READING}> ", id="a continuation prompt"),
        pytest.param(f"{READING}(venv) ~ \u276f ", id="any prompt after the mark"),
    ],
)
def test_the_prompt_goes_at_the_very_end(output: str, end: str) -> None:
    assert strip(output + end) == output.replace("\r\n", "\n")


@pytest.mark.parametrize(
    ("output", "shown"),
    [
        pytest.param("", "", id="no output"),
        pytest.param("a", "a", id="no line's end"),
        pytest.param("a\r\nb", "a\nb", id="two lines"),
        pytest.param("alice@host:~$ ls", "alice@host:~$ ls", id="what looks like a prompt"),
    ],
)
def test_the_form_of_agent_instruct(output: str, shown: str) -> None:
    end = "\r\n\x1b]0;root@89b0d0e4d2b4: /\x07root@89b0d0e4d2b4:/# \x1b[K"
    assert strip(output + end) == shown + "\n"


def test_the_form_of_agent_instruct_without_codes() -> None:
    raw = "sample1.conf  sample2.conf\nroot@39909a690694:/#"
    assert strip(raw) == raw
    assert strip(raw, prompt="root@39909a690694:/# ") == "sample1.conf  sample2.conf\n"


def test_a_prompt_goes_on_its_own_line_if_its_user_and_host_are_the_last_titles() -> None:
    earlier = f"{TITLE}{PROMPT}ls\r\na\r\n"
    assert strip(earlier + "root@4d37337ef2d6:/tmp# ") == f"{PROMPT}ls\na\n"
    assert strip(earlier + "alice@host:~$ ") == f"{PROMPT}ls\na\nalice@host:~$ "
    assert strip(earlier + "x root@4d37337ef2d6:/# ") == f"{PROMPT}ls\na\nx {PROMPT}"


@pytest.mark.parametrize(
    ("raw", "prompt", "shown"),
    [
        pytest.param("a\r\n$ ", "$ ", "a\n", id="on its own line"),
        pytest.param("a\r\n$", "$ ", "a\n", id="without its space"),
        pytest.param("no newline$ ", "$ ", "no newline", id="after output without a line's end"),
        pytest.param("no newlineroot@h:/#", "root@h:/# ", "no newline", id="both"),
        pytest.param("it costs 5 $", "$ ", "it costs 5 $", id="a sum of money"),
        pytest.param("$ $ ", "$ ", "$ ", id="once"),
        pytest.param(f"$ {READING}$ ", "$ ", "$ ", id="once, if marked"),
        pytest.param("a\r\n\x1b[1mx> \x1b[0m", "x> ", "a\n", id="coloured"),
        pytest.param("a\r\nx> ", f"{READING}\x1b[1mx> \x1b[0m", "a\n", id="given as recorded"),
        pytest.param(f"a\r\n{READING}/tmp\r\n$ ", "/tmp\n$ ", "a\n", id="of two lines"),
        pytest.param("a\r\n$ \r\n", "$ ", "a\n$ \n", id="not before the end"),
        pytest.param("a  ", "  ", "a  ", id="a blank one is not certain"),
        pytest.param("a\n", "\n", "a\n", id="nor is a line's end"),
        pytest.param(f"x\r\n{READ}Pay 5 $ ", "$ ", "Pay 5 $ ", id="the command still runs"),
    ],
)
def test_the_known_prompt_is_literal(raw: str, prompt: str, shown: str) -> None:
    assert strip(raw, prompt=prompt) == shown


@pytest.mark.parametrize(
    "output",
    [
        "alice@host:~$ ls\n",
        "alice@host:~$ ls",
        "alice@host:~$ ",
        "root@4d37337ef2d6:/# ",
        "bob# done\n",
        "red user@box: 5 $ left tail\n",
        "no newline",
        "$ ",
        "> quoted\n",
        f"{PROMPT}ls\n{PROMPT}\n",
        "\x1b[31mred user@box: 5 $ left\x1b[0m",
        "\x1b]0;make\x07building",
        "\x1b]0;make\x07alice@host:~$ ls",
        "\x1b]0;make\x07it costs 5 $ ",
        f"{READING}vi\n",
        f"{READING}{PROMPT}\nmore",
        f"{TITLE}{PROMPT}\n",
    ],
)
@pytest.mark.parametrize("end", [f"{READING}{PROMPT}", f"{READING}{TITLE}{PROMPT}\x1b[K"])
def test_output_that_looks_like_a_prompt_stays(output: str, end: str) -> None:
    shown = render(output.encode())
    raw = output.replace("\n", "\r\n")
    assert strip(f"cat f\r\n{READ}{raw}{end}", command="cat f", prompt=PROMPT) == shown
    if READING not in output:
        assert strip(f"cat f\r\n{raw}{end}", command="cat f", prompt=PROMPT) == shown


def test_prompts_in_the_middle_stay() -> None:
    raw = f"echo a\r\n{READ}a\r\n{READING}{PROMPT}echo b\r\n{READ}b\r\n{READING}{PROMPT}"
    assert strip(raw) == f"a\n{PROMPT}echo b\nb\n"


def test_bytes_that_are_no_text_are_shown_as_such() -> None:
    assert strip(b"a\xff\r\n") == "a\ufffd\n"
    assert strip("\ud800", command="\udc80", prompt="\udcff").strip("\ufffd") == ""


_PIECES = st.lists(
    st.sampled_from(
        [
            *(READING, READ, TITLE, PROMPT, "$ ", "> ", "root@h:/#", "\x1b]0;root@h: /\x07", "@"),
            *("a", "ls", "ü", " ", "\r", "\n", "\r\n", "\b", "\t", "(", "[", "\x1b", "\x1b[K"),
            *("\x1b[31m", "\x1b]0;", "\x1b]", "\x07", "\x1bP", "\x1b\\", "\x1b[?2004", "h", "l"),
        ]
    ),
    max_size=30,
).map("".join)
_RAW = st.text(max_size=100) | _PIECES
_ARGUMENT = st.sampled_from(["", "ls", "ls\na", "$ ", PROMPT]) | _PIECES


@given(_RAW | st.binary(max_size=200))
@example(PROMPT)
@example(f"{READING}{READING}{PROMPT}")
def test_a_second_time_changes_nothing(raw: bytes | str) -> None:
    assert strip(strip(raw)) == strip(raw)


@given(_RAW, _ARGUMENT, _ARGUMENT)
def test_what_is_stripped_carries_nothing_more(raw: str, command: str, prompt: str) -> None:
    once = strip(raw, command=command, prompt=prompt)
    assert strip(once) == once
    assert strip(once, command=command) == once


@given(_RAW, _ARGUMENT, _ARGUMENT)
def test_text_and_bytes_give_the_same(raw: str, command: str, prompt: str) -> None:
    as_bytes = raw.encode(errors="surrogatepass")
    shown = strip(raw, command=command, prompt=prompt)
    assert shown == strip(as_bytes, command=command, prompt=prompt)


_OUTPUT = st.lists(
    st.sampled_from([PROMPT, "alice@host:~$ ls", "$ ", "> ", "a", "cat f", " ", "\t", "\n"]),
    max_size=20,
).map("".join)


@given(_OUTPUT, st.sampled_from(["", TITLE]))
def test_nothing_of_the_output_is_lost(output: str, title: str) -> None:
    raw = f"cat f\r\n{READ}" + output.replace("\n", "\r\n") + READING + title + PROMPT
    assert strip(raw) == output
    assert strip(raw, command="cat f", prompt=PROMPT) == output


_HOSTILE: dict[str, Callable[[int], str]] = {
    "marks": lambda size: (READING + READ) * (size // 16),
    "reading marks": lambda size: READING * (size // 8),
    "continuations": lambda size: f"a\r\n{READ}" + f"{READING}> a\r\n{READ}" * (size // 22),
    "continuations that do not end": lambda size: f"a\r\n{READ}{READING}" + "> \x1b" * (size // 3),
    "titles": lambda size: TITLE * (size // 27),
    "titled prompts": lambda size: (TITLE + PROMPT) * (size // 48),
    "unterminated titles": lambda size: "\x1b]0;a@" * (size // 6),
    "an unterminated title": lambda size: "\x1b]0;a@" + "b@" * (size // 2),
    "a long title": lambda size: "\x1b]0;" + "a" * size + "\x07",
    "one long line": lambda size: "a" * size,
    "one long prompt": lambda size: TITLE + "a@b" * (size // 3) + "$",
    "brackets": lambda size: TITLE + "(" * size,
    "signs": lambda size: TITLE + "a@b" + "# $ " * (size // 4),
    "spaces": lambda size: TITLE + "a@b" + " " * size,
    "short lines": lambda size: "ls\r\n" * (size // 4),
    "wraps": lambda size: "ls" + " \r" * (size // 2) + "\r\n",
    "known prompts": lambda size: PROMPT * (size // 21),
    "escapes": lambda size: "\x1b" * size,
}


def _seconds(raw: str, command: str) -> float:
    times = []
    for _ in range(2):
        started = time.process_time()
        strip(raw, command=command, prompt=PROMPT)
        times.append(time.process_time() - started)
    return min(times)


@pytest.mark.parametrize("kind", _HOSTILE)
def test_time_is_linear_in_the_input(kind: str) -> None:
    command = "ls\n" * 10_000
    small, large = (_seconds(_HOSTILE[kind](size), command) for size in (250_000, 1_000_000))
    assert large < 8 * small + 0.02


def test_time_is_linear_in_a_long_command() -> None:
    small, large = (
        _seconds("ls\r\n" + "> ls\r\n" * count, "ls" + "\nls" * count) for count in (5_000, 20_000)
    )
    assert large < 8 * small + 0.02
