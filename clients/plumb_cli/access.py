"""How a command gets at a server: the address from the command line, secrets from elsewhere.

Everybody on a machine may read the command lines of all processes, and shells keep them. So the
token and the paths of TLS come from the environment.
"""

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path

from plumb_client import InvalidInput, Tls, aio


@dataclasses.dataclass(frozen=True, slots=True)
class Access:
    """A server, and what it wants to see of its clients.

    Attributes:
        address: HOST:PORT.
        token: None for none.
        tls: None to speak plainly.
    """

    address: str
    token: str | None = dataclasses.field(default=None, repr=False)
    tls: Tls | None = None

    def connect(self) -> aio.Plumb:
        """Connects, for asyncio."""
        return aio.connect(self.address, token=self.token, tls=self.tls)


def read_access(address: str, variables: Mapping[str, str] = os.environ) -> Access:
    """Reads PLUMB_TOKEN or PLUMB_TOKEN_FILE, and what else there is of PLUMB_TLS_*.

    PLUMB_TLS_CA turns TLS on; `system` trusts the authorities that gRPC brings along.

    Raises:
        InvalidInput: They do not go together, or the file cannot be read.
    """
    return Access(address, _token(variables), _tls(variables))


def _token(variables: Mapping[str, str]) -> str | None:
    token, file = variables.get("PLUMB_TOKEN", ""), variables.get("PLUMB_TOKEN_FILE", "")
    if token and file:
        raise InvalidInput("PLUMB_TOKEN and PLUMB_TOKEN_FILE are both set; set one of them")
    if not file:
        return token or None
    try:
        return Path(file).read_text(encoding="ascii").strip() or None
    except UnicodeDecodeError:
        why = "it is not ASCII"
    except OSError as error:
        why = str(error.strerror)
    raise InvalidInput(f"PLUMB_TOKEN_FILE is {file!r}, which holds no token: {why}")


def _tls(variables: Mapping[str, str]) -> Tls | None:
    ca = variables.get("PLUMB_TLS_CA", "")
    cert = variables.get("PLUMB_TLS_CLIENT_CERT") or None
    key = variables.get("PLUMB_TLS_CLIENT_KEY") or None
    name = variables.get("PLUMB_TLS_SERVER_NAME", "")
    if not ca:
        if cert or key or name:
            raise InvalidInput(
                "PLUMB_TLS_CLIENT_CERT, PLUMB_TLS_CLIENT_KEY or PLUMB_TLS_SERVER_NAME is set, and "
                "PLUMB_TLS_CA is not; set it to a PEM file, or to `system`"
            )
        return None
    return Tls(ca=None if ca == "system" else ca, cert=cert, key=key, server_name=name)
