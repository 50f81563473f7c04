"""The container engine: makes sandboxes, finds them again, and leaves none behind."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

import aiodocker
import aiohttp
import structlog
from aiodocker.containers import DockerContainer

from plumb_backends.errors import ImageMissing, PlumbError, SandboxUnavailable
from plumb_backends.real import owner
from plumb_backends.real.engine.asking import asking
from plumb_backends.real.engine.guest_volume import GuestVolume
from plumb_backends.real.engine.sandbox import Sandbox, remove_container
from plumb_backends.real.hardening import (
    EXPIRY_LABEL,
    LABEL,
    OWNER_LABEL,
    SandboxSpec,
    container_config,
)

_log = structlog.get_logger(__name__)

_SWEPT_AT_ONCE = 8
"""Removals of a sweep: one that somebody else has under way is waited for, beside the others."""


class Engine:
    """A container engine. Made by `open_engine`."""

    def __init__(self, docker: aiodocker.Docker, owner_name: str) -> None:
        self._docker = docker
        self._owner = owner_name
        self._size_option = True  # until the engine says that it cannot limit a container's disk
        self._sandboxes: dict[str, Sandbox] = {}
        self._undoings: set[asyncio.Task[None]] = set()
        self._guest_volume = GuestVolume(docker, owner_name)
        self._left: dict[str, DockerContainer] = {}  # could not be removed; the sweep tries again

    async def ping(self) -> None:
        """Asks whether the engine answers.

        Raises:
            SandboxUnavailable: It does not.
        """
        async with asking("asking whether it is there"):
            await self._docker.version()

    async def describe(self) -> dict[str, str]:
        """What the engine is, for people: version, storage, control groups, runtimes."""
        async with asking("asking what it is"):
            version, info = await self._docker.version(), await self._docker.system.info()
        backing = dict(info.get("DriverStatus") or ())
        return {
            "version": str(version["Version"]),
            "storage": f"{info.get('Driver')} on {backing.get('Backing Filesystem', '?')}",
            "cgroups": f"v{info.get('CgroupVersion', '1')}",
            "runtimes": ", ".join(sorted(info.get("Runtimes") or ())),
        }

    async def image_labels(self, image: str) -> Mapping[str, str] | None:
        """The labels of an image; None if it is not there."""
        try:
            async with asking("looking for an image"):
                found = await self._docker.images.inspect(image)
        except ImageMissing:
            return None
        return dict(found["Config"].get("Labels") or {})

    async def image_id(self, image: str) -> str:
        """The digest of the image that a name means now.

        Raises:
            ImageMissing: The engine does not have it.
            SandboxUnavailable: The engine does not answer.
        """
        async with asking("looking for an image"):
            return str((await self._docker.images.inspect(image))["Id"])

    async def image_user(self, image: str) -> tuple[str, str]:
        """The USER of an image and its WORKDIR; root and `/` where it names none.

        Raises:
            ImageMissing: The engine does not have it.
            SandboxUnavailable: The engine does not answer.
        """
        async with asking("looking for an image"):
            config = (await self._docker.images.inspect(image))["Config"]
        return str(config.get("User") or "0:0"), str(config.get("WorkingDir") or "/")

    async def create_sandbox(self, spec: SandboxSpec) -> Sandbox:
        """Makes a container and starts it.

        Raises:
            ImageMissing: The engine does not have the image.
            InvalidInput: The engine refuses the spec.
            SandboxUnavailable: The engine does not answer, or the container does not start.
        """
        container = await self._create(spec)
        sandbox = Sandbox(container, spec)
        self._sandboxes[sandbox.id] = sandbox
        try:
            async with asking("starting a sandbox"):
                await container.start()
            sandbox.watch()
        except BaseException:
            await asyncio.shield(self.remove(sandbox))
            raise
        return sandbox

    async def give(self, sandbox: Sandbox, spec: SandboxSpec) -> None:
        """Makes a sandbox a session's that was made before it.

        Its labels cannot change any more; its name tells the session from now on.

        Raises:
            SandboxUnavailable: The sandbox is gone.
        """
        await sandbox.rename(_new_name(spec))
        sandbox.spec = spec

    async def remove(self, sandbox: Sandbox) -> None:
        """Removes a sandbox that this engine made; never raises: the sweep tries again."""
        await sandbox.close()
        await self._removed(sandbox.container)

    async def _create(self, spec: SandboxSpec) -> DockerContainer:
        limit_disk = self._size_option
        try:
            return await self._create_once(spec, limit_disk=limit_disk)
        except PlumbError as error:
            if not limit_disk or "storage-opt" not in str(error):
                raise
        self._size_option = False
        return await self._create_once(spec, limit_disk=False)

    async def _create_once(self, spec: SandboxSpec, *, limit_disk: bool) -> DockerContainer:
        volume = await self._guest_volume.ready() if spec.has_guest else ""
        config = container_config(spec, self._owner, limit_disk=limit_disk, guest_volume=volume)
        name = _new_name(spec)
        # Shielded: a request that is given up makes its container all the same.
        creation = asyncio.ensure_future(self._docker.containers.create(config, name=name))
        try:
            async with asking("creating a sandbox"):
                return await asyncio.shield(creation)
        except BaseException:
            self._undoings.add(task := asyncio.create_task(self._undo(creation, name)))
            task.add_done_callback(self._undoings.discard)
            raise

    async def _undo(self, creation: "asyncio.Future[DockerContainer]", name: str) -> None:
        """Removes what a creation made, or makes yet, that nobody waits for any more."""
        try:
            async with asking("creating a sandbox that nobody waits for"):
                container = await creation
        except SandboxUnavailable:  # before it was made, or after: the sweep looks
            self._left[name] = self._docker.containers.container(name)
        except PlumbError:
            pass  # refused: nothing was made
        else:
            await self._removed(container)

    async def settle(self) -> None:
        """Waits for creations that were given up, and for their removal."""
        await asyncio.gather(*self._undoings)

    async def sweep(self, *, everything: bool = False) -> int:
        """Removes the sandboxes whose owner has ended or whose time is over, and its own leftovers.

        Args:
            everything: All others of plumb's, too, whoever has them.

        Returns:
            How many it removed; one that cannot be removed is logged, and the others are.
        """
        found = await (self._list() if everything else self._orphans())
        each = {str(container.id): container for container in (*self._left.values(), *found)}
        turn = asyncio.Semaphore(_SWEPT_AT_ONCE)

        async def removed(container: DockerContainer) -> bool:
            async with turn:
                return await self._removed(container)

        count = sum(await asyncio.gather(*map(removed, each.values())))
        await self._guest_volume.sweep(everything=everything)
        return count

    async def _removed(self, container: DockerContainer) -> bool:
        try:
            was_there = await remove_container(container)
        except PlumbError as error:
            _log.warning("a sandbox was not removed", container=container.id, error=str(error))
            self._left[str(container.id)] = container
            return False
        self._left.pop(str(container.id), None)
        self._sandboxes.pop(str(container.id), None)
        return was_there

    async def count_orphans(self) -> int:
        """How many sandboxes a sweep would remove."""
        return len(await self._orphans())

    async def _orphans(self) -> list[DockerContainer]:
        return [
            container
            for container in await self._list()
            if _is_orphan(_labels(container), self._owner)
        ]

    async def remove_all(self) -> int:
        """Removes every sandbox that this engine made; returns how many there were."""
        mine = list(self._sandboxes.values())
        for sandbox in mine:
            await self.remove(sandbox)
        return len(mine)

    async def _list(self) -> list[DockerContainer]:
        """Plumb's containers."""
        filters = json.dumps({"label": [LABEL]})
        async with asking("listing sandboxes"):
            return list(await self._docker.containers.list(all=True, filters=filters))


