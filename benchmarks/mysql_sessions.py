"""MySQL sessions, beside a container started for each, in one run.

    make bench                          # or: python benchmarks/mysql_sessions.py [--out FILE.json]

A creation makes a session with a table of 100 rows and ends with the first answer; the other way
starts a container of the same image for it, waits until it answers, and makes the same table with
MySQL's own connector. A step is `SELECT 1`: ours goes through the client, the wire, the server and
the journal; the connector's is the floor. Absolute times depend on the machine and its neighbours:
read the ratios.
"""

import argparse
import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import docker
import mysql.connector
from measure import Timings, as_json, failed, in_turns, machine, table_of
from mysql.connector.aio import MySQLConnection
from rich.console import Console

from plumb_cli.access import Access
from plumb_cli.local_server import server_at
from plumb_client import aio

IMAGE = "plumb-mysql:latest"
PASSWORD = "benchmark"
OURS = "plumb"
TABLE = "CREATE TABLE t (a INT PRIMARY KEY, b VARCHAR(40))"
ROWS = f"INSERT INTO t VALUES {','.join(f'({n}, {n * n})' for n in range(100))}"
ALL = "SELECT COUNT(*) FROM t"

Way = Callable[[], Awaitable[object]]


async def measure_creations(plumb: aio.Plumb) -> dict[str, Timings]:
    """Times a new session up to its first answer, removal left out of ours and of theirs."""
    client = docker.from_env()
    garbage: list[Way] = []

    async def ours() -> None:
        session = await plumb.session("mysql", init=[TABLE, ROWS])
        garbage.append(session.close)
        await session.step(ALL)

    async def container() -> None:
        started = await asyncio.to_thread(_start, client)
        garbage.append(lambda: asyncio.to_thread(started.remove, force=True))
        connection = await _ready(started)
        cursor = await connection.cursor()
        for statement in ("CREATE DATABASE plumb", "USE plumb", TABLE, ROWS, ALL):
            await cursor.execute(statement)
        await cursor.fetchall()
        garbage.append(connection.close)

    async def clean() -> None:
        while garbage:
            await garbage.pop()()

    await ours()  # warm
    await clean()
    seconds: dict[str, list[float]] = {OURS: [], "a container each": []}
    for number in range(40):
        ways: dict[str, Way] = {OURS: ours}
        if number % 5 == 0:
            ways["a container each"] = container
        for name, taken in (await in_turns(ways, dict.fromkeys(ways, 1))).items():
            seconds[name] += taken.seconds
        await clean()
    client.close()
    return {name: Timings(tuple(values)) for name, values in seconds.items()}


async def measure_resets(plumb: aio.Plumb) -> dict[str, Timings]:
    """Times going back to the grounded state: a new database with its 100 rows."""
    async with plumb.session("mysql", init=[TABLE, ROWS]) as session:
        return await in_turns({OURS: session.reset}, {OURS: 40})


async def measure_steps(plumb: aio.Plumb) -> dict[str, Timings]:
    """Times `SELECT 1`."""
    client = docker.from_env()
    container = _start(client)
    try:
        connection = await _ready(container)
        cursor = await connection.cursor()

        async def floor() -> None:
            await cursor.execute("SELECT 1")
            await cursor.fetchall()

        async with plumb.session("mysql") as session:
            ways: dict[str, Way] = {OURS: lambda: session.step("SELECT 1"), "the connector": floor}
            for way in ways.values():  # warm
                await way()
            timings = await in_turns(ways, {OURS: 600, "the connector": 600})
        await connection.close()
        return timings
    finally:
        container.remove(force=True)
        client.close()


def _start(client: docker.DockerClient) -> Any:
    return client.containers.run(
        IMAGE,
        detach=True,
        environment={"PLUMB_ADMIN_PASSWORD": PASSWORD},
        ports={"3306/tcp": ("127.0.0.1", 0)},  # any free one,
    )


async def _ready(container: Any) -> MySQLConnection:
    while True:
        await asyncio.to_thread(container.reload)
        for binding in container.ports.get("3306/tcp") or ():
            connection = MySQLConnection(
                host="127.0.0.1",
                port=int(binding["HostPort"]),
                user="plumb_admin",
                password=PASSWORD,
            )
            with contextlib.suppress(mysql.connector.Error, OSError):
                await connection.connect()
                return connection
        await asyncio.sleep(0.02)


async def measure(
    server: Access,
) -> tuple[dict[str, Timings], dict[str, Timings], dict[str, Timings]]:
    """Measures all three."""
    async with server.connect() as plumb:
        creations = await measure_creations(plumb)
        return creations, await measure_resets(plumb), await measure_steps(plumb)


def main() -> int:
    """Measures, prints, writes; returns 1 if a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, help="where to write the figures as JSON")
    arguments = parser.parse_args()
    os.environ.setdefault("PLUMB_LOG_LEVEL", "ERROR")
    with server_at(None) as server:
        creations, resets, steps = asyncio.run(measure(server))
    console = Console()
    console.print(f"on {machine()}")
    console.print(table_of("A new session with 100 rows, up to its first answer", creations, OURS))
    console.print(table_of("A reset of it", resets, OURS))
    console.print(table_of("One step, SELECT 1", steps, OURS))
    if arguments.out:
        figures = {
            "machine": machine(),
            "creation": as_json(creations, OURS),
            "reset": as_json(resets, OURS),
            "step": as_json(steps, OURS),
        }
        arguments.out.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    ours = creations[OURS].percentile(50)
    missed = failed(
        [
            ("creation p50, ms", ours * 1000, 30),
            ("creation / a container each", ours / creations["a container each"].percentile(50),
             1 / 30),
            ("step p50, ms", steps[OURS].percentile(50) * 1000, 2.5),
        ]
    )  # fmt: skip
    for line in missed:
        console.print(f"missed: {line}", style="red")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
