"""The table of simulators, for a terminal."""

from collections.abc import Mapping
from typing import Any

from rich.table import Table


def table_of(report: Mapping[str, Any]) -> Table:
    """One row a simulator and mode, and the noise floor; what each column means: docs/fidelity.md."""
    table = Table(title="Fidelity", header_style="bold", title_style="bold")
    table.add_column("simulator")
    for name in ("agreement %", "95 %", "halluc./100", "false succ. %", "false fail. %",
                 "MCC", "state", "scored/steps", "failures", "unscor.", "unknow."):  # fmt: skip
        table.add_column(name, justify="right")
    for row in report["rows"]:
        table.add_row(*_cells(row))
    table.add_section()
    table.add_row(*_floor(report["real"]), style="dim")
    return table


def _cells(row: Mapping[str, Any]) -> list[str]:
    mode = "" if row["mode"] == "free-running" else f" ({row['mode']})"
    asked = sum(found["of"] for found in row["state"].values())
    agreed = sum(found["agree"] for found in row["state"].values())
    return [
        row["simulator"] + mode,
        *_agreement(row["agreement"]),
        _number(row["hallucinations_per_100"], 1),
        _percent(row["false_success"]["value"]),
        _percent(row["false_failure"]["value"]),
        _number(row["status_mcc"], 2),
        f"{agreed}/{asked}" if asked else "-",
        f"{row['scored']}/{row['steps']}",
        str(row["backend_failures"]),
        str(row["unscorable"]),
        str(row["unknowable"]),
    ]


def _floor(real: Mapping[str, Any]) -> list[str]:
    scored = real["false_alarms"]["of"]
    return [
        "a second real sandbox",
        *_agreement(real["agreement"]),
        _number(100 * real["false_alarms"]["value"], 1),
        *("-",) * 4,
        f"{scored}/{sum(real['verdicts'].values())}",
        "0",
        str(real["verdicts"].get("UNSCORABLE", 0)),
        str(real["verdicts"].get("UNKNOWABLE", 0)),
    ]


def _agreement(found: Mapping[str, Any] | None) -> list[str]:
    if found is None:
        return ["-", ""]
    return [_percent(found["value"]), f"{100 * found['low']:.0f}-{100 * found['high']:.0f}"]


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
