"""The three renderings; what is expected of `client` is what the real client printed."""

from __future__ import annotations

import datetime
import time
from decimal import Decimal

import pytest
from mysql.connector import FieldType
from mysql.connector.constants import FieldFlag

from plumb_backends.environment import SqlCell, Temporal
from plumb_backends.kinds.mysql import Rendering
from plumb_backends.sql import client_rendering
from plumb_backends.sql.rendering import Shown, render_all, to_detail
from plumb_backends.sql.result import Cell, Column, RawError, RawOk, RawResult, RawRows
from plumb_backends.sql.values import to_python, to_value

TEXT, INT, BLOB = FieldType.VAR_STRING, FieldType.LONGLONG, FieldType.BLOB
NOT_NULL = FieldFlag.NOT_NULL
FAILED = RawError(errno=1146, sqlstate="42S02", message="Table 'shop.nope' doesn't exist")


def column(name: str, kind: int = TEXT, flags: int = 0, charset: int = 255) -> Column:
    return Column(name=name, type_code=kind, flags=flags, charset=charset)


def rows(columns: list[Column], *cells: tuple[Cell, ...], warnings: int = 0) -> RawRows:
    return RawRows(columns=tuple(columns), rows=cells, total_rows=len(cells), warnings=warnings)


def printed(result: RawResult, *, vertical: bool = False) -> list[str]:
    return client_rendering.render(result, vertical=vertical).splitlines()


def test_texts_stand_left_numbers_right_and_null_needs_four_cells() -> None:
    table = rows([column("a"), column("n", INT)], (b"x", b"5"), (None, None))
    assert printed(table) == [
        "+------+------+",
        "| a    | n    |",
        "+------+------+",
        "| x    |    5 |",
        "| NULL | NULL |",
        "+------+------+",
        "2 rows in set (0.000 sec)",
    ]


def test_a_column_that_cannot_be_null_may_be_narrow() -> None:
    table = rows([column("1", INT, NOT_NULL)], (b"1",))
    assert printed(table)[:3] == ["+---+", "| 1 |", "+---+"]


@pytest.mark.parametrize(
    ("cell", "line"),
    [("山", "| 山  |"), ("é", "| é  |"), ("e\u0301", "| e\u0301  |"), ("👍", "| 👍     |")],
)
def test_widths_are_bytes_and_padding_is_cells(cell: str, line: str) -> None:
    assert printed(rows([column("a", TEXT, NOT_NULL)], (cell.encode(),)))[3] == line


def test_binary_data_is_digits_in_a_column_of_twice_its_width() -> None:
    columns = [column("b", FieldType.BIT, 0, 63), column("c", BLOB, NOT_NULL, 63)]
    assert printed(rows(columns, (b"\x05", b"ab")))[3] == "| 0x05       | 0x6162 |"


def test_a_nul_is_a_space_and_other_controls_stay() -> None:
    assert printed(rows([column("a", TEXT, NOT_NULL)], (b"a\0b",)))[3] == "| a b |"
    assert "a\tb" in client_rendering.render(rows([column("a")], (b"a\tb",)))


def test_vertical_rows_have_right_aligned_names() -> None:
    table = rows([column("a"), column("long")], (b"x", None))
    assert printed(table, vertical=True) == [
        "*************************** 1. row ***************************",
        "   a: x",
        "long: NULL",
        "1 row in set (0.000 sec)",
    ]


