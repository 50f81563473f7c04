"""A neighbour's `echo hi` while another session's output is made to be expensive.

Each attack runs again and again in a session of its own, as long as the neighbour is timed.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from bench import Bench, server
from findings import OURS, Budget, Findings, Row
from measure import Timings, in_turns
from plumb_client import aio

SUBJECT = "a neighbour's step, echo hi"
ROUNDS = 300
MOST_P99 = 50.0
ALONE = f"{OURS}, nobody attacks"
_PAIRED: dict[str, Any] = {"backend": "paired", "simulator": {"model": "baseline:always_error"}}
ATTACKS: dict[str, tuple[dict[str, Any], str]] = {
    "erases": ({}, r"printf '\e[65536Gx'; yes $'\e[1K' | tr -d '\n' | head -c 300000"),
    "edits without end": ({}, r"yes $'\e[A\e[M\e[1J'"),
    "a flood of text": ({}, "yes"),
    "a pair, one line 32,000 times": (_PAIRED, "yes a | head -32000"),
    "a pair, 30,000 lines": (_PAIRED, "seq 30000"),
    "a pair, shuf 16,000 times": (_PAIRED, ": " + "shuf " * 16_000),
}


async def measure(bench: Bench) -> Findings:
    """Times the neighbour under each attack."""
    rows: list[Row] = []
    budgets: list[Budget] = []
    with server() as access:
        async with access.connect() as plumb, plumb.session("shell") as neighbour:
            await neighbour.step("echo hi")
            alone = await _timed(neighbour, bench)
            rows.append(_row(ALONE, alone, alone))
            for name, (options, action) in ATTACKS.items():
                async with _attack(plumb, options, action):
                    timings = await _timed(neighbour, bench)
                rows.append(_row(f"{OURS}, {name}", timings, alone))
                p99 = timings.percentile(99) * 1000
                budgets.append(Budget(f"a neighbour's p99, {name}", p99, MOST_P99, "ms"))
    return Findings(rows, budgets)


@asynccontextmanager
async def _attack(plumb: aio.Plumb, options: dict[str, Any], action: str) -> AsyncIterator[None]:
    async with plumb.session("shell", **options) as attacker:
        attacking = asyncio.create_task(_repeat(attacker, action))
        await asyncio.sleep(0.5)  # until it is under way
        try:
            yield
        finally:
            attacking.cancel()
            await asyncio.wait({attacking})


async def _repeat(attacker: aio.Session, action: str) -> None:
    while True:
        await attacker.step(action, timeout=3)


async def _timed(neighbour: aio.Session, bench: Bench) -> Timings:
    rounds = bench.rounds(ROUNDS)
    return (await in_turns({"": lambda: neighbour.step("echo hi")}, {"": rounds}))[""]


def _row(way: str, timings: Timings, alone: Timings) -> Row:
    median, p99 = timings.percentile(50), timings.percentile(99) * 1000
    return Row(
        subject=SUBJECT,
        way=way,
        unit="ms",
        runs=len(timings.seconds),
        p50=median * 1000,
        p95=timings.percentile(95) * 1000,
        ratio=median / alone.percentile(50),
        note=f"p99 {p99:.1f} ms, slowest {max(timings.seconds) * 1000:.0f} ms",
    )
