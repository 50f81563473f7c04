"""A session's place on a server: a user, and databases whose names begin with a prefix of its own.

The prefix keeps sessions apart (the user's grants are on `prefix%` alone) and hides that they are:
it is put before every database's name on the way in and taken off on the way out, so that the
agent may create, use and drop databases as if the server were its own. The user carries the
owner's label, so that a sweep finds what a server that was killed has left.
"""

import asyncio
import dataclasses
import json
import secrets

import structlog

from plumb_backends.errors import SandboxUnavailable
from plumb_backends.real import owner
from plumb_backends.real.sql.access import Access
from plumb_backends.real.sql.server import Refused, Server

_log = structlog.get_logger(__name__)
_NO_WILDCARD = str.maketrans({"_": r"\_", "%": r"\%"})
_MOST_CONNECTIONS = 8
_NO_SUCH_THREAD = 1094
_ASK_AGAIN_AFTER = 0.01
_ASK_TIMES = 500


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A user on a server.

    Attributes:
        access: How to connect as it.
        prefix: What its databases' names begin with; empty where it has the server for itself.
    """

    access: Access
    prefix: str

    @property
    def user(self) -> str:
        """The user's name."""
        return self.access.user


async def create_account(server: Server, session_id: str, lifetime: float) -> Account:
    """Makes a user that may do everything with its own databases, and nothing else.

    Raises:
        SandboxUnavailable: The server does not answer.
    """
    # All sort behind `performance_schema`: with some before it each session had its own order.
    prefix = f"pf{secrets.randbits(60):015x}_"
    password = "" if server.hides_accounts else secrets.token_urlsafe(24)
    user = f"{prefix}root"
    label = {"owner": owner.this_process(), "session": session_id,
             "expires": owner.expiry(lifetime)}  # fmt: skip
    attribute = "" if server.is_mariadb else f" ATTRIBUTE '{json.dumps({'plumb': label})}'"
    await server.ask(
        f"CREATE USER '{user}'@'%' IDENTIFIED BY '{password}' "
        f"WITH MAX_USER_CONNECTIONS {_MOST_CONNECTIONS}{attribute}",
        f"GRANT ALL PRIVILEGES ON `{prefix.translate(_NO_WILDCARD)}%`.* TO '{user}'@'%'",
    )
    access = dataclasses.replace(
        server.access, user=user, password=password, encrypt=not server.hides_accounts
    )
    return Account(access=access, prefix=prefix)


async def label_account(server: Server, account: Account, session_id: str) -> None:
    """Labels an account with the session that it is for now.

    Raises:
        SandboxUnavailable: The server does not answer, or has no such account.
    """
    if not server.is_mariadb:
        label = json.dumps({"plumb": {"session": session_id}})  # the rest of it stays
        await server.ask(f"ALTER USER '{account.user}'@'%' ATTRIBUTE '{label}'")


async def create_root(server: Server) -> Account:
    """Makes a user that may do everything, on a server of a session's own."""
    password = secrets.token_urlsafe(24)
    await server.ask(
        "DROP USER IF EXISTS 'root'@'%'",
        f"CREATE USER 'root'@'%' IDENTIFIED BY '{password}'",
        "GRANT ALL PRIVILEGES ON *.* TO 'root'@'%' WITH GRANT OPTION",
    )
    return Account(
        access=dataclasses.replace(server.access, user="root", password=password), prefix=""
    )


async def remove_account(server: Server, user: str) -> None:
    """Ends a user's connections and removes its databases, and then the user.

    Raises:
        SandboxUnavailable: The server does not answer.
    """
    prefix = user.removesuffix("root")
    await _end_connections(server, user)
    databases = await server.ask(
        "SELECT SCHEMA_NAME FROM information_schema.SCHEMATA "  # noqa: S608 - names of our own
        f"WHERE SCHEMA_NAME LIKE '{prefix.translate(_NO_WILDCARD)}%'"
    )
    names = [str(name).replace("`", "``") for (name,) in databases]
    await server.ask(
        *(f"DROP DATABASE IF EXISTS `{name}`" for name in names),
        f"DROP USER IF EXISTS '{user}'@'%'",
    )


async def try_to_remove(server: Server, user: str) -> bool:
    """Removes an account; one that cannot be removed now is kept for the next sweep."""
    try:
        await remove_account(server, user)
    except SandboxUnavailable as error:
        _log.warning("an account was not removed", user=user, error=str(error))
        server.left.add(user)
        return False
    server.left.discard(user)
    return True


async def _end_connections(server: Server, user: str) -> None:
    """Ends what a user's connections run, and waits for it: it may be making a database."""
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


async def end_oversized(server: Server, most_bytes: int) -> None:
    """Removes the accounts whose tables take more than they may: the disk is everybody's.

    MySQL itself limits no database. A session can overshoot by what it writes between two calls;
    it finds its connection ended, and `Server.ended_because` says why.
    """
    if server.is_mariadb:  # which tells the sizes in another way
        return
    rows = await server.ask(
        "SELECT SUBSTRING_INDEX(NAME, '_', 1), CAST(SUM(FILE_SIZE) AS UNSIGNED) "  # noqa: S608
        "FROM information_schema.INNODB_TABLESPACES WHERE NAME REGEXP '^pf[0-9a-f]{15}_' "
        f"GROUP BY 1 HAVING SUM(FILE_SIZE) > {most_bytes}"
    )
    for prefix, size in rows:
        user = f"{prefix}_root"
        server.ended_because[user] = (
            f"its tables took {size} bytes, more than the {most_bytes} that are allowed "
            "(PLUMB_MYSQL_DISK_BYTES)"
        )
        await try_to_remove(server, user)


async def sweep_accounts(server: Server) -> int:
    """Removes the accounts whose owner has ended or whose time is over, and `sweep_left`'s.

    Returns:
        How many it removed.

    Raises:
        SandboxUnavailable: The server does not answer.
    """
    rows = await server.ask(
        "SELECT USER, ATTRIBUTE->>'$.plumb.owner', ATTRIBUTE->>'$.plumb.expires' "
        "FROM information_schema.USER_ATTRIBUTES "
        "WHERE ATTRIBUTE->>'$.plumb.owner' IS NOT NULL"
    )
    over = {str(user) for user, whose, expires in rows if owner.is_over(str(whose), str(expires))}
    return sum([await try_to_remove(server, user) for user in over | server.left])


async def sweep_left(server: Server) -> int:
    """Removes the accounts whose removal failed before; returns how many it removed."""
    if not server.left or not await server.answers():
        return 0
    return sum([await try_to_remove(server, user) for user in set(server.left)])