@pytest.mark.parametrize(
    ("result", "text"),
    [
        (rows([column("a")]), "Empty set (0.000 sec)"),
        (rows([column("a")], warnings=1), "Empty set, 1 warning (0.000 sec)"),
        (RawOk(), "Query OK, 0 rows affected (0.000 sec)"),
        (RawOk(affected_rows=1, warnings=3), "Query OK, 1 row affected, 3 warnings (0.000 sec)"),
        (
            RawOk(affected_rows=2, info="Rows matched: 2  Changed: 2  Warnings: 0"),
            "Query OK, 2 rows affected (0.000 sec)\nRows matched: 2  Changed: 2  Warnings: 0",
        ),
        (RawOk(changed_database=True), "Database changed"),
        (FAILED, "ERROR 1146 (42S02): Table 'shop.nope' doesn't exist"),
        (
            RawError(errno=0, sqlstate="", message="No query specified"),
            "ERROR: \nNo query specified",
        ),
    ],
)
def test_what_has_no_table_is_a_line(result: RawResult, text: str) -> None:
    assert client_rendering.render(result) == text


@pytest.mark.parametrize(
    ("seconds", "decimals", "text"),
    [
        (0.0012, 3, "0.001 sec"),
        (0.0012, 2, "0.00 sec"),
        (61.5, 2, "1 min 1.50 sec"),
        (3600.0, 2, "1 hour 0 min 0.00 sec"),
        (7384.25, 3, "2 hours 3 min 4.250 sec"),
    ],
)
def test_a_duration_is_written_as_the_client_does(seconds: float, decimals: int, text: str) -> None:
    assert client_rendering.format_duration(seconds, decimals) == text


def test_the_client_counts_milliseconds_since_version_9() -> None:
    assert (client_rendering.duration_decimals(8), client_rendering.duration_decimals(9)) == (2, 3)


def test_rows_that_are_not_kept_are_counted() -> None:
    cut = RawRows(columns=(column("a"),), rows=[(b"x",)], total_rows=5)
    assert printed(cut)[-3:] == ["[... 4 rows cut ...]", "+------+", "5 rows in set (0.000 sec)"]


def test_a_result_that_was_stopped_has_no_count() -> None:
    stopped = RawRows(columns=(column("a"),), rows=[(b"x",)], total_rows=5, is_complete=False)
    assert printed(stopped)[-1] == "+------+"


def test_the_client_leaves_a_line_free_behind_results_but_not_behind_errors() -> None:
    text = render_all([Shown(RawOk()), Shown(FAILED)], Rendering.CLIENT, server_major=9)
    assert (
        text == f"Query OK, 0 rows affected (0.000 sec)\n\nERROR 1146 (42S02): {FAILED.message}\n"
    )


def test_nothing_is_free_behind_a_changed_database_and_a_line_behind_no_query() -> None:
    nothing = RawError(errno=0, sqlstate="", message="No query specified")
    shown = [Shown(RawOk(changed_database=True)), Shown(nothing), Shown(RawOk())]
    assert render_all(shown, Rendering.CLIENT, server_major=9) == (
        "Database changed\nERROR: \nNo query specified\n\nQuery OK, 0 rows affected (0.000 sec)\n\n"
    )


def test_vertical_names_are_padded_by_bytes() -> None:
    table = rows([column("ä"), column("日本"), column("abc")], (b"1", b"2", b"3"))
    assert printed(table, vertical=True)[1:4] == ["    ä: 1", "日本: 2", "   abc: 3"]


MIB = 1024 * 1024
BOMBS: dict[str, RawRows] = {
    "a wide cell above many rows": rows([column("a")], (b"x" * MIB,), *[(b"y",)] * 50_000),
    "a wide cell of digits": rows([column("a", BLOB, 0, 63)], (b"x" * MIB,), *[(b"y",)] * 50_000),
    "many columns": rows([column(f"c{n}") for n in range(100_000)], (None,) * 100_000),
    "many rows of nothing": rows([column("a" * 200)], *[(None,)] * 200_000),
    "wide characters": rows([column("日" * 60)], (("本" * 300_000).encode(),)),
    "bytes that are no text": rows([column("a")], (b"\xff\xc3" * 500_000,)),
}


