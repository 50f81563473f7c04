"""MySQL servers: one that plumb starts and shares, one of a session's own, or somebody else's.

Readiness is an answered query, never a line in a log.
"""

import asyncio
import dataclasses
import secrets
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import mysql.connector
from mysql.connector.aio import MySQLConnection

from plumb_backends.errors import InvalidInput, SandboxUnavailable
from plumb_backends.real.engine import Engine, Sandbox
from plumb_backends.real.hardening import Limits, SandboxSpec
from plumb_backends.real.sql.access import (
    LOST,
    MYSQL_PORT,
    Access,
    connect,
    parse_url,
    shut,
)

ADMIN = "plumb_admin"
_COMMAND = ("plumb-mysqld",)
_DATA = "/var/lib/plumb-mysql-ram"
_START_WITHIN = 60.0
_ASK_AGAIN_AFTER = 0.05
_ANSWER_WITHIN = 30.0
_ADMIN_CONNECTIONS = 4


class Refused(SandboxUnavailable):
    """The server answered the administrator, but with an error.

    Attributes:
        errno: MySQL's number of it.
    """

    def __init__(self, message: str, errno: int) -> None:
        super().__init__(message)
        self.errno = errno


class Server:
    """A MySQL server that answers. Made by `Servers`.

    Attributes:
        access: As the administrator.
        version: What it says of itself, for example `9.7.4-Debian`.
        hides_accounts: Whether nobody but plumb gets to the server: then an account is safe by a
            name that nobody can guess, and connecting costs a fiftieth of what TLS takes.
        sandbox: Its container; None for somebody else's.
        ended_because: Why plumb itself ended an account, by user.
        left: The users of accounts whose removal failed; the sweep tries again.
    """

    def __init__(self, access: Access, sandbox: Sandbox | None, *, hides_accounts: bool) -> None:
        self.access = access
        self.sandbox = sandbox
        self.hides_accounts = hides_accounts
        self.started = time.monotonic()
        self.version = ""
        self.ended_because: dict[str, str] = {}
        self.left: set[str] = set()
        self._idle: list[MySQLConnection] = []
        self._free = asyncio.Semaphore(_ADMIN_CONNECTIONS)

    @property
    def is_mariadb(self) -> bool:
        """Whether it is MariaDB, which has neither account attributes nor MySQL's collations."""
        return "mariadb" in self.version.lower()

    @property
    def major_version(self) -> int:
        """The first number of its version."""
        return int(self.version.partition(".")[0] or 0)

    @property
    def collation(self) -> str:
        """The collation of sessions' connections: the server's own default."""
        return "utf8mb4_general_ci" if self.is_mariadb else "utf8mb4_0900_ai_ci"

    async def start(self) -> None:
        """Waits until it answers.

        Raises:
            SandboxUnavailable: It does not within a minute, or it ended.
        """
        deadline = time.monotonic() + _START_WITHIN
        while True:
            try:
                self.version = str((await self.ask("SELECT VERSION()"))[0][0])
            except SandboxUnavailable as error:
                ended = self.sandbox is None or not await self.sandbox.is_running()
                if ended or time.monotonic() > deadline:
                    raise SandboxUnavailable(
                        f"the MySQL server at {self.access.host}:{self.access.port} did not "
                        f"start ({error}); see `plumb doctor`"
                    ) from error
                await asyncio.sleep(_ASK_AGAIN_AFTER)
            else:
                return

    async def ask(self, *statements: str) -> Sequence[tuple[object, ...]]:
        """Runs statements as the administrator; returns the rows of the last.

        Raises:
            Refused: The server answered with an error.
            SandboxUnavailable: The server does not answer.
        """
        try:
            return await self._ask(statements)
        except Refused as error:
            if error.errno not in LOST:
                raise
        await self.close()  # an idle connection was lost; that says nothing about the server
        return await self._ask(statements)

    async def _ask(self, statements: Sequence[str]) -> Sequence[tuple[object, ...]]:
        try:
            async with asyncio.timeout(_ANSWER_WITHIN), self._administrator() as connection:
                cursor = await connection.cursor()
                rows: Sequence[tuple[object, ...]] = ()
                for statement in statements:
                    await cursor.execute(statement)
                    rows = await cursor.fetchall() if cursor.description else ()
                await cursor.close()
                return rows
        except TimeoutError as error:
            raise SandboxUnavailable(
                f"the MySQL server did not answer within {_ANSWER_WITHIN:g} s; look at its load"
            ) from error
        except mysql.connector.Error as error:
            raise Refused(f"the MySQL server failed: {error}", error.errno) from error
        except OSError as error:
            raise SandboxUnavailable(f"the MySQL server does not answer: {error}") from error

    @asynccontextmanager
    async def _administrator(self) -> AsyncIterator[MySQLConnection]:
        async with self._free:
            connection = self._idle.pop() if self._idle else await connect(self.access)
            try:
                yield connection
            except BaseException:  # what is left on the wire is not known
                await shut(connection)
                raise
            self._idle.append(connection)

    async def answers(self) -> bool:
        """Whether it answers just now."""
        try:
            await self.ask("SELECT 1")
        except SandboxUnavailable:
            return False
        return True

    async def close(self) -> None:
        """Lets go of the administrator's connections."""
        while self._idle:
            await shut(self._idle.pop())


