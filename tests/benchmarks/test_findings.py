"""Rows, budgets, the table and what is written for machines."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field
from rich.console import Console

import chart
from findings import (
    OURS,
    SCHEMA,
    Budget,
    Findings,
    Row,
    as_json,
    figure,
    latencies,
    ratio_of,
    with_ratios,
)
from measure import Timings
from table import budgets_table, numbered, rows_table

MACHINE = {"cores": 2, "load_1_minute": 0.5}
TIMINGS = {
    OURS: Timings((0.002, 0.002, 0.004)),
    "slow": Timings((0.1, 0.1, 0.1), ("it stumbled",)),
    "absent": Timings((), ("it wants a newer engine",)),
}
FINDINGS = Findings(
    latencies("step", TIMINGS, OURS, {"slow": "no container"}),
    [
        Budget("step p50", 2.0, 2.5, "ms"),
        Budget("slow / ours", 50.0, 60, "times", is_least=True),
        Budget("absent / ours", None, 30, "times", is_least=True),
    ],
)


def test_ratios_are_to_ours() -> None:
    ours, slow, absent = FINDINGS.rows
    assert (ours.p50, ours.p95, ours.ratio) == (2.0, 4.0, 1.0)
    assert slow.ratio == pytest.approx(50)
    assert (absent.p50, absent.ratio) == (None, None)
    assert ratio_of(TIMINGS, "slow", OURS) == pytest.approx(50)
    assert ratio_of(TIMINGS, "absent", OURS) is None


def test_what_failed_is_said_with_its_reason() -> None:
    _, slow, absent = FINDINGS.rows
    assert slow.note == "no container; 1 of 4 failed: it stumbled"
    assert (absent.runs, absent.note) == (0, "not possible: it wants a newer engine")


def test_rates_get_their_ratios_once_all_are_known() -> None:
    rows = [Row(subject="s", way=way, unit="MB/s", p50=p50)
            for way, p50 in ((OURS, 20.0), ("pipe", 60.0), ("absent", None))]  # fmt: skip
    assert [row.ratio for row in with_ratios(rows)] == [1.0, 3.0, None]


@pytest.mark.parametrize(
    ("budget", "is_met"),
    [
        (Budget("at most", 2.5, 2.5, "ms"), True),
        (Budget("at most", 2.6, 2.5, "ms"), False),
        (Budget("at least", 30.0, 30, "times", is_least=True), True),
        (Budget("at least", 29.9, 30, "times", is_least=True), False),
        (Budget("unknown", None, 30, "times"), None),
    ],
)
def test_a_budget_is_met_missed_or_not_measured(budget: Budget, is_met: bool | None) -> None:
    assert budget.is_met is is_met


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), (0.123, "0.12"), (2.5, "2.50"), (12.34, "12.3"), (1234.5, "1,234")],
)
def test_figures_have_three_digits_that_count(value: float | None, text: str) -> None:
    assert figure(value) == text


def test_the_table_has_every_way_and_numbers_the_notes() -> None:
    shown = _shown(rows_table([FINDINGS], MACHINE))
    assert "load 1 minute 0.5" in shown
    lines = {way: next(line for line in shown.splitlines() if f"│ {way} " in line)
             for way in TIMINGS}  # fmt: skip
    assert "2.00" in lines[OURS]
    assert "50.0" in lines["slow"]
    assert numbered([FINDINGS])["not possible: it wants a newer engine"] == 2
    assert lines["absent"].rstrip("│ ").endswith("2")


def test_the_budgets_say_met_missed_and_not_measured() -> None:
    lines = _shown(budgets_table([FINDINGS])).splitlines()
    answers = [line.split("│")[-2].strip() for line in lines if "│" in line]
    assert answers == ["met", "missed", "not measured"]


def _shown(table: Any) -> str:
    console = Console(file=io.StringIO(), width=140)
    console.print(table)
    written = console.file
    assert isinstance(written, io.StringIO)
    return written.getvalue()


class Exact(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class WrittenRow(Exact):
    subject: str
    way: str
    unit: str
    runs: int
    p50: float | None
    p95: float | None
    ratio: float | None
    note: str


class WrittenBudget(Exact):
    what: str
    measured: float | None
    limit: float
    unit: str
    is_least: bool
    is_met: bool | None


class Results(Exact):
    """What results.json holds; other programs rely on it."""

    version: Literal[1] = Field(alias="schema")
    measured_at: str
    scale: float
    machine: dict[str, str | int | float]
    rows: list[WrittenRow] = Field(min_length=1)
    budgets: list[WrittenBudget]


def test_the_json_is_of_one_schema() -> None:
    about = {"measured_at": "2026-11-26T02:00:00+00:00", "scale": 1.0, "machine": MACHINE}
    results = json.loads(json.dumps(as_json([FINDINGS], about)))
    Results.model_validate(results)
    assert results["schema"] == SCHEMA
    assert [row["way"] for row in results["rows"]] == list(TIMINGS)
    assert [budget["is_met"] for budget in results["budgets"]] == [True, False, None]


def test_the_kept_results_are_of_that_schema() -> None:
    kept = Path(__file__).parents[2] / "benchmarks" / "results" / "results.json"
    results = Results.model_validate_json(kept.read_text(encoding="utf-8"))
    assert {"step, echo hi", "new sandbox, first output"} <= {row.subject for row in results.rows}


def test_the_chart_shows_the_ways_that_took_time(tmp_path: Path) -> None:
    chart.draw([FINDINGS], tmp_path / "results.svg", "2 cores")
    drawn = (tmp_path / "results.svg").read_text(encoding="utf-8")
    assert ">slow<" in drawn
    assert ">absent<" not in drawn
