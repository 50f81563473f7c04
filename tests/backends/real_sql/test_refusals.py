"""XA is refused on a shared server however it is written, and looking for it takes no time."""

from __future__ import annotations

import time

import pytest

from plumb_backends.real.sql.refusals import refusal

REFUSED = [
    "XA START 'a'",
    "xa\tBegin 'a'",
    "XA/**/PREPARE 'a'",
    "XA /*!80000 COMMIT 'a' */",
    "XA /*!99999 nothing */ ROLLBACK 'a'",
    "XA -- why\nRECOVER",
    "XA # why\n END 'a'",
    "XA # XA\n END 'a'",
    "XA/* * / */ -- */ x\n/*!*/ END 'a'",
    "CREATE PROCEDURE p() BEGIN SELECT '\\'; XA START 'a'; SELECT '\\'; END",
]
LET_THROUGH = [
    "SELECT xa FROM t",
    "SELECT CASE WHEN xa > 1 THEN 2 END FROM t",
    "SELECT `xa` end FROM t",
    "SELECT t.xa end FROM t",
    "XAEND",
    "XA ENDING",
    "XA -- END",
    "XA /*/ END",
    "INSERT INTO t VALUES ('maxa start')",
]


@pytest.mark.parametrize("statement", REFUSED)
def test_xa_is_refused_however_it_is_written(statement: str) -> None:
    refused = refusal(statement.encode())
    assert refused is not None
    assert "use isolation 'dedicated'" in refused.message


@pytest.mark.parametrize("statement", LET_THROUGH)
def test_a_name_that_looks_like_it_is_none(statement: str) -> None:
    assert refusal(statement.encode()) is None


@pytest.mark.parametrize(
    "piece", ["/*!*/", "/*!8 ", "#*/\n", "#XA\n", "XA#\n", "XA/*", "XA ", "*/", "-- \n", "\n"]
)
def test_looking_for_it_is_linear(piece: str) -> None:
    def took(count: int) -> float:
        started = time.process_time()
        assert refusal(b"XA" + piece.encode() * count + b"y") is None
        return time.process_time() - started

    took(1000)
    assert took(80_000) < 32 * max(took(10_000), 0.02)
