"""Where sessions get their seats on a MySQL server.

A seat is an account and its connection. On a server of the session's own it can be warm: the server
was started before its session, and nobody has used it. Such a server has no database yet: only the
session knows its name, and making one takes a millisecond.
"""

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from plumb_backends.errors import LimitReached, SandboxUnavailable
from plumb_backends.kinds.mysql import Isolation
from plumb_backends.real.card import MOST_CARDS
from plumb_backends.real.creations import Creations
from plumb_backends.real.per_image import PerImage
from plumb_backends.real.pool import Pool, PoolSettings, kept
from plumb_backends.real.sql.account import (
    Account,
    create_account,
    quoted,
    root_of,
    try_to_remove,
)
from plumb_backends.real.sql.connection import Connection, open_connection
from plumb_backends.real.sql.row_gate import RowLimits
from plumb_backends.real.sql.server import Server
from plumb_backends.real.sql.servers import Servers
from plumb_backends.real.watcher import Watcher
from plumb_backends.sql.result import RawError

POOLED = "pool"
"""The session that a warm server is labelled with; its name tells the session once it has one."""

SETTING = "PLUMB_MYSQL_MAX_SERVERS"
_TRY_AGAIN_AFTER = 5.0


@dataclasses.dataclass(frozen=True, slots=True)
class Seat:
    """A place on a server: an account, and a connection as it."""

    server: Server
    account: Account
    connection: Connection

    async def use(self) -> None:
        """Puts its database in use, which is made where it is not there.

        Raises:
            SandboxUnavailable: The server refuses.
        """
        name = quoted(self.account.database)
        for statement in (f"CREATE DATABASE IF NOT EXISTS {name}", f"USE {name}"):
            async for result in self.connection.run(statement.encode(), RowLimits()):
                if isinstance(result, RawError):
                    raise SandboxUnavailable(
                        f"the MySQL server refused a database: {result.message}"
                    )


class WarmServer:
    """A server that nobody has used, and root's connection to it."""

    def __init__(self, seats: "Seats", seat: Seat) -> None:
        self._seats = seats
        self._seat = seat

    @property
    def is_alive(self) -> bool:
        """Whether it is there, as far as is known without asking."""
        return not (self._seat.connection.is_lost or self._seat.server.has_ended)

    async def take(self, session_id: str, database: str, servers: Servers) -> Seat:
        """Makes it a session's.

        Raises:
            SandboxUnavailable: It is gone.
        """
        alive, _ = await asyncio.gather(
            self._seat.connection.answers(), servers.give(self._seat.server, session_id)
        )
        if not alive:
            raise SandboxUnavailable("the server ended before it was used")
        return dataclasses.replace(self._seat, account=root_of(self._seat.server, database))

    async def remove(self) -> None:
        """Removes it. Never raises."""
        await self._seats.remove(self._seat)


class Seats:
    """Gets seats. Kept by `open_seats`.

    Args:
        servers: Starts servers, and has the shared one.
        creations: How many are made at the same time.
        max_life: Seconds after which an account on a shared server may be swept.
        max_servers: How many servers of sessions' own there may be, warm ones included.
        pool: How many of them are started ahead of time.
        watcher: Is told what happens.
    """

    def __init__(
        self,
        servers: Servers,
        creations: Creations,
        max_life: float,
        max_servers: int,
        pool: PoolSettings,
        watcher: Watcher,
    ) -> None:
        self._servers = servers
        self._creations = creations
        self._max_life = max_life
        self._max_servers = max_servers
        self.cards = PerImage[str](MOST_CARDS)
        self._count = 0  # of servers of sessions' own
        self.pool = Pool("mysql", self._make_warm, pool, watcher) if pool.size else None

    async def get(self, session_id: str, database: str, isolation: Isolation | None) -> Seat:
        """A seat that nobody has used; with no isolation named it is the usual one.

        Raises:
            ImageMissing, SandboxUnavailable: There is no server.
            LimitReached: Too many are being made, or are there.
        """
        if isolation is None and self._servers.is_somebody_else_s:
            isolation = Isolation.SHARED
        if isolation is Isolation.SHARED:
            return await self._get_shared(session_id, database)
        if self.pool is not None:
            seat = await self.pool.draw(lambda warm: warm.take(session_id, database, self._servers))
            if seat is not None:
                return seat
        async with self._creations.turn():
            return await self._make_own(session_id, database)

    async def remove(self, seat: Seat) -> None:
        """Removes a seat with all that was made there; never raises."""
        await seat.connection.close()
        if not seat.server.is_own:
            await try_to_remove(seat.server, seat.account.user, seat.account.database)
            return
        try:
            await self._servers.remove(seat.server)
        finally:
            self._count -= 1

    async def _get_shared(self, session_id: str, database: str) -> Seat:
        async with self._creations.turn():
            server = await self._servers.shared()
            return await _make_shared(server, database, session_id, self._max_life)

    async def _make_own(self, session_id: str, database: str) -> Seat:
        if self._count >= self._max_servers:
            raise LimitReached(
                f"there are {self._count} MySQL servers of sessions' own, the most that there may "
                f"be ({SETTING}); end a session, or try again later",
                limit=SETTING,
                retry_after=_TRY_AGAIN_AFTER,
            )
        self._count += 1
        try:
            server = await self._servers.dedicated(session_id)
            try:
                account = root_of(server, database)
                return Seat(server, account, await open_connection(server, account))
            except BaseException:
                await asyncio.shield(self._servers.remove(server))
                raise
        except BaseException:
            self._count -= 1
            raise

    async def _make_warm(self) -> WarmServer:
        async with self._creations.turn(is_patient=True):
            return WarmServer(self, await self._make_own(POOLED, ""))


async def _make_shared(server: Server, database: str, session_id: str, max_life: float) -> Seat:
    creating = asyncio.create_task(create_account(server, database, session_id, max_life))
    try:
        account = await asyncio.shield(creating)
        return Seat(server, account, await open_connection(server, account))
    except BaseException:
        await asyncio.shield(_undo(server, creating))
        raise


async def _undo(server: Server, creating: "asyncio.Task[Account]") -> None:
    """Undoes a creation in its middle: what was asked of the server is let happen first."""
    with suppress(SandboxUnavailable):  # there is none
        account = await creating
        await try_to_remove(server, account.user, account.database)


@asynccontextmanager
async def open_seats(seats: Seats) -> AsyncIterator[None]:
    """Keeps the pool, if there is one, as long as this lasts."""
    if seats.pool is None:
        yield
        return
    async with kept(seats.pool):
        yield
