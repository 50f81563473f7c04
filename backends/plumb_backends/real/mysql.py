"""The backend that makes real MySQL sessions: what it can be told, and what watches over it."""

import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from plumb_backends.errors import SandboxUnavailable
from plumb_backends.kinds.mysql import KIND, MysqlOptions
from plumb_backends.real.creations import Creations
from plumb_backends.real.engine import open_engine
from plumb_backends.real.mysql_environment import RealMysql
from plumb_backends.real.pool import PoolSettings
from plumb_backends.real.sql.account import end_oversized, sweep_accounts, sweep_left
from plumb_backends.real.sql.row_gate import RowLimits
from plumb_backends.real.sql.seats import Seats, open_seats
from plumb_backends.real.sql.servers import Servers, ServerSettings
from plumb_backends.real.watcher import Nobody, Watcher
from plumb_backends.registry import Backend, Backends, Grounded, Spec
from plumb_backends.repeating import repeated

_LOOK_AT_DISKS_EVERY = 2.0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RealMysqlSettings:
    """What this backend can be told by whoever runs the server.

    Attributes:
        engine: Address of the container engine; empty for the usual one.
        servers: The servers that sessions are on.
        limits: How much of a result is read.
        max_life: Seconds after which a session's account may be swept.
        disk_bytes: What a session's tables may take on a shared server.
        max_creations: How many accounts, or servers of a session's own, are made at the same time.
        max_servers: How many servers of sessions' own there may be, warm ones included.
        pool: How many of them are started ahead of time.
        watcher: Is told of the pool, and of creations that wait.
    """

    engine: str = ""
    servers: ServerSettings = dataclasses.field(default_factory=ServerSettings)
    limits: RowLimits = dataclasses.field(default_factory=RowLimits)
    max_life: float = 25 * 3600.0
    disk_bytes: int = 512 * 1024**2
    max_creations: int = 16
    max_servers: int = 64
    pool: PoolSettings = dataclasses.field(default_factory=PoolSettings)
    watcher: Watcher = dataclasses.field(default_factory=Nobody)


class RealMysqlProvider:
    """Makes real MySQL sessions."""

    def __init__(self, servers: Servers, settings: RealMysqlSettings) -> None:
        self._servers = servers
        self._settings = settings
        creations = Creations(KIND.name, settings.max_creations, settings.watcher)
        self.seats = Seats(
            servers,
            creations,
            settings.max_life,
            settings.max_servers,
            settings.pool,
            settings.watcher,
        )

    async def create(self, spec: Spec) -> Grounded:
        """Makes a session's database and grounds it; see `Provider.create`."""
        options = spec.options if isinstance(spec.options, MysqlOptions) else MysqlOptions()
        session = RealMysql(self.seats, spec, options, self._settings.limits)
        return Grounded(session, await session.start())

    async def check(self) -> None:
        """Asks the shared server, if there is one yet."""
        await self._servers.check()

    async def sweep(self) -> int:
        """Removes accounts, with their databases, that have outlived their owner.

        Those of other owners only on somebody else's server: on plumb's own there are none.
        """
        if self._settings.servers.url:
            return await sweep_accounts(await self._servers.shared())
        return sum([await sweep_left(server) for server in self._servers.known])

    async def end_oversized(self) -> None:
        """Ends sessions whose tables took too much."""
        for server in self._servers.known:
            with suppress(SandboxUnavailable):  # the other servers may answer
                await end_oversized(server, self._settings.disk_bytes)


@asynccontextmanager
async def _open(settings: RealMysqlSettings, _: Backends) -> AsyncIterator[RealMysqlProvider]:
    async with open_engine(address=settings.engine) as engine:
        servers = Servers(engine, settings.servers)
        provider = RealMysqlProvider(servers, settings)
        try:
            async with (
                repeated(provider.end_oversized, every=_LOOK_AT_DISKS_EVERY),
                open_seats(provider.seats),
            ):
                yield provider
        finally:
            await servers.close()
            await engine.remove_all()


BACKEND = Backend(
    kind="mysql",
    name="real",
    open=_open,
    settings_type=RealMysqlSettings,
    can_interrupt=True,
)
