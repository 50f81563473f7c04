"""From the text protocol to values: the connector's, and those of the seam."""

from decimal import Decimal

from mysql.connector import FieldType
from mysql.connector.conversion import MySQLConverter

from plumb_backends.environment import SqlCell, Temporal
from plumb_backends.sql.result import Cell, Column

_BINARY_CHARSET = 63
_INTEGERS = frozenset(
    {FieldType.TINY, FieldType.SHORT, FieldType.INT24, FieldType.LONG, FieldType.LONGLONG}
)
_REALS = frozenset({FieldType.FLOAT, FieldType.DOUBLE})
_DECIMALS = frozenset({FieldType.DECIMAL, FieldType.NEWDECIMAL})
_TEMPORALS = frozenset(
    {
        FieldType.DATE,
        FieldType.DATETIME,
        FieldType.NEWDATE,
        FieldType.TIME,
        FieldType.TIMESTAMP,
        FieldType.YEAR,
    }
)
_converter = MySQLConverter("utf8mb4")


def to_python(column: Column, cell: Cell) -> object:
    """What a Python program gets from the connector: AgentBench's values."""
    if cell is None:
        return None
    described = (column.name, column.type_code, None, None, None, None, 1, column.flags,
                 column.charset)  # fmt: skip
    return _converter.to_python(described, cell)


def to_value(column: Column, cell: Cell) -> SqlCell:
    """A typed cell of an observation. What is not UTF-8 becomes U+FFFD."""
    if cell is None:
        return None
    kind = column.type_code
    if kind in _INTEGERS:
        return int(cell)
    if kind in _REALS:
        return float(cell)
    if kind in _DECIMALS:
        return Decimal(cell.decode())
    if kind in _TEMPORALS:
        return Temporal(cell.decode())
    if kind == FieldType.BIT or (column.charset == _BINARY_CHARSET and kind != FieldType.JSON):
        return cell
    return cell.decode(errors="replace")
