"""One wide cell makes every row of a table as wide: what is printed is bounded all the same."""

from __future__ import annotations

import pytest
from mysql.connector import FieldType

from plumb_backends.sql.client_rendering import render
from plumb_backends.sql.result import Column, RawRows


def result_of(rows: list[tuple[bytes | None, ...]], columns: int = 1, name: str = "a") -> RawRows:
    column = Column(name=name, type_code=FieldType.VAR_STRING, charset=255)
    return RawRows(columns=(column,) * columns, rows=rows, total_rows=len(rows))


@pytest.mark.parametrize("vertical", [False, True])
def test_a_wide_cell_beside_many_rows_prints_no_gigabyte(vertical: bool) -> None:
    rows = [(b"x" * 100_000,), *([(b"y",)] * 100_000)]
    text = render(result_of(rows), vertical=vertical)
    assert len(text) < 8_000_000
    assert "x" * 100_000 in text


def test_rows_that_are_not_shown_are_counted() -> None:
    text = render(result_of([(b"x" * 1_000_000,), (b"y",), (b"z",)]))
    assert "[... 1 row cut ...]" in text
    assert "3 rows in set" in text


def test_long_names_of_many_columns_print_no_gigabyte_either() -> None:
    rows: list[tuple[bytes | None, ...]] = [(None,) * 1000] * 1000
    assert len(render(result_of(rows, columns=1000, name="n" * 200), vertical=True)) < 16_000_000


def test_an_ordinary_table_is_whole() -> None:
    text = render(result_of([(b"y",)] * 5000))
    assert text.count("| y    |\n") == 5000
    assert "cut" not in text
