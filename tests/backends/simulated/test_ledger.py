"""A model that keeps a ledger is told it again, also when the turns that it stands for are gone."""

from __future__ import annotations

import pytest
from tests.backends.simulated.conftest import Played
from tests.backends.simulated.test_model import reply, step, system
from tests.model_endpoint import Endpoint, says, without_schemas

from plumb_backends.simulated.ledger import MOST_CHARACTERS
from plumb_backends.simulated.options import RecordedTurn

HEAD = "This is the `ledger` that you wrote with your last answer."


def noted(ledger: str, output: str = "x\n") -> dict[str, object]:
    return {**reply(output), "ledger": ledger}


async def test_a_ledger_is_told_again_at_the_next_turn_and_replaced(
    played: Played, endpoint: Endpoint
) -> None:
    endpoint.script(says(noted("made /a")), says(noted("made /a, /b")), says(noted("made /b")))
    stage = played.stage(strategy="ledger")
    for action in ("touch /a", "touch /b", "rm /a"):
        seen = await step(stage, action)
        assert "made" not in seen.text
    first, second, third = map(system, endpoint.requests)
    assert HEAD not in first
    assert f"{HEAD}" in second
    assert "made /a\n" in second
    assert "made /a, /b\n" in third
    fields = endpoint.requests[0]["response_format"]["json_schema"]["schema"]["required"]
    assert fields[-1] == "ledger"


async def test_a_ledger_outlives_the_turns_that_there_is_no_room_for(
    played: Played, endpoint: Endpoint
) -> None:
    endpoint.script(*[says(noted(f"turn {n}", "y" * 4000 + "\n")) for n in range(6)])
    stage = played.stage(
        strategy="ledger", settings={"context_tokens": 7_000, "max_reply_tokens": 1000}
    )
    seen = [await step(stage, f"do {n}") for n in range(6)]
    assert seen[-1].provenance.dropped_turns > 0
    assert "turn 4" in system(endpoint.requests[-1])
    assert all(message["content"] != "do 0" for message in endpoint.requests[-1]["messages"])


async def test_a_ledger_is_told_a_probe_and_forgotten_by_a_reset(
    played: Played, endpoint: Endpoint
) -> None:
    endpoint.script(says(noted("made /a")), says({"entries": []}), says(noted("")))
    stage = played.stage(strategy="ledger")
    await step(stage)
    await stage.probe("files")
    await stage.reset()
    await step(stage)
    assert [HEAD in system(body) for body in endpoint.requests] == [False, True, False]


async def test_a_ledger_that_is_too_long_is_sampled_again(
    played: Played, endpoint: Endpoint
) -> None:
    endpoint.script(says(noted("z" * (MOST_CHARACTERS + 1))), says(noted("short")))
    seen = await step(played.stage(strategy="ledger"))
    assert f"more than {MOST_CHARACTERS}" in seen.provenance.rejections[0]


async def test_a_taught_model_keeps_what_it_noted_itself(
    played: Played, endpoint: Endpoint
) -> None:
    endpoint.script(says(noted("my own")), says(noted("then")))
    stage = played.stage(strategy="ledger", teacher=(RecordedTurn(b"ls", "real\n"),))
    await step(stage, "ls")
    await step(stage, "pwd")
    assert "my own" in system(endpoint.requests[1])


async def test_without_schemas_there_is_no_ledger(played: Played, endpoint: Endpoint) -> None:
    endpoint.otherwise = without_schemas(says("out"))
    stage = played.stage(strategy="ledger")
    assert (await step(stage)).text == "out\n"
    assert "ledger" not in system(endpoint.requests[-1])


@pytest.mark.parametrize("strategy", ["naive", "few_shot", "grounded", "snapshot"])
async def test_no_other_strategy_asks_for_one(
    played: Played, endpoint: Endpoint, strategy: str
) -> None:
    endpoint.script(says(reply()))
    await step(played.stage(strategy=strategy))
    assert "ledger" not in str(endpoint.requests[0])
