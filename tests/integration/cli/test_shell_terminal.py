"""`plumb shell` on the terminal of a person: what reaches it, its size, and whole statements."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import subprocess
import sys
import termios

SHELL = [sys.executable, "-m", "plumb_cli", "shell"]


def plumb_shell(*arguments: str, stdin: str) -> str:
    run = subprocess.run(
        [*SHELL, *arguments], input=stdin, capture_output=True, text=True, timeout=240, check=True
    )
    return run.stdout


def test_a_hostile_place_and_hostile_output_steer_no_terminal() -> None:
    typed = (
        "mkdir -p $'/tmp/a\\e]52;c;eA==\\ab' && cd $'/tmp/a\\e]52;c;eA==\\ab'\n"
        "printf '\\033]0;taken\\007\\033[6n\\033[31mred\\033[0m\\n'\n"
    )
    printed = plumb_shell(stdin=typed)
    assert "\x1b]" not in printed
    assert "\x1b[6n" not in printed
    assert ":/tmp/a\\x1b]52;c;eA==\\x07b# " in printed
    assert "\x1b[31mred\x1b[0m" in printed


def test_statements_are_read_up_to_their_delimiter() -> None:
    typed = "SELECT\n 'a;\nb' AS x\n;\nDELIMITER //\nSELECT 6 * 7 AS y; //\n"
    printed = plumb_shell("mysql", stdin=typed)
    assert "mysql>     ->     '>     -> " in printed
    assert "| 42 |" in printed
    assert printed.count("row in set") == 2


def test_a_real_shell_has_the_size_of_the_terminal() -> None:
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (33, 101))
    with subprocess.Popen(
        SHELL, stdin=subprocess.PIPE, stdout=theirs, stderr=subprocess.STDOUT, close_fds=True
    ) as process:
        os.close(theirs)
        assert process.stdin is not None
        process.stdin.write(b"stty size; echo done\n")
        process.stdin.close()
        printed = b""
        with contextlib.suppress(OSError):  # how a terminal tells that nobody writes any more
            while data := os.read(ours, 65536):
                printed += data
        assert process.wait(120) == 0
    os.close(ours)
    assert re.search(rb"33 101\r*\n", printed)
