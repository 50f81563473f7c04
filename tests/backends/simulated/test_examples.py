"""The shipped examples: recorded, real, of the kind, and never of the scenario under test."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from plumb_backends.registry import all_kinds
from plumb_backends.simulated import examples as module
from plumb_backends.simulated.examples import alike, command_examples, episodes, examples

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("kind", all_kinds())
def test_every_kind_has_examples_that_fail_succeed_and_say_nothing(kind: str) -> None:
    turns = examples(kind, but_not=())
    assert 9 < len(turns) < 13  # a few hard ones: they are in every prompt
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


@pytest.mark.parametrize("kind", all_kinds())
def test_the_examples_that_are_always_shown_are_hard_ones(kind: str) -> None:
    turns = examples(kind, but_not=())
    endings = {turn.reply.facts.get("ending", "exited") for turn in turns}
    if kind == "shell":
        assert endings == {"exited", "timed_out", "shell_exited", "signaled"}
        assert any("[1]" in turn.reply.output for turn in turns)
        assert not any("^C" in turn.reply.output for turn in turns)
    else:
        assert endings == {"exited", "timed_out"}
        assert any(
            "ERROR" in turn.reply.output and "row in set" in turn.reply.output for turn in turns
        )


def test_an_example_that_was_stopped_at_its_timeout_would_never_have_ended() -> None:
    (turn,) = [turn for turn in examples("shell", but_not=()) if turn.action.startswith("tail -f")]
    assert turn.reply.output == "milk\neggs\nflour\n"
    assert (turn.reply.facts["ending"], turn.reply.facts["seconds"]) == ("timed_out", 999999)


@pytest.mark.parametrize(
    ("kind", "action", "found"),
    [
        ("shell", "git log --oneline", "git init"),
        ("shell", "ls | awk '{ print $1 }'", "awk"),
        ("shell", "cd /x && tar xf a.tgz", "tar"),
        ("shell", "useradd bob", "useradd"),
        ("shell", "for f in *; do sha256sum $f; done; sha256sum x", "sha256sum"),
        ("mysql", "ALTER TABLE a DROP COLUMN b", "ALTER TABLE"),
        ("mysql", "explain select 1", "EXPLAIN"),
        ("mysql", "SELECT RANK() OVER (ORDER BY a) FROM t", "RANK()"),
    ],
)
def test_examples_of_the_same_commands_are_found(kind: str, action: str, found: str) -> None:
    shown = alike(command_examples(kind, but_not=()), action)
    assert 1 <= len(shown) <= 3
    assert any(found in example.action for example in shown)


@pytest.mark.parametrize("action", ["frobnicate --all", "", "   ", "|||", "\0", "((((((" * 10_000])
def test_an_action_like_no_example_is_shown_none(action: str) -> None:
    assert alike(command_examples("shell", but_not=()), action) == ()


@pytest.mark.parametrize("kind", all_kinds())
def test_the_examples_that_are_looked_up_are_never_of_the_session_s_own_world(kind: str) -> None:
    path = Path(module.__file__).parent / "scenarios" / f"{kind}_commands.jsonl"
    own = json.loads(path.read_text("utf-8"))["init"][0]
    assert command_examples(kind, but_not=[own]) == ()
    assert len(command_examples(kind, but_not=())) > 20
