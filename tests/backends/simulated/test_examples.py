"""The shipped examples: recorded, real, of the kind, and never of the scenario under test."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from plumb_backends.registry import all_kinds
from plumb_backends.simulated import examples as module
from plumb_backends.simulated.examples import episodes, examples

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("kind", all_kinds())
def test_every_kind_has_examples_that_fail_succeed_and_say_nothing(kind: str) -> None:
    turns = examples(kind, but_not=())
    assert len(turns) > 10
    statuses = {
        bool(turn.reply.facts.get("exit_code") or turn.reply.facts.get("errno")) for turn in turns
    }
    assert statuses == {True, False}
    if kind == "shell":
        assert any(turn.reply.output == "" for turn in turns)


@pytest.mark.parametrize("kind", all_kinds())
def test_every_example_has_every_fact_that_a_reply_needs(kind: str) -> None:
    part = all_kinds()[kind].part
    for turn in examples(kind, but_not=()):
        assert set(part.facts) <= set(part.recall(turn.reply.output, turn.reply.facts))
        assert part.check_facts(turn.reply.facts) == ""


def test_an_episode_that_shares_a_script_with_the_session_is_left_out() -> None:
    (episode,) = episodes("shell")
    assert examples("shell", but_not=["touch /x", episode.init[0]]) == ()


@pytest.mark.parametrize("kind", all_kinds())
def test_no_example_is_of_a_shipped_scenario(kind: str) -> None:
    scenarios = [
        json.loads(line)
        for line in (ROOT / "scenarios" / f"{kind}.jsonl").read_text("utf-8").splitlines()
    ]
    scripts = {script for scenario in scenarios for script in scenario["init"]}
    for episode in episodes(kind):
        assert not scripts & set(episode.init)


def test_a_recording_that_is_not_of_a_real_session_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = {"scenario": "s", "simulator": {"model": "gpt", "strategy": ""}, "init": [], "turns": []}
    (tmp_path / "fake.jsonl").write_text(json.dumps(line))
    monkeypatch.setattr(module, "_FOLDER", tmp_path)
    with pytest.raises(ValueError, match="s is no recording of a real session"):
        episodes("fake")


def test_a_kind_without_recordings_has_no_examples() -> None:
    assert examples("household", but_not=()) == ()
