"""64 sessions at once: nothing lost, crossed or reordered, and the server answers throughout.

How fast it answers then is a line of `make bench`.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING

import plumb_client

if TYPE_CHECKING:
    from tests.integration.service.conftest import Server, StartServer

SESSIONS, STEPS, CREATIONS_AT_ONCE = 64, 20, 8

# Of a process of its own: this one is busy with 64 sessions.
ASKER = textwrap.dedent(
    """
    import sys, threading
    import grpc
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    stop = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), stop.set()), daemon=True).start()
    with grpc.insecure_channel(sys.argv[1]) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        stub.Check(health_pb2.HealthCheckRequest(), wait_for_ready=True)
        print("asks", flush=True)
        while not stop.wait(0.001):
            answer = stub.Check(health_pb2.HealthCheckRequest(), timeout=30)
            print(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status), flush=True)
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
) -> tuple[list[list[tuple[str, int]]], list[str]]:
    """Plays on all at once; what was seen, and what the server said of its health meanwhile."""
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
    return seen, said.split()


async def test_64_sessions_of_20_steps_lose_cross_and_reorder_nothing_and_health_is_told_meanwhile(
    start_server: StartServer,
) -> None:
    server = start_server(PLUMB_HEALTH_INTERVAL="3600")  # an engine that is busy is not asked
    places = asyncio.Semaphore(CREATIONS_AT_ONCE)
    async with plumb_client.aio.connect(server.address) as plumb:

        async def create() -> plumb_client.aio.Session:
            async with places:
                return await plumb.session("shell")

        shells = await asyncio.gather(*(create() for _ in range(SESSIONS)))
        assert len(server.containers()) == SESSIONS

        seen, said = await play_and_ask(server, shells)
        assert seen == [
            [(f"{number} {step}", step) for step in range(1, STEPS + 1)]
            for number in range(SESSIONS)
        ]
        assert len(said) > 20
        assert set(said) == {"SERVING"}

        async def close(shell: plumb_client.aio.Session) -> None:
            async with places:
                await shell.close()

        await asyncio.gather(*map(close, shells))
    assert not server.containers()
