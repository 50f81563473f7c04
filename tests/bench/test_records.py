"""Records of a run: what is complete survives anything, what is not is run again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plumb_bench.lines import BadLine
from plumb_bench.records import Records
from plumb_bench.trajectory import Trajectory, Turn

SETTINGS = {"replicas": 3}


def trajectory(scenario: str = "s", **turn: object) -> Trajectory:
    turns = (Turn(action="ls", **turn),)  # type: ignore[arg-type]
    return Trajectory(scenario=scenario, side="real", run="1", at=1.5, turns=turns)


def begun(folder: Path, *, resume: bool = False) -> Records:
    records = Records(folder)
    records.begin(SETTINGS, resume=resume)
    return records


def test_what_was_added_is_there_after_a_restart(tmp_path: Path) -> None:
    one = trajectory(exit_code=0, ending="EXITED", probes={"cwd": {"cwd": "/"}})
    begun(tmp_path).add(one)
    assert begun(tmp_path, resume=True).done == {one.key: one}


def test_a_last_line_that_was_cut_off_anywhere_is_run_again(tmp_path: Path) -> None:
    records = begun(tmp_path)
    records.add(trajectory("a"))
    whole = (tmp_path / "trajectories.jsonl").read_bytes()
    records.add(trajectory("b"))
    both = (tmp_path / "trajectories.jsonl").read_bytes()
    for end in range(len(whole), len(both)):
        (tmp_path / "trajectories.jsonl").write_bytes(both[:end])
        resumed = begun(tmp_path, resume=True)
        assert [key[0] for key in resumed.done] == ["a"]
        resumed.add(trajectory("b"))
        assert (tmp_path / "trajectories.jsonl").read_bytes() == both


def test_a_run_is_not_overwritten(tmp_path: Path) -> None:
    begun(tmp_path)
    with pytest.raises(BadLine, match="has a run already; --resume it, or name another --out"):
        begun(tmp_path)


def test_a_run_is_resumed_with_the_same_settings_only(tmp_path: Path) -> None:
    begun(tmp_path)
    with pytest.raises(BadLine, match="this run had replicas 3, and now it is 4"):
        Records(tmp_path).begin({"replicas": 4}, resume=True)


def test_a_line_in_the_middle_that_is_broken_is_told(tmp_path: Path) -> None:
    begun(tmp_path).add(trajectory())
    path = tmp_path / "trajectories.jsonl"
    path.write_bytes(b'{"x": 1}\n' + path.read_bytes())
    with pytest.raises(BadLine, match="line 1: this is no trajectory of ours"):
        begun(tmp_path, resume=True)


@given(
    text=st.text(),
    exit_code=st.none() | st.integers(0, 255),
    errno=st.none() | st.integers(0, 9999),
    failure=st.text(),
    seconds=st.floats(0, 1e6),
    attempts=st.integers(0, 9),
)
def test_every_turn_survives_being_written(
    text: str, exit_code: int | None, errno: int | None, failure: str, seconds: float, attempts: int
) -> None:
    one = trajectory(
        text=text, exit_code=exit_code, errno=errno, failure=failure, seconds=seconds,
        attempts=attempts,
    )  # fmt: skip
    assert Trajectory.from_json(json.loads(json.dumps(one.to_json())), "x") == one
