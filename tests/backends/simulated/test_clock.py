"""The clock of a played session: told at each turn, moved by what actions take, never in a key."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.backends.simulated.conftest import Played
from tests.model_endpoint import Body, Endpoint, says

from plumb_backends.environment import Action, Observation
from plumb_backends.simulated.clock import SessionClock
from plumb_backends.simulated.settings import CassetteMode
from plumb_backends.simulated.stage import Stage

START = datetime(2031, 4, 5, 23, 59, 30, tzinfo=UTC)


def reply(seconds: float = 0, **facts: Any) -> dict[str, Any]:
    return {"output": "x\n", "exit_code": 0, "cwd": "/root", "seconds": seconds, **facts}


async def step(stage: Stage, text: str = "date", timeout: float = 60.0) -> Observation:
    return await asyncio.wait_for(stage.step(Action(text.encode(), timeout=timeout)), 20)


def told(body: Body) -> str:
    return str(body["messages"][0]["content"])


def test_it_goes_on_with_the_agent_and_moves_by_what_actions_take() -> None:
    ticks = [100.0]
    clock = SessionClock(monotonic=lambda: ticks[0])
    assert abs(datetime.now(UTC) - clock.began) < timedelta(minutes=1)
    ticks[0] += 5  # the agent thinks
    typed = clock.now()
    assert typed == clock.began + timedelta(seconds=5)
    ticks[0] += 40  # the model thinks
    clock.go_on_from(typed + timedelta(seconds=100))
    ticks[0] += 1
    assert clock.now() == clock.began + timedelta(seconds=106)


def test_one_that_is_given_goes_on_by_actions_alone() -> None:
    clock = SessionClock(START)
    assert clock.now() == clock.now() == START
    clock.go_on_from(START + timedelta(seconds=2))
    assert clock.now() == START + timedelta(seconds=2)
    clock.restart()
    assert clock.now() == START


@pytest.mark.parametrize("kind", ["shell", "mysql"])
async def test_the_present_day_is_told_from_the_first_turn_on(
    played: Played, endpoint: Endpoint, kind: str
) -> None:
    endpoint.otherwise = says(reply() if kind == "shell" else {"output": "", "errno": 0,
                                                               "seconds": 0})  # fmt: skip
    before = datetime.now(UTC)
    await step(played.stage(kind))
    days = {f"{at:%A, %Y-%m-%d}" for at in (before, datetime.now(UTC))}
    assert any(day in told(endpoint.requests[0]) for day in days)


async def test_each_turn_is_told_its_time_and_those_of_the_turns_before(
    played: Played, endpoint: Endpoint
) -> None:
    endpoint.script(says(reply(20)), says(reply(999999)), says(reply()), says(reply()))
    stage = played.stage(clock=SessionClock(START))
    await step(stage, "sleep 20")
    await step(stage, "sleep 999", timeout=40)
    await step(stage)
    first, _, third = map(told, endpoint.requests)
    assert "The session began on Saturday, 2031-04-05 at 23:59:30 UTC" in first
    assert "typed on Saturday, 2031-04-05 at 23:59:30 UTC" in first
    assert "typed on Sunday, 2031-04-06 at 00:00:30 UTC" in third
    assert ("typed at: 2031-04-05 23:59:30, "
            "2031-04-05 23:59:50 (stopped when its time was up).") in third  # fmt: skip
    await stage.reset()
    await step(stage)
    assert told(endpoint.requests[-1]) == first.replace("40 s later", "60 s later")


async def test_a_probe_and_a_critic_are_told_it_too(played: Played, endpoint: Endpoint) -> None:
    endpoint.script(says(reply()), says({"unreal": False, "why": ""}), says({"entries": []}))
    stage = played.stage(clock=SessionClock(START), critic=True)
    await step(stage)
    await stage.probe("files")
    assert len(endpoint.requests) == 3
    assert all("2031-04-05" in told(body) for body in endpoint.requests)
    assert "s later" not in told(endpoint.requests[-1])  # a question has no timeout


async def test_a_recorded_session_is_replayed_on_another_day_but_not_with_another_timeout(
    played: Played, endpoint: Endpoint, tmp_path: Path
) -> None:
    cassette = tmp_path / "cassette.jsonl"
    endpoint.script(says("bad"), says(reply(1)), says(reply()))

    def stage(mode: CassetteMode, start: datetime) -> Stage:
        settings = {"cassette": cassette, "cassette_mode": mode}
        return played.stage(settings=settings, clock=SessionClock(start))

    recorded = stage(CassetteMode.AUTO, START)
    for text in ("one", "two"):
        await step(recorded, text)
    replayed = stage(CassetteMode.REPLAY, START + timedelta(days=400))
    for text in ("one", "two"):
        assert (await step(replayed, text)).provenance.cassette_hit
    assert len(endpoint.requests) == 3
    endpoint.otherwise = says(reply())
    assert not (await step(stage(CassetteMode.AUTO, START), "one", 2)).provenance.cassette_hit
