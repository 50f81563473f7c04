"""The backend that makes real shells: what it can be told, and how long its sandboxes last."""

import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from plumb_backends.environment import Program, ProgramResult
from plumb_backends.errors import SandboxUnavailable
from plumb_backends.kinds.shell import KIND, ShellOptions
from plumb_backends.real.apart import run_apart
from plumb_backends.real.creations import Creations
from plumb_backends.real.engine import Engine, open_engine
from plumb_backends.real.hardening import Limits, SandboxSpec
from plumb_backends.real.pool import MOST_AGE, PoolSettings
from plumb_backends.real.sandboxes import Sandboxes, open_sandboxes
from plumb_backends.real.shell_environment import RealShell
from plumb_backends.real.watcher import Nobody, Watcher
from plumb_backends.registry import Backend, Backends, Grounded, Spec


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RealShellSettings:
    """What this backend can be told by whoever runs the server.

    Attributes:
        engine: Address of the container engine; empty for the usual one.
        image: For sessions that do not name one.
        limits: What each sandbox may use.
        network: The engine's network for sandboxes; `none` by default.
        runtime: The engine's OCI runtime; empty for its default.
        max_output_bytes: What one action may print before it is stopped.
        max_creations: How many sandboxes are made at the same time.
        pool: How many are made ahead of time.
        watcher: Is told of the pool, and of creations that wait.
    """

    engine: str = ""
    image: str = "plumb-shell:latest"
    limits: Limits = dataclasses.field(default_factory=Limits)
    network: str = "none"
    runtime: str = ""
    max_output_bytes: int = 1024**3
    max_creations: int = 16
    pool: PoolSettings = dataclasses.field(default_factory=PoolSettings)
    watcher: Watcher = dataclasses.field(default_factory=Nobody)


class RealShellProvider:
    """Makes real shells on one engine."""

    def __init__(self, engine: Engine, settings: RealShellSettings) -> None:
        self._engine = engine
        self._settings = settings
        self.sandboxes = Sandboxes(
            engine,
            Creations(KIND.name, settings.max_creations, settings.watcher),
            self._sandbox_spec(ShellOptions(), ""),
            settings.pool,
            settings.watcher,
        )

    async def create(self, spec: Spec) -> Grounded:
        """Makes a shell and grounds it; see `Provider.create`."""
        options = spec.options if isinstance(spec.options, ShellOptions) else ShellOptions()
        sandbox = self._sandbox_spec(options, spec.session_id)
        if options.use_image_user:
            user, folder = await self._engine.image_user(sandbox.image)
            sandbox = dataclasses.replace(sandbox, user=user, home=folder)
        shell = RealShell(
            self.sandboxes,
            sandbox,
            spec.grounding,
            options,
            self._settings.max_output_bytes,
        )
        return Grounded(shell, await shell.start())

    def _sandbox_spec(self, options: ShellOptions, session_id: str) -> SandboxSpec:
        settings, limits = self._settings, self._settings.limits
        if settings.pool.size:  # the time in the pool is not the session's; all sandboxes are alike
            limits = dataclasses.replace(limits, lifetime=limits.lifetime + MOST_AGE)
        return SandboxSpec(
            image=options.image or settings.image,
            session_id=session_id,
            hostname=options.hostname,
            env={"LANG": "C.UTF-8", "TZ": "Etc/UTC"},
            limits=limits,
            network=settings.network,
            runtime=settings.runtime,
        )

    async def run_apart(self, program: Program) -> ProgramResult:
        """Runs a program in an empty sandbox; see `RunsApart.run_apart`."""
        return await run_apart(
            self.sandboxes, self._settings.image, self._settings.runtime, program
        )

    async def check(self) -> None:
        """Asks whether the engine answers."""
        await self._engine.ping()

    async def sweep(self) -> int:
        """Removes sandboxes whose owner has ended or whose time is over."""
        return await self._engine.sweep()


@asynccontextmanager
async def _open(settings: RealShellSettings, _: Backends) -> AsyncIterator[RealShellProvider]:
    async with open_engine(address=settings.engine) as engine:
        provider = RealShellProvider(engine, settings)
        try:
            async with open_sandboxes(provider.sandboxes):
                yield provider
        finally:
            with suppress(SandboxUnavailable):
                await engine.remove_all()


BACKEND = Backend(
    kind="shell",
    name="real",
    open=_open,
    settings_type=RealShellSettings,
    can_exec=True,
    can_interrupt=True,
    can_stream=True,
)
