"""Transcripts are read strictly, before anything starts: file, line, field, and what is due."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from plumb_bench.lines import BadLine
from plumb_bench.scenario import Scenario, read_scenarios
from plumb_bench.transcript import RecordedTurn, read_transcripts

ROOT = Path(__file__).parents[2]
SCENARIO = Scenario(
    id="s1", environment="shell", task="", init=(), actions=("ls", "pwd"), tags=()
)  # fmt: skip


def line(**changes: Any) -> dict[str, Any]:
    turns = [{"action": "ls", "observation": "a\n", "exit_code": 0}]
    data = {"scenario": "s1", "simulator": {"model": "m", "strategy": "naive"}, "turns": turns}
    return {**data, **changes}


def written(path: Path, *lines: object) -> Path:
    path.write_text("\n".join(json.dumps(one) for one in lines) + "\n")
    return path


def test_what_is_written_is_read(tmp_path: Path) -> None:
    found = read_transcripts(written(tmp_path / "t", line()), [SCENARIO])
    assert found[0].label == "m naive"
    assert found[0].turns == (RecordedTurn("ls", "a\n", 0),)


@pytest.mark.parametrize(
    ("turn", "ending", "cwd"),
    [
        ({}, "", ""),
        ({"timed_out": True}, "TIMED_OUT", ""),  # as older ones say it
        ({"ending": "timed_out", "timed_out": True}, "TIMED_OUT", ""),
        ({"ending": "shell_exited", "cwd": "/srv"}, "SHELL_EXITED", "/srv"),
        ({"ending": "out_of_memory"}, "OUT_OF_MEMORY", ""),
        ({"ending": "awaits_input"}, "AWAITS_INPUT", ""),
    ],
)
def test_every_ending_is_read(tmp_path: Path, turn: dict[str, Any], ending: str, cwd: str) -> None:
    turns = [{"action": "ls", "observation": "", **turn}]
    (read,) = read_transcripts(written(tmp_path / "t", line(turns=turns)), [SCENARIO])
    assert (read.turns[0].ending, read.turns[0].cwd) == (ending, cwd)


def test_a_transcript_of_another_scenario_is_left_out(tmp_path: Path) -> None:
    path = written(tmp_path / "t", line(scenario="other"), line())
    assert [one.scenario for one in read_transcripts(path, [SCENARIO])] == ["s1"]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"simulator": "m"}, "field 'simulator' is \"m\"; expected an object with model"),
        ({"turns": []}, "field 'turns' is [.*]; expected a list of turns, at least one"),
        ({"turns": [{"action": "ls"}]}, "turn 1: field 'observation' is missing; expected a text"),
        (
            {"turns": [{"action": "rm", "observation": ""}]},
            "turn 1: field 'action' is 'rm'; scenario 's1' has 'ls' there",
        ),
        (
            {"turns": [{"action": "ls", "observation": "", "exit_code": 256}]},
            "turn 1: field 'exit_code' is 256; expected a whole number from 0 to 255",
        ),
        (
            {"turns": [{"action": "ls", "observation": "", "ending": "EXITED"}]},
            "turn 1: field 'ending' is \"EXITED\"; expected one of exited, signaled, timed_out",
        ),
        (
            {"turns": [{"action": "ls", "observation": "", "exitcode": 0}]},
            "turn 1: unknown field 'exitcode'",
        ),
        (
            {"turns": [{"action": a, "observation": ""} for a in ("ls", "pwd", "x")]},
            "field 'turns' has 3 turns; scenario 's1' has 2 actions",
        ),
        ({"scenario": "nobody"}, "none of its transcripts is of a scenario of this run"),
    ],
)
def test_a_line_that_is_wrong_is_told_with_its_place(
    tmp_path: Path, changes: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(BadLine, match=sentence.replace("[.*]", r"\[\]")) as raised:
        read_transcripts(written(tmp_path / "t.jsonl", line(**changes)), [SCENARIO])
    assert str(tmp_path / "t.jsonl") in str(raised.value)


def test_a_line_that_was_cut_off_is_no_json(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text(json.dumps(line()) + "\n" + json.dumps(line())[:40])
    with pytest.raises(BadLine, match="line 2: this is not JSON"):
        read_transcripts(path, [SCENARIO])


@pytest.mark.parametrize("kind", ["shell", "mysql"])
@pytest.mark.parametrize("strategy", ["naive", "grounded"])
def test_the_shipped_ones_are_whole(kind: str, strategy: str) -> None:
    scenarios = read_scenarios([ROOT / f"scenarios/{kind}.jsonl"])
    found = read_transcripts(ROOT / f"transcripts/{kind}_{strategy}.jsonl", scenarios)
    assert len(found) == len(scenarios) == 24
    assert {one.strategy for one in found} == {strategy}
    assert sum(len(one.turns) for one in found) == sum(len(s.actions) for s in scenarios)
