"""Health while every session sleeps: does it still answer, and is no step lost or crossed?

As many sessions as the machine holds, 200 at most, run `sleep` at once, each with a word of its own
to say afterwards; meanwhile the health service is asked again and again. Its answer is the last
finding of a watch that asks the engine: what is measured is whether the server's loop is free.
"""

import asyncio
import time
from contextlib import AsyncExitStack
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from bench import Bench, server
from findings import Budget, Findings, Row, latencies
from measure import Timings, memory_bytes
from plumb_client import aio

MOST_SESSIONS = 200
SESSION_BYTES = 40_000_000
"""What a sleeping session may take at most, for the estimate of how many the machine holds."""
SLEEP_SECONDS = 15
IDLE_SECONDS = 5
PAUSE_SECONDS = 0.01
CREATIONS_AT_ONCE = 4
IDLE, LOADED = "plumb, no step running", "plumb, {} sessions in sleep"


async def measure(bench: Bench) -> Findings:
    """Asks without load first, then under it."""
    possible = int(memory_bytes("MemAvailable") / 2 / SESSION_BYTES)
    number = min(bench.rounds(MOST_SESSIONS), possible)
    sleep = max(2, round(SLEEP_SECONDS * bench.scale))
    with server() as access:
        async with AsyncExitStack() as stack:
            plumb = await stack.enter_async_context(access.connect())
            channel = await stack.enter_async_context(grpc.aio.insecure_channel(access.address))
            health = health_pb2_grpc.HealthStub(channel)
            sessions = await _sessions(stack, plumb, number)
            idle = await _asked(health, asyncio.create_task(asyncio.sleep(IDLE_SECONDS)))
            steps = asyncio.gather(*(_step(session, sleep) for session in sessions))
            loaded = await _asked(health, steps)
            wrong = number - sum(await steps)
    loaded_name = LOADED.format(number)
    scaled = "" if number == MOST_SESSIONS else f"{MOST_SESSIONS} were not tried here; "
    rows = latencies(
        "health",
        {loaded_name: loaded, IDLE: idle},
        loaded_name,
        {loaded_name: f"{scaled}p99 {loaded.percentile(99) * 1000:.1f} ms"},
    )
    rows.append(
        Row(subject=f"steps lost or crossed, of {number}", way="plumb", unit="steps",
            runs=1, p50=float(wrong))
    )  # fmt: skip
    budgets = [
        Budget(f"health p99, {number} sessions in sleep", loaded.percentile(99) * 1000, 50, "ms"),
        Budget(f"steps lost or crossed, {number} sessions", float(wrong), 0, "steps"),
    ]
    return Findings(rows, budgets)


async def _sessions(stack: AsyncExitStack, plumb: aio.Plumb, number: int) -> list[aio.Session]:
    places = asyncio.Semaphore(CREATIONS_AT_ONCE)

    async def create() -> aio.Session:
        async with places:
            return await stack.enter_async_context(plumb.session("shell"))

    return list(await asyncio.gather(*(create() for _ in range(number))))


async def _step(session: aio.Session, seconds: int) -> bool:
    """Whether the session's own word came back, from a step that took its time."""
    word = session.name.rpartition("/")[2]
    seen = await session.step(f"sleep {seconds}; echo {word}", timeout=600)
    return seen.text == f"{word}\n" and seen.run_duration >= seconds


async def _asked(health: "health_pb2_grpc.HealthStub", until: "asyncio.Future[Any]") -> Timings:
    seconds = []
    while not until.done():
        started = time.perf_counter()
        await health.Check(health_pb2.HealthCheckRequest())
        seconds.append(time.perf_counter() - started)
        await asyncio.sleep(PAUSE_SECONDS)
    return Timings(tuple(seconds))
