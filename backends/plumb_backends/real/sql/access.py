"""How to reach a MySQL server, and the connections that come of it."""

import asyncio
import contextlib
import dataclasses
from urllib.parse import parse_qs, unquote, urlsplit

import mysql.connector

from plumb_backends.errors import InvalidInput
from plumb_backends.real.engine import Sandbox
from plumb_backends.real.sql.wire import DirectSocket, RelaySocket, WireConnection

MYSQL_PORT = 3306

_CONNECT_WITHIN = 30.0

_KEEP_ALIVE = "SET SESSION wait_timeout = 604800"
"""A connection may be idle for as long as a session may live; MySQL's own limit is 8 hours."""

LOST = (2006, 2013, 2055, 1053, 1927)
"""The error numbers that say that a connection is gone."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """How to reach a server as somebody.

    Attributes:
        host: Name or address.
        port: TCP port.
        user: The account's name.
        password: Empty for an account that only the server's own container reaches.
        encrypt: Whether to use TLS.
        ca_file: What the server's certificate must be signed by; empty to believe any.
        sandbox: The container in which the port is, and outside of which nobody reaches it; None
            for one that is reached as usual.
    """

    host: str
    port: int
    user: str
    password: str = dataclasses.field(default="", repr=False)
    encrypt: bool = True
    ca_file: str = ""
    sandbox: Sandbox | None = None


def parse_url(url: str) -> Access:
    """Reads `mysql://user:password@host:port/?ssl=off` (or `?ssl_ca=/path/of/ca.pem`).

    Raises:
        InvalidInput: It is no such URL; the message leaves the password out.
    """
    parts = urlsplit(url)
    mend = "use mysql://user:password@host:3306/"
    if parts.scheme != "mysql" or not parts.hostname or not parts.username:
        raise InvalidInput(f"PLUMB_MYSQL_URL is no URL of a MySQL server; {mend}")
    try:
        port = parts.port or MYSQL_PORT
    except ValueError:
        raise InvalidInput(f"PLUMB_MYSQL_URL has no valid port; {mend}") from None
    query = parse_qs(parts.query)
    return Access(
        host=parts.hostname,
        port=port,
        user=unquote(parts.username),
        password=unquote(parts.password or ""),
        encrypt=query.get("ssl") != ["off"],
        ca_file=query.get("ssl_ca", [""])[0],
    )


async def connect(access: Access, *, collation: str = "utf8mb4_general_ci") -> WireConnection:
    """Opens a connection that commits by itself and never reads a local file.

    Args:
        access: Where, and as whom.
        collation: Of the connection; every server knows the default.

    Raises:
        mysql.connector.Error, OSError, TimeoutError, SandboxUnavailable: It cannot be opened.
    """
    socket = (
        RelaySocket(access.sandbox, access.port)
        if access.sandbox is not None
        else DirectSocket(host=access.host, port=access.port)
    )
    connection = WireConnection(
        socket,
        host=access.host,
        port=access.port,
        user=access.user,
        password=access.password,
        autocommit=True,
        charset="utf8mb4",
        allow_local_infile=False,
        ssl_disabled=not access.encrypt,
        ssl_ca=access.ca_file or None,
        ssl_verify_cert=bool(access.ca_file),
        init_command=_KEEP_ALIVE,
        collation=collation,
    )
    async with asyncio.timeout(_CONNECT_WITHIN):
        await connection.connect()
    return connection


async def shut(connection: WireConnection) -> None:
    """Closes a connection without a word to the server, which may be gone."""
    with contextlib.suppress(mysql.connector.Error, OSError, TimeoutError):
        await connection.shutdown()
