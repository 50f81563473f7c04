"""The ways to have a sandbox that are measured beside each other: ours, Docker alone, the peers."""

import asyncio
import contextlib
import json
import subprocess
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from tempfile import TemporaryFile
from typing import IO, Any, Protocol

import docker
import docker.errors

from findings import OURS
from measure import Took, WayFailed
from peer_setup import BASE, HERE, PEERS
from peers.catalogue import CATALOGUE, Peer
from peers.driver import argv_of
from plumb_client import aio

_KEY, _RUN = "dev.plumb.benchmark", uuid.uuid4().hex
LABEL = f"{_KEY}={_RUN}"
"""On all containers of this run, but for those of OpenEnv, which takes no labels."""
PEER_LABEL = f"{_KEY}=peer"
"""On the images that have a peer in them, and so on OpenEnv's containers, of any run."""
HARDENED: dict[str, Any] = {
    "network_mode": "none",
    "cap_drop": ["ALL"],
    "mem_limit": "1g",
    "pids_limit": 256,
    "labels": {_KEY: _RUN},
}
SDK, CLI = "docker exec (SDK)", "docker exec (CLI)"
_DRIVER_SECONDS, _END_SECONDS = 150, 20
"""The longest that a driver may take for one order, and for its end."""


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


class Driven:
    """A peer, in a process of its own that runs its driver."""

    def __init__(self, process: asyncio.subprocess.Process, words: IO[bytes]) -> None:
        """Drives it.

        Args:
            process: Orders go in, answers come out.
            words: What it says besides.
        """
        self._process = process
        self._words = words

    async def ready(self) -> "Missing | None":
        """Waits until the driver has loaded its package; gives what stands for one that cannot."""
        try:
            await self._answer()
        except WayFailed as failure:
            return Missing(str(failure))
        return None

    async def create(self) -> Took:
        """As the peer does."""
        return _took(await self._ask(do="create"))

    async def run(self, command: str) -> Took:
        """As the peer does."""
        return _took(await self._ask(do="run", command=command))

    async def text_of(self, command: str) -> str:
        """As the peer does."""
        return str((await self._ask(do="run", command=command))["text"]).strip()

    async def remove(self) -> Took:
        """As the peer does."""
        return _took(await self._ask(do="remove"))

    async def end(self) -> None:
        """Ends the driver; what it has left in the engine is swept by its label."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            async with asyncio.timeout(_END_SECONDS):
                await self._process.wait()
        except TimeoutError:
            await self._kill()

    async def _ask(self, **order: str) -> Mapping[str, Any]:
        assert self._process.stdin is not None
        if self._process.returncode is None:
            self._process.stdin.write(json.dumps(order).encode() + b"\n")
        return await self._answer()

    async def _answer(self) -> Mapping[str, Any]:
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(_DRIVER_SECONDS):
                line = await self._process.stdout.readline()
        except TimeoutError:
            await self._kill()
            raise WayFailed(f"it was not done after {_DRIVER_SECONDS} s") from None
        if not line:
            raise WayFailed(await self._last_words())
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise WayFailed(answer["error"])
        return answer

    async def _last_words(self) -> str:
        status = await self._process.wait()
        self._words.seek(0)
        lines = self._words.read().decode(errors="replace").strip().splitlines()
        return f"its driver ended with status {status}: {lines[-1] if lines else 'it said nothing'}"

    async def _kill(self) -> None:
        self._process.kill()
        await self._process.wait()


class Missing:
    """A peer that could not be installed."""

    def __init__(self, why: str) -> None:
        self._why = why

    async def create(self) -> object:
        """Says why not."""
        raise WayFailed(self._why)

    async def run(self, command: str) -> object:
        """Says why not."""
        raise WayFailed(self._why)

    async def text_of(self, command: str) -> str:
        """Says why not."""
        raise WayFailed(self._why)

    async def remove(self) -> object:
        """Says why not."""
        raise WayFailed(self._why)


@asynccontextmanager
async def all_ways(plumb: aio.Plumb, *, with_peers: bool) -> AsyncIterator[dict[str, Way]]:
    """Every way, by its name in the table; none has a sandbox yet, and none leaves one behind."""
    async with sets_of_ways(plumb, 1, with_peers=with_peers) as (ways,):
        yield ways


@asynccontextmanager
async def sets_of_ways(
    plumb: aio.Plumb, number: int, *, with_peers: bool
) -> AsyncIterator[list[dict[str, Way]]]:
    """The same several times over, for sandboxes at the same time."""
    async with AsyncExitStack() as stack:
        client = docker.from_env()
        stack.callback(client.close)
        stack.callback(_sweep, client)
        sets: list[dict[str, Way]] = [
            {OURS: Ours(plumb), SDK: DockerSdk(client), CLI: DockerCli()} for _ in range(number)
        ]
        peers = [(ways, peer) for ways in sets for peer in CATALOGUE if with_peers]
        # All load at the same time, since some take long; nothing is timed until they have.
        found = await asyncio.gather(*(_started(stack, peer) for _, peer in peers))
        for (ways, peer), way in zip(peers, found, strict=True):
            ways[peer.name] = way
        yield sets


async def _started(stack: AsyncExitStack, peer: Peer) -> Way:
    installed = PEERS[peer.package]
    if installed.reason.exists():
        return Missing(installed.reason.read_text(encoding="utf-8").strip())
    if not installed.python.exists():
        return Missing("it is not installed: run `make bench-peers`")
    image = {"own": installed.image, "base": BASE, "none": ""}[peer.image]
    words = stack.enter_context(TemporaryFile())
    process = await asyncio.create_subprocess_exec(
        installed.python,
        "-m",
        f"peers.{peer.driver}",
        image,
        LABEL,
        cwd=HERE,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=words,
    )
    driven = Driven(process, words)
    stack.push_async_callback(driven.end)
    return await driven.ready() or driven


def _sweep(client: docker.DockerClient) -> None:
    """Removes what a peer that was stopped left behind."""
    for container in client.containers.list(all=True, filters={"label": LABEL}):
        with contextlib.suppress(docker.errors.NotFound):  # another one sweeps, too
            container.remove(force=True)


def _took(answer: Mapping[str, Any]) -> Took:
    return Took(answer["seconds"])


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
