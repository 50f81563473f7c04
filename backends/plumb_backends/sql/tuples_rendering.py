"""AgentBench's rendering: the rows as Python prints them.

https://github.com/THUDM/AgentBench, dbbench: `str(cursor.fetchall())`, `[]` for what has no rows,
and `str(error)`.
"""

from plumb_backends.sql.result import RawError, RawOk, RawResult, RawRows
from plumb_backends.sql.values import to_python


def render(result: RawResult) -> str:
    """What AgentBench shows for a result."""
    match result:
        case RawRows():
            return str([tuple(map(to_python, result.columns, row)) for row in result.rows])
        case RawOk():
            return "[]"
        case RawError(errno=0):
            return result.message
        case RawError():
            return f"{result.errno} ({result.sqlstate}): {result.message}"
