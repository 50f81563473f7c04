"""Where shells get their sandboxes: a warm one where one fits, else one made for them.

A warm sandbox is a container that nobody has used, with a terminal that waits for its key: the
shell itself starts when a session takes it, and is as new as that of any other. Init scripts would
find that terminal among the processes, so it is sent away before they run.
"""

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from plumb_backends.errors import SandboxUnavailable
from plumb_backends.kinds.shell import ShellOptions
from plumb_backends.real.bash import Bash, WaitingBash
from plumb_backends.real.card import MOST_CARDS
from plumb_backends.real.changed import MOST_IMAGES, ImageFiles
from plumb_backends.real.creations import Creations
from plumb_backends.real.engine import Engine, Sandbox
from plumb_backends.real.guest.asking import ask
from plumb_backends.real.hardening import SandboxSpec
from plumb_backends.real.per_image import PerImage
from plumb_backends.real.pool import Pool, PoolSettings, kept
from plumb_backends.real.shell_state import Told
from plumb_backends.real.watcher import Watcher

POOLED = "pool"
"""What the session's label of a warm sandbox says: it was made before its session."""

_FIRST_TERMINAL = "/dev/pts/0"
"""The one that waits."""


@dataclasses.dataclass(frozen=True, slots=True)
class Taken:
    """A sandbox that is a session's now, and its shell, if that has been started already."""

    sandbox: Sandbox
    shell: Bash | None = None


class WarmSandbox:
    """A sandbox that nobody has used, and the terminal that waits in it."""

    def __init__(self, engine: Engine, sandbox: Sandbox, bash: WaitingBash, image_id: str) -> None:
        self._engine = engine
        self._sandbox = sandbox
        self._bash = bash
        self._image_id = image_id

    @property
    def is_alive(self) -> bool:
        """Whether its terminal is there: it ends with the container, and with the engine."""
        return not self._bash.is_lost

    async def take(self, spec: SandboxSpec, *, with_shell: bool) -> Taken:
        """Makes it a session's.

        Args:
            spec: The session's own.
            with_shell: Whether to start the shell; else nothing runs in it.

        Raises:
            SandboxUnavailable: It is gone, or its image's name means another image now.
        """
        shell, _, image_id = await asyncio.gather(
            self._bash.start() if with_shell else self._empty(),
            self._engine.give(self._sandbox, spec),
            self._engine.image_id(spec.image),
        )
        if image_id != self._image_id:
            raise SandboxUnavailable(f"image {spec.image} is another one since this was made")
        if not with_shell and not await self._sandbox.is_running():
            raise SandboxUnavailable("the sandbox ended before it was used")
        return Taken(self._sandbox, shell)

    async def _empty(self) -> None:
        """Sends the terminal away, so that what comes next finds nothing of it.

        Newer engines (seen with 28.5) let go of a terminal whose program has ended only when they
        start the next one: until then the program is listed, and another terminal is number 1.
        """
        await self._bash.send_away()
        while (await ask(self._sandbox, "exists", _FIRST_TERMINAL)).take() == b"yes":
            pass

    async def remove(self) -> None:
        """Removes it. Never raises."""
        await self._bash.close()
        await self._engine.remove(self._sandbox)


class Sandboxes:
    """Gets sandboxes, and takes them back to remove them. Made by `open_sandboxes`.

    Args:
        engine: Makes them.
        creations: How many are made at the same time.
        usual: What most sessions ask for; that is what is made ahead of time.
        pool: How many of those.
        watcher: Is told what happens.
    """

    def __init__(
        self,
        engine: Engine,
        creations: Creations,
        usual: SandboxSpec,
        pool: PoolSettings,
        watcher: Watcher,
    ) -> None:
        self._engine = engine
        self._creations = creations
        self._usual = dataclasses.replace(usual, session_id=POOLED)
        self.cards = PerImage[str](MOST_CARDS)
        self.image_shells = PerImage[Told](MOST_CARDS)
        self.image_files = PerImage[ImageFiles](MOST_IMAGES)
        self.pool = Pool("shell", self._make_warm, pool, watcher) if pool.size else None

    async def get(self, spec: SandboxSpec, *, with_shell: bool) -> Taken:
        """A sandbox that nobody has used.

        Args:
            spec: What it shall be.
            with_shell: Whether the shell, with the usual terminal, may be started already.

        Raises:
            ImageMissing, InvalidInput, SandboxUnavailable: As `Engine.create_sandbox`.
            LimitReached: Too many are being made.
        """
        if self.pool is not None:
            if dataclasses.replace(spec, session_id=POOLED) == self._usual:
                taken = await self.pool.draw(lambda warm: warm.take(spec, with_shell=with_shell))
                if taken is not None:
                    return taken
            else:
                self.pool.pass_by()
        async with self._creations.turn():
            return Taken(await self._engine.create_sandbox(spec))

    async def remove(self, sandbox: Sandbox) -> None:
        """Removes a sandbox that a session had; never raises."""
        await self._engine.remove(sandbox)

    async def _make_warm(self) -> WarmSandbox:
        async with self._creations.turn(is_patient=True):
            sandbox = await self._engine.create_sandbox(self._usual)
        try:
            image_id = await sandbox.image_id()
            bash = await WaitingBash.open(sandbox, ShellOptions())
        except BaseException:
            await asyncio.shield(self._engine.remove(sandbox))
            raise
        return WarmSandbox(self._engine, sandbox, bash, image_id)


@asynccontextmanager
async def open_sandboxes(sandboxes: Sandboxes) -> AsyncIterator[Sandboxes]:
    """Keeps the pool, if there is one, as long as this lasts."""
    if sandboxes.pool is None:
        yield sandboxes
        return
    async with kept(sandboxes.pool):
        yield sandboxes