def _new_name(spec: SandboxSpec) -> str:
    """A session can have several sandboxes, one after the other."""
    return f"plumb-{spec.session_id}-{os.urandom(3).hex()}"


def _labels(container: DockerContainer) -> Mapping[str, str]:
    return container._container.get("Labels") or {}


def _is_orphan(labels: Mapping[str, str], me: str) -> bool:
    whose = labels.get(OWNER_LABEL, "")
    expiry = labels.get(EXPIRY_LABEL, "inf")
    return owner.has_expired(whose, expiry) or (whose != me and owner.is_gone(whose))


@asynccontextmanager
async def open_engine(*, address: str = "") -> AsyncIterator[Engine]:
    """Connects to a container engine; it need not answer yet.

    Args:
        address: `unix://…` or `tcp://…`; empty means DOCKER_HOST, or the usual socket.
    """
    address = address or os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"
    async with AsyncExitStack() as stack:
        connector: aiohttp.BaseConnector | None = None
        if address.startswith("unix://"):
            # Every terminal holds a connection for as long as its session lives: no limit on
            # them. Behind a connector of one's own, only the scheme of the address counts.
            connector = aiohttp.UnixConnector(address.removeprefix("unix://"), limit=0)
            stack.push_async_callback(connector.close)
            address = "unix://localhost"
        docker = await stack.enter_async_context(aiodocker.Docker(url=address, connector=connector))
        engine = Engine(docker, owner.this_process())
        stack.push_async_callback(engine.settle)
        yield engine
