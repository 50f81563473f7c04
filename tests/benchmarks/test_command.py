"""The command itself, on one subject with as few rounds as there are."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import command

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.mark.docker
def test_it_measures_prints_and_writes(tmp_path: Path) -> None:
    argv = [sys.executable, str(BENCHMARKS), "--only", "step", "--scale", "0.01", "--no-peers"]
    done = subprocess.run(
        [*argv, "--out", str(tmp_path)], capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode in (0, 1), done.stderr  # 1: a budget is missed, which is no failure here
    results = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    rows = {row["way"]: row for row in results["rows"]}
    assert {"plumb", "docker exec (SDK)", "docker exec (CLI)"} == rows.keys()
    assert rows["plumb"]["note"] == "a container, shell state"
    assert rows["docker exec (CLI)"]["note"] == "a container, no shell state"
    assert all(row["p50"] > 0 for row in rows.values())
    assert "shell step p50" in done.stdout
    assert (tmp_path / "results.svg").is_file()


def test_a_subject_that_is_none_is_said_with_those_that_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as ended:
        command.main(["--only", "nonsense"])
    assert ended.value.code == 2
    assert "'nonsense' is none of step, creation" in capsys.readouterr().err
