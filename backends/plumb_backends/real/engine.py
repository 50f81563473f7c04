"""All that plumb asks of Docker. The only file that knows `aiodocker`.

An `Engine` makes hardened sandboxes (`Sandbox`), one container each, labelled so that none can
outlive its owner unseen. Whatever goes wrong here is a SandboxUnavailable, an ImageMissing or an
InvalidInput, never output.
"""

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager

import aiodocker
import aiohttp
from aiodocker.containers import DockerContainer
from aiodocker.execs import Exec
from aiodocker.stream import Stream

from plumb_backends.errors import ImageMissing, InvalidInput, PlumbError, SandboxUnavailable
from plumb_backends.real import owner
from plumb_backends.real.hardening import (
    EXPIRY_LABEL,
    LABEL,
    OWNER_LABEL,
    SandboxSpec,
    container_config,
)

_ANSWER_WITHIN = 60.0
"""Seconds for one answer of the engine; creations queue up inside it under load."""

_NO_CONNECTION = 900
"""The status that aiodocker makes up where the engine cannot be reached."""


@contextmanager
def _translated(doing: str) -> Iterator[None]:
    """Turns what Docker and the connection raise into our errors. The only place."""
    try:
        yield
    except aiodocker.DockerError as error:
        raise _translate(error, doing) from error
    except TimeoutError as error:
        raise SandboxUnavailable(
            f"the container engine did not answer within {_ANSWER_WITHIN:g} s while {doing}; "
            "look at its log and load"
        ) from error
    except (aiohttp.ClientError, OSError) as error:
        raise SandboxUnavailable(
            f"the container engine does not answer while {doing} ({error}); "
            "start it, and see `plumb doctor`"
        ) from error


def _translate(error: aiodocker.DockerError, doing: str) -> PlumbError:
    if error.status == 404 and "no such image" in error.message.lower():
        return ImageMissing(
            f"{error.message.strip()}: the engine does not have this image; "
            "make it with `make images`, pull it, or name another one"
        )
    if error.status == 400:
        return InvalidInput(f"the container engine refused while {doing}: {error.message.strip()}")
    if error.status == _NO_CONNECTION:
        return SandboxUnavailable(
            f"the container engine does not answer while {doing} ({error.message.strip()}); "
            "start it, and see `plumb doctor`"
        )
    return SandboxUnavailable(f"the sandbox failed while {doing}: {error.message.strip()}")


@asynccontextmanager
async def _asking(doing: str) -> AsyncIterator[None]:
    """For one question to the engine: bounded in time, its failures translated."""
    with _translated(doing):
        async with asyncio.timeout(_ANSWER_WITHIN):
            yield


class _Process:
    """A process inside a sandbox, and its streams."""

    def __init__(self, process: Exec, stream: Stream) -> None:
        self._process = process
        self._stream = stream

    async def write(self, data: bytes) -> None:
        """Writes to its standard input: types, where that is a terminal."""
        try:
            with _translated("writing to a process"):
                await self._stream.write_in(data)
        except (AssertionError, RuntimeError) as error:  # how aiodocker says that it is closed
            raise SandboxUnavailable("the process's streams are closed") from error

    async def exit_code(self) -> int:
        """Its exit status; it must have ended."""
        async with _asking("asking how a process ended"):
            return int((await self._process.inspect())["ExitCode"] or 0)

    async def close(self) -> None:
        """Lets go of its streams; a terminal is hung up."""
        await _close(self._stream)


class TerminalStream(_Process):
    """A process on a pseudo-terminal of its own."""

    async def read(self) -> bytes:
        """Returns what the terminal sent next; empty at the end."""
        with _translated("reading the terminal"):
            message = await self._stream.read_out()
        return message.data if message else b""

    async def resize(self, *, columns: int, rows: int) -> None:
        """Sets the terminal's size; returns when its process has started."""
        async with _asking("setting the size of the terminal"):
            await self._process.resize(h=rows, w=columns)


