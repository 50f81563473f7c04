"""`make check-differ`: the differ finds planted errors in recorded real runs, and fails if not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from plumb_bench import mutation_check
from plumb_bench.mutation import shortfalls

ROOT = Path(__file__).parents[2]
SCENARIOS = [str(ROOT / f"scenarios/{kind}.jsonl") for kind in ("shell", "mysql")]
RUNS = ROOT / "tests/fidelity/data/real_runs.jsonl"


@pytest.mark.parametrize("seed", [mutation_check.SEED, 1, 2])
def test_planted_errors_are_found_and_real_runs_raise_no_alarm(
    seed: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert mutation_check.main([*SCENARIOS, "--runs", str(RUNS), "--seed", str(seed)]) == 0
    out = capsys.readouterr().out
    assert re.search(r"false alarms, real against real, at most 1%: 0 of 11\d\d\n", out)
    for kind in ("shell", "mysql"):
        assert f"  {kind:6} WRONG_VALUE " in out


def test_a_blind_differ_fails_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from plumb_fidelity.content import Content

    monkeypatch.setattr(Content, "_judge_pair", lambda *_: 0)
    assert mutation_check.main([*SCENARIOS, "--runs", str(RUNS)]) == 1
    assert "planted WRONG_VALUE are found" in capsys.readouterr().err


def test_an_alarmed_differ_fails_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from plumb_fidelity import volatility

    monkeypatch.setattr(volatility.Line, "_fit", lambda *_: ("wrong", ""))
    assert mutation_check.main([*SCENARIOS, "--runs", str(RUNS)]) == 1
    assert "false alarms in" in capsys.readouterr().err


def test_a_file_that_is_no_record_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "runs").write_text("{}\n")
    assert mutation_check.main([*SCENARIOS, "--runs", str(tmp_path / "runs")]) == 2
    assert "line 1: this is no trajectory of ours" in capsys.readouterr().err


def test_a_class_that_could_not_be_planted_is_no_shortfall() -> None:
    table = {"shell": {"EMPTY": {"planted": 0, "found": 0, "recall": None}}}
    assert shortfalls(table) == []
