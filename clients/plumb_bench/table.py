"""The table of played scenarios, for people."""

import collections
import statistics
from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from plumb_bench.labels import shown
from plumb_bench.player import Played


def table_of(played: Sequence[Played]) -> Table:
    """One row a scenario, and the sum.

    `failures` are actions that failed inside the environment, as some are meant to; times are those
    of the calls, in milliseconds.
    """
    table = Table(title="Played scenarios", header_style="bold")
    table.add_column("scenario", no_wrap=True, min_width=9)
    for name in ("steps", "failures"):
        table.add_column(name, justify="right")
    table.add_column("endings", no_wrap=True)
    for name in ("created ms", "p50 ms", "p95 ms"):
        table.add_column(name, justify="right")
    for one in played:
        scenario = Text(shown(one.scenario.id, 60))  # a text is no markup
        table.add_row(scenario, *_cells([one]), style="red" if one.error else None)
    table.add_section()
    table.add_row("all", *_cells(played), style="bold")
    return table


def _cells(played: Sequence[Played]) -> list[str]:
    turns = [turn for one in played for turn in one.turns]
    created = [one.creation_seconds for one in played]
    times = sorted(turn.seconds * 1000 for turn in turns)
    return [
        f"{len(turns)}/{sum(len(one.scenario.actions) for one in played)}",
        str(sum(one.failures for one in played)),
        _endings(played),
        f"{statistics.median(created) * 1000:.0f}" if created else "-",
        _percentile(times, 50),
        _percentile(times, 95),
    ]


def _endings(played: Sequence[Played]) -> str:
    counts = collections.Counter(
        turn.observation.ending.name for one in played for turn in one.turns
    )
    counts.update("BACKEND_FAILURE" for one in played if one.error)
    return "\n".join(f"{name} {count}" for name, count in counts.most_common())


def _percentile(times: Sequence[float], percent: int) -> str:
    if not times:
        return "-"
    return f"{times[min(len(times) - 1, len(times) * percent // 100)]:.1f}"
