"""What the client makes of an action."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plumb_backends.sql.statements import NO_QUERY, Rules, Statement, split

OLD = Rules(sends_comments=False, has_dollar_quotes=False)
DATA = Path(__file__).parents[2] / "data"
_USE = re.compile(rb"use\b", re.IGNORECASE)


PROCEDURE = (
    b"CREATE PROCEDURE p() BEGIN IF 1 THEN SELECT 1; END IF; SELECT CASE 1 WHEN 1 THEN 2 END; END"
)


def texts(action: bytes, delimiter: bytes = b";") -> list[bytes]:
    return [statement.text for statement in split(action, delimiter).statements]


MODES = {"no backslash escapes", "escapes come and go"}
"""Where statements change how those behind them are split; see `test_splitting.py`."""


def cases() -> list[dict[str, Any]]:
    """What the real client sent; see `record_mysql_client.py`."""
    lines = (DATA / "mysql_client_splits.jsonl").read_text().splitlines()
    return [case for case in map(json.loads, lines) if case["name"] not in MODES]


@pytest.mark.parametrize("case", cases(), ids=lambda case: str(case["name"]))
def test_what_is_sent_is_what_the_client_sends(case: dict[str, Any]) -> None:
    delimiter = b";"
    for turn in case["turns"]:
        found = split(turn["action"].encode(), delimiter)
        delimiter = found.delimiter
        sent = [one.text.decode() for one in found.statements if one.text]
        asked = [text for text in sent if not _USE.match(text.encode())]
        if "PROCEDURE" not in turn["action"]:  # which the client would cut; see below
            logged = [text for text in turn["sent"] if not _USE.match(text.encode())]
            assert [text.rstrip("; ") for text in asked] == [text.rstrip("; ") for text in logged]
        problems = [one.problem for one in found.statements if not one.text]
        assert problems == re.findall(r"ERROR: \n(.+)", turn["output"])


@pytest.mark.parametrize(
    ("action", "statements"),
    [
        (b"SELECT 1", [b"SELECT 1"]),
        (b"SELECT 1;", [b"SELECT 1"]),
        (b"  SELECT 1 ;\n\n", [b"SELECT 1"]),
        (b"SELECT 1; SELECT 2", [b"SELECT 1", b"SELECT 2"]),
        (b"SELECT ';', \";\", `;`;", [b"SELECT ';', \";\", `;`"]),
        (b"SELECT 1 /* ; */; -- ;\nSELECT 2", [b"SELECT 1 /* ; */ -- ;", b"SELECT 2"]),
        (b"", []),
        (b" \n ", []),
        (b"-- nothing", [b"-- nothing"]),
        (b"/* nothing */", [b"/* nothing */"]),
        (b";", [b""]),
        (b"SELECT 1;;", [b"SELECT 1", b""]),
        (b"SELECT 'a;", [b"SELECT 'a"]),
        (b"SELECT 'a; SELECT 2;", [b"SELECT 'a; SELECT 2"]),
        (b"```sql\nSELECT 1;\n```", [b"```sql\nSELECT 1;\n```"]),
        (b"\\! ls", [b"\\! ls"]),
        (b"source /etc/passwd", [b"source /etc/passwd"]),
        (b"system ls", [b"system ls"]),
    ],
)
def test_an_action_is_split_as_the_client_does(action: bytes, statements: list[bytes]) -> None:
    assert texts(action) == statements


def test_a_backslash_g_shows_rows_vertically() -> None:
    assert split(rb"SELECT 1\G SELECT 2\g SELECT 3").statements == [
        Statement(b"SELECT 1", vertical=True),
        Statement(b"SELECT 2"),
        Statement(b"SELECT 3"),
    ]


@pytest.mark.parametrize("delimiter", [b"//", b"$$", b"|", b"END_OF_IT"])
def test_delimiter_changes_the_end(delimiter: bytes) -> None:
    action = b"DELIMITER %s\nCREATE PROCEDURE p() BEGIN SELECT 1; END%s\ndelimiter ;\nCALL p();" % (
        delimiter, delimiter,
    )  # fmt: skip
    assert texts(action) == [
        b"CREATE PROCEDURE p() BEGIN SELECT 1; END",
        b"CALL p()",
    ]


def test_a_stored_program_without_delimiter_is_one_statement() -> None:
    assert texts(PROCEDURE + b"; CALL p()") == [PROCEDURE, b"CALL p()"]


def test_begin_alone_begins_a_transaction() -> None:
    assert texts(b"BEGIN; SELECT 1; COMMIT") == [
        b"BEGIN",
        b"SELECT 1",
        b"COMMIT",
    ]


def test_every_recorded_action_is_one_statement_but_for_a_comment_before_it() -> None:
    lines = (DATA / "mysql_client_recordings.jsonl").read_text("utf-8").splitlines()
    recordings = list(map(json.loads, lines))
    actions = [turn["action"] for one in recordings for turn in one["runs"][0]["turns"]]
    assert len(actions) > 150
    several = [action for action in actions if len(texts(action.encode())) != 1]
    assert several == [action for action in actions if action.startswith("-- ")]


PROGRAMS = [
    "CREATE PROCEDURE p() IF 1 THEN SELECT 1; ELSEIF 2 THEN SELECT 2; ELSE SELECT 3; END IF",
    "CREATE PROCEDURE p(a INT) WHILE a DO DO SLEEP(0); SET a = a - 1; END WHILE",
    "CREATE PROCEDURE p(a INT) w: LOOP SET a = 1; IF a THEN LEAVE w; END IF; END LOOP w",
    "CREATE PROCEDURE p(a INT) REPEAT SET a = a - 1; UNTIL a = CASE 1 WHEN 1 THEN 0 END END REPEAT",
    "CREATE PROCEDURE p(a INT) CASE a WHEN 1 THEN SELECT 1; "
    "ELSE SELECT CASE 1 WHEN 2 THEN 3 END; BEGIN SELECT 4; END; END CASE",
    "CREATE PROCEDURE p() BEGIN END",
    "CREATE PROCEDURE p() a: BEGIN b: BEGIN SELECT 1; END b; END a",
    "CREATE PROCEDURE IF NOT EXISTS p() COMMENT 'begin' MODIFIES SQL DATA BEGIN SELECT 1; END",
    "CREATE DEFINER=`a`@`%` PROCEDURE p() SQL SECURITY INVOKER BEGIN SELECT ';'; END",
    "CREATE DEFINER = event@b FUNCTION f(x SET('a','b')) RETURNS SET('a') RETURN REPEAT(x, 2)",
    "CREATE FUNCTION f(x INT) RETURNS CHAR(9) CHARACTER SET utf8mb4 RETURN IF(x, 1, 2)",
    "CREATE FUNCTION f(x INT) RETURNS INT RETURN CASE x WHEN 1 THEN 2 ELSE 3 END",
    "CREATE TRIGGER t BEFORE INSERT ON row FOR EACH ROW FOLLOWS begin SET NEW.a = 1",
    "CREATE TRIGGER t AFTER UPDATE ON x FOR EACH ROW IF NEW.a THEN SET NEW.b = 1; END IF",
    "CREATE EVENT e ON SCHEDULE EVERY 1 DAY DO BEGIN SELECT 1; SELECT 2; END",
    "ALTER EVENT e DO BEGIN SELECT 1; SELECT 2; END",
    "ALTER DEFINER=a@b EVENT e ON SCHEDULE EVERY 1 DAY DO IF 1 THEN SELECT 1; END IF",
    "CREATE PROCEDURE p() BEGIN DECLARE EXIT HANDLER FOR SQLSTATE '23000', NOT FOUND BEGIN "
    "ROLLBACK; END; DECLARE CONTINUE HANDLER FOR 1062 SET @x = REPEAT('a', 2); SELECT begin, "
    "end FROM t; END",
    "CREATE PROCEDURE p() BEGIN DECLARE CONTINUE HANDLER FOR 1062 IF 1 THEN SELECT 1; END IF; END",
    "CREATE PROCEDURE p() BEGIN CREATE TABLE t (begin INT, end INT); DROP TABLE IF EXISTS u; END",
    "CREATE PROCEDURE p() CREATE TABLE t (begin INT, end INT)",
    "/*!50003 CREATE*/ /*!50003 TRIGGER t BEFORE INSERT ON x FOR EACH ROW BEGIN SELECT 1; END */",
    "/* d */ CREATE PROCEDURE p() BEGIN SELECT 1; END",
]
NO_PROGRAMS = [
    "CREATE TABLE event (id INT, begin INT)",
    "CREATE TABLE procedure_log (begin INT)",
    "CREATE VIEW v AS SELECT CASE 1 WHEN 1 THEN 2 END AS event",
    "CREATE DEFINER=a@b SQL SECURITY INVOKER VIEW function_view AS SELECT begin FROM t",
    "ALTER TABLE event ADD begin INT",
    "CREATE USER begin",
    "SELECT begin FROM event",
    "BEGIN",
    "DROP PROCEDURE IF EXISTS p",
    "CREATE PROCEDURE",
]


@pytest.mark.parametrize("statement", [*PROGRAMS, *NO_PROGRAMS])
def test_a_statement_ends_where_it_ends_whatever_it_makes(statement: str) -> None:
    action = f"{statement}; SELECT 2; {statement};".encode()
    assert texts(action) == [statement.encode(), b"SELECT 2", statement.encode()]


@pytest.mark.parametrize("statement", [*PROGRAMS, *NO_PROGRAMS])
def test_within_a_delimiter_nothing_is_read_into_a_statement(statement: str) -> None:
    action = f"DELIMITER //\n{statement} //\nSELECT 2; //\nDELIMITER ;\nSELECT 3;".encode()
    assert texts(action) == [statement.encode(), b"SELECT 2;", b"SELECT 3"]


def test_a_vertical_end_ends_an_open_program() -> None:
    found = split(b"CREATE PROCEDURE p() BEGIN SELECT 1\\G SELECT 2").statements
    assert [one.vertical for one in found] == [True, False]


def test_a_delimiter_lasts() -> None:
    first = split(b"DELIMITER $$\nSELECT 1; $$")
    assert first.delimiter == b"$$"
    assert texts(b"SELECT 2; $$ SELECT 3", first.delimiter) == [b"SELECT 2;", b"SELECT 3"]


@pytest.mark.parametrize("action", [b"-- c", b"# c\n", b"/* c */", b"-- c\n/* d */\n# e"])
def test_a_client_before_9_says_nothing_of_comments(action: bytes) -> None:
    assert split(action, rules=OLD).statements == []
    nothing = Statement(b"", problem=NO_QUERY)
    assert split(action + b"\n;", rules=OLD).statements == [nothing]


TYPED = [
    b"delimiter ", b"//", b";", b"'", b"`", b"\\", b"\n", b" ", b"-- ", b"#", b"/*", b"*/", b"a",
    b"use ", b"CREATE PROCEDURE p()", b" BEGIN ", b" END ", b" CASE ", b"\\d ", b"\\c", b"\\G",
    b"/*!", b"\0", b"$$", b"$a$", b"$",
]  # fmt: skip


@given(st.lists(st.sampled_from(TYPED)))
def test_whatever_is_typed_is_split(pieces: list[bytes]) -> None:
    action = b"".join(pieces)
    found = split(action)
    assert 1 <= len(found.delimiter) <= 15
    assert all(bool(one.text) != bool(one.problem) for one in found.statements)
    quotes = sum(2 for one in found.statements if one.is_use)  # around a name that had none
    assert sum(len(one.text) for one in found.statements) <= len(action) + quotes
    # What is behind a statement that is sent is split the same when it is split alone.
    for number, (start, delimiter) in enumerate(found.ends, 1):
        if found.statements[number - 1].text:
            again = split(action, delimiter, start=start)
            assert again.statements == found.statements[number:]


def repeated(piece: bytes, size: int) -> bytes:
    return piece * (size // len(piece))


PIECES = [
    b";",
    b"\n",
    b" \n",
    b"'",
    b"''",
    b"a'",
    b"';",
    b'"',
    b"`",
    b"\\",
    b"/*",
    b"/* a */",
    b"/***",
    b"-",
    b"-- ",
    b"-- c\n",
    b"#\n",
    b"/",
    b"(((",
    b"a.",
    b"@",
    b"a",
    b"\0",
    "\u00e4".encode(),
    b"/*!1 ",
    b"\\g",
    b"\\c",
    b"\\d x\n",
    b"delimiter x\n",
    b"delimiter '\n",
    b"use a\n",
    b"use a;",
    b"/* c */ use a;",
    b"$",
    b"$$",
    b" $$ ",
    b" $a",
    b" $a;",
    b" $a$;",
    b"create procedure p() $a$;",
    b"case ",
    b"create definer=;",
    b"create procedure p() begin ",
    b"create procedure p() x;",
    b"create procedure p() begin end;",
    b"SELECT a, b FROM t WHERE x = 'y';\n",
    b"(1, 'some text', NULL, 2.5), ",
]
HOSTILE: dict[str, Callable[[int], bytes]] = {
    **{piece.decode(): partial(repeated, piece) for piece in PIECES},
    "a delimiter of dots": lambda size: b"delimiter %b\n%b" % (b"." * (size // 2), b"." * size),
    "a delimiter of letters": lambda size: b"delimiter aaaaaaaaaaaaaab\n" + b"a" * size,
    "dollars with ever other tags": lambda size: b"".join(
        b" $%d$;" % number for number in range(size // 8)
    ),
    "a tag without an end": lambda size: b" $" + b"a" * size,
    "use of a long name": lambda size: b"use " + b"`" * size,
    "an open program": lambda size: b"create procedure p() begin " + b"case " * (size // 5),
    "ends": lambda size: b"create procedure p() begin " + b"end;" * (size // 4),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_splitting_is_linear(name: str) -> None:
    def seconds(size: int) -> float:
        action = HOSTILE[name](size)
        started = time.process_time()
        split(action)
        return time.process_time() - started

    once, twice = seconds(100_000), seconds(200_000)
    assert twice < 8 * once + 0.5