class ProgramStream(_Process):
    """A process whose standard output and standard error are apart."""

    async def read(self) -> tuple[int, bytes] | None:
        """Returns the next piece with its descriptor, 1 or 2; None at the end."""
        with _translated("reading a program's output"):
            message = await self._stream.read_out()
        return (message.stream, message.data) if message else None


async def _close(stream: Stream) -> None:
    with contextlib.suppress(aiohttp.ClientError, OSError, AssertionError):
        await stream.close()


class Sandbox:
    """One container. Made by `Engine.create_sandbox`.

    Attributes:
        spec: What it was made from.
        ended_because: Why plumb itself ended it; empty if it did not.
    """

    def __init__(self, container: DockerContainer, spec: SandboxSpec) -> None:
        self._container = container
        self.spec = spec
        self.ended_because = ""

    @property
    def id(self) -> str:
        """The container's id."""
        return str(self._container.id)

    async def open_terminal(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
    ) -> TerminalStream:
        """Starts a program on a new pseudo-terminal.

        Raises:
            SandboxUnavailable: The sandbox is gone.
        """
        async with _asking("opening a terminal"):
            process = await self._container.exec(
                list(argv), stdin=True, tty=True, environment=dict(env), workdir=self.spec.home
            )
            stream = process.start(detach=False)
            await stream._init()
        return TerminalStream(process, stream)

    async def open_program(
        self, argv: Sequence[str], *, stdin: bool, env: Mapping[str, str], cwd: str, user: str
    ) -> ProgramStream:
        """Starts a program in a fresh process, its streams apart.

        Raises:
            InvalidInput: The engine refuses the user or the working directory.
            SandboxUnavailable: The sandbox is gone.
        """
        async with _asking("starting a program"):
            process = await self._container.exec(
                list(argv),
                stdin=stdin,
                tty=False,
                environment=dict(env),
                workdir=cwd or self.spec.home,
                user=user,
            )
            stream = process.start(detach=False)
            await stream._init()
        return ProgramStream(process, stream)

    async def is_running(self) -> bool:
        """Whether the container runs; False if it is gone."""
        try:
            async with _asking("asking after the sandbox"):
                return bool((await self._container.show())["State"]["Running"])
        except SandboxUnavailable:
            return False

    async def has_ended(self, *, within: float) -> bool:
        """Whether the container has ended, or does so within some seconds.

        It is said to run for a moment after its processes are gone.
        """
        with contextlib.suppress(SandboxUnavailable):  # gone altogether
            try:
                async with asyncio.timeout(within), _asking("asking after the sandbox"):
                    await self._container.wait()
            except TimeoutError:
                return False
        return True

    async def changed_paths(self) -> dict[str, str]:
        """What differs from the image: path -> `changed`, `added` or `deleted`."""
        async with _asking("comparing the sandbox with its image"):
            changes = await self._container.docker._query_json(
                f"containers/{self.id}/changes", method="GET"
            )
        names = {0: "changed", 1: "added", 2: "deleted"}
        return {str(change["Path"]): names[change["Kind"]] for change in changes or ()}

    async def remove(self) -> None:
        """Removes the container at once; it may be gone already.

        Raises:
            SandboxUnavailable: The engine does not answer.
        """
        await _remove(self._container)


async def _remove(container: DockerContainer) -> None:
    async with _asking("removing a sandbox"):
        try:
            await container.delete(force=True, v=True)
        except aiodocker.DockerError as error:
            if error.status not in (404, 409):  # gone, or going already
                raise


