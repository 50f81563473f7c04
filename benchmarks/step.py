"""Step and creation latency, beside other ways of doing the same, in one run.

    make bench                          # or: python benchmarks/step.py [--out FILE.json]

Steps are `echo hi` with its exit status. Ours goes through the client, the wire, the server, the
journal and the terminal in a container; `docker exec` (client and SDK) runs one process a command,
without any state between them; SWE-ReX (PyPI: swe-rex) is measured with its local runtime, which
uses no container at all. Creations end with the first output. Absolute times depend on the machine
and its neighbours: read the ratios.
"""

import argparse
import asyncio
import contextlib
import importlib
import json
import os
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import docker
from measure import Timings, as_json, failed, in_turns, machine, table_of
from rich.console import Console

from plumb_cli.access import Access
from plumb_cli.local_server import server_at
from plumb_client import aio

IMAGE = "plumb-shell:latest"
HARDENED: dict[str, Any] = {
    "network_mode": "none",
    "cap_drop": ["ALL"],
    "mem_limit": "1g",
    "pids_limit": 256,
}
OURS = "plumb"
STEP_ROUNDS = {OURS: 600, "docker exec (SDK)": 60, "docker exec (CLI)": 40, "SWE-ReX, local": 30}
CREATION_ROUNDS = {OURS: 24, "containers.run (SDK)": 24, "docker run (CLI)": 24}

Way = Callable[[], Awaitable[object]]


async def measure_steps(server: Access) -> dict[str, Timings]:
    """Times one command in a live sandbox."""
    async with AsyncExitStack() as stack:
        container = await stack.enter_async_context(_container())
        session = await _our_session(stack, server)
        ways: dict[str, Way] = {
            OURS: lambda: session.step("echo hi"),
            "docker exec (SDK)": lambda: asyncio.to_thread(container.exec_run, ["echo", "hi"]),
            "docker exec (CLI)": lambda: _run("docker", "exec", container.id, "echo", "hi"),
        }
        rex = await stack.enter_async_context(_swe_rex())
        if rex is not None:
            ways["SWE-ReX, local"] = rex
        for way in ways.values():  # warm
            await way()
        return await in_turns(ways, {name: STEP_ROUNDS[name] for name in ways})


async def measure_creations(server: Access) -> dict[str, Timings]:
    """Times a new sandbox up to its first output, removal left out of ours and of theirs."""
    client = docker.from_env()
    garbage: list[Callable[[], Awaitable[object]]] = []

    async with server.connect() as plumb:

        async def ours() -> None:
            session = await plumb.session("shell")
            garbage.append(session.close)
            await session.step("echo hi")

        async def sdk() -> None:
            container = await asyncio.to_thread(_start, client, "echo hi; sleep 60")
            garbage.append(lambda: asyncio.to_thread(container.remove, force=True))
            await asyncio.to_thread(lambda: next(iter(container.logs(stream=True, follow=True))))

        async def cli() -> None:
            name = f"plumb-benchmark-{uuid.uuid4().hex[:12]}"
            options = ["--network=none", "--cap-drop=ALL", "--memory=1g", "--pids-limit=256"]
            await _run("docker", "run", "--rm", "--name", name, *options, IMAGE, "echo", "hi")

        async def clean() -> None:
            for remove in garbage:
                await remove()
            garbage.clear()

        ways: dict[str, Way] = {OURS: ours, "containers.run (SDK)": sdk, "docker run (CLI)": cli}
        for way in ways.values():  # warm
            await way()
        await clean()
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(max(CREATION_ROUNDS.values())):
            for name, taken in (await in_turns(ways, dict.fromkeys(ways, 1))).items():
                seconds[name] += taken.seconds
            await clean()
    client.close()
    return {name: Timings(tuple(values)) for name, values in seconds.items()}


async def _our_session(stack: AsyncExitStack, server: Access) -> aio.Session:
    plumb = await stack.enter_async_context(server.connect())
    return await stack.enter_async_context(plumb.session("shell"))


def _start(client: docker.DockerClient, script: str) -> Any:
    return client.containers.run(IMAGE, ["sh", "-c", script], detach=True, **HARDENED)


@asynccontextmanager
async def _container() -> AsyncIterator[Any]:
    client = docker.from_env()
    container = _start(client, "sleep 3600")
    try:
        yield container
    finally:
        container.remove(force=True)
        client.close()


@asynccontextmanager
async def _swe_rex() -> AsyncIterator[Way | None]:
    """SWE-ReX, where it is installed: `uv run --with swe-rex`."""
    try:
        local = importlib.import_module("swerex.runtime.local")
        abstract = importlib.import_module("swerex.runtime.abstract")
    except ImportError:
        yield None
        return
    runtime = local.LocalRuntime()
    await runtime.create_session(abstract.CreateBashSessionRequest())
    try:
        yield lambda: runtime.run_in_session(abstract.BashAction(command="echo hi"))
    finally:
        await runtime.close()


async def _run(*argv: str) -> None:
    process = await asyncio.create_subprocess_exec(*argv, stdout=subprocess.DEVNULL)
    if await process.wait():
        raise RuntimeError(f"{' '.join(argv)} failed")


def main() -> int:
    """Measures, prints, writes; returns 1 if a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, help="where to write the figures as JSON")
    arguments = parser.parse_args()
    os.environ.setdefault("PLUMB_LOG_LEVEL", "ERROR")
    with server_at(None) as server:
        steps = asyncio.run(measure_steps(server))
        creations = asyncio.run(measure_creations(server))
    console = Console()
    console.print(f"on {machine()}")
    console.print(table_of("One step, echo hi", steps, OURS))
    console.print(table_of("A new session, up to its first output", creations, OURS))
    if arguments.out:
        figures = {
            "machine": machine(),
            "step": as_json(steps, OURS),
            "creation": as_json(creations, OURS),
        }
        arguments.out.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    missed = failed(_bars(steps, creations))
    for line in missed:
        console.print(f"missed: {line}", style="red")
    return 1 if missed else 0


def _bars(
    steps: dict[str, Timings], creations: dict[str, Timings]
) -> list[tuple[str, float, float]]:
    ours = steps[OURS].percentile(50)
    bars = [
        ("step p50, ms", ours * 1000, 2.5),
        ("step / docker exec", ours / steps["docker exec (CLI)"].percentile(50), 1 / 30),
        (
            "creation / docker run",
            creations[OURS].percentile(50) / creations["docker run (CLI)"].percentile(50),
            1.25,
        ),
    ]
    with contextlib.suppress(KeyError):
        bars.append(("step / SWE-ReX", ours / steps["SWE-ReX, local"].percentile(50), 1 / 40))
    return bars


if __name__ == "__main__":
    sys.exit(main())
