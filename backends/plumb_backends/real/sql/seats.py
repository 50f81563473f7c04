"""Where sessions get their seats on a MySQL server: a warm one where one fits, else a new one.

A seat is an account and its connection; a warm one is on the shared server, and nobody has used it.
It has no database yet: only the session knows its name, and making one takes less than a
millisecond.
"""

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from plumb_backends.errors import SandboxUnavailable
from plumb_backends.kinds.mysql import Isolation
from plumb_backends.real.creations import Creations
from plumb_backends.real.pool import MOST_AGE, Pool, PoolSettings, kept
from plumb_backends.real.sql.account import (
    Account,
    create_account,
    create_root,
    label_account,
    try_to_remove,
)
from plumb_backends.real.sql.connection import Connection, open_connection
from plumb_backends.real.sql.server import Server, Servers
from plumb_backends.real.watcher import Watcher

POOLED = "pool"
"""The session that a warm account is labelled with, until it has one."""


@dataclasses.dataclass(frozen=True, slots=True)
class Seat:
    """A place on a server: an account, and a connection as it."""

    server: Server
    account: Account
    connection: Connection

    @property
    def is_alive(self) -> bool:
        """Whether the connection is there, as far as is known without asking."""
        return not self.connection.is_lost

    async def take(self, session_id: str, current: Server) -> "Seat":
        """Makes it a session's.

        Args:
            session_id: For the label.
            current: The server that new sessions go to.

        Raises:
            SandboxUnavailable: It is on another server, or is gone.
        """
        if self.server is not current:
            raise SandboxUnavailable("the MySQL server is another one since this was made")
        alive, _ = await asyncio.gather(
            self.connection.answers(), label_account(self.server, self.account, session_id)
        )
        if not alive:
            raise SandboxUnavailable("the connection ended before it was used")
        return self

    async def remove(self) -> None:
        """Hangs up and removes the account. Never raises."""
        await self.connection.close()
        await try_to_remove(self.server, self.account.user)


class Seats:
    """Gets seats on the shared server. Kept by `open_seats`.

    Args:
        servers: Has the shared one.
        creations: How many are made at the same time.
        max_life: Seconds after which a session's account may be swept.
        pool: How many are made ahead of time.
        watcher: Is told what happens.
    """

    def __init__(
        self,
        servers: Servers,
        creations: Creations,
        max_life: float,
        pool: PoolSettings,
        watcher: Watcher,
    ) -> None:
        self._servers = servers
        self._creations = creations
        self._max_life = max_life
        self.pool = Pool("mysql", self._make_warm, pool, watcher) if pool.size else None

    async def get(self, session_id: str, isolation: Isolation) -> Seat:
        """A seat that nobody has used.

        Raises:
            ImageMissing, SandboxUnavailable: There is no server.
            LimitReached: Too many are being made.
        """
        if isolation is Isolation.DEDICATED:
            return await self._make_dedicated(session_id)
        server = await self._servers.shared()
        if self.pool is not None:
            seat = await self.pool.draw(lambda warm: warm.take(session_id, server))
            if seat is not None:
                return seat
        async with self._creations.turn():
            return await _make(server, session_id, self._max_life)

    async def remove(self, seat: Seat) -> None:
        """Removes a seat that a session had, with all that it made; never raises."""
        if seat.account.prefix:
            await seat.remove()
        else:  # the server was its own
            await seat.connection.close()
            await self._servers.remove(seat.server)

    async def _make_dedicated(self, session_id: str) -> Seat:
        if self.pool is not None:
            self.pool.pass_by()
        async with self._creations.turn():
            server = await self._servers.dedicated(session_id)
        try:
            account = await create_root(server)
            return Seat(server, account, await open_connection(server, account))
        except BaseException:
            await asyncio.shield(self._servers.remove(server))
            raise

    async def _make_warm(self) -> Seat:
        async with self._creations.turn(is_patient=True):
            return await _make(await self._servers.shared(), POOLED, self._max_life + MOST_AGE)


async def _make(server: Server, session_id: str, max_life: float) -> Seat:
    creating = asyncio.create_task(create_account(server, session_id, max_life))
    try:
        account = await asyncio.shield(creating)
        return Seat(server, account, await open_connection(server, account))
    except BaseException:
        await asyncio.shield(_undo(server, creating))
        raise


async def _undo(server: Server, creating: "asyncio.Task[Account]") -> None:
    """Undoes a creation in its middle: what was asked of the server is let happen first."""
    with suppress(SandboxUnavailable):  # there is none
        await try_to_remove(server, (await creating).user)


@asynccontextmanager
async def open_seats(seats: Seats) -> AsyncIterator[None]:
    """Keeps the pool, if there is one, as long as this lasts."""
    if seats.pool is None:
        yield
        return
    async with kept(seats.pool):
        yield
