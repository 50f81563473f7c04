"""How the results of an action become text and typed values."""

import dataclasses
from collections.abc import Sequence

from plumb_backends.environment import SqlCell, SqlResult
from plumb_backends.kinds.mysql import Rendering
from plumb_backends.sql import client_rendering, json_rendering, tuples_rendering
from plumb_backends.sql.result import RawError, RawOk, RawResult, RawRows
from plumb_backends.sql.statements import NO_QUERY
from plumb_backends.sql.values import to_value

_MAX_TYPED_BYTES = 1024 * 1024
"""What the typed rows of one action may take together, so that an answer stays small."""

_MAX_RENDERED_BYTES = 16 * 1024 * 1024
"""What the tables of one action may take together."""


@dataclasses.dataclass(frozen=True, slots=True)
class Shown:
    r"""A result as the agent shall see it.

    Attributes:
        result: With logical names.
        vertical: Whether the statement ended with `\G`.
    """

    result: RawResult
    vertical: bool = False

    @property
    def kept_bytes(self) -> int:
        """How much of its rows is kept."""
        return self.result.kept_bytes if isinstance(self.result, RawRows) else 0

    @property
    def dropped_bytes(self) -> int:
        """How much of its rows is not kept."""
        return self.result.dropped_bytes if isinstance(self.result, RawRows) else 0


def render_all(shown: Sequence[Shown], rendering: Rendering, *, server_major: int) -> str:
    """Renders an action's results; for `CLIENT` with the line ends that the client prints."""
    match rendering:
        case Rendering.CLIENT:
            decimals = client_rendering.duration_decimals(server_major)
            return _client_all(shown, decimals)
        case Rendering.TUPLES:
            return "\n".join(tuples_rendering.render(one.result) for one in shown)
        case Rendering.JSON:
            return "\n".join(json_rendering.render(one.result) for one in shown)


def _client_all(shown: Sequence[Shown], decimals: int) -> str:
    texts: list[str] = []
    left = _MAX_RENDERED_BYTES
    for one in shown:
        most = max(0, min(left, client_rendering.MAX_BYTES))
        text = client_rendering.render(
            one.result, vertical=one.vertical, decimals=decimals, max_bytes=most
        )
        left -= len(text)
        texts += (text, "\n\n" if _has_free_line(one.result) else "\n")
    return "".join(texts)


def _has_free_line(result: RawResult) -> bool:
    """Whether the client leaves a line free behind a result."""
    match result:
        case RawError():
            return result.message == NO_QUERY
        case RawOk():
            return not result.changed_database
        case _:
            return True


def show_all(
    shown: Sequence[Shown], rendering: Rendering, *, server_major: int, max_rows: int
) -> tuple[str, tuple[SqlResult, ...]]:
    """An action's results as text (`render_all`) and typed (`to_detail`)."""
    text = render_all(shown, rendering, server_major=server_major)
    return text, to_detail(shown, max_rows=max_rows)


def to_detail(shown: Sequence[Shown], *, max_rows: int) -> tuple[SqlResult, ...]:
    """The typed results."""
    budget = _MAX_TYPED_BYTES
    results = []
    for one in shown:
        result, used = _typed(one.result, max_rows, budget)
        budget -= used
        results.append(result)
    return tuple(results)


def _typed(result: RawResult, max_rows: int, budget: int) -> tuple[SqlResult, int]:
    match result:
        case RawRows():
            return _typed_rows(result, max_rows, budget)
        case RawOk():
            return SqlResult(
                affected_rows=result.affected_rows,
                last_insert_id=result.last_insert_id,
                warnings=result.warnings,
            ), 0
        case RawError():
            return SqlResult(), 0


def _typed_rows(result: RawRows, max_rows: int, budget: int) -> tuple[SqlResult, int]:
    used = 0
    rows: list[tuple[SqlCell, ...]] = []
    for row in result.rows[:max_rows]:
        used += sum(len(cell) for cell in row if cell is not None)
        if used > budget:
            break
        rows.append(tuple(map(to_value, result.columns, row)))
    typed = SqlResult(
        columns=tuple(column.name for column in result.columns),
        rows=tuple(rows),
        total_rows=result.total_rows,
        warnings=result.warnings,
    )
    return typed, used
