"""The server that is killed, the ways to it, and all that is done to them."""

from __future__ import annotations

import asyncio
import collections
import random
import resource
import secrets
import signal
import socket
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing
from pathlib import Path
from typing import Any

import docker
import docker.errors
import grpc
from tests.faults.way import Loss, Way, open_way
from tests.served import Server

import plumb_client
from plumb_backends.real.hardening import LABEL, OWNER_LABEL, SESSION_LABEL
from plumb_backends.real.sandboxes import POOLED
from plumb_client.channel import with_token

SHELL_DISK_BYTES = 48 * 1024**2
POOL = 3
"""How many warm sandboxes wait, and where a test wants them, accounts."""

_WARM_SHARE = 0.3
"""Of the strikes on sandboxes: on one that waits in the pool, if one does."""

_TOKEN = secrets.token_urlsafe()
_WAYS = 4


class World:
    """One journal, one server after the other, and several ways to whichever lives.

    Attributes:
        kills: How often the server was killed; counted before it is.
        strikes: How often each session's sandbox was killed or filled, by id; counted before it is.
        counts: How often each thing was done.
        over: Set when nothing more will be done to it.
    """

    def __init__(self, folder: Path, ways: Sequence[Way], variables: dict[str, str]) -> None:
        self.ways = ways
        self.kills = 0
        self.strikes: collections.Counter[str] = collections.Counter()
        self.counts: dict[str, int] = {}
        self.over = asyncio.Event()
        self.history: list[str] = []
        self.servers: list[Server] = []
        self._started = time.monotonic()
        self._folder = folder
        self._variables = variables
        self._striking = asyncio.Lock()

    @property
    def steps(self) -> int:
        """How many steps were answered."""
        return self.counts.get("step", 0)

    @property
    def lives(self) -> int:
        """How many servers there have been, with the one that lives."""
        return len(self.servers)

    @property
    def server(self) -> Server:
        """The one that lives."""
        return self.servers[-1]

    def connect(self, way: int = 0) -> plumb_client.aio.Plumb:
        """A client that comes by a way."""
        return plumb_client.aio.connect(self.ways[way].address, token=_TOKEN)

    def channel(self, way: int = 0) -> grpc.aio.Channel:
        """The same without a client, which would ask again by itself."""
        return with_token(grpc.aio.insecure_channel(self.ways[way].address), _TOKEN)

    def note(self, what: str) -> None:
        """Writes into the history."""
        self.history.append(f"{time.monotonic() - self._started:8.3f} {what}")

    def did(self, what: str) -> None:
        """Counts, and writes into the history."""
        word = what.partition(" ")[0]
        self.counts[word] = self.counts.get(word, 0) + 1
        self.note(what)

    async def start(self) -> None:
        """Starts a server, and leads the ways to it."""
        self.servers.append(await asyncio.to_thread(Server, self._folder, **self._variables))
        for way in self.ways:
            way.lead_to(self.server.address)
        self.note(f"started {self.server.process.pid}")

    async def kill(self, _: random.Random) -> None:
        """kill -9, and another server on the same journal."""
        self.kills += 1
        self.did(f"kill {self.server.process.pid}")
        await asyncio.to_thread(self.server.kill)
        await self.start()

    async def cut(self, chosen: random.Random) -> None:
        """Cuts a way; before that it may lose what is on it, after that it may stay closed."""
        way = chosen.choice(self.ways)
        way.losing = chosen.choice(list(Loss))
        closed_for = chosen.choice([0, 0, chosen.uniform(0.5, 4)])
        self.did(
            f"cut {self.ways.index(way)}, losing {way.losing.value}, closed for {closed_for:.1f} s"
        )
        await asyncio.sleep(chosen.uniform(0, 0.5) if way.losing is not Loss.NOTHING else 0)
        way.is_closed = bool(closed_for)
        try:
            way.cut()
            await asyncio.sleep(closed_for)
        finally:
            way.is_closed = False

    async def pause(self, chosen: random.Random) -> None:
        """Stops the server's process for a while."""
        self.did("pause")
        process = self.server.process
        process.send_signal(signal.SIGSTOP)
        try:
            await asyncio.sleep(chosen.uniform(0.1, 1.5))
        finally:
            process.send_signal(signal.SIGCONT)

    async def fill_disk(self, chosen: random.Random) -> None:
        """Lets no file of the server grow for a while: its journal is full, and its log."""
        self.did("fill the server's disk")
        pid = self.server.process.pid
        hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)[1]
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (1024, hard))
        try:
            await asyncio.sleep(chosen.uniform(0.2, 2))
        finally:
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard, hard))

    async def kill_sandbox(self, chosen: random.Random) -> None:
        """Kills one of the server's shells; one that waits in the pool must not be missed."""
        async with self._striking:
            await asyncio.to_thread(self._kill_sandbox, chosen)

    async def is_told(self) -> None:
        """Waits until `strikes` has what is being done to a sandbox just now."""
        async with self._striking:
            pass

    def _kill_sandbox(self, chosen: random.Random) -> None:
        wants_warm = chosen.random() < _WARM_SHARE
        with closing(docker.from_env()) as engine:
            found = sorted(self._sandboxes(engine))
            mine = [one for one in found if (one[0] == POOLED) is wants_warm] or found
            if not mine:
                return
            session_id, container_id = chosen.choice(mine)
            if session_id == POOLED:
                self._kill_warm(engine, container_id)
                return
            self.strikes[session_id] += 1
            self.did(f"strike the sandbox of {session_id}")
            try:
                engine.api.kill(container_id)
            except docker.errors.APIError:
                self.note("it had ended already")

    def _kill_warm(self, engine: docker.DockerClient, container_id: str) -> None:
        """Kills what waits in the pool; its last name tells whether a session took it first."""
        self.did(f"strike-pool {container_id}")
        since = int(time.time())
        try:
            engine.api.kill(container_id)
        except docker.errors.APIError:
            self.note("it had ended already")
            return
        filters = {"container": container_id}
        events: Any = engine.api.events(since=since, until=since + 60, filters=filters, decode=True)
        name = ""
        with closing(events):
            for event in events:
                name = event["Actor"]["Attributes"]["name"]
                if event["Action"] == "destroy":
                    break
        if (session_id := _session(name)) != POOLED:
            self.strikes[session_id] += 1
            self.note(f"which {session_id} had taken")

    def _sandboxes(self, engine: docker.DockerClient) -> Iterator[tuple[str, str]]:
        """Those of the server that lives: whose (a session's id, or the pool's), and their ids."""
        of = f"{socket.gethostname()}/{self.server.process.pid}/"
        for found in engine.api.containers(filters={"label": [LABEL]}):
            if found["Labels"][OWNER_LABEL].startswith(of) and found["Names"]:
                yield _session(found["Names"][0]), found["Id"]

    async def tell_warm(self, session_id: str) -> None:
        """Counts a session's sandbox if it came from the pool: its label says so for ever."""
        if await asyncio.to_thread(self._is_from_pool, session_id):
            self.did(f"warm start of {session_id}")

    def _is_from_pool(self, session_id: str) -> bool:
        with closing(docker.from_env()) as engine:
            filters = {"name": f"plumb-{session_id}-", "label": f"{SESSION_LABEL}={POOLED}"}
            return bool(engine.api.containers(all=True, filters=filters))

    def left_containers(self) -> list[str]:
        """What any of its servers has left in the engine, but for what waits in a living pool."""
        left = {one for server in self.servers for one in server.containers()}
        if self.server.process.poll() is None:
            with closing(docker.from_env()) as engine:
                waiting = [one for whose, one in self._sandboxes(engine) if whose == POOLED]
            left -= set(waiting[:POOL])
        return sorted(left)

    def dead_containers(self) -> list[str]:
        """What those of its servers that were killed have left in the engine."""
        return sorted({one for server in self.servers[:-1] for one in server.containers()})

    def complaints(self) -> list[str]:
        """What its servers' log tells of faults of plumb's own."""
        return self.server.complaints()


def _session(container: str) -> str:
    """Whose a sandbox is, by its name: `plumb-SESSION-…`; for a warm one, its label cannot tell."""
    return container.lstrip("/").removeprefix("plumb-").rpartition("-")[0]


@asynccontextmanager
async def open_world(folder: Path, **variables: str) -> AsyncIterator[World]:
    """Starts the first server; at the end stops what is left."""
    async with AsyncExitStack() as stack:
        ways = [await stack.enter_async_context(open_way()) for _ in range(_WAYS)]
        settings = {
            "PLUMB_SHELL_DISK_BYTES": str(SHELL_DISK_BYTES),
            "PLUMB_SHELL_MEMORY_BYTES": str(128 * 1024**2),
            "PLUMB_SWEEP_INTERVAL": "1",
            "PLUMB_LOG_LEVEL": "INFO",
            "PLUMB_SHELL_POOL": str(POOL),
            "PLUMB_TOKEN": _TOKEN,
        }
        world = World(folder, ways, settings | variables)
        await world.start()
        try:
            yield world
        finally:
            for server in world.servers:
                await asyncio.to_thread(server.stop)
