"""One container, and the processes in it."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

import aiodocker
import aiohttp
from aiodocker.containers import DockerContainer
from aiodocker.execs import Exec
from aiodocker.stream import Message, Stream

from plumb_backends.errors import InvalidInput, SandboxUnavailable
from plumb_backends.real.engine.asking import asking, translated
from plumb_backends.real.guest import GUEST
from plumb_backends.real.hardening import ENDINGS, ROOT, SandboxSpec, shell_command
from plumb_backends.time_slice import TimeSlice

_ENDING_WITHIN = 0.5
"""Seconds that a container takes to be seen as ended, once its processes are."""

_STATUS_WITHIN = 2.0
"""Seconds that a process may take to be known as ended, once its streams are."""

_ASK_AGAIN_AFTER = 0.02

_REASON_WITHIN = 2.0
"""Seconds that the reason of an end may take to be told, once that is."""


class _Process:
    """A process inside a sandbox, and its streams."""

    def __init__(self, process: Exec, stream: Stream) -> None:
        self._process = process
        self._stream = stream
        self._slice = TimeSlice()

    async def _next(self, doing: str) -> Message | None:
        """Returns what the engine sends next; None at the end."""
        await self._slice.yield_if_used()
        with translated(doing):
            return await self._stream.read_out()

    async def write(self, data: bytes) -> None:
        """Writes to its standard input: types, where that is a terminal."""
        try:
            with translated("writing to a process"):
                await self._stream.write_in(data)
        except (AssertionError, RuntimeError) as error:  # how aiodocker says that it is closed
            raise SandboxUnavailable("the process's streams are closed") from error

    async def exit_code(self) -> int:
        """Its exit status; its streams must have ended.

        The engine learns of that and of the process's end by two ways, in any order. One that lives
        on without its streams has none yet: 0.
        """
        until = asyncio.get_running_loop().time() + _STATUS_WITHIN
        while True:
            async with asking("asking how a process ended"):
                found = await self._process.inspect()
            if not found["Running"] or asyncio.get_running_loop().time() > until:
                return int(found["ExitCode"] or 0)
            await asyncio.sleep(_ASK_AGAIN_AFTER)  # no event tells it

    async def close(self) -> None:
        """Lets go of its streams; a terminal is hung up."""
        await _close(self._stream)


class TerminalStream(_Process):
    """A process on a pseudo-terminal of its own."""

    async def read(self) -> bytes:
        """Returns what the terminal sent next; empty at the end."""
        message = await self._next("reading the terminal")
        return message.data if message else b""

    async def resize(self, *, columns: int, rows: int) -> None:
        """Sets the terminal's size; returns when its process has started.

        Raises:
            SandboxUnavailable: It did not start, or the sandbox is gone.
        """
        try:
            async with asking("setting the size of the terminal"):
                await self._process.resize(h=rows, w=columns)
        except InvalidInput as error:  # how newer engines say that there is no such process
            raise SandboxUnavailable(
                f"no shell starts in the sandbox any more ({error}); reset the session"
            ) from error


class ProgramStream(_Process):
    """A process whose standard output and standard error are apart."""

    async def read(self) -> tuple[int, bytes] | None:
        """Returns the next piece with its descriptor, 1 or 2; None at the end."""
        message = await self._next("reading a program's output")
        return (message.stream, message.data) if message else None


async def _close(stream: Stream) -> None:
    with contextlib.suppress(aiohttp.ClientError, OSError, AssertionError):
        await stream.close()


class Sandbox:
    """One container. Made by `Engine.create_sandbox`.

    Attributes:
        container: The engine's own handle of it.
        spec: What it is: the one that it was made from, or its session's where it was made before.
        ended_because: Why plumb itself ended it; empty if it did not.
        on_end: Is called once it has ended: an engine may leave its streams open (runsc's does).
    """

    def __init__(self, container: DockerContainer, spec: SandboxSpec) -> None:
        self.container = container
        self.spec = spec
        self.ended_because = ""
        self.on_end: Callable[[], None] = lambda: None
        self._watching: asyncio.Task[None] | None = None

    def watch(self) -> None:
        """Waits for its end, beside all else, for that tells why its first process ended it."""
        if self.spec.has_guest:
            self._watching = asyncio.create_task(self._wait())

    async def _wait(self) -> None:
        with contextlib.suppress(SandboxUnavailable):
            status = await self.exit_status()
            if status in ENDINGS:
                self.ended_because = ENDINGS[status].format(self.spec.limits)
            self.on_end()

    async def close(self) -> None:
        """Ends the watching."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)

    async def _learn_why(self) -> None:
        """Waits until it is known why it has ended; the engine tells that a little later."""
        if self._watching is not None:
            await asyncio.wait({self._watching}, timeout=_REASON_WITHIN)

    @property
    def id(self) -> str:
        """The container's id."""
        return str(self.container.id)

    async def open_terminal(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
    ) -> TerminalStream:
        """Starts a program on a new pseudo-terminal, in `/`.

        Raises:
            SandboxUnavailable: The sandbox is gone.
        """
        async with asking("opening a terminal"):
            process = await self.container.exec(
                shell_command(self.spec, argv),
                stdin=True,
                tty=True,
                environment=dict(env),
                workdir="/",
            )
            stream = process.start(detach=False)
            await stream._init()
        return TerminalStream(process, stream)

    async def open_guest(self, command: Sequence[str]) -> ProgramStream:
        """Starts plumb's own program in the sandbox, its streams apart.

        Raises:
            SandboxUnavailable: The sandbox is gone, or nothing can be started in it.
        """
        return await self.open_program([GUEST, *command], user=ROOT)

    async def open_program(self, argv: Sequence[str], *, user: str) -> ProgramStream:
        """Starts a program of the image's own, its streams apart.

        What it says is true only where nobody but plumb can change the image's files.

        Raises:
            SandboxUnavailable: The sandbox is gone, or nothing can be started in it.
        """
        try:
            async with asking("starting a program"):
                process = await self.container.exec(
                    list(argv), stdin=True, tty=False, workdir="/", user=user
                )
                stream = process.start(detach=False)
                await stream._init()
        except InvalidInput as error:  # how newer engines say that they cannot start it
            raise SandboxUnavailable(f"nothing can be started in the sandbox: {error}") from error
        return ProgramStream(process, stream)

    async def published_address(self) -> tuple[str, int]:
        """Where its published port is on this side: host and port.

        Raises:
            SandboxUnavailable: It has none, or has ended.
        """
        async with asking("asking where a sandbox listens"):
            ports = (await self.container.show())["NetworkSettings"]["Ports"] or {}
        for bindings in ports.values():
            for binding in bindings or ():
                return str(binding["HostIp"]), int(binding["HostPort"])
        raise SandboxUnavailable("the sandbox has no published port, or has ended")

    async def network_address(self) -> str:
        """Its address in its network, for whoever is in that network, too.

        Raises:
            SandboxUnavailable: It has none, or has ended.
        """
        async with asking("asking for a sandbox's address"):
            networks = (await self.container.show())["NetworkSettings"]["Networks"] or {}
        for network in networks.values():
            if network["IPAddress"]:
                return str(network["IPAddress"])
        raise SandboxUnavailable("the sandbox has no address in a network, or has ended")

    async def image_id(self) -> str:
        """The digest of the image that it was made from.

        Raises:
            SandboxUnavailable: The sandbox is gone.
        """
        async with asking("asking after the sandbox"):
            return str((await self.container.show())["Image"])

    async def started_time(self) -> float:
        """When it started, in seconds since 1970, by the engine's clock.

        Raises:
            SandboxUnavailable: The sandbox is gone.
        """
        async with asking("asking after the sandbox"):
            started = str((await self.container.show())["State"]["StartedAt"])
        # To the second: Python reads no nanoseconds.
        return datetime.fromisoformat(started[:19] + "+00:00").timestamp()

    async def rename(self, name: str) -> None:
        """Gives the container another name.

        Raises:
            SandboxUnavailable: The sandbox is gone.
        """
        async with asking("naming a sandbox"):
            await self.container.rename(name)

    async def is_running(self) -> bool:
        """Whether the container runs; False if it is gone."""
        try:
            async with asking("asking after the sandbox"):
                if (await self.container.show())["State"]["Running"]:
                    return True
        except SandboxUnavailable:
            pass
        await self._learn_why()
        return False

    async def has_ended(self) -> bool:
        """Whether the container has ended, or does so in a moment.

        It is said to run for a moment after its processes are gone. While the engine is at its end
        it answers no other question about it: the last one waits for that.
        """
        with contextlib.suppress(SandboxUnavailable):  # gone altogether
            try:
                async with asyncio.timeout(_ENDING_WITHIN), asking("asking after the sandbox"):
                    await self.container.wait()
            except TimeoutError:
                return not await self.is_running()
        await self._learn_why()
        return True

    async def exit_status(self) -> int:
        """Waits for the container's end, however long, and returns its first process's status.

        Raises:
            SandboxUnavailable: It is gone already, or the engine is.
        """
        with translated("waiting for the end of a sandbox"):
            return int((await self.container.wait())["StatusCode"])


async def remove_container(container: DockerContainer) -> bool:
    """Removes a container by force; one that somebody else removes is waited for.

    Returns:
        Whether it was there.
    """
    async with asking("removing a sandbox"):
        try:
            await _remove(container)
        except aiodocker.DockerError as error:
            if error.status != 404:
                raise
            return False
    return True


async def _remove(container: DockerContainer) -> None:
    try:
        await container.delete(force=True, v=True)
    except aiodocker.DockerError as error:
        if error.status != 409:  # it is being removed; until it is, it takes room
            raise
        await container.wait(condition="removed")
