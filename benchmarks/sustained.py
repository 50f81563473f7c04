"""Whole lives a second, sustained: new sandbox, `echo hi`, end; by a few workers at once.

All ways have the same number of workers, each for the same time; a life that has begun is lived to
its end, and counted. The pool is as large as the number of workers, and refilled under this load:
what it can add is little where the engine is the limit.
"""

import asyncio
import time
from collections.abc import Callable, Sequence

from bench import Bench, server
from driven import drivers
from findings import OURS, Findings, Row, with_ratios
from measure import WayFailed
from peers.catalogue import CATALOGUE
from ways import CLI, SDK, DockerCli, DockerSdk, Ours, Way, engine

SUBJECT = "whole lives, sustained"
WORKERS = 4
SECONDS = 15
POOLED = "plumb, from the pool"
NOTES = {peer.name: peer.note for peer in CATALOGUE} | {
    SDK: "containers.run, exec_run, remove by force",
    CLI: "docker run, exec, rm --force",
    POOLED: f"a pool of {WORKERS}, refilled under the load",
}


async def measure(bench: Bench) -> Findings:
    """Lets the workers of one way after the other run."""
    seconds = SECONDS * bench.scale
    rows = []
    with (
        server() as access,
        server(PLUMB_SHELL_POOL=str(WORKERS)) as pooled_at,
        engine() as client,
    ):
        async with access.connect() as plumb, pooled_at.connect() as pooled:
            making: dict[str, Callable[[], Way]] = {
                OURS: lambda: Ours(plumb),
                POOLED: lambda: Ours(pooled),
                SDK: lambda: DockerSdk(client),
                CLI: DockerCli,
            }
            for name, make in making.items():
                rows.append(await _row(name, [make() for _ in range(WORKERS)], seconds))
        for peer in CATALOGUE if bench.with_peers else ():
            async with drivers([peer] * WORKERS) as ways:
                rows.append(await _row(peer.name, ways, seconds))
    return Findings(with_ratios(rows))


async def _row(name: str, ways: Sequence[Way], seconds: float) -> Row:
    started = time.perf_counter()
    until = started + seconds
    lives = await asyncio.gather(*(_lives(way, until) for way in ways))
    taken = time.perf_counter() - started
    number = sum(lived for lived, _ in lives)
    failures = [failure for _, failed in lives for failure in failed]
    note = "; ".join([NOTES.get(name, ""), *failures[:1]]).strip("; ")
    if not number:
        return Row(subject=SUBJECT, way=name, unit="a second", note=f"not possible: {failures[0]}")
    return Row(
        subject=SUBJECT, way=name, unit="a second", runs=number, p50=number / taken, note=note
    )


async def _lives(way: Way, until: float) -> tuple[int, list[str]]:
    """How many lives were lived, and what went wrong; it is given up after the second failure."""
    lived = 0
    failures: list[str] = []
    while time.perf_counter() < until and len(failures) < 2:
        try:
            await way.create()
            await way.run("echo hi")
            await way.remove()
            lived += 1
        except WayFailed as failure:
            failures.append(str(failure))
    return lived, failures
