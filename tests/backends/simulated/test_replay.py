"""Replay: what was recorded after the same actions, and an error for all else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from plumb_backends.environment import Action, Ending
from plumb_backends.errors import InvalidInput, NotRecorded, Unsupported
from plumb_backends.grounding import Grounding
from plumb_backends.registry import Spec, all_kinds
from plumb_backends.simulated.options import RecordedTurn, ReplayOptions
from plumb_backends.simulated.replay import Replay, ReplayProvider
from plumb_backends.simulated.stage import Stage
from plumb_fidelity.signature import render

TRANSCRIPTS = Path(__file__).parents[3] / "transcripts"


def turn(action: str, text: str, **more: int | bool | None) -> RecordedTurn:
    return RecordedTurn(action.encode(), text, **more)  # type: ignore[arg-type]


def stage(*recordings: tuple[RecordedTurn, ...], kind: str = "shell") -> Stage:
    made = all_kinds()[kind]
    return Stage(made, made.options_type(), Replay(ReplayOptions(recordings, "m", "grounded")))


async def test_turns_are_given_in_their_order() -> None:
    played = stage((turn("a", "1", exit_code=3), turn("b", "2"), turn("a", "3")))
    seen = [await played.step(Action(text)) for text in (b"a", b"b", b"a")]
    assert [one.text for one in seen] == ["1\n", "2\n", "3\n"]
    assert [one.exit_code for one in seen] == [3, None, None]
    assert (seen[0].provenance.backend, seen[0].provenance.model) == ("replay", "m")
    assert seen[0].provenance.strategy == "grounded"


async def test_another_action_is_an_error_that_says_what_is_recorded() -> None:
    played = stage((turn("a", "1"), turn("b", "2")))
    with pytest.raises(NotRecorded, match=r"has 'b' as turn 1 .*recorded is 'a'"):
        await played.step(Action(b"b"))
    assert (await played.step(Action(b"a"))).text == "1\n"  # and nothing is lost
    await played.step(Action(b"b"))
    with pytest.raises(NotRecorded, match="the recording ends here"):
        await played.step(Action(b"c"))


async def test_several_recordings_answer_whatever_one_of_them_has() -> None:
    played = stage((turn("a", "1"), turn("b", "2")), (turn("a", "1"), turn("c", "3")))
    await played.step(Action(b"a"))
    assert (await played.step(Action(b"c"))).text == "3\n"
    await played.reset()
    await played.step(Action(b"a"))
    assert (await played.step(Action(b"b"))).text == "2\n"


def test_recordings_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(InvalidInput, match="recording 2 answers its turn 1 otherwise"):
        ReplayOptions(((turn("a", "1"),), (turn("a", "2"),)))
    with pytest.raises(InvalidInput, match="has no turns"):
        ReplayOptions(((),))


async def test_a_recorded_timeout_is_one_again() -> None:
    seen = await stage((turn("sleep 9", "", timed_out=True),)).step(Action(b"sleep 9"))
    assert (seen.ending, seen.exit_code) == (Ending.TIMED_OUT, 130)


async def test_a_recording_has_no_state() -> None:
    with pytest.raises(Unsupported, match="no state"):
        await stage((turn("a", "1"),)).probe("cwd")


async def test_init_scripts_are_refused_for_nobody_would_run_them() -> None:
    spec = Spec(kind="shell", backend="replay", session_id="s", grounding=Grounding(("touch x",)),
                backend_options=ReplayOptions(((turn("a", "1"),),)))  # fmt: skip
    with pytest.raises(InvalidInput, match="leave init out"):
        await ReplayProvider().create(spec)


@pytest.mark.parametrize("name", ["shell_naive", "shell_grounded", "mysql_naive", "mysql_grounded"])
async def test_every_shipped_transcript_is_replayed_turn_by_turn(name: str) -> None:
    played = 0
    for line in (TRANSCRIPTS / f"{name}.jsonl").read_text("utf-8").splitlines():
        transcript = json.loads(line)
        turns = tuple(turn(one["action"], one["observation"]) for one in transcript["turns"])
        replay = stage(turns, kind=name.partition("_")[0])
        for one in turns:
            seen = await replay.step(Action(one.action))
            assert seen.text.rstrip("\n") == render(one.text.encode()).rstrip("\n")
            played += 1
    assert played > 180
