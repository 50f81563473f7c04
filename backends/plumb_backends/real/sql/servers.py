"""Starts MySQL servers: of sessions' own, and one that sessions share, or finds somebody else's."""

import asyncio
import dataclasses
import secrets
import time

from plumb_backends.errors import InvalidInput
from plumb_backends.real.engine import Engine, Sandbox
from plumb_backends.real.hardening import Limits, SandboxSpec
from plumb_backends.real.sql.access import MYSQL_PORT, Access, parse_url
from plumb_backends.real.sql.server import ADMIN, Server

ADMIN_PORT = 33062
"""Of a dedicated server: it lets root in when all connections are taken."""

_COMMAND = ("plumb-mysqld",)
_DATA = "/var/lib/plumb-mysql-ram"

_SHARED_CPU_WEIGHT = 4096
"""Sixteen times that of a shell: it answers many sessions, in milliseconds each."""

_OWN_CPU_WEIGHT = 512
"""Twice that of a shell: an agent decides what its own server computes."""


def server_limits(
    *,
    memory_bytes: int = 2 * 1024**3,
    cpus: float = 2.0,
    max_session_life: float = 24 * 3600.0,
) -> Limits:
    """What the server that sessions share may use.

    It lives twice as long as a session may, and gets no new ones in the second half.
    """
    return Limits(
        memory_bytes=memory_bytes,
        processes=2048,  # a thread for each connection
        cpus=cpus,
        cpu_weight=_SHARED_CPU_WEIGHT,
        disk_bytes=memory_bytes * 5 // 8,  # the rest is its own: out of memory it would be killed
        open_files=8192,
        lifetime=2 * max_session_life + 120,
    )


