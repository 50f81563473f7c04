"""Who calls: the token of a request, and whether another site's page sent it.

The gateway has no token of its own. It passes on what a caller shows, or what somebody showed who
signed in on the pages, and the server decides.
"""

from http import HTTPStatus
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection

from plumb_gateway.problem import Refused
from plumb_gateway.sign_ins import SignIn, SignIns

COOKIE, SECURE_COOKIE = "plumb_session", "__Host-plumb_session"
"""What a browser shows after signing in, over HTTP and over HTTPS; out of reach for scripts."""

MOST_BODY_BYTES = 16 * 1024 * 1024
"""As the gRPC server takes; what is too large within gets a sentence there."""

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


def token_of(connection: HTTPConnection) -> str:
    """The caller's token; empty for none."""
    scheme, _, token = connection.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return token.strip()
    signed_in = sign_in_of(connection)
    return signed_in.token if signed_in else ""


def sign_in_of(connection: HTTPConnection) -> SignIn | None:
    """The sign-in of the caller's browser; None for none."""
    sign_ins: SignIns = connection.app.state.sign_ins
    return sign_ins.find(connection.cookies.get(cookie_name(connection), ""))


def is_secure(connection: HTTPConnection) -> bool:
    """Whether a request came over TLS."""
    return connection.scope["scheme"] in ("https", "wss")


def cookie_name(connection: HTTPConnection) -> str:
    """The name of the cookie: over TLS one that no neighbouring site can set."""
    return SECURE_COOKIE if is_secure(connection) else COOKIE


def check_host(connection: HTTPConnection, hosts: frozenset[str]) -> None:
    """Checks that a request means us, and not a name that somebody let point here.

    Args:
        connection: The request.
        hosts: The names that are ours; empty for any.

    Raises:
        Refused: It does not.
    """
    host = connection.headers.get("host", "")
    if hosts and _name(f"//{host}") not in hosts:
        raise Refused(
            HTTPStatus.MISDIRECTED_REQUEST,
            "INVALID_INPUT",
            f"there is no host {host[:100]!r} here; use localhost, or name it in PLUMB_HTTP_HOSTS",
        )


def check_site(connection: HTTPConnection) -> None:
    """Checks that no other site's page sent what may change something, or opens a socket.

    Browsers say where a request comes from; programs need not.

    Raises:
        Refused: One did.
    """
    if connection.scope["type"] == "http" and connection.scope["method"] in _SAFE:
        return
    origin = connection.headers.get("origin")
    host = connection.headers.get("host", "")
    is_ours = origin is None or origin.partition("://")[2] == host != ""
    site = connection.headers.get("sec-fetch-site", "none")
    if not is_ours or site not in ("same-origin", "none"):
        raise Refused(
            HTTPStatus.FORBIDDEN,
            "PERMISSION_DENIED",
            f"this comes from {str(origin)[:100]!r}, another site than {host[:100]!r}; "
            "use the pages here, or a program",
        )


def _name(address: str) -> str:
    """The host's name in an address; empty where there is none, or that is no address."""
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""


def check_size(connection: HTTPConnection) -> None:
    """Checks that a body that says how long it is can be taken; others are counted as they come.

    Raises:
        Refused: It is too large.
    """
    length = connection.headers.get("content-length", "0")
    if length.isdecimal() and int(length[:20]) > MOST_BODY_BYTES:
        raise Refused(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            "INVALID_INPUT",
            f"the body has {length[:20]} bytes; send at most {MOST_BODY_BYTES}",
        )


def own_hosts(listen_host: str, more: frozenset[str]) -> frozenset[str]:
    """The names under which a gateway answers; empty for any.

    On loopback only its names: a page elsewhere could let a name of its own point here. On all
    interfaces any, unless some are named: a token guards it there.
    """
    more = frozenset(name.lower() for name in more)
    if listen_host in _LOOPBACK:
        return _LOOPBACK | more
    if listen_host in ("0.0.0.0", "::", ""):  # noqa: S104 - to be recognised
        return _LOOPBACK | more if more else frozenset()
    return frozenset({listen_host.lower()}) | more
