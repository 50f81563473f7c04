"""Records what the interactive `mysql` client makes of what is typed: `mysql_client_splits.jsonl`.

    python tests/data/record_mysql_client.py CONTAINER > tests/data/mysql_client_splits.jsonl

The container runs a MySQL server, with the client of the same version in it (Debian's package
`mysql-client-core` beside the image `plumb-mysql`), and an account `plumb_admin` with the password
`x`. Each case is typed on a pseudo-terminal, line by line, after the prompt; `output` is what came
before the next prompt, without the echo, the bell and the carriage returns. `sent` is what reached
the server, by its general log with `log_raw`, but for what `USE` asks by itself.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator

PROMPT = "@@P> "
AT_PROMPT = re.compile(rb"(?:@@P> |    -> |    '> |    \"> |    `> |   /\*> |    \$> )\Z")
LOGIN = ("mysql", "-h127.0.0.1", "-uplumb_admin", "-px")
BY_ITSELF = ("SELECT DATABASE()", "select @@version_comment limit 1", "select $$")

CASES: dict[str, list[str]] = {
    "delimiter behind a comment of dashes": ["-- c\nDELIMITER //\nSELECT 1//\nDELIMITER ;"],
    "delimiter behind a comment of a hash": ["# c\nDELIMITER //\nSELECT 1//\nDELIMITER ;"],
    "delimiter behind a block": ["/* c */\nDELIMITER //\nSELECT 1//\nDELIMITER ;"],
    "delimiter behind a block on its line": ["/* c */ DELIMITER //\nSELECT 1//\nDELIMITER ;"],
    "delimiter behind a long block": ["/* c\n d */\nDELIMITER //\nSELECT 1//\nDELIMITER ;"],
    "delimiter behind an indented block": ["  /* c */\nDELIMITER //\nSELECT 1//\nDELIMITER ;"],
    "delimiter behind a block and a line": ["/* a */\n\nDELIMITER //\nSELECT 1//\nDELIMITER ;"],
    "delimiter behind a statement, comment": [
        "SELECT 1; -- c\nDELIMITER //\nSELECT 2//\nDELIMITER ;",
        "SELECT 1; # c\nDELIMITER //\nSELECT 2//\nDELIMITER ;",
        "SELECT 1; /* c */\nDELIMITER //\nSELECT 2//\nDELIMITER ;",
    ],
    "delimiter lasts": [
        "DELIMITER $$",
        "SELECT 1$$",
        "SELECT ';', 1$$",
        "DELIMITER ;",
        "SELECT 2;",
    ],
    "quoted delimiters": [
        "DELIMITER '//'\nSELECT 1//\nDELIMITER ;",
        'DELIMITER "$$"\nSELECT 1$$\nDELIMITER ;',
        "DELIMITER `x`\nSELECT 1x\nDELIMITER ;",
        "DELIMITER 'a b'\nSELECT 1 a b\nDELIMITER ;",
    ],
    "empty delimiters": ["DELIMITER", "DELIMITER ", "DELIMITER ''", "DELIMITER '", "SELECT 1;"],
    "delimiters with a backslash": ["DELIMITER \\\\", "DELIMITER a\\b\nSELECT 1ab\nDELIMITER ;"],
    "delimiters with more behind": [
        "DELIMITER // junk\nSELECT 1//\nDELIMITER ;",
        "DELIMITER //;\nSELECT 1//;\nDELIMITER ;",
        "  delimiter //\nSELECT 1//\n delimiter ;",
    ],
    "delimiters that begin something else": [
        "DELIMITER -- c\nSELECT 1 --\nDELIMITER ;",
        "DELIMITER #\nSELECT 1#\nDELIMITER ;",
        "DELIMITER /*\nSELECT 1/*\nDELIMITER ;",
    ],
    "a long delimiter": [
        "DELIMITER abcdefghijklmnopqrstuvwxyz\nSELECT 1 abcdefghijklmno\nDELIMITER ;"
    ],
    "a word as delimiter": ["delimiter END\nSELECT 1 END\ndelimiter ;"],
    "delimiter without a space": ["DELIMITER;;\nSELECT 1;"],
    "short commands": [
        "\\d //\nSELECT 1//\n\\d ;",
        "SELECT 1 \\d //\n+1//\n\\d ;",
        "SELECT 1 \\c SELECT 2;",
    ],
    "statements within another delimiter": [
        "DELIMITER //\nSELECT 1; SELECT 2//\nDELIMITER ;",
        "DELIMITER //\nSELECT 1\\G\nDELIMITER ;",
        "DELIMITER //\n# c //\nSELECT 2// -- c\nDELIMITER ;",
    ],
    "the word delimiter inside of a statement": ["SELECT 1 AS\ndelimiter\n;"],
    "comments inside": [
        "SELECT 1 -- c\n;",
        "SELECT 1 # c\n;",
        "SELECT /* c\n */ 1;",
        "SELECT 1 /* y; */;",
        "SELECT 5 --\n;",
        "SELECT 1--1;",
        "/* x */ SELECT 1;",
    ],
    "live comments": ["SELECT /*! 1 */;", "/*!40101 SET @a=1 */;", "/*!50000 SELECT 1; */;"],
    "hints": ["SELECT /*+ ; */ 1;", "SELECT /*+ ' */ 1;"],
    "comments behind": [
        "SELECT 1; -- y",
        "/* x */ SELECT 1; # y",
        "SELECT 1; # c\nSELECT 2; -- d\nSELECT 3 -- e\n;",
        "SELECT 1\\G # c\nSELECT 2;",
    ],
    "comments between": ["SELECT 1;\n-- c\nSELECT 2;", "SELECT 1;\n\n\nSELECT 2;"],
    "comments alone": [
        "-- c",
        "# c",
        "#;",
        "-- c\n;",
        "/* c */;",
        "/* a; */ /* b */;",
        "/* a */ -- b\n;",
        "-- a\n/* b */\n-- c\n;",
    ],
    "nothing": [";", "SELECT 1;;", "\\g", "SELECT 1\\G;"],
    "use": [
        "use shop",
        "use shop;",
        "USE shop\nSELECT 1;",
        "use shop; SELECT 2;",
        "-- c\nuse shop\nSELECT 1;",
        "use   shop  \nSELECT 1;",
        "/* a */ use shop",
        "USE nosuch",
    ],
    "use in other words": [
        "use",
        "USE;",
        "use ''",
        "USE shop junk",
        "use nosuch junk;",
        "use shop, x",
        "use `shop`",
        "use 'shop';",
        "use sh\\op",
        "use shop\\g",
        "use shop\\G",
        "/* c */ use shop;",
        "/* a */ use /* b */ shop",
        "use shop -- c",
        "SELECT 1; use shop;",
        "use `sh``op`",
    ],
    "no backslash escapes": [
        "SET sql_mode = 'NO_BACKSLASH_ESCAPES';",
        "SELECT 'a\\';",
        "SELECT 'a\\', \"b\\\", `c\\` FROM (SELECT 1 AS `c\\`) x; SELECT 2;",
        "SELECT 'it''s\\' \\G",
        "SET sql_mode = DEFAULT; SELECT 'a\\';b';",
    ],
    "escapes come and go": [
        "SET sql_mode = 'NO_BACKSLASH_ESCAPES'; SELECT 'a\\'; SET sql_mode = ''; SELECT '\\';b';",
        "SET sql_mode = 'NO_BACKSLASH_ESCAPES';\nSELECT 'C:\\';\nDELIMITER //\nSELECT '\\'//\n"
        "SET sql_mode = DEFAULT//\nSELECT '\\'//b'//\nDELIMITER ;",
    ],
    "a mode for names": [
        "SET sql_mode = 'ANSI_QUOTES';",
        'SELECT "a;b" FROM (SELECT 1 AS "a;b") x;',
        'SELECT "a\\";b" FROM (SELECT 1 AS "a\\";b") x;',
    ],
    "dollar quotes": [
        "SELECT $$a;b$$;",
        "SELECT $x$a;b$x$; SELECT 1;",
        "SELECT $$ ' $$, 1;",
        "SELECT '$$'; SELECT `$$` FROM (SELECT 1 AS `$$`) x;",
        "SELECT 1 AS a$$b; SELECT 2 AS a$x$b, 3 AS c$x$d;",
        "SELECT $1$a;$1$;",
        "SELECT $x; y$ ;",
        "SELECT $é$a;$é$;",
        "SELECT $x$a$y$;$x$;",
        "SELECT $ ; SELECT 1;",
        "SELECT @a$$; SELECT 2;",
        "SELECT /* $$ */ 1; SELECT 2; # $$",
    ],
    "dollars as quotes and as delimiter": [
        "DELIMITER $$\nSELECT 1$$\nSELECT 'a' $$\nSELECT $x$ a$$ b $x$$$\nDELIMITER ;\nSELECT 2;",
    ],
    "names that are keywords": [
        "CREATE TABLE event (id INT, begin INT); SELECT 1\\G",
        "CREATE TABLE t (begin INT, `end` INT); SELECT begin FROM t; SELECT 2;",
    ],
    "quotes": [
        "SELECT 'a\nb' x\\G",
        "SELECT 'a\\'b;', \"c;\", `1` FROM (SELECT 1) x\\G SELECT 2\\g SELECT 3;",
        'SELECT "a\\"b;c";',
        "SELECT `a\\`;",
        "SELECT 'it''s;';",
    ],
    "names of many bytes": [
        "SELECT 1 AS `ä`, 2 AS `日本`, 3 AS abc\\G",
        "SELECT 'ä' AS `ä`, '日本', 'e\u0301';",
    ],
    "a program that is cut": ["CREATE PROCEDURE p() IF 1 THEN SELECT 1; END IF;"],
}


class Client:
    """The client on a pseudo-terminal."""

    def __init__(self, container: str) -> None:
        self._terminal, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 1000, 0, 0))
        environment = ("-e", "LANG=C.UTF-8", "-e", "TERM=dumb", "-e", "MYSQL_HISTFILE=/dev/null")
        command = ("docker", "exec", "-it", *environment, container, *LOGIN, f"--prompt={PROMPT}")
        self._process = subprocess.Popen(
            (*command, "--default-character-set=utf8mb4", "shop"),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
        )
        os.close(theirs)
        self._read()

    def type(self, line: str) -> str:
        """Types a line; returns what is printed before the next prompt."""
        os.write(self._terminal, line.encode() + b"\n")
        printed = AT_PROMPT.sub(b"", self._read()).decode()
        _, _, output = printed.partition("\n")  # the echo
        return output.replace("\r", "").replace("\a", "")

    def close(self) -> None:
        """Ends it."""
        self._process.kill()
        self._process.wait()
        os.close(self._terminal)

    def _read(self) -> bytes:
        printed = b""
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            if select.select([self._terminal], [], [], 0.3)[0]:
                printed += os.read(self._terminal, 65536)
            elif AT_PROMPT.search(printed):
                return printed
        raise TimeoutError(printed)


def ask(container: str, *statements: str) -> str:
    """Asks the server, as the administrator."""
    command = ("docker", "exec", container, *LOGIN, "--batch", "--raw", "-N", "-e")
    done = subprocess.run(
        (*command, "; ".join(statements)), capture_output=True, text=True, check=True
    )
    return done.stdout


def sent(container: str) -> Iterator[str]:
    """What reached the server since the log was emptied."""
    logged = ask(
        container,
        "SET GLOBAL general_log = OFF",
        "SELECT HEX(argument) FROM mysql.general_log WHERE command_type = 'Query' "
        "AND argument NOT LIKE '%general_log%' ORDER BY event_time",
    )
    for line in logged.splitlines():
        statement = bytes.fromhex(line).decode()
        if statement not in BY_ITSELF:
            yield statement


def record(container: str, name: str, steps: list[str]) -> dict[str, object]:
    """Plays one case."""
    ask(container, "DROP DATABASE IF EXISTS shop", "CREATE DATABASE shop")
    ask(container, "SET GLOBAL log_output = 'TABLE'", "SET GLOBAL log_raw = ON")
    with contextlib.closing(Client(container)) as client:
        turns = []
        for action in steps:
            ask(container, "TRUNCATE mysql.general_log", "SET GLOBAL general_log = ON")
            output = "".join(map(client.type, action.split("\n")))
            turns.append({"action": action, "output": output, "sent": list(sent(container))})
    return {"name": name, "turns": turns}


def main() -> None:
    """Records all cases."""
    for name, steps in CASES.items():
        case = record(sys.argv[1], name, steps)
        sys.stdout.write(json.dumps(case, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
