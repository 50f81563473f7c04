"""The ways to have a sandbox that are measured beside each other: ours, Docker alone, the peers."""

import asyncio
import contextlib
import subprocess
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Protocol

import docker
import docker.errors

from bench import BASE, HARDENED, LABEL
from driven import drivers
from findings import OURS
from peers.catalogue import CATALOGUE
from peers.driver import argv_of
from plumb_client import aio

SDK, CLI = "docker exec (SDK)", "docker exec (CLI)"


class Way(Protocol):
    """One sandbox at a time. Whatever fails raises `WayFailed`, or is our own failure."""

    async def create(self) -> object:
        """Makes one that is ready for commands."""

    async def run(self, command: str) -> object:
        """Runs a line of bash in it."""

    async def text_of(self, command: str) -> str:
        """The end of what a line of bash prints, without the line's end."""
        ...

    async def remove(self) -> object:
        """Ends it."""


class Ours:
    """A session of a server of ours."""

    def __init__(self, plumb: aio.Plumb) -> None:
        self._plumb = plumb
        self._session: aio.Session | None = None

    @property
    def session(self) -> aio.Session:
        """The one that was made."""
        assert self._session is not None
        return self._session

    async def create(self) -> None:
        """CreateSession."""
        self._session = await self._plumb.session("shell")

    async def run(self, command: str) -> None:
        """Step."""
        await self.session.step(command, timeout=120)

    async def text_of(self, command: str) -> str:
        """Step, too."""
        return (await self.session.step(command)).text.strip()

    async def remove(self) -> None:
        """DeleteSession."""
        await self.session.close()


class DockerSdk:
    """A container that sleeps, and `exec_run` of Docker's SDK for each command."""

    def __init__(self, client: docker.DockerClient) -> None:
        self._client = client
        self._container: Any = None

    async def create(self) -> None:
        """Runs the container."""
        self._container = await asyncio.to_thread(
            lambda: self._client.containers.run(BASE, ["sleep", "3600"], detach=True, **HARDENED)
        )

    async def run(self, command: str) -> Any:
        """Executes it."""
        return await asyncio.to_thread(self._container.exec_run, argv_of(command))

    async def text_of(self, command: str) -> str:
        """Executes it, too."""
        return str((await self.run(command)).output.decode()).strip()

    async def remove(self) -> None:
        """By force: a sleeping first process ignores the polite way for ten seconds."""
        await asyncio.to_thread(self._container.remove, force=True)


class DockerCli:
    """A container that sleeps, and a `docker exec` for each command."""

    def __init__(self) -> None:
        self._name = ""

    async def create(self) -> None:
        """Runs the container."""
        self._name = f"plumb-benchmark-{uuid.uuid4().hex[:12]}"
        options = ["--network=none", "--cap-drop=ALL", "--memory=1g", "--pids-limit=256"]
        naming = [f"--label={LABEL}", "--name", self._name]
        await _output("docker", "run", "--detach", *naming, *options, BASE, "sleep", "3600")

    async def run(self, command: str) -> None:
        """Executes it; nobody keeps the output."""
        await run_program("docker", "exec", self._name, *argv_of(command))

    async def text_of(self, command: str) -> str:
        """Executes it."""
        return (await _output("docker", "exec", self._name, *argv_of(command))).strip()

    async def remove(self) -> None:
        """By force."""
        await _output("docker", "rm", "--force", self._name)


@asynccontextmanager
async def all_ways(plumb: aio.Plumb, *, with_peers: bool) -> AsyncIterator[dict[str, Way]]:
    """Every way, by its name in the table; none has a sandbox yet, and none leaves one behind."""
    with engine() as client:
        ways: dict[str, Way] = {OURS: Ours(plumb), SDK: DockerSdk(client), CLI: DockerCli()}
        peers = CATALOGUE if with_peers else ()
        async with drivers(peers) as driven:
            yield ways | {peer.name: one for peer, one in zip(peers, driven, strict=True)}


@contextmanager
def engine() -> Iterator[docker.DockerClient]:
    """Docker's client; what this run has left in the engine is removed at the end."""
    with contextlib.closing(docker.from_env()) as client:
        try:
            yield client
        finally:
            _sweep(client)


def _sweep(client: docker.DockerClient) -> None:
    """Removes what a peer that was stopped left behind."""
    for container in client.containers.list(all=True, filters={"label": LABEL}):
        with contextlib.suppress(docker.errors.NotFound):  # another one sweeps, too
            container.remove(force=True)


async def run_program(*argv: str) -> None:
    """Runs it, and leaves its output.

    Raises:
        RuntimeError: It failed.
    """
    process = await asyncio.create_subprocess_exec(*argv, stdout=subprocess.DEVNULL)
    if await process.wait():
        raise RuntimeError(f"{' '.join(argv)} failed")


async def _output(*argv: str) -> str:
    process = await asyncio.create_subprocess_exec(*argv, stdout=subprocess.PIPE)
    output, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"{' '.join(argv)} failed")
    return output.decode()
