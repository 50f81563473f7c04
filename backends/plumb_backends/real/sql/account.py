"""Whom a session is on a server: root of its own, or an account with one database on a shared one.

An account on a shared server has a random password, rights on its one database, and none on
anything else. On somebody else's server it carries the owner's label, so that a sweep finds what a
plumb that was killed has left there; on plumb's own nothing outlives plumb.
"""

import asyncio
import dataclasses
import json
import secrets

import structlog

from plumb_backends.errors import SandboxUnavailable
from plumb_backends.real import owner
from plumb_backends.real.sql.access import MYSQL_PORT, Access
from plumb_backends.real.sql.server import Refused, Server

_log = structlog.get_logger(__name__)
_NO_WILDCARD = str.maketrans({"_": r"\_", "%": r"\%"})
_MOST_CONNECTIONS = 8
_NO_SUCH_THREAD = 1094
_ASK_AGAIN_AFTER = 0.01
_ASK_TIMES = 500
_WAIT_FOR_LOCKS = 5
"""Seconds that a removal waits for a lock; the sweep tries again."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A user on a server.

    Attributes:
        access: How to connect as it.
        database: The database that it begins with, by its real name.
    """

    access: Access
    database: str

    @property
    def user(self) -> str:
        """The user's name."""
        return self.access.user


def root_of(server: Server, database: str) -> Account:
    """Root of a server of a session's own."""
    access = dataclasses.replace(server.access, port=MYSQL_PORT)
    return Account(access=access, database=database)


async def create_account(
    server: Server, database: str, session_id: str, lifetime: float
) -> Account:
    """Makes a user and its database, whose name begins with what the session calls it.

    Raises:
        SandboxUnavailable: The server does not answer.
    """
    number = secrets.token_hex(6)
    user, real = f"agent_{number}", f"{database}_{number}"
    password = secrets.token_urlsafe(24)
    attribute = ""
    if server.sandbox is None:
        label = {"owner": owner.this_process(), "session": session_id,
                 "expires": owner.expiry(lifetime), "database": real}  # fmt: skip
        attribute = f" ATTRIBUTE {text_literal(json.dumps({'plumb': label}))}"
    await server.ask(
        f"CREATE USER '{user}'@'%' IDENTIFIED BY '{password}' "
        f"WITH MAX_USER_CONNECTIONS {_MOST_CONNECTIONS}{attribute}",
        f"GRANT ALL PRIVILEGES ON {quoted(real.translate(_NO_WILDCARD))}.* TO '{user}'@'%'",
        f"CREATE DATABASE {quoted(real)}",
    )
    access = dataclasses.replace(server.access, user=user, password=password)
    return Account(access=access, database=real)


async def remove_account(server: Server, user: str, database: str) -> None:
    """Ends a user's connections and removes its database, and then the user.

    Raises:
        SandboxUnavailable: The server does not answer, or something of the session's is locked.
    """
    async with server.removing:
        await _end_connections(server, user)
        if server.sandbox is not None:
            await _end_prepared(server)
        await server.ask(
            f"SET SESSION lock_wait_timeout = {_WAIT_FOR_LOCKS}",
            "SET SESSION foreign_key_checks = OFF",
            f"DROP DATABASE IF EXISTS {quoted(database)}",
            f"DROP USER IF EXISTS '{user}'@'%'",
        )


async def try_to_remove(server: Server, user: str, database: str) -> bool:
    """Removes an account; one that cannot be removed now is kept for the next sweep."""
    try:
        await remove_account(server, user, database)
    except SandboxUnavailable as error:
        _log.warning("an account was not removed", user=user, error=str(error))
        server.left[user] = database
        return False
    server.left.pop(user, None)
    return True


async def _end_connections(server: Server, user: str) -> None:
    """Ends what a user's connections run, and waits for it: it may be making a table."""
    for _ in range(_ASK_TIMES):
        connections = await server.ask(
            f"SELECT ID FROM information_schema.PROCESSLIST WHERE USER = '{user}'"  # noqa: S608
        )
        if not connections:
            return
        for (connection,) in connections:
            await _kill(server, connection)
        await asyncio.sleep(_ASK_AGAIN_AFTER)


