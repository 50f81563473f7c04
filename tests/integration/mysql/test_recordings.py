"""Every scenario's actions on the real server, against what the real client printed.

The recordings were made with the interactive `mysql` client 9.7 on a terminal, each scenario twice;
what differs between the two runs is left out, and durations are masked.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from plumb_backends.environment import Action
from plumb_backends.kinds.mysql import Isolation, MysqlOptions
from plumb_bench.scenario import Scenario, read_scenarios

if TYPE_CHECKING:
    from tests.conftest import MakeMysql

pytestmark = pytest.mark.asyncio(loop_scope="session")

SCENARIOS = {one.id: one for one in read_scenarios([Path("scenarios/mysql.jsonl")])}
DURATION = re.compile(r"\((?:\d+ (?:hours?|min) )*\d+\.\d+ sec\)")


def recordings() -> list[dict[str, Any]]:
    with Path("tests/data/mysql_client_recordings.jsonl").open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def masked(text: str) -> str:
    return DURATION.sub("(T sec)", text)


NEEDS_ITS_OWN_SERVER = {
    # CREATE FUNCTION fails there for want of DETERMINISTIC, because the server keeps a binary log.
    # The shared server keeps none: with one, no account but root could make functions at all.
    "mysql-026",
}


def options_for(scenario: Scenario) -> MysqlOptions:
    dedicated = scenario.id in NEEDS_ITS_OWN_SERVER
    return MysqlOptions(
        database=scenario.database,
        isolation=Isolation.DEDICATED if dedicated else Isolation.SHARED,
    )


@pytest.mark.parametrize("recording", recordings(), ids=lambda recording: str(recording["id"]))
async def test_the_client_rendering_is_what_the_client_printed(
    recording: dict[str, Any], make_mysql: MakeMysql
) -> None:
    scenario: Scenario = SCENARIOS[recording["id"]]
    session = await make_mysql(init=scenario.init, options=options_for(scenario))
    one, other = (run["turns"] for run in recording["runs"])
    differences = []
    for recorded, again in zip(one, other, strict=True):
        seen = await session.step(Action(recorded["action"].encode()))
        if masked(recorded["output"]) != masked(again["output"]):
            continue
        if masked(seen.text) != masked(recorded["output"]):
            differences.append((recorded["action"], recorded["output"], seen.text))
        assert seen.sql is not None
        assert (seen.sql.errno or None) == recorded["errno"]
    assert not differences
