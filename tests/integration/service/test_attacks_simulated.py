"""What an agent of a simulated session may try against the server: nobody else notices."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

import plumb_client
from plumb_client import Ending

SQLITE = {"model": "baseline:sqlite"}
PATIENCE = 30.0
"""Seconds that a neighbour's step may take, on a machine that has much else to do."""

ENDLESS = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT"
ATTACKS = {
    "a database written to a file": "VACUUM INTO '{file}'",
    "the heap's limit of the process": "PRAGMA hard_heap_limit = 100000",
    "a gigabyte of text": "SELECT LENGTH(REPEAT('x', 900000000))",
    "large rows without end": f"{ENDLESS} REPEAT('x', 1000000) FROM c",
    "a delimiter of 128,000 bytes": "delimiter " + "." * 128_000 + "b\n" + "." * 128_000,
    "a sum of 100,000": f"SELECT {'1+' * 100_000}1",
}


@pytest.mark.parametrize("name", ATTACKS)
def test_sql_of_an_agent_stays_in_its_own_process(
    name: str, plumb: plumb_client.Plumb, tmp_path: Path
) -> None:
    attack = ATTACKS[name].replace("{file}", str(tmp_path / "x"))
    with (
        plumb.session("mysql", "simulated", simulator=SQLITE) as attacker,
        plumb.session("mysql", "simulated", simulator=SQLITE) as neighbour,
    ):
        attacker.step(attack, timeout=1)
        started = time.monotonic()
        assert "|    2 |" in neighbour.step("SELECT 2 AS four").text  # and the journal has it
        assert time.monotonic() - started < PATIENCE
        assert attacker.step("SELECT 1").ending is Ending.EXITED
    assert list(tmp_path.iterdir()) == []
