"""TLS: whom the client trusts, and as whom it shows itself."""

import dataclasses
from pathlib import Path

import grpc

from plumb_client.errors import InvalidInput


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """How to speak TLS with a server. All files are PEM; they are read by `connect`.

    Tls()                                    # trusts the authorities that gRPC brings along
    Tls(ca="ca.pem")                         # trusts these alone
    Tls(ca="ca.pem", cert="me.pem", key="me.key")  # and shows a certificate of its own

    Attributes:
        ca: The authorities that may vouch for the server.
        cert: The client's certificate and its chain, where the server wants one.
        key: Its key, unencrypted.
        server_name: The name that the server's certificate must have; the address's by default.
    """

    ca: str | Path | None = None
    cert: str | Path | None = None
    key: str | Path | None = None
    server_name: str = ""

    def credentials(self) -> grpc.ChannelCredentials:
        """Reads the files.

        Raises:
            InvalidInput: One is missing.
        """
        if (self.cert is None) != (self.key is None):
            raise InvalidInput(f"cert is {self.cert} and key is {self.key}; give both or neither")
        return grpc.ssl_channel_credentials(
            root_certificates=_read("ca", self.ca),
            private_key=_read("key", self.key),
            certificate_chain=_read("cert", self.cert),
        )


def _read(field: str, path: str | Path | None) -> bytes | None:
    if path is None:
        return None
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise InvalidInput(f"{field} is {path}, which cannot be read: {error.strerror}") from None
