"""What the client makes of an action."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from plumb_backends.sql.statements import Statement, split

PROCEDURE = (
    b"CREATE PROCEDURE p() BEGIN IF 1 THEN SELECT 1; END IF; SELECT CASE 1 WHEN 1 THEN 2 END; END"
)


@pytest.mark.parametrize(
    ("action", "statements"),
    [
        (b"SELECT 1", [b"SELECT 1"]),
        (b"SELECT 1;", [b"SELECT 1"]),
        (b"  SELECT 1 ;\n\n", [b"SELECT 1"]),
        (b"SELECT 1; SELECT 2", [b"SELECT 1", b"SELECT 2"]),
        (b"SELECT ';', \";\", `;`;", [b"SELECT ';', \";\", `;`"]),
        (b"SELECT 1 /* ; */; -- ;\nSELECT 2", [b"SELECT 1 /* ; */", b"-- ;\nSELECT 2"]),
        (b"", []),
        (b" \n ", []),
        (b"-- nothing", []),
        (b"/* nothing */", []),
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
    assert [statement.text for statement in split(action)] == statements


def test_a_backslash_g_shows_rows_vertically() -> None:
    assert split(rb"SELECT 1\G SELECT 2\g SELECT 3") == [
        Statement(b"SELECT 1", vertical=True),
        Statement(b"SELECT 2"),
        Statement(b"SELECT 3"),
    ]


@pytest.mark.parametrize("delimiter", [b"//", b"$$", b"|", b"END_OF_IT"])
def test_delimiter_changes_the_end(delimiter: bytes) -> None:
    action = b"DELIMITER %s\nCREATE PROCEDURE p() BEGIN SELECT 1; END%s\ndelimiter ;\nCALL p();" % (
        delimiter, delimiter,
    )  # fmt: skip
    assert [statement.text for statement in split(action)] == [
        b"CREATE PROCEDURE p() BEGIN SELECT 1; END",
        b"CALL p()",
    ]


def test_a_stored_program_without_delimiter_is_one_statement() -> None:
    assert [one.text for one in split(PROCEDURE + b"; CALL p()")] == [PROCEDURE, b"CALL p()"]


def test_begin_alone_begins_a_transaction() -> None:
    assert [one.text for one in split(b"BEGIN; SELECT 1; COMMIT")] == [
        b"BEGIN",
        b"SELECT 1",
        b"COMMIT",
    ]


def test_every_recorded_action_is_one_statement() -> None:
    with Path("tests/data/mysql_client_recordings.jsonl").open(encoding="utf-8") as lines:
        recordings = [json.loads(line) for line in lines]
    actions = [turn["action"] for one in recordings for turn in one["runs"][0]["turns"]]
    assert len(actions) > 150
    assert [action for action in actions if len(split(action.encode())) != 1] == []