class Engine:
    """A container engine. Made by `open_engine`."""

    def __init__(self, docker: aiodocker.Docker, owner_name: str) -> None:
        self._docker = docker
        self._owner = owner_name
        self._size_option = True  # until the engine says that it cannot limit a container's disk
        self._sandboxes: dict[str, Sandbox] = {}
        self._removals: set[asyncio.Task[None]] = set()

    async def ping(self) -> None:
        """Asks whether the engine answers.

        Raises:
            SandboxUnavailable: It does not.
        """
        async with _asking("asking whether it is there"):
            await self._docker.version()

    async def describe(self) -> dict[str, str]:
        """What the engine is, for people: version, storage, control groups, runtimes."""
        async with _asking("asking what it is"):
            version, info = await self._docker.version(), await self._docker.system.info()
        backing = dict(info.get("DriverStatus") or ())
        return {
            "version": str(version["Version"]),
            "storage": f"{info.get('Driver')} on {backing.get('Backing Filesystem', '?')}",
            "cgroups": f"v{info.get('CgroupVersion', '1')}",
            "runtimes": ", ".join(sorted(info.get("Runtimes") or ())),
        }

    async def has_image(self, image: str) -> bool:
        """Whether the image is there."""
        try:
            async with _asking("looking for an image"):
                await self._docker.images.inspect(image)
        except ImageMissing:
            return False
        return True

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
            async with _asking("starting a sandbox"):
                await container.start()
        except BaseException:
            await asyncio.shield(self.remove(sandbox))
            raise
        return sandbox

    async def remove(self, sandbox: Sandbox) -> None:
        """Removes a sandbox that this engine made; never raises: the sweep gets what is left."""
        with contextlib.suppress(PlumbError):
            await sandbox.remove()
            self._sandboxes.pop(sandbox.id, None)

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
        config = container_config(spec, self._owner, limit_disk=limit_disk)
        name = f"plumb-{spec.session_id}-{os.urandom(3).hex()}"
        # Shielded, so that a creation whose caller goes away is known, and undone.
        creation = asyncio.ensure_future(self._docker.containers.create(config, name=name))
        try:
            async with _asking("creating a sandbox"):
                return await asyncio.shield(creation)
        except BaseException:
            creation.add_done_callback(self._undo)
            raise

    def _undo(self, creation: "asyncio.Future[DockerContainer]") -> None:
        if not creation.cancelled() and creation.exception() is None:
            self._removals.add(task := asyncio.create_task(_remove(creation.result())))
            task.add_done_callback(self._removals.discard)

    async def settle(self) -> None:
        """Waits for removals that are under way."""
        await asyncio.gather(*self._removals, return_exceptions=True)

    async def sweep(self, *, everything: bool = False) -> int:
        """Removes the sandboxes whose owner has ended or whose time is over.

        Args:
            everything: All others of plumb's, too, whoever has them.

        Returns:
            How many there were.
        """
        found = await (self._list() if everything else self._orphans())
        for container in found:
            await _remove(container)
        return len(found)

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
        """Removes every sandbox of this owner; returns how many there were."""
        mine = [
            container
            for container in await self._list()
            if _labels(container).get(OWNER_LABEL) == self._owner
        ]
        for container in mine:
            await _remove(container)
        self._sandboxes.clear()
        return len(mine)

    async def end_oversized(self) -> None:
        """Ends the sandboxes of this owner that wrote more than they may.

        For engines that cannot limit a container's disk themselves, which is most of them: a
        sandbox can overshoot by what it writes between two calls.
        """
        if self._size_option or not self._sandboxes:
            return
        for container in await self._list(size=True):
            sandbox = self._sandboxes.get(str(container.id))
            written = int(container._container.get("SizeRw") or 0)
            if sandbox and written > sandbox.spec.limits.disk_bytes:
                sandbox.ended_because = (
                    f"it wrote {written} bytes to its disk, more than the "
                    f"{sandbox.spec.limits.disk_bytes} that are allowed (PLUMB_SHELL_DISK_BYTES)"
                )
                await _remove(container)

    async def _list(self, *, size: bool = False) -> list[DockerContainer]:
        async with _asking("listing sandboxes"):
            return list(
                await self._docker.containers.list(
                    all=True, size=size, filters=f'{{"label": ["{LABEL}"]}}'
                )
            )


def _labels(container: DockerContainer) -> Mapping[str, str]:
    return container._container.get("Labels") or {}


def _is_orphan(labels: Mapping[str, str], me: str) -> bool:
    whose = labels.get(OWNER_LABEL, "")
    expired = float(labels.get(EXPIRY_LABEL, "inf")) < time.time()
    return expired or (whose != me and owner.is_gone(whose))


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
