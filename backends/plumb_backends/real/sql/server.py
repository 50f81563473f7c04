"""One MySQL server that answers, as whoever looks after it sees it.

Readiness is an answered query, never a line in a log.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

import mysql.connector

from plumb_backends.errors import SandboxUnavailable
from plumb_backends.real.engine import Sandbox
from plumb_backends.real.sql.access import LOST, Access, connect, shut
from plumb_backends.real.sql.wire import WireConnection

ADMIN = "plumb_admin"
_START_WITHIN = 60.0
_ASK_AGAIN_AFTER = 0.05
_ANSWER_WITHIN = 30.0
_CONNECTIONS = 4
_REMOVALS = 2
_ENDING_WITHIN = 5.0
"""Seconds that a container takes to be known as ended, once its server is."""

_ENDINGS = {
    0: "it was shut down",
    97: "it ran out of memory (PLUMB_MYSQL_MEMORY_BYTES)",
    98: "its disk was full (PLUMB_MYSQL_DISK_BYTES)",
    137: "it was killed",
}
"""What the exit statuses of a server's container say, see `plumb-mysqld`."""


class Refused(SandboxUnavailable):
    """The server answered, but with an error.

    Attributes:
        errno: MySQL's number of it.
    """

    def __init__(self, message: str, errno: int) -> None:
        super().__init__(message)
        self.errno = errno


class Server:
    """A MySQL server that answers. Made by `Servers`.

    Attributes:
        access: As whoever looks after it: plumb's administrator; on a server of a session's own
            root, which is the session, too, so that nothing of plumb's is there.
        version: What it says of itself, for example `9.7.4-Debian`.
        sandbox: Its container; None for somebody else's.
        is_own: Whether one session has it for itself.
        ended_because: Why plumb itself ended an account, by user.
        left: The accounts whose removal failed, and their databases; the sweep tries again.
        removing: Bounds removals, so that connections are left for creations.
    """

    def __init__(self, access: Access, sandbox: Sandbox | None, *, is_own: bool) -> None:
        self.access = access
        self.sandbox = sandbox
        self.is_own = is_own
        self.started = time.monotonic()
        self.version = ""
        self.ended_because: dict[str, str] = {}
        self.left: dict[str, str] = {}
        self.removing = asyncio.Semaphore(_REMOVALS)
        self._idle: list[WireConnection] = []
        self._free = asyncio.Semaphore(_CONNECTIONS)
        self._end = asyncio.create_task(sandbox.exit_status()) if sandbox else None

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

    @property
    def has_ended(self) -> bool:
        """Whether its container is known to have ended."""
        return self._end is not None and self._end.done()

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
                if self.has_ended or time.monotonic() > deadline:
                    raise SandboxUnavailable(
                        f"a MySQL server did not start ({error}); see `plumb doctor`"
                    ) from error
                await asyncio.sleep(_ASK_AGAIN_AFTER)
            else:
                return

    async def ask(self, *statements: str) -> Sequence[tuple[object, ...]]:
        """Runs statements as whoever looks after it; returns the rows of the last.

        Raises:
            Refused: The server answered with an error.
            SandboxUnavailable: The server does not answer.
        """
        try:
            return await self._ask(statements)
        except Refused as error:
            if error.errno not in LOST:
                raise
        await self._hang_up()  # an idle connection was lost; that says nothing about the server
        return await self._ask(statements)

    async def _ask(self, statements: Sequence[str]) -> Sequence[tuple[object, ...]]:
        try:
            async with asyncio.timeout(_ANSWER_WITHIN), self.connection() as connection:
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
    async def connection(self) -> AsyncIterator[WireConnection]:
        """A connection as whoever looks after it; one that an error leaves is not used again."""
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

    async def why_gone(self) -> str:
        """Says why it ended, where it has; empty where that is not known, or it has not."""
        if self._end is None:
            return ""
        with suppress(TimeoutError, SandboxUnavailable):
            async with asyncio.timeout(_ENDING_WITHIN):
                status = await asyncio.shield(self._end)
            return _ENDINGS.get(status, f"it ended with exit status {status}")
        return ""

    async def close(self) -> None:
        """Lets go of its connections, and of the question when it ends."""
        await self._hang_up()
        if self._end is not None:
            self._end.cancel()
            await asyncio.gather(self._end, return_exceptions=True)

    async def _hang_up(self) -> None:
        while self._idle:
            await shut(self._idle.pop())
