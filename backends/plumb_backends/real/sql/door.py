"""Connects a session again to a server of its own, whatever it did there.

Root may have given itself a password that plumb does not know, or asked for TLS of everybody, and
then lost its connection; a person would type the password. Plumb's other connection, which was
there before the session, opens the door for a moment and leaves it as it was.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from plumb_backends.real.sql.server import Server

_WHO = "User = 'root' AND Host = '%'"
_SETTINGS = ("require_secure_transport", "super_read_only")
_QUIET = "SET SESSION sql_log_bin = OFF"


@asynccontextmanager
async def opened(server: Server) -> AsyncIterator[None]:
    """Lets root in without a password while this lasts.

    Raises:
        SandboxUnavailable: The server has no such account any more, or does not let plumb do it.
    """
    columns = ", ".join(f"@@GLOBAL.{name}" for name in _SETTINGS)
    (was,) = await server.ask(f"SELECT {columns}")
    closed = [name for name, value in zip(_SETTINGS, was, strict=True) if value]
    ((plugin, secret),) = await server.ask(
        f"SELECT plugin, HEX(authentication_string) FROM mysql.user WHERE {_WHO}"  # noqa: S608
    ) or (("", ""),)
    await server.ask(_QUIET, *(f"SET GLOBAL {name} = OFF" for name in closed), _login(plugin, ""))
    try:
        yield
    finally:
        await server.ask(
            _QUIET, _login(plugin, secret), *(f"SET GLOBAL {name} = ON" for name in closed)
        )


def _login(plugin: object, secret: object) -> str:
    value = f"0x{secret}" if secret else "''"
    return f"ALTER USER root@'%' IDENTIFIED WITH '{plugin}' AS {value}"
