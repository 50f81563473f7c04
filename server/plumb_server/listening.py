"""Where the server listens, and what it asks of whoever comes: the token, and TLS."""

import ssl
from pathlib import Path

import grpc

from plumb_server.settings import Settings, checked_token, is_loopback


class CannotListen(Exception):
    """The server cannot listen where, or as, it was told to."""


def read_token(settings: Settings) -> str:
    """The operator's token; empty for none.

    Raises:
        CannotListen: The file cannot be read, or holds no token. The message does not show it.
    """
    if settings.token and settings.token_file:
        raise CannotListen("PLUMB_TOKEN and PLUMB_TOKEN_FILE are both set; set one of them")
    if not settings.token_file:
        return settings.token
    try:
        return checked_token(Path(settings.token_file).read_text(encoding="ascii").strip())
    except UnicodeDecodeError:
        why = "it is not ASCII"
    except (OSError, ValueError) as error:
        why = str(error)
    raise CannotListen(f"PLUMB_TOKEN_FILE is {settings.token_file!r}, which holds no token: {why}")


def check_may_listen(listen: str, settings: Settings, token: str) -> None:
    """Checks that not everybody who reaches an address may do everything there.

    Raises:
        CannotListen: It is off loopback, without token and TLS, client certificates, or leave; or
            a token is required, and there is none.
    """
    if settings.require_token and not (token or settings.tls_client_ca):
        raise CannotListen(
            "PLUMB_REQUIRE_TOKEN is set, and there is no token: set PLUMB_TOKEN, or "
            "PLUMB_TOKEN_FILE to a file that holds one; `openssl rand -hex 32` makes one"
        )
    is_guarded = bool((token and settings.tls_cert) or settings.tls_client_ca)
    if is_guarded or settings.insecure_listen or is_loopback(listen):
        return
    lacking = "PLUMB_TOKEN" if settings.tls_cert else "PLUMB_TLS_CERT and PLUMB_TLS_KEY"
    if not token and not settings.tls_cert:
        lacking = f"PLUMB_TOKEN, {lacking}"
    raise CannotListen(
        f"{listen} is not on loopback, where a server needs a token and TLS: set {lacking}, "
        "listen on 127.0.0.1, or set PLUMB_INSECURE_LISTEN=1 if the network is yours alone"
    )


def server_credentials(settings: Settings) -> grpc.ServerCredentials | None:
    """What TLS needs; None for no TLS.

    Raises:
        CannotListen: A file is missing, or is not what it must be.
    """
    cert, key, client_ca = settings.tls_cert, settings.tls_key, settings.tls_client_ca
    if not (cert or key or client_ca):
        return None
    if not (cert and key):
        raise CannotListen(
            f"PLUMB_TLS_CERT is {cert!r} and PLUMB_TLS_KEY is {key!r}; TLS needs both"
        )
    _check_files(cert, key, client_ca)
    return grpc.ssl_server_credentials(
        [(Path(key).read_bytes(), Path(cert).read_bytes())],
        root_certificates=Path(client_ca).read_bytes() if client_ca else None,
        require_client_auth=bool(client_ca),
    )


def _check_files(cert: str, key: str, client_ca: str) -> None:
    """Has the standard library look at them first: it says what is wrong, and gRPC does not."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(cert, key, password="")  # or it asks the terminal
    except OSError as error:
        raise CannotListen(
            f"PLUMB_TLS_CERT {cert!r} and PLUMB_TLS_KEY {key!r} are no pair ({error}); give PEM "
            "files, the key unencrypted"
        ) from None
    if client_ca:
        try:
            context.load_verify_locations(client_ca)
        except OSError as error:
            raise CannotListen(
                f"PLUMB_TLS_CLIENT_CA {client_ca!r} holds no authorities ({error}); give a PEM file"
            ) from None


def bind(server: grpc.aio.Server, settings: Settings) -> str:
    """Binds the server's port, and tells the address.

    Raises:
        CannotListen: The port is taken, or the address is not here; or as `server_credentials`.
    """
    listen = settings.listen
    credentials = server_credentials(settings)
    try:
        if credentials is None:
            port = server.add_insecure_port(listen)
        else:
            port = server.add_secure_port(listen, credentials)
    except RuntimeError as error:
        raise CannotListen(
            f"cannot listen on {listen}: the port is taken, or the address is not here"
        ) from error
    return f"{listen.rpartition(':')[0]}:{port}"
