"""Where shells get their sandboxes: a warm one where one fits, else one made for them.

A warm sandbox is a container that nobody has used, with a terminal that waits for its key: the
shell itself starts when a session takes it, and is as new as that of any other. What runs init
scripts waits there, too. Where scripts come first, a sandbox that is made for a session has both
before them as well, so that a script cannot tell the two apart.
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
from plumb_backends.real.engine import Engine, ProgramStream, Sandbox
from plumb_backends.real.guest.asking import ask
from plumb_backends.real.hardening import SandboxSpec
from plumb_backends.real.per_image import PerImage
from plumb_backends.real.pool import Pool, PoolSettings, kept
from plumb_backends.real.scripts import open_runner, send_away
from plumb_backends.real.shell_state import Told
from plumb_backends.real.watcher import Watcher

POOLED = "pool"
"""What the session's label of a warm sandbox says: it was made before its session."""

_FIRST_TERMINAL = "/dev/pts/0"
"""The one that waits."""


@dataclasses.dataclass(frozen=True, slots=True)
class Taken:
    """A sandbox that is a session's now, and what stands ready in it.

    Attributes:
        sandbox: The sandbox.
        shell: Its shell, if that has been started already.
        waiting: The terminal that waits for the shell, where init scripts come first.
        runner: What waits for the first of them.
    """

    sandbox: Sandbox
    shell: Bash | None = None
    waiting: WaitingBash | None = None
    runner: ProgramStream | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class _Ready:
    """What stands ready in a sandbox in which nothing has run."""

    bash: WaitingBash
    runner: ProgramStream

    @classmethod
    async def open(cls, sandbox: Sandbox) -> "_Ready":
        """Opens both."""
        bash = await WaitingBash.open(sandbox, ShellOptions())
        try:
            return cls(bash, await open_runner(sandbox))
        except BaseException:
            await bash.close()
            raise

    async def close(self) -> None:
        """Lets go of both."""
        await asyncio.gather(self.bash.close(), self.runner.close())


class WarmSandbox:
    """A sandbox that nobody has used, and what stands ready in it."""

    def __init__(self, engine: Engine, sandbox: Sandbox, ready: _Ready, image_id: str) -> None:
        self._engine = engine
        self._sandbox = sandbox
        self._ready = ready
        self._image_id = image_id

    @property
    def is_alive(self) -> bool:
        """Whether its terminal is there: it ends with the container, and with the engine."""
        return not self._ready.bash.is_lost

    async def take(self, spec: SandboxSpec, *, has_terminal: bool, has_scripts: bool) -> Taken:
        """Makes it a session's; see `Sandboxes.get`.

        Raises:
            SandboxUnavailable: It is gone, or its image's name means another image now.
        """
        taken, _, image_id = await asyncio.gather(
            self._part(has_terminal=has_terminal, has_scripts=has_scripts),
            self._engine.give(self._sandbox, spec),
            self._engine.image_id(spec.image),
        )
        if image_id != self._image_id:
            raise SandboxUnavailable(f"image {spec.image} is another one since this was made")
        return taken

    async def _part(self, *, has_terminal: bool, has_scripts: bool) -> Taken:
        """What the session uses of what stands ready; the rest is ended."""
        bash, runner = self._ready.bash, self._ready.runner
        if has_terminal and not has_scripts:
            shell, _ = await asyncio.gather(bash.start(), send_away(runner))
            return Taken(self._sandbox, shell)
        if not await self._sandbox.is_running():
            raise SandboxUnavailable("the sandbox ended before it was used")
        if not has_terminal:
            await self._empty()
        if not has_scripts:
            await send_away(runner)
        return Taken(
            self._sandbox,
            waiting=bash if has_terminal else None,
            runner=runner if has_scripts else None,
        )

    async def _empty(self) -> None:
        """Ends the terminal, so that another kind of terminal can be in its place.

        Newer engines (seen with 28.5) let go of a terminal whose program has ended only when they
        start the next one: until then the program is listed, and another terminal is number 1.
        """
        await self._ready.bash.send_away()
        while (await ask(self._sandbox, "exists", _FIRST_TERMINAL)).take() == b"yes":
            pass

    async def remove(self) -> None:
        """Removes it. Never raises."""
        await self._ready.close()
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

    async def get(self, spec: SandboxSpec, *, has_terminal: bool, has_scripts: bool) -> Taken:
        """A sandbox that nobody has used.

        Args:
            spec: What it shall be.
            has_terminal: Whether a shell on the usual terminal will be started in it.
            has_scripts: Whether init scripts will run before that.

        Raises:
            ImageMissing, InvalidInput, SandboxUnavailable: As `Engine.create_sandbox`.
            LimitReached: Too many are being made.
        """
        if self.pool is not None:
            if dataclasses.replace(spec, session_id=POOLED) == self._usual:
                taken = await self.pool.draw(
                    lambda warm: warm.take(spec, has_terminal=has_terminal, has_scripts=has_scripts)
                )
                if taken is not None:
                    return taken
            else:
                self.pool.pass_by()
        async with self._creations.turn():
            sandbox = await self._engine.create_sandbox(spec)
        if not (has_terminal and has_scripts):
            return Taken(sandbox)
        ready = await self._open(sandbox)  # so that scripts find the same as in a warm one
        return Taken(sandbox, waiting=ready.bash, runner=ready.runner)

    async def remove(self, sandbox: Sandbox) -> None:
        """Removes a sandbox that a session had; never raises."""
        await self._engine.remove(sandbox)

    async def _make_warm(self) -> WarmSandbox:
        async with self._creations.turn(is_patient=True):
            sandbox = await self._engine.create_sandbox(self._usual)
        ready = await self._open(sandbox)
        try:
            image_id = await sandbox.image_id()
        except BaseException:
            await ready.close()
            await asyncio.shield(self._engine.remove(sandbox))
            raise
        return WarmSandbox(self._engine, sandbox, ready, image_id)

    async def _open(self, sandbox: Sandbox) -> _Ready:
        """Makes a sandbox ready; removes it where that fails."""
        try:
            return await _Ready.open(sandbox)
        except BaseException:
            await asyncio.shield(self._engine.remove(sandbox))
            raise


@asynccontextmanager
async def open_sandboxes(sandboxes: Sandboxes) -> AsyncIterator[Sandboxes]:
    """Keeps the pool, if there is one, as long as this lasts."""
    if sandboxes.pool is None:
        yield sandboxes
        return
    async with kept(sandboxes.pool):
        yield sandboxes
