"""The folders that `plumb bench` wrote: what is read, and what is no run."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from plumb_gateway.runs import Run, StepFilter, find_steps, list_runs, read_run

if TYPE_CHECKING:
    from pathlib import Path

INTERVAL = {"value": 0.5, "low": 0.4, "high": 0.6}
ROW = {
    "simulator": "naive", "mode": "free", "steps": 10, "scored": 8, "agreement": INTERVAL,
    "false_success": INTERVAL, "false_failure": INTERVAL, "backend_failures": 2,
}  # fmt: skip
REAL = {"scenarios": 1, "steps": 10, "replicas": 3, "agreement": None}
REPORT = {"rows": [ROW], "real": REAL}


def step(turn: int, verdict: str = "EMPTY", **changes: Any) -> dict[str, Any]:
    whole = {
        "scenario": "count", "simulator": "naive", "mode": "free", "turn": turn, "action": "ls",
        "real": {"text": "Größe"}, "simulated": {"text": ""}, "verdict": verdict,
        "flags": [verdict], "evidence": [],
    }  # fmt: skip
    return whole | changes


def write(folder: Path, name: str, report: object = REPORT, *lines: object) -> None:
    (folder / name).mkdir(parents=True)
    text = report if isinstance(report, str) else json.dumps(report)
    (folder / name / "report.json").write_text(text, encoding="utf-8")
    steps = "".join(f"{one if isinstance(one, str) else json.dumps(one)}\n" for one in lines)
    (folder / name / "steps.jsonl").write_text(steps, encoding="utf-8")


def run(folder: Path, *lines: object) -> Run:
    write(folder, "run", REPORT, *lines)
    found = read_run(folder, "run")
    assert found is not None
    return found


def test_runs_are_listed_newest_first(tmp_path: Path) -> None:
    for age, name in enumerate(["newest", "old", "oldest"]):
        write(tmp_path, name)
        os.utime(tmp_path / name / "report.json", (0, 1000 - age))
    assert [found.name for found in list_runs(tmp_path)] == ["newest", "old", "oldest"]
    assert list_runs(tmp_path)[0].report == REPORT


def test_without_the_folder_there_are_no_runs(tmp_path: Path) -> None:
    assert list_runs(tmp_path / "none") == []


@pytest.mark.parametrize(
    "report",
    ["", "{", "[]", "\x00", "[" * 100_000, {}, {"rows": []}, {"rows": 5, "real": REAL},
     {"rows": [5], "real": REAL}, {"rows": [{}], "real": REAL}, {"rows": [ROW], "real": 5}],
)  # fmt: skip
def test_what_cannot_be_read_is_no_run_and_hides_no_other(tmp_path: Path, report: object) -> None:
    write(tmp_path, "broken", report)
    write(tmp_path, "whole")
    assert [found.name for found in list_runs(tmp_path)] == ["whole"]
    assert read_run(tmp_path, "broken") is None


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../outside", "/etc", "inside/../../outside", "a/b", "none", "\x00"]
)
def test_a_name_does_not_leave_the_folder(tmp_path: Path, name: str) -> None:
    write(tmp_path, "outside")
    write(tmp_path / "runs", "inside")
    assert read_run(tmp_path / "runs", name) is None


def test_a_page_of_steps_comes_with_how_many_there_are(tmp_path: Path) -> None:
    found = run(tmp_path, *(step(turn) for turn in range(1, 8)))
    page, total = find_steps(found, StepFilter(), [], first=3, most=2)
    assert ([one["turn"] for one in page], total) == ([4, 5], 7)
    assert find_steps(found, StepFilter(), [], first=10, most=2) == ([], 7)


@pytest.mark.parametrize(
    ("wanted", "turns"),
    [
        (StepFilter(), [1, 2, 3]),
        (StepFilter(verdict="AGREES"), [2]),
        (StepFilter(verdict="wrong"), [1, 3]),
        (StepFilter(simulator="other"), [3]),
        (StepFilter(text="GRÖSSE"), [1, 2, 3]),  # casefold knows that ß is ss
        (StepFilter(text="planted"), [3]),
        (StepFilter(text="planted", verdict="AGREES"), []),
        (StepFilter(text="count"), [1, 2, 3]),
    ],
)
def test_all_that_is_set_must_hold(tmp_path: Path, wanted: StepFilter, turns: list[int]) -> None:
    lines = [step(1), step(2, "AGREES"), step(3, simulator="other", action="cat planted")]
    page, total = find_steps(run(tmp_path, *lines), wanted, ["EMPTY"], 0, 50)
    assert ([one["turn"] for one in page], total) == (turns, len(turns))


@pytest.mark.parametrize("broken", ['{"scenario": "cou', "[]", "\x00", {"verdict": "EMPTY"}])
def test_a_line_that_is_no_step_is_left_out(tmp_path: Path, broken: object) -> None:
    page, total = find_steps(run(tmp_path, step(1), broken, step(2)), StepFilter(), [], 0, 50)
    assert ([one["turn"] for one in page], total) == ([1, 2], 2)


def test_a_run_without_steps_has_none(tmp_path: Path) -> None:
    found = run(tmp_path)
    (tmp_path / "run" / "steps.jsonl").unlink()
    assert find_steps(found, StepFilter(), [], 0, 50) == ([], 0)