def own_limits(
    *,
    memory_bytes: int = 1024**3,
    disk_bytes: int = 512 * 1024**2,
    cpus: float = 2.0,
    lifetime: float = 24 * 3600.0,
) -> Limits:
    """What a server of a session's own may use; its disk is in its memory."""
    return Limits(
        memory_bytes=memory_bytes,
        processes=512,
        cpus=cpus,
        cpu_weight=_OWN_CPU_WEIGHT,
        disk_bytes=min(disk_bytes, memory_bytes * 5 // 8),
        open_files=8192,
        lifetime=lifetime,
    )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """What the servers that plumb starts are made from.

    Attributes:
        image: With MySQL's data directory initialised in it.
        url: Of somebody else's server, shared instead of one that plumb starts; empty for none.
        limits: What the shared server may use.
        own_limits: What each server of a session's own may use.
        network: The engine's network in which plumb and the shared server are; empty where plumb
            is no container: then it is reached through a port on loopback.
        runtime: The engine's OCI runtime; empty for its default.
    """

    image: str = "plumb-mysql:latest"
    url: str = dataclasses.field(default="", repr=False)
    limits: Limits = dataclasses.field(default_factory=server_limits)
    own_limits: Limits = dataclasses.field(default_factory=own_limits)
    network: str = ""
    runtime: str = ""


class Servers:
    """Starts servers and finds them again."""

    def __init__(self, engine: Engine, settings: ServerSettings) -> None:
        self._engine = engine
        self._settings = settings
        self._shared: Server | None = None
        self._old: list[Server] = []  # too old for new sessions
        self._left: dict[str, str] = {}  # on somebody else's server, whatever connects us to it
        self._starting = asyncio.Lock()

    async def shared(self) -> Server:
        """The server that sessions share: started at the first call, and again when it is gone.

        Raises:
            ImageMissing: The engine does not have the image.
            SandboxUnavailable: It cannot be started.
        """
        async with self._starting:
            server = self._shared
            if server is not None and (self._is_young(server) and await server.answers()):
                return server
            if server is not None:
                self._shared = None
                await self._retire(server)
            self._shared = await self._find_shared()
            return self._shared

    async def dedicated(self, session_id: str) -> Server:
        """A server for one session; raises as `shared` does."""
        sandbox = await self._engine.create_sandbox(self._own_spec(session_id))
        access = Access(
            host="localhost", port=ADMIN_PORT, user="root", encrypt=False, sandbox=sandbox
        )
        return await self._started(sandbox, Server(access, sandbox, is_own=True))

    async def give(self, server: Server, session_id: str) -> None:
        """Makes a dedicated server a session's that was started before it.

        Raises:
            SandboxUnavailable: It is gone.
        """
        if server.sandbox is not None:
            await self._engine.give(server.sandbox, self._own_spec(session_id))

    async def check(self) -> None:
        """Asks the shared server, if there is one; one that has died is started again.

        Raises:
            SandboxUnavailable: It does not answer.
        """
        if self._settings.url or self._shared is not None:
            await self.shared()

    @property
    def known(self) -> list[Server]:
        """The shared servers that were started already."""
        return [*self._old, *([self._shared] if self._shared else [])]

    @property
    def is_somebody_else_s(self) -> bool:
        """Whether the shared server is one that plumb did not start."""
        return bool(self._settings.url)

    async def remove(self, server: Server) -> None:
        """Removes a server that plumb started."""
        await server.close()
        if server.sandbox is not None:
            await self._engine.remove(server.sandbox)

    async def close(self) -> None:
        """Removes the shared ones."""
        for server in [*self._old, self._shared]:
            if server is not None:
                await self.remove(server)
        self._shared = None
        self._old.clear()

    def _is_young(self, server: Server) -> bool:
        life = self._settings.limits.lifetime
        return server.sandbox is None or time.monotonic() < server.started + life / 2

    async def _retire(self, server: Server) -> None:
        """An old server goes on for its sessions; a dead one is removed."""
        if server.sandbox is not None and await server.answers():
            self._old.append(server)
        else:
            await self.remove(server)

    async def _find_shared(self) -> Server:
        if not self._settings.url:
            return await self._start_shared()
        server = Server(parse_url(self._settings.url), None, is_own=False)
        server.left = self._left
        await server.start()
        if server.is_mariadb:
            await server.close()
            raise InvalidInput(
                f"PLUMB_MYSQL_URL leads to MariaDB ({server.version}), where accounts cannot be "
                "labelled; use MySQL 8.0.21 or later"
            )
        return server

    async def _start_shared(self) -> Server:
        password = secrets.token_urlsafe(24)
        sandbox = await self._engine.create_sandbox(self._shared_spec(password))
        try:
            host, port = await self._address_of(sandbox)
        except BaseException:
            await asyncio.shield(self._engine.remove(sandbox))
            raise
        access = Access(host=host, port=port, user=ADMIN, password=password)
        return await self._started(sandbox, Server(access, sandbox, is_own=False))

    async def _started(self, sandbox: Sandbox, server: Server) -> Server:
        try:
            await server.start()
        except BaseException:
            await asyncio.shield(self.remove(server))
            raise
        return server

    def _own_spec(self, session_id: str) -> SandboxSpec:
        return self._spec("dedicated", session_id, self._settings.own_limits, {})

    def _shared_spec(self, password: str) -> SandboxSpec:
        settings = self._settings
        spec = self._spec(
            "shared", "shared-mysql", settings.limits, {"PLUMB_ADMIN_PASSWORD": password}
        )
        return dataclasses.replace(
            spec,
            published_port=0 if settings.network else MYSQL_PORT,
            network=settings.network or "bridge",
        )

    def _spec(self, role: str, session_id: str, limits: Limits, env: dict[str, str]) -> SandboxSpec:
        return SandboxSpec(
            image=self._settings.image,
            session_id=session_id,
            hostname="mysql",
            env={
                "PLUMB_MYSQL_ROLE": role,
                "PLUMB_LIFETIME": str(int(limits.lifetime)),
                "PLUMB_MEMORY_DATA": _DATA,
                # What is freed goes back to the machine.
                "TCMALLOC_AGGRESSIVE_DECOMMIT": "1",
                "TZ": "Etc/UTC",
                **env,
            },
            command=_COMMAND,
            home="/",
            user="27:27",
            capabilities=(),
            memory_disks={_DATA: limits.disk_bytes},
            has_fixed_root=True,
            limits=limits,
            runtime=self._settings.runtime,
        )

    async def _address_of(self, sandbox: Sandbox) -> tuple[str, int]:
        if self._settings.network:
            return await sandbox.network_address(), MYSQL_PORT
        return await sandbox.published_address()
