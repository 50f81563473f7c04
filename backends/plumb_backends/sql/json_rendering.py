"""Results as JSON, one document each: for agents that read data rather than tables.

Decimals and dates are text, so that nothing is lost; binary data is `0x` and digits.
"""

import json
from decimal import Decimal

from plumb_backends.environment import SqlCell, Temporal
from plumb_backends.sql.result import RawError, RawOk, RawResult, RawRows
from plumb_backends.sql.values import to_value


def render(result: RawResult) -> str:
    """One line of JSON."""
    return json.dumps(_document(result), ensure_ascii=False, allow_nan=False)


def _document(result: RawResult) -> dict[str, object]:
    match result:
        case RawRows():
            return {
                "columns": [column.name for column in result.columns],
                "rows": [
                    [_plain(to_value(column, cell)) for column, cell in zip(
                        result.columns, row, strict=True)]
                    for row in result.rows
                ],
                "total_rows": result.total_rows,
                "warnings": result.warnings,
            }  # fmt: skip
        case RawOk():
            return {
                "affected_rows": result.affected_rows,
                "last_insert_id": result.last_insert_id,
                "warnings": result.warnings,
            }
        case RawError():
            return {
                "error": {
                    "errno": result.errno,
                    "sqlstate": result.sqlstate,
                    "message": result.message,
                }
            }


def _plain(cell: SqlCell) -> str | int | float | None:
    match cell:
        case Decimal():
            return f"{cell:f}"
        case Temporal():
            return cell.text
        case bytes():
            return "0x" + cell.hex().upper()
        case _:
            return cell
