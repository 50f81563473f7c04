"""Every scenario's actions on the real server, against what the real client printed.

The recordings were made with the interactive `mysql` client 9.7 on a terminal, each scenario twice;
what differs between the two runs is left out, and durations are masked.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from tests.integration.mysql.conftest import recycle, run

from plumb_backends.environment import Action
from plumb_backends.real.mysql_environment import RealMysql
from plumb_bench.scenario import Scenario, read_scenarios

pytestmark = pytest.mark.asyncio(loop_scope="session")

SCENARIOS = {one.id: one for one in read_scenarios([Path("scenarios/mysql.jsonl")])}
DURATION = re.compile(r"\((?:\d+ (?:hours?|min) )*\d+\.\d+ sec\)")


def recordings() -> list[dict[str, Any]]:
    with Path("tests/data/mysql_client_recordings.jsonl").open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def masked(text: str) -> str:
    return DURATION.sub("(T sec)", text)


async def differences(session: RealMysql, recording: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Actions whose answers are not what the client printed, where its two runs agree."""
    found = []
    one, other = (run["turns"] for run in recording["runs"])
    for recorded, again in zip(one, other, strict=True):
        seen = await session.step(Action(recorded["action"].encode()))
        if masked(recorded["output"]) != masked(again["output"]):
            continue
        if masked(seen.text) != masked(recorded["output"]):
            found.append((recorded["action"], recorded["output"], seen.text))
        assert seen.sql is not None
        assert (seen.sql.errno or None) == recorded["errno"]
    return found


@pytest.mark.parametrize("recording", recordings(), ids=lambda recording: str(recording["id"]))
async def test_the_client_rendering_is_what_the_client_printed(
    recording: dict[str, Any], lasting: RealMysql
) -> None:
    scenario: Scenario = SCENARIOS[recording["id"]]
    await recycle(lasting, scenario.database)
    for script in scenario.init:
        await run(lasting, script)
    assert not await differences(lasting, recording)
