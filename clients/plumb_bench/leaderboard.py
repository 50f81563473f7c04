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
        caption="failures/unscorable/unknowable steps are not scored; what each column means: "
        "docs/fidelity.md",
    )  # fmt: skip
    table.add_column("simulator", min_width=12, overflow="fold")
    for name in ("agree\n%", "95 %", "wrong\n/100", "false\nsucc. %", "false\nfail. %",
                 "MCC", "scored\n/steps", "not\nscored"):  # fmt: skip
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
        *_agreement(row["agreement"]),
        _number(row["hallucinations_per_100"], 1),
        _percent(row["false_success"]["value"]),
        _percent(row["false_failure"]["value"]),
        _number(row["status_mcc"], 2),
        f"{row['scored']}/{row['steps']}",
        f"{row['backend_failures']}/{row['unscorable']}/{row['unknowable']}",
    ]


def _floor(real: Mapping[str, Any]) -> list[str]:
    scored = real["false_alarms"]["of"]
    return [
        "a second real sandbox",
        *_agreement(real["agreement"]),
        _number(100 * real["false_alarms"]["value"], 1),
        *("-",) * 3,
        f"{scored}/{sum(real['verdicts'].values())}",
        f"0/{real['verdicts'].get('UNSCORABLE', 0)}/{real['verdicts'].get('UNKNOWABLE', 0)}",
    ]


def _agreement(found: Mapping[str, Any] | None) -> list[str]:
    if found is None:
        return ["-", ""]
    return [_percent(found["value"]), f"{100 * found['low']:.0f}-{100 * found['high']:.0f}"]


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
