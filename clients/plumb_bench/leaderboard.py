"""The table of simulators, for a terminal."""

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from plumb_bench.labels import shown


def table_of(report: Mapping[str, Any]) -> Table:
    """One row a simulator and mode, and the noise floor; docs/fidelity.md explains the columns."""
    table = Table(
        title="Fidelity", header_style="bold", title_style="bold", box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        caption="failed steps count as wrong; excluded ones could not be judged; what each column "
        "means: docs/fidelity.md",
    )  # fmt: skip
    table.add_column("simulator", min_width=12, overflow="fold")
    for name in ("rank", "agree\n%", "95 %", "false\nsucc. %", "false\nfail. %", "MCC",
                 "right/wrong\n/failed", "excl."):  # fmt: skip
        table.add_column(name, justify="right", no_wrap=True)
    for row in report["rows"]:
        table.add_row(*_cells(row))
    table.add_section()
    table.add_row(*_floor(report["real"]), style="dim")
    return table


def _cells(row: Mapping[str, Any]) -> list[str | Text]:
    mode = "" if row["mode"] == "free-running" else f" ({row['mode']})"
    return [
        Text(shown(row["simulator"]) + mode),  # a text is no markup
        str(row["rank"] or "-"),
        *_agreement(row["agreement"]),
        _span(row["false_success"], 100, 0),
        _span(row["false_failure"], 100, 0),
        _span(row["status_mcc"], 1, 2),
        f"{row['right']}/{row['wrong']}/{row['backend_failures']}",
        str(row["excluded"]),
    ]


def _floor(real: Mapping[str, Any]) -> list[str]:
    alarms = real["false_alarms"]
    return [
        "a second real sandbox",
        "",
        *_agreement(real["agreement"]),
        *("-",) * 3,
        f"{alarms['of'] - alarms['count']}/{alarms['count']}/0",
        str(real["excluded"]),
    ]


def _agreement(found: Mapping[str, Any] | None) -> list[str]:
    if found is None:
        return ["-", ""]
    return [_percent(found["value"]), f"{100 * found['low']:.0f}-{100 * found['high']:.0f}"]


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"


def _span(found: Mapping[str, Any], scale: int, digits: int) -> str:
    """A figure, or its bounds where too many statuses are unknown."""
    if found["value"] is not None:
        return f"{scale * found['value']:.{max(1, digits)}f}"
    if found["low"] is None or found["high"] is None:
        return "-"
    return f"{scale * found['low']:.{digits}f}..{scale * found['high']:.{digits}f}"
