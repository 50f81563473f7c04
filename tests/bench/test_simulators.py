"""What `--simulator` names."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from plumb_bench.lines import BadLine
from plumb_bench.scenario import Scenario
from plumb_bench.simulators import ModelOptions, read_simulators

SHELL, SQL = (
    Scenario(id=f"{kind}-1", environment=kind, task="", init=(), actions=("x",), tags=())
    for kind in ("shell", "mysql")
)
PLAIN = ModelOptions()


def transcript(folder: Path, scenario: str, strategy: str = "naive") -> str:
    path = folder / f"{scenario}-{strategy}.jsonl"
    simulator = {"model": "m", "strategy": strategy}
    turns = [{"action": "x", "observation": ""}]
    path.write_text(json.dumps({"scenario": scenario, "simulator": simulator, "turns": turns}))
    return f"transcripts:{path}"


def test_a_model_is_a_row_for_each_strategy() -> None:
    options = ModelOptions(strategies=("naive", "grounded"), critic=True)
    found = read_simulators(["model:org/name:7b"], [SHELL], options)
    assert [one.label for one in found] == [
        "org/name:7b naive+critic",
        "org/name:7b grounded+critic",
    ]
    assert all(one.is_model and one.has_state for one in found)


def test_files_of_the_same_simulator_are_one_row(tmp_path: Path) -> None:
    specs = [transcript(tmp_path, "shell-1"), transcript(tmp_path, "mysql-1")]
    (found,) = read_simulators(specs, [SHELL, SQL], PLAIN)
    assert found.plays(SHELL)
    assert found.plays(SQL)
    assert not found.has_state


def test_sqlite_plays_sql_only() -> None:
    (sqlite,) = read_simulators(["sqlite"], [SHELL, SQL], PLAIN)
    assert (sqlite.plays(SHELL), sqlite.plays(SQL), sqlite.has_state) == (False, True, True)


@pytest.mark.parametrize(
    ("specs", "sentence"),
    [
        ([], "no simulator is named; give --simulator transcripts:FILE"),
        (["gpt-4o"], "--simulator gpt-4o: expected transcripts:FILE, model:NAME"),
        (["model:"], "--simulator model:: expected"),
        (["sqlite:x"], "expected"),
        (["baseline:a", "baseline:a"], "a is named twice; leave one out"),
    ],
)
def test_what_cannot_be_understood_is_said(specs: list[str], sentence: str) -> None:
    with pytest.raises(BadLine, match=sentence):
        read_simulators(specs, [SHELL], PLAIN)


def test_the_same_scenario_in_two_files_of_one_simulator_is_refused(tmp_path: Path) -> None:
    spec = transcript(tmp_path, "shell-1")
    with pytest.raises(BadLine, match="m naive answers shell-1 in another file, too"):
        read_simulators([spec, spec], [SHELL], PLAIN)