async def _kill(server: Server, connection: object) -> None:
    """Ends a connection, which may have ended by itself."""
    try:
        await server.ask(f"KILL {connection}")
    except Refused as error:
        if error.errno != _NO_SUCH_THREAD:
            raise


async def _end_prepared(server: Server) -> None:
    """Rolls back transactions that outlived their connection: no session may make any."""
    for format_id, gtrid_length, bqual_length, data in await server.ask("XA RECOVER CONVERT XID"):
        digits = str(data).removeprefix("0x")
        split = 2 * int(str(gtrid_length))
        end = split + 2 * int(str(bqual_length))
        xid = f"0x{digits[:split]}, {_hex(digits[split:end])}, {format_id}"
        await server.ask(f"XA ROLLBACK {xid}")


def _hex(digits: str) -> str:
    return f"0x{digits}" if digits else "''"


async def end_oversized(server: Server, most_bytes: int) -> None:
    """Removes the accounts whose tables take more than they may: the disk is everybody's.

    MySQL itself limits no database. A session can overshoot by what it writes between two calls;
    it finds its connection ended, and `Server.ended_because` says why.
    """
    if server.is_mariadb:  # which tells the sizes in another way
        return
    for user, (database, size) in (await _sizes(server)).items():
        if size <= most_bytes:
            continue
        server.ended_because[user] = (
            f"its tables took {size} bytes, more than the {most_bytes} that are allowed "
            "(PLUMB_MYSQL_DISK_BYTES)"
        )
        await try_to_remove(server, user, database)


async def _sizes(server: Server) -> dict[str, tuple[str, int]]:
    """What each account's tables take, temporary ones included: user -> (database, bytes)."""
    rows = await server.ask(
        "SELECT a.USER, a.DB, (SELECT COALESCE(SUM(t.FILE_SIZE), 0) "
        "FROM information_schema.INNODB_TABLESPACES t "
        "WHERE SUBSTRING_INDEX(t.NAME, '/', 1) = a.DB) + (SELECT COALESCE(SUM(s.SIZE), 0) "
        "FROM information_schema.INNODB_SESSION_TEMP_TABLESPACES s "
        "JOIN information_schema.PROCESSLIST p ON p.ID = s.ID WHERE p.USER = a.USER) "
        "FROM (SELECT User AS USER, REPLACE(Db, '\\\\', '') AS DB FROM mysql.db "
        "WHERE User REGEXP '^agent_[0-9a-f]{12}$') a"
    )
    return {str(user): (str(database), int(str(size))) for user, database, size in rows}


async def sweep_accounts(server: Server) -> int:
    """Removes the accounts whose owner has ended or whose time is over, and `sweep_left`'s.

    Returns:
        How many it removed.

    Raises:
        SandboxUnavailable: The server does not answer.
    """
    rows = await server.ask(
        "SELECT USER, ATTRIBUTE->>'$.plumb.owner', ATTRIBUTE->>'$.plumb.expires', "
        "ATTRIBUTE->>'$.plumb.database' FROM information_schema.USER_ATTRIBUTES "
        "WHERE ATTRIBUTE->>'$.plumb.owner' IS NOT NULL"
    )
    over = {
        str(user): str(database)
        for user, whose, expires, database in rows
        if owner.is_over(str(whose), str(expires))
    }
    return await _removed(server, over | server.left)


async def sweep_left(server: Server) -> int:
    """Removes the accounts whose removal failed before; returns how many it removed."""
    if not server.left or not await server.answers():
        return 0
    return await _removed(server, dict(server.left))


async def _removed(server: Server, accounts: dict[str, str]) -> int:
    removals = [await try_to_remove(server, user, name) for user, name in accounts.items()]
    return sum(removals)


def quoted(name: str) -> str:
    """A name as SQL writes it."""
    return "`" + name.replace("`", "``") + "`"


def text_literal(text: str) -> str:
    """A text as SQL writes it, unless `sql_mode` has NO_BACKSLASH_ESCAPES."""
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"
