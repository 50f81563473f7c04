"""Who calls: whose token, by which name, and from which site."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from starlette.requests import HTTPConnection

from plumb_gateway.callers import check_host, check_site, own_hosts, token_of
from plumb_gateway.problem import Refused
from plumb_gateway.sign_ins import SignIns


def connection(
    method: str = "GET", kind: str = "http", scheme: str = "http", **headers: str
) -> HTTPConnection:
    encoded = [
        (name.replace("_", "-").encode(), value.encode("latin-1"))
        for name, value in headers.items()
    ]
    app = SimpleNamespace(state=SimpleNamespace(sign_ins=SignIns(60)))
    scope = {"type": kind, "method": method, "scheme": scheme, "headers": encoded, "app": app}
    return HTTPConnection(scope)


@pytest.mark.parametrize(
    ("headers", "token"),
    [
        ({}, ""),
        ({"authorization": "Bearer abc"}, "abc"),
        ({"authorization": "bearer  abc "}, "abc"),
        ({"authorization": "Basic abc"}, ""),
        ({"cookie": "plumb_session=abc"}, ""),
        ({"cookie": "plumb_session=old", "authorization": "Bearer abc"}, "abc"),
    ],
)
def test_a_token_comes_in_a_header_and_no_cookie_is_one(
    headers: dict[str, str], token: str
) -> None:
    assert token_of(connection(**headers)) == token


@pytest.mark.parametrize(
    ("scheme", "names", "token"),
    [
        ("http", ["plumb_session"], "abc"),
        ("ws", ["plumb_session"], "abc"),
        ("https", ["__Host-plumb_session"], "abc"),
        ("wss", ["other", "__Host-plumb_session"], "abc"),
        ("https", ["plumb_session"], ""),
        ("http", ["__Host-plumb_session"], ""),
    ],
)
async def test_a_cookie_stands_for_the_token_of_who_signed_in(
    scheme: str, names: list[str], token: str
) -> None:
    value = "; ".join(f"{name}=VALUE" for name in names)
    caller = connection(scheme=scheme, cookie="")
    kept = caller.app.state.sign_ins.begin("abc")
    shown = connection(scheme=scheme, cookie=value.replace("VALUE", kept))
    shown.scope["app"] = caller.app
    assert token_of(shown) == token


@pytest.mark.parametrize(
    ("listen", "more", "hosts"),
    [
        ("127.0.0.1", [], {"localhost", "127.0.0.1", "::1"}),
        ("::1", ["Box.Example"], {"localhost", "127.0.0.1", "::1", "box.example"}),
        ("0.0.0.0", [], set()),
        ("::", [], set()),
        ("0.0.0.0", ["box"], {"localhost", "127.0.0.1", "::1", "box"}),
        ("192.168.0.1", [], {"192.168.0.1"}),
        ("Box", ["other"], {"box", "other"}),
    ],
)
def test_the_names_that_are_ours(listen: str, more: list[str], hosts: set[str]) -> None:
    assert own_hosts(listen, frozenset(more)) == hosts


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8080", "127.0.0.1:1", "[::1]:8080", "[::1]"]
)
def test_on_loopback_its_names_are_answered_on_any_port(host: str) -> None:
    check_host(connection(host=host), own_hosts("127.0.0.1", frozenset()))


@pytest.mark.parametrize(
    "host",
    ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "localhost@evil.example",
     "", "[", "[::1", "[x]:5", ":80", "127.0.0.2"],
)  # fmt: skip
def test_a_name_that_somebody_let_point_here_is_refused_with_the_mend(host: str) -> None:
    with pytest.raises(Refused, match="use localhost, or name it in PLUMB_HTTP_HOSTS") as caught:
        check_host(connection(host=host), own_hosts("127.0.0.1", frozenset()))
    assert caught.value.status == 421


def test_where_any_name_is_ours_none_is_refused() -> None:
    check_host(connection(host="box.example"), frozenset())
    check_host(connection(host="["), frozenset())


HERE = {"host": "127.0.0.1:8080"}
OTHERS = [
    {"origin": "https://evil.example"},
    {"origin": "http://127.0.0.1:8081"},
    {"origin": "http://localhost:8080"},
    {"origin": "http://127.0.0.1:8080.evil.example"},
    {"origin": "http://["},
    {"origin": "null"},
    {"origin": ""},
    {"sec_fetch_site": "cross-site"},
    {"sec_fetch_site": "same-site"},
    {"origin": "http://127.0.0.1:8080", "sec_fetch_site": "cross-site"},
]
OWN = [
    {},  # a program
    {"origin": "http://127.0.0.1:8080"},
    {"origin": "http://127.0.0.1:8080", "sec_fetch_site": "same-origin"},
    {"sec_fetch_site": "none"},  # a person typed it
]


@pytest.mark.parametrize("method", ["POST", "DELETE", "PUT"])
@pytest.mark.parametrize("headers", OTHERS)
def test_another_site_changes_nothing_here(method: str, headers: dict[str, str]) -> None:
    with pytest.raises(Refused, match="use the pages here, or a program") as caught:
        check_site(connection(method, **HERE, **headers))
    assert (caught.value.status, caught.value.reason) == (403, "PERMISSION_DENIED")


@pytest.mark.parametrize("headers", OTHERS)
def test_another_site_opens_no_socket_here(headers: dict[str, str]) -> None:
    with pytest.raises(Refused):
        check_site(connection(kind="websocket", **HERE, **headers))


@pytest.mark.parametrize("headers", OWN)
@pytest.mark.parametrize(("method", "kind"), [("POST", "http"), ("GET", "websocket")])
def test_pages_of_ours_and_programs_are_let_through(
    method: str, kind: str, headers: dict[str, str]
) -> None:
    check_site(connection(method, kind, **HERE, **headers))


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
@pytest.mark.parametrize("headers", OTHERS)
def test_what_only_asks_may_come_from_a_link_elsewhere(
    method: str, headers: dict[str, str]
) -> None:
    check_site(connection(method, **HERE, **headers))
