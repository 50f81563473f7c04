"""MySQL sessions beside a container started for each, and `SELECT 1` beside MySQL's own connector.

A creation makes a session with a table of 100 rows and ends with the first answer. Two figures tell
what it takes: from a full pool, where the next one waits until the pool is full again; and one
after the other without a rest, which soon is as fast as servers can be started. The other way
starts a container of the same image for it, waits until it answers, and makes the same table with
the connector. A reset is ours alone: the other way to the same state is another container. A step
of ours goes through the client, the wire, the server and the journal; the connector is the floor.
No peer that is measured here has a database.
"""

import asyncio
import contextlib
from typing import Any

import docker
import mysql.connector
from mysql.connector.aio import MySQLConnection

from bench import HARDENED, Bench, server
from findings import OURS, Budget, Findings, latencies, milliseconds, p50, ratio_of
from measure import Action, Timings, in_turns, joined
from plumb_client import aio
from pool_size import free_port, until_full

IMAGE = "plumb-mysql:latest"
PASSWORD = "benchmark"
DATA = "/var/lib/plumb-mysql-ram"
EACH, CONNECTOR = "a container each", "mysql.connector.aio"
TABLE = "CREATE TABLE t (a INT PRIMARY KEY, b VARCHAR(40))"
ROWS = f"INSERT INTO t VALUES {','.join(f'({n}, {n * n})' for n in range(100))}"
ALL = "SELECT COUNT(*) FROM t"
POOL = 2
CREATIONS, SUSTAINED, CONTAINERS, RESETS, STEPS = 15, 20, 8, 20, 600
NOTES = {
    EACH: "the same image with its settings for a shared server",
    CONNECTOR: "the floor: no session, no journal, no server of ours between",
}


async def measure(bench: Bench) -> Findings:
    """Measures all of them."""
    port = free_port()
    with server(PLUMB_MYSQL_POOL=str(POOL), PLUMB_METRICS_PORT=str(port)) as access:
        async with access.connect() as plumb:
            created = await _creations(plumb, bench, port)
            sustained = await _sustained(plumb, bench)
            reset = await _resets(plumb, bench, port)
            stepped = await _steps(plumb, bench)
    rows = [
        *latencies("new mysql session from a full pool, 100 rows, first answer",
                   created, OURS, NOTES),
        *latencies("the same, one after the other", sustained, OURS, {}),
        *latencies("reset of it, from a full pool", reset, OURS, {}),
        *latencies("step, SELECT 1", stepped, OURS, NOTES),
    ]  # fmt: skip
    budgets = [
        Budget("mysql session from a full pool, 100 rows, p50",
               milliseconds(p50(created, OURS)), 30, "ms"),
        Budget("mysql session from a full pool, a container each / ours",
               ratio_of(created, EACH, OURS), 30, "times", is_least=True),
        Budget("mysql step SELECT 1 p50", milliseconds(p50(stepped, OURS)), 2.5, "ms"),
    ]  # fmt: skip
    return Findings(rows, budgets)


async def _creations(plumb: aio.Plumb, bench: Bench, port: int) -> dict[str, Timings]:
    """Times a new session up to its first answer; removals and refills are left out."""
    client = docker.from_env()
    garbage: list[Action] = []

    async def ours() -> None:
        garbage.append(await _create(plumb))

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
    rounds = bench.rounds(CREATIONS)
    every = max(1, rounds // bench.rounds(CONTAINERS))
    parts = []
    for number in range(rounds):
        ways: dict[str, Action] = {OURS: ours}
        if number % every == 0:
            ways[EACH] = container
        await until_full(port, "mysql", POOL)
        parts.append(await in_turns(ways, dict.fromkeys(ways, 1)))
        await clean()
    client.close()
    return joined(parts)


async def _create(plumb: aio.Plumb) -> Action:
    """Makes a session and asks it once; returns what removes it."""
    session = await plumb.session("mysql", init=[TABLE, ROWS])
    await session.step(ALL)
    return session.close


async def _sustained(plumb: aio.Plumb, bench: Bench) -> dict[str, Timings]:
    """Times sessions one after the other, removals included: the pool never is full again."""

    async def ours() -> None:
        await (await _create(plumb))()

    return await in_turns({OURS: ours}, {OURS: bench.rounds(SUSTAINED)})


async def _resets(plumb: aio.Plumb, bench: Bench, port: int) -> dict[str, Timings]:
    """Times going back to the grounded state: the next server, and its 100 rows."""
    parts = []
    async with plumb.session("mysql", init=[TABLE, ROWS]) as session:
        for _ in range(bench.rounds(RESETS)):
            await until_full(port, "mysql", POOL)
            parts.append(await in_turns({OURS: session.reset}, {OURS: 1}))
    return joined(parts)


async def _steps(plumb: aio.Plumb, bench: Bench) -> dict[str, Timings]:
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
            ways: dict[str, Action] = {OURS: lambda: session.step("SELECT 1"), CONNECTOR: floor}
            for way in ways.values():  # warm
                await way()
            timings = await in_turns(ways, dict.fromkeys(ways, bench.rounds(STEPS)))
        await connection.close()
        return timings
    finally:
        container.remove(force=True)
        client.close()


def _start(client: docker.DockerClient) -> Any:
    return client.containers.run(
        IMAGE,
        detach=True,
        environment={"PLUMB_ADMIN_PASSWORD": PASSWORD, "PLUMB_MEMORY_DATA": DATA},
        tmpfs={DATA: "mode=1777"},
        ports={"3306/tcp": ("127.0.0.1", 0)},  # any free one,
        labels=HARDENED["labels"],
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
