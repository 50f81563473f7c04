"""Round every request: what is refused, what browsers are told, and how errors look."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
import websockets
from fastapi.routing import APIRoute

from plumb_gateway.api.routes import ROUTES, Route
from plumb_gateway.callers import COOKIE, SECURE_COOKIE
from plumb_gateway.pages import others, reports, scenarios, sessions
from plumb_gateway.security import HEADERS, REPORT_POLICY

if TYPE_CHECKING:
    import httpx2 as httpx
    from fastapi import FastAPI
    from tests.gateway.conftest import Kit

AS_BROWSER = {"accept": "text/html,application/xhtml+xml"}
SAFE = {name.lower(): value for name, value in HEADERS.items()}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/sessions", 200),
        ("GET", "/healthz", 200),
        ("GET", "/static/plumb.css", 200),
        ("GET", "/v1/kinds", 200),
        ("GET", "/", 307),
        ("GET", "/no/such/page", 404),
        ("PUT", "/v1/kinds", 405),
        ("GET", "/v1/sessions/x", 400),
        ("GET", "/v1/journal/sessions?page_size=x", 400),
    ],
)
async def test_every_response_has_the_headers_of_safety(
    http: httpx.AsyncClient, method: str, path: str, status: int
) -> None:
    answer = await http.request(method, path)
    assert answer.status_code == status
    assert SAFE.items() <= dict(answer.headers).items()


async def test_so_has_one_that_is_refused(http: httpx.AsyncClient) -> None:
    answer = await http.get("/sessions", headers={"host": "evil.example"})
    assert answer.status_code == 421
    assert answer.json()["detail"].startswith("there is no host 'evil.example' here")


@pytest.mark.parametrize("headers", [{}, AS_BROWSER])
async def test_so_has_a_fault_of_our_own_which_tells_nothing_of_its_innards(
    app: FastAPI, kit: type[Kit], headers: dict[str, str]
) -> None:
    @app.get("/fault")
    async def fault() -> None:
        raise RuntimeError("secret innards")

    async with kit.open_http(app) as http:
        answer = await http.get("/fault", headers=headers)
    assert answer.status_code == 500
    assert "a fault of plumb" in answer.text
    assert "secret" not in answer.text
    assert SAFE.items() <= dict(answer.headers).items()


def test_the_policy_lets_nothing_in_from_elsewhere_and_nothing_inline() -> None:
    policy = HEADERS["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'")
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy


def test_a_bench_s_own_page_has_an_origin_of_its_own() -> None:
    assert REPORT_POLICY.startswith("sandbox allow-scripts;")
    assert "allow-same-origin" not in REPORT_POLICY


async def test_the_live_page_allows_styles_with_a_nonce_of_one_use(
    http: httpx.AsyncClient, kit: type[Kit]
) -> None:
    path = (await kit.create(http)).removeprefix("/v1")
    policies = [
        (await http.get(f"{path}/live")).headers["content-security-policy"] for _ in range(2)
    ]
    assert policies[0] != policies[1]
    assert all("script-src 'self';" in policy for policy in policies)


async def test_pages_are_not_kept_and_files_may_be(http: httpx.AsyncClient) -> None:
    assert (await http.get("/sessions")).headers["cache-control"] == "no-store"
    assert "cache-control" not in (await http.get("/static/plumb.css")).headers


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/sessions"),
        ("DELETE", "/v1/sessions/x"),
        ("POST", "/login"),
        ("POST", "/logout"),
        ("POST", "/scenarios/x/capture"),
    ],
)
async def test_another_site_s_request_is_refused_before_anything_else(
    http: httpx.AsyncClient, method: str, path: str
) -> None:
    answer = await http.request(method, path, headers={"origin": "https://evil.example"})
    assert (answer.status_code, answer.json()["reason"]) == (403, "PERMISSION_DENIED")


@pytest.mark.parametrize(
    "headers", [{"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}]
)
async def test_another_site_s_socket_is_refused(url: str, headers: dict[str, str]) -> None:
    live = url.replace("http", "ws") + "/v1/sessions/x/live"
    with pytest.raises(websockets.InvalidStatus) as caught:
        async with websockets.connect(live, additional_headers=headers):
            pass
    assert caught.value.response.status_code == 403


async def test_errors_are_pages_for_people_and_problems_for_programs(
    http: httpx.AsyncClient,
) -> None:
    person = await http.get("/sessions/none", headers=AS_BROWSER)
    program = await http.get("/sessions/none")
    under_v1 = await http.get("/v1/sessions/none", headers=AS_BROWSER)
    assert person.headers["content-type"].startswith("text/html")
    assert program.headers["content-type"] == "application/problem+json"
    assert under_v1.headers["content-type"] == "application/problem+json"
    assert program.json()["detail"].split("'")[0] in person.text


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/sessions?state=dead", "state is 'dead'"),
        ("/sessions/x?turn=y", "turn is 'y'"),
        (f"/sessions/x?turn={2**63}", f"turn is '{2**63}'"),
        (f"/sessions/x/turns?first={2**63}", "first is"),
        (f"/sessions/x/turns/{2**63}/raw", "turn is"),
        ("/sessions/export?format=xml", "format is 'xml'"),
        ("/runs/x?first=-1", "first is '-1'"),
        ("/sessions?knd=shell", "this page has no parameter 'knd'; use kind, backend, verdict,"),
        ("/sessions/x?turns=3", "this page has no parameter 'turns'; use turn"),
        ("/runs/x?verdicts=EMPTY", "this page has no parameter 'verdicts'; use verdict, simulator"),
        ("/status?x=1", "this page has no parameter 'x'; leave it out"),
    ],
)
async def test_a_query_of_a_page_that_makes_no_sense_is_named(
    http: httpx.AsyncClient, path: str, says: str
) -> None:
    answer = await http.get(path)
    assert answer.status_code == 400
    assert answer.json()["detail"].startswith(says)


async def test_what_is_not_there_is_told_as_a_problem(http: httpx.AsyncClient) -> None:
    answer = await http.get("/v1/nothing")
    assert answer.status_code == 404
    assert answer.json()["detail"].startswith("GET /v1/nothing: Not Found")
    wrong_verb = await http.put("/v1/kinds")
    assert (wrong_verb.status_code, wrong_verb.headers["allow"]) == (405, "GET")


async def test_without_a_token_programs_are_told_and_people_led_to_the_login(
    guarded_http: httpx.AsyncClient,
) -> None:
    program = await guarded_http.get("/v1/kinds")
    assert (program.status_code, program.json()["reason"]) == (401, "UNAUTHENTICATED")
    assert program.headers["www-authenticate"] == "Bearer"
    person = await guarded_http.get("/sessions?kind=shell", headers=AS_BROWSER)
    assert (person.status_code, person.headers["location"]) == (
        303,
        "/login?to=%2Fsessions%3Fkind%3Dshell",
    )


OPEN = [
    "/login",
    "/login/state",
    "/healthz",
    "/readyz",
    "/static/plumb.css",
    "/v1/openapi.json",
    "/",
]
PAGES = [
    (method, re.sub(r"{\w+}", "1", route.path))
    for pages in (others, reports, scenarios, sessions)
    for route in pages.routes.routes
    if isinstance(route, APIRoute)
    for method in route.methods or ()
]
GUARDED = [("GET", "/metrics"), *(one for one in PAGES if one[1] not in (*OPEN, "/logout"))]


@pytest.mark.parametrize("path", OPEN)
async def test_what_tells_nothing_needs_no_token(
    guarded_http: httpx.AsyncClient, path: str
) -> None:
    assert (await guarded_http.get(path)).status_code < 400


@pytest.mark.parametrize(("method", "path"), GUARDED)
async def test_all_else_needs_one(guarded_http: httpx.AsyncClient, method: str, path: str) -> None:
    query = {"first": 1} if path.endswith("/turns") else {}
    assert (await guarded_http.request(method, path, params=query)).status_code == 401


@pytest.mark.parametrize("route", [pytest.param(route, id=route.rpc) for route in ROUTES])
async def test_every_rpc_needs_one(guarded_http: httpx.AsyncClient, route: Route) -> None:
    path = re.sub(r"{\w+}", "1", route.path)
    assert (await guarded_http.request(route.verb, path)).status_code == 401


async def test_a_token_in_the_header_lets_in(
    guarded_http: httpx.AsyncClient, kit: type[Kit]
) -> None:
    headers = {"authorization": f"Bearer {kit.TOKEN}"}
    assert (await guarded_http.get("/v1/kinds", headers=headers)).status_code == 200


@pytest.mark.parametrize("token", ["wrong-wrong-wrong-wrong", "two words", "größe", "\x7f"])
async def test_another_token_lets_nobody_in(guarded_http: httpx.AsyncClient, token: str) -> None:
    headers = {b"authorization": f"Bearer {token}".encode("latin-1")}
    answer = await guarded_http.get("/v1/kinds", headers=headers)
    assert answer.status_code in (400, 401)
    assert token not in answer.text


@pytest.mark.parametrize(("base", "name"), [("http://box", COOKIE), ("https://box", SECURE_COOKIE)])
async def test_a_login_keeps_what_is_not_the_token_where_no_script_and_no_other_site_gets_it(
    guarded_http: httpx.AsyncClient, kit: type[Kit], base: str, name: str
) -> None:
    answer = await guarded_http.post(f"{base}/login", json={"token": kit.TOKEN})
    assert answer.status_code == 204
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith(f"{name}=")
    assert kit.TOKEN not in str(answer.headers)
    assert {"HttpOnly", "SameSite=strict", "Path=/", "Max-Age=43200"} <= set(cookie.split("; "))
    assert ("Secure" in cookie) is (name == SECURE_COOKIE)
    assert "Domain" not in cookie
    assert (await guarded_http.get(f"{base}/v1/kinds")).status_code == 200  # the client kept it
    assert (await guarded_http.post(f"{base}/logout")).status_code == 204
    kept = {"cookie": cookie.partition(";")[0]}  # as somebody who copied it before
    assert (await guarded_http.get(f"{base}/v1/kinds", headers=kept)).status_code == 401


async def test_what_a_cookie_holds_is_no_token(
    guarded_http: httpx.AsyncClient, kit: type[Kit]
) -> None:
    answer = await guarded_http.post("/login", json={"token": kit.TOKEN})
    value = answer.headers["set-cookie"].partition("=")[2].partition(";")[0]
    guarded_http.cookies.clear()
    headers = {"authorization": f"Bearer {value}"}
    assert (await guarded_http.get("/v1/kinds", headers=headers)).status_code == 401


@pytest.mark.parametrize("value", ["TOKEN", "", "x" * 43, "größe"])
async def test_a_made_up_cookie_lets_nobody_in(
    guarded_http: httpx.AsyncClient, kit: type[Kit], value: str
) -> None:
    await guarded_http.post("/login", json={"token": kit.TOKEN})
    guarded_http.cookies.clear()
    made_up = f"{COOKIE}={value.replace('TOKEN', kit.TOKEN)}".encode("latin-1")
    answer = await guarded_http.get("/v1/kinds", headers={b"cookie": made_up})
    assert answer.status_code == 401


async def test_signing_in_again_ends_what_was_before(
    guarded_http: httpx.AsyncClient, kit: type[Kit]
) -> None:
    first = await guarded_http.post("/login", json={"token": kit.TOKEN})
    await guarded_http.post("/login", json={"token": kit.TOKEN})
    guarded_http.cookies.clear()
    old = {"cookie": first.headers["set-cookie"].partition(";")[0]}
    assert (await guarded_http.get("/v1/kinds", headers=old)).status_code == 401


async def test_the_login_page_can_tell_who_is_signed_in(
    guarded_http: httpx.AsyncClient, kit: type[Kit]
) -> None:
    assert (await guarded_http.get("/login/state")).json() == {"signed_in": False}
    await guarded_http.post("/login", json={"token": kit.TOKEN})
    assert (await guarded_http.get("/login/state")).json() == {"signed_in": True}


@pytest.mark.parametrize("body", [{"token": "wrong-wrong-wrong-wrong"}, {"token": 5}, {}, []])
async def test_a_login_with_another_token_keeps_nothing(
    guarded_http: httpx.AsyncClient, body: Any
) -> None:
    answer = await guarded_http.post("/login", json=body)
    assert answer.status_code in (400, 401)
    assert "set-cookie" not in answer.headers


async def test_what_is_no_host_is_refused_and_no_fault(http: httpx.AsyncClient) -> None:
    for host in ("[", "[::1", "a b"):
        assert (await http.get("/healthz", headers={"host": host})).status_code == 421