_CPU_WEIGHT = 4096
"""Sixteen times that of a shell: one server answers many sessions, in milliseconds each, and must
not wait for dozens of busy shells."""


def server_limits(
    *,
    memory_bytes: int = 2 * 1024**3,
    cpus: float = 2.0,
    max_session_life: float = 24 * 3600.0,
) -> Limits:
    """What a server may use.

    It lives twice as long as a session may, and gets no new ones in the second half.
    """
    return Limits(
        memory_bytes=memory_bytes,
        processes=2048,  # a thread for each connection
        cpus=cpus,
        cpu_weight=_CPU_WEIGHT,
        open_files=8192,
        lifetime=2 * max_session_life + 120,
    )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """What the servers that plumb starts are made from.

    Attributes:
        image: With MySQL's data directory initialised in it.
        url: Of somebody else's server, used instead of one that plumb starts; empty for none.
        limits: What each server may use.
        network: The engine's network in which plumb and the servers are; empty where plumb is no
            container: then it reaches them through a port on loopback.
        runtime: The engine's OCI runtime; empty for its default.
    """

    image: str = "plumb-mysql:latest"
    url: str = dataclasses.field(default="", repr=False)
    limits: Limits = dataclasses.field(default_factory=server_limits)
    network: str = ""
    runtime: str = ""


class Servers:
    """Starts servers and finds them again."""

    def __init__(self, engine: Engine, settings: ServerSettings) -> None:
        self._engine = engine
        self._settings = settings
        self._shared: Server | None = None
        self._old: list[Server] = []  # too old for new sessions
        self._left: set[str] = set()  # on somebody else's server, whatever connects us to it
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
            self._shared = await self._start_shared()
            return self._shared

    async def dedicated(self, session_id: str) -> Server:
        """A server for one session; raises as `shared` does."""
        return await self._start(session_id, hides_accounts=False, is_like_installed=True)

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

    async def remove(self, server: Server) -> None:
        """Removes a server that plumb started."""
        await server.close()
        if server.sandbox is not None:
            await self._engine.remove(server.sandbox)

    async def close(self) -> None:
        """Removes all of them."""
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

    async def _start_shared(self) -> Server:
        if not self._settings.url:
            # Without a binary log, which would forbid functions to accounts that are no root.
            return await self._start("shared-mysql", hides_accounts=True, is_like_installed=False)
        server = Server(parse_url(self._settings.url), None, hides_accounts=False)
        server.left = self._left
        await server.start()
        if server.is_mariadb:
            await server.close()
            raise InvalidInput(
                f"PLUMB_MYSQL_URL leads to MariaDB ({server.version}), where accounts cannot be "
                "labelled; use MySQL 8.0.21 or later"
            )
        return server

    async def _start(
        self, session_id: str, *, hides_accounts: bool, is_like_installed: bool
    ) -> Server:
        settings = self._settings
        password = secrets.token_urlsafe(24)
        sandbox = await self._engine.create_sandbox(
            SandboxSpec(
                image=settings.image,
                session_id=session_id,
                hostname="mysql",
                env={
                    "PLUMB_ADMIN_PASSWORD": password,
                    "PLUMB_LIFETIME": str(int(settings.limits.lifetime)),
                    "PLUMB_MEMORY_DATA": _DATA,
                    "PLUMB_BINARY_LOG": str(int(is_like_installed)),
                    "TZ": "Etc/UTC",
                },
                command=_COMMAND,
                home="/",
                user="27:27",
                capabilities=(),
                published_port=0 if settings.network else MYSQL_PORT,
                # The rest is the server's own: out of memory it would be killed.
                memory_disks={_DATA: settings.limits.memory_bytes * 5 // 8},
                limits=settings.limits,
                network=settings.network or "bridge",
                runtime=settings.runtime,
            )
        )
        try:
            host, port = await self._address_of(sandbox)
            access = Access(host=host, port=port, user=ADMIN, password=password)
            server = Server(access, sandbox, hides_accounts=hides_accounts)
            await server.start()
        except BaseException:
            await asyncio.shield(self._engine.remove(sandbox))
            raise
        return server

    async def _address_of(self, sandbox: Sandbox) -> tuple[str, int]:
        if self._settings.network:
            return await sandbox.network_address(), MYSQL_PORT
        return await sandbox.published_address()
