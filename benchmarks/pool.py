"""New sessions from a warm pool, beside new ones that are made cold, in one run.

    make bench                          # or: python benchmarks/pool.py [--out FILE.json]

Two servers run side by side, one with pools and one without; sessions are made on both in turns,
with no init script, and each time ends when the client has the session. Before each round the pool
is full again, as its metrics say: what is measured is a hit. `first output` ends with the output of
a first step. Absolute times depend on the machine and its neighbours: read the ratios.
"""

import argparse
import asyncio
import json
import os
import socket
import sys
import urllib.request
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from measure import Timings, as_json, failed, in_turns, machine, table_of
from rich.console import Console

from plumb_cli.access import Access
from plumb_cli.local_server import server_at
from plumb_client import aio

WARM, COLD = "from the pool", "cold"
SIZE = 4
ROUNDS = {"shell": 24, "mysql": 40}
ACTIONS = {"shell": "echo hi", "mysql": "SELECT 1"}
BARS = {"shell": 20.0, "mysql": 20.0}
"""The most milliseconds of a session from the pool, p50."""

Way = Callable[[], Awaitable[object]]


async def measure(
    pooled: aio.Plumb, cold: aio.Plumb, kind: str, metrics: str, *, with_step: bool
) -> dict[str, Timings]:
    """Times new sessions of a kind on both servers; removals and refills are left out."""
    garbage: list[aio.Session] = []

    def creating(plumb: aio.Plumb) -> Way:
        async def create() -> None:
            session = await plumb.session(kind)
            garbage.append(session)
            if with_step:
                await session.step(ACTIONS[kind])

        return create

    ways = {WARM: creating(pooled), COLD: creating(cold)}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(ROUNDS[kind] + 1):
        await _until_full(metrics, kind)
        for name, taken in (await in_turns(ways, dict.fromkeys(ways, 1))).items():
            seconds[name] += taken.seconds if number else ()  # the first is to warm up
        while garbage:
            await garbage.pop().close()
    return {name: Timings(tuple(values)) for name, values in seconds.items()}


async def _until_full(metrics: str, kind: str) -> None:
    full = f'plumb_pool_size{{pool="{kind}"}} {SIZE:.1f}'
    while full not in await asyncio.to_thread(_read, metrics):  # noqa: ASYNC110
        await asyncio.sleep(0.01)


def _read(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return str(answer.read().decode())


async def measure_all(
    pooled_at: Access, cold_at: Access, metrics: str
) -> dict[str, dict[str, Timings]]:
    """Measures both kinds, both with and without a step."""
    async with pooled_at.connect() as pooled, cold_at.connect() as cold:
        return {
            f"{kind}, {end}": await measure(pooled, cold, kind, metrics, with_step=with_step)
            for kind in ROUNDS
            for end, with_step in (("session", False), ("first output", True))
        }


@contextmanager
def _server(**variables: str) -> Iterator[Access]:
    os.environ.update(variables)
    try:
        with server_at(None) as server:
            yield server
    finally:
        for name in variables:
            del os.environ[name]


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def main() -> int:
    """Measures, prints, writes; returns 1 if a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, help="where to write the figures as JSON")
    arguments = parser.parse_args()
    os.environ.setdefault("PLUMB_LOG_LEVEL", "ERROR")
    port = str(_free_port())
    pools = {"PLUMB_SHELL_POOL": str(SIZE), "PLUMB_MYSQL_POOL": str(SIZE)}
    with _server() as cold_at, _server(**pools, PLUMB_METRICS_PORT=port) as pooled_at:
        metrics = f"http://127.0.0.1:{port}/metrics"
        figures = asyncio.run(measure_all(pooled_at, cold_at, metrics))
    console = Console()
    console.print(f"on {machine()}")
    for what, timings in figures.items():
        console.print(table_of(f"A new {what}", timings, WARM))
    if arguments.out:
        written = {what: as_json(timings, WARM) for what, timings in figures.items()}
        text = json.dumps({"machine": machine(), **written}, indent=2)
        arguments.out.write_text(text + "\n", encoding="utf-8")
    missed = failed(
        [
            (f"{kind} session from the pool p50, ms",
             figures[f"{kind}, session"][WARM].percentile(50) * 1000, bar)
            for kind, bar in BARS.items()
        ]
    )  # fmt: skip
    for line in missed:
        console.print(f"missed: {line}", style="red")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