@pytest.mark.parametrize("name", BOMBS)
@pytest.mark.parametrize("vertical", [False, True])
def test_a_rendering_is_bounded_whatever_the_rows_are(name: str, vertical: bool) -> None:
    shown = [Shown(BOMBS[name], vertical)] * 4
    text = render_all(shown, Rendering.CLIENT, server_major=9)
    assert len(text) < 20 * MIB


@pytest.mark.parametrize("rendering", list(Rendering))
@pytest.mark.parametrize("piece", ["x", "日", "\0", "'", '"', "\\", "\n", "👍", "e\u0301"])
def test_a_rendering_is_linear(rendering: Rendering, piece: str) -> None:
    def seconds(size: int) -> float:
        cell = (piece * (size // len(piece.encode()))).encode()
        many = [(cell[: 16 * (size // 16)][n : n + 16],) for n in range(0, size, 4096)]
        shown = [Shown(rows([column("a")], (cell,))), Shown(rows([column("a")], *many))]
        started = time.process_time()
        render_all(shown, rendering, server_major=9)
        return time.process_time() - started

    once, twice = seconds(250_000), seconds(500_000)
    assert twice < 8 * once + 0.5


VALUES: list[tuple[int, int, int, bytes | None, object, SqlCell]] = [
    # type, flags, charset, cell, for Python programs, on the wire
    (INT, 0, 63, b"-5", -5, -5),
    (INT, FieldFlag.UNSIGNED, 63, b"18446744073709551615", 2**64 - 1, 2**64 - 1),
    (FieldType.DOUBLE, 0, 63, b"1.5", 1.5, 1.5),
    (FieldType.NEWDECIMAL, 0, 63, b"1.50", Decimal("1.50"), Decimal("1.50")),
    (FieldType.DATE, 0, 63, b"2021-01-01", datetime.date(2021, 1, 1), Temporal("2021-01-01")),
    (FieldType.DATE, 0, 63, b"0000-00-00", None, Temporal("0000-00-00")),
    (FieldType.TIME, 0, 63, b"-01:00:00", datetime.timedelta(hours=-1), Temporal("-01:00:00")),
    (FieldType.YEAR, 0, 63, b"2020", 2020, Temporal("2020")),
    (TEXT, 0, 255, "ä".encode(), "ä", "ä"),
    (TEXT, FieldFlag.BINARY, 63, b"\xff", b"\xff", b"\xff"),
    (FieldType.BIT, 0, 63, b"\x05", 5, b"\x05"),
    (INT, 0, 63, None, None, None),
]


@pytest.mark.parametrize(("kind", "flags", "charset", "cell", "python", "value"), VALUES)
def test_a_cell_has_its_type(
    kind: int, flags: int, charset: int, cell: Cell, python: object, value: SqlCell
) -> None:
    one = column("a", kind, flags, charset)
    assert to_value(one, cell) == value
    assert to_python(one, cell) == python


def test_text_that_is_not_utf_8_is_replaced() -> None:
    assert to_value(column("a"), b"a\xff") == "a\ufffd"


def test_tuples_are_python_s() -> None:
    table = rows([column("a"), column("b", FieldType.NEWDECIMAL, 0, 63)], (b"x", b"1.50"))
    shown = [Shown(table), Shown(RawOk(affected_rows=3)), Shown(FAILED)]
    assert render_all(shown, Rendering.TUPLES, server_major=9).splitlines() == [
        "[('x', Decimal('1.50'))]",
        "[]",
        "1146 (42S02): Table 'shop.nope' doesn't exist",
    ]


def test_typed_rows_are_limited_in_number_and_in_size() -> None:
    many = rows([column("a", INT)], *[(b"1",)] * 10)
    (result,) = to_detail([Shown(many)], max_rows=3)
    assert (len(result.rows), result.total_rows) == (3, 10)
    large = rows([column("a")], *[(b"x" * 600_000,)] * 3)
    (result,) = to_detail([Shown(large)], max_rows=100)
    assert (len(result.rows), result.total_rows) == (1, 3)
