"""64 sessions at once: nothing lost, crossed or reordered, and the server answers throughout."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING

import plumb_client

if TYPE_CHECKING:
    from tests.integration.service.conftest import Server

SESSIONS, STEPS, CREATIONS_AT_ONCE = 64, 20, 8
ROUNDS = 3
"""Whatever else the machine does can only make answers later: the best round is the server's."""

# Of a process of its own, and first in the queue for a core: what is measured is the server.
ASKER = textwrap.dedent(
    """
    import os, sys, threading, time
    import grpc
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    try:
        os.nice(-10)
    except OSError:
        pass
    stop = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), stop.set()), daemon=True).start()
    with grpc.insecure_channel(sys.argv[1]) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        stub.Check(health_pb2.HealthCheckRequest(), wait_for_ready=True)
        print("asks", flush=True)
        while not stop.wait(0.001):
            started = time.perf_counter()
            answer = stub.Check(health_pb2.HealthCheckRequest(), timeout=10)
            assert answer.status == 1, answer
            print(time.perf_counter() - started, flush=True)
    """
)


async def play(shell: plumb_client.aio.Session, number: int) -> list[tuple[str, int]]:
    """Counts in the shell itself: a step that is lost, doubled or reordered shows."""
    seen = []
    for _ in range(STEPS):
        observation = await shell.step(f"echo {number} $((n+=1))", timeout=60)
        seen.append((observation.text.strip(), observation.step_index))
    return seen


async def play_and_ask(
    server: Server, shells: list[plumb_client.aio.Session]
) -> tuple[list[list[tuple[str, int]]], list[float]]:
    """Plays on all at once; what was seen, and how long each health call took, sorted."""
    asker = subprocess.Popen(
        [sys.executable, "-c", ASKER, server.address],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert asker.stdout is not None
    assert await asyncio.to_thread(asker.stdout.readline) == "asks\n"
    seen = await asyncio.gather(*(play(shell, n) for n, shell in enumerate(shells)))
    said, _ = await asyncio.to_thread(asker.communicate, "")
    assert asker.returncode == 0
    return seen, sorted(map(float, said.split()))


async def test_64_sessions_of_20_steps_lose_cross_and_reorder_nothing_and_health_answers_in_50_ms(
    server: Server,
) -> None:
    places = asyncio.Semaphore(CREATIONS_AT_ONCE)
    async with plumb_client.aio.connect(server.address) as plumb:

        async def create() -> plumb_client.aio.Session:
            async with places:
                return await plumb.session("shell")

        shells = await asyncio.gather(*(create() for _ in range(SESSIONS)))
        assert len(server.containers()) == SESSIONS

        rounds = []
        for done in range(0, ROUNDS * STEPS, STEPS):
            seen, seconds = await play_and_ask(server, shells)
            assert seen == [
                [(f"{number} {step}", step) for step in range(done + 1, done + STEPS + 1)]
                for number in range(SESSIONS)
            ]
            assert len(seconds) > 20
            rounds.append(seconds[int(len(seconds) * 0.99)])
            if rounds[-1] < 0.050:
                break
        assert min(rounds) < 0.050, f"p99 of the rounds, in seconds: {rounds}"

        async def close(shell: plumb_client.aio.Session) -> None:
            async with places:
                await shell.close()

        await asyncio.gather(*map(close, shells))
    assert not server.containers()
