"""Peers: each in a process of its own, that runs its driver on the Python of its environment."""

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from tempfile import TemporaryFile
from typing import IO, Any

from bench import BASE, LABEL
from measure import Took, WayFailed
from peer_setup import HERE, PEERS
from peers.catalogue import Peer

_DRIVER_SECONDS, _END_SECONDS = 150, 20
"""The longest that a driver may take for one order, and for its end."""


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

    async def ready(self) -> "Driven | Missing":
        """Waits until the driver has loaded its package; gives what stands for one that cannot."""
        try:
            await self._answer()
        except WayFailed as failure:
            return Missing(str(failure))
        return self

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
        finally:
            self._words.close()

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
async def drivers(peers: Sequence[Peer]) -> AsyncIterator[list[Driven | Missing]]:
    """Starts a driver for each, and ends them."""
    started: list[Driven] = []
    try:
        # All load at the same time, since some take long; nothing is timed until they have.
        yield await asyncio.gather(*(_start(peer, started) for peer in peers))
    finally:
        await asyncio.gather(*(driven.end() for driven in started))


async def _start(peer: Peer, started: list[Driven]) -> Driven | Missing:
    installed = PEERS[peer.package]
    if installed.reason.exists():
        return Missing(installed.reason.read_text(encoding="utf-8").strip())
    if not installed.python.exists():
        return Missing("it is not installed: run `make bench-peers`")
    image = {"own": installed.image, "base": BASE, "none": ""}[peer.image]
    words = TemporaryFile()  # noqa: SIM115 - it lives as long as the process
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
    started.append(driven := Driven(process, words))
    return await driven.ready()


def _took(answer: Mapping[str, Any]) -> Took:
    return Took(answer["seconds"])
