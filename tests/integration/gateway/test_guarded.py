"""Off loopback and on it: tokens, certificates, and what is refused before anything listens."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import ssl
import subprocess
import threading
from typing import TYPE_CHECKING, Any

import pytest
import trustme
import websockets
from tests.served import eventually

from plumb_gateway.callers import COOKIE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.integration.gateway.conftest import Kit, Running, StartServe

PERSON = {"accept": "text/html"}


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """PLUMB_TLS_* of a server on loopback."""
    folder = tmp_path_factory.mktemp("tls")
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1", "localhost")
    files = {
        "PLUMB_TLS_CA": authority.cert_pem,
        "PLUMB_TLS_CERT": issued.cert_chain_pems[0],
        "PLUMB_TLS_KEY": issued.private_key_pem,
    }
    for name, pem in files.items():
        pem.write_to_path(str(folder / name))
    return {name: str(folder / name) for name in files}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory, kit: type[Kit]) -> Iterator[Running]:
    """A server that wants a token."""
    where = ["serve", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"]
    running = kit.Running(tmp_path_factory.mktemp("guarded"), where, 2, {"PLUMB_TOKEN": kit.TOKEN})
    yield running
    running.stop_cleanly()


def test_without_a_token_programs_get_a_problem_and_people_the_login(guarded: Running) -> None:
    with guarded.http() as http:
        program = http.get("/v1/kinds")
        assert (program.status_code, program.json()["reason"]) == (401, "UNAUTHENTICATED")
        assert program.headers["www-authenticate"] == "Bearer"
        person = http.get("/sessions?kind=shell", headers=PERSON)
        assert (person.status_code, person.headers["location"]) == (
            303, "/login?to=%2Fsessions%3Fkind%3Dshell",
        )  # fmt: skip
        assert http.get("/healthz").status_code == 200
        eventually(lambda: http.get("/readyz").status_code == 200)


def test_with_a_token_in_header_or_cookie_all_is_open(guarded: Running, kit: type[Kit]) -> None:
    with guarded.http(kit.TOKEN) as http:
        assert http.get("/v1/kinds").status_code == 200
    with guarded.http() as http:
        assert http.post("/login", json={"token": "x" * 20}).status_code == 401
        assert http.post("/login", json={"token": kit.TOKEN}).status_code == 204
        assert COOKIE in http.cookies
        assert http.get("/sessions", headers=PERSON).status_code == 200
        assert kit.TOKEN not in http.cookies.values()
        path = kit.create(http)
        cookie = {"Cookie": f"{COOKIE}={http.cookies[COOKIE]}"}
        with guarded.live(f"{path}/live?own=true", additional_headers=cookie) as live:
            assert "session" in live.receive()
            assert http.post("/logout").status_code == 204
            assert live.receive()["error"]["reason"] == "UNAUTHENTICATED"  # what was open ends, too
        for shown in ({}, cookie, {"Cookie": f"{COOKIE}={kit.TOKEN}"}):
            with (
                pytest.raises(websockets.InvalidStatus) as refused,
                guarded.live(f"{path}/live", additional_headers=shown),
            ):
                pass
            assert refused.value.response.status_code == 401
    with guarded.http(kit.TOKEN) as http:
        http.delete(path)


def test_an_agent_may_take_the_steps_of_its_own_session_and_nothing_else(
    guarded: Running, kit: type[Kit]
) -> None:
    with guarded.http(kit.TOKEN) as operator:
        made = operator.post("/v1/sessions", json={"kind": "shell"}).json()
        other = kit.create(operator)
        path = f"/v1/{made['session']['name']}"
        with guarded.http(made["agent_token"]) as agent:
            step = {"step_index": 1, "action": "echo hi"}
            assert agent.post(f"{path}/steps", json=step).json()["observation"]["text"] == "hi\n"
            stream = {"step": {"step_index": 2, "action": "echo hi"}}
            assert agent.post(f"{path}/steps/stream", json=stream).status_code == 200
            refused: list[Any] = [
                agent.post(f"{other}/steps", json=step), agent.get(path), agent.delete(path),
                agent.get("/v1/sessions"), agent.post(f"{path}/reset"),
                agent.get("/v1/journal/sessions"), agent.get("/metrics"),
                agent.get("/sessions/export"), agent.get("/scenarios"),
            ]  # fmt: skip
        for answer in refused:
            assert (answer.status_code, answer.json()["reason"]) == (403, "PERMISSION_DENIED")
        operator.delete(path)
        operator.delete(other)


def test_with_certificates_https_and_wss_are_served(
    start_serve: StartServe, certificates: dict[str, str], kit: type[Kit]
) -> None:
    ours = {name: certificates[name] for name in ("PLUMB_TLS_CERT", "PLUMB_TLS_KEY")}
    running = start_serve(**ours, PLUMB_TOKEN=kit.TOKEN)
    assert running.url.startswith("https://127.0.0.1:")
    trusting = ssl.create_default_context(cafile=certificates["PLUMB_TLS_CA"])
    with running.http(kit.TOKEN, verify=trusting) as http:
        assert http.get("/v1/kinds").status_code == 200
        cookie = http.post("/login", json={"token": kit.TOKEN}).headers["set-cookie"]
        assert "Secure" in cookie
        kept = {"Cookie": cookie.partition(";")[0]}
        address = f"wss{running.url.removeprefix('https')}{kit.create(http)}/live?own=true"
        assert "session" in asyncio.run(first_message(address, trusting, kept, kit.WITHIN))


async def first_message(
    address: str, trusting: ssl.SSLContext, headers: dict[str, str], within: float
) -> Any:
    """What a socket over TLS says first.

    Asked in an event loop: the client with threads reads and writes one TLS object at a time from
    two of them, which Python before 3.13 does not guard; now and then both wait for ever.
    """
    async with (
        asyncio.timeout(within),
        websockets.connect(address, ssl=trusting, additional_headers=headers) as connection,
    ):
        return json.loads(await connection.recv())


def refused(kit: type[Kit], *arguments: str, **variables: str) -> str:
    """What a command says that does not start; one line."""
    done = subprocess.run(
        [*kit.PLUMB, *arguments],
        env=kit.environment(PLUMB_JOURNAL="sqlite://", **variables),
        capture_output=True,
        text=True,
        timeout=kit.WITHIN,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    said = [line for line in done.stderr.splitlines() if line.startswith("plumb: ")]
    assert len(said) == 1, done.stderr
    assert "Traceback" not in done.stderr
    return said[0].removeprefix("plumb: ")


def test_off_loopback_pages_are_refused_without_token_and_tls(kit: type[Kit]) -> None:
    serve = ["serve", "--listen", "127.0.0.1:0", "--http", "0.0.0.0:0"]
    assert refused(kit, *serve).startswith("0.0.0.0:0 is not on loopback")
    assert "set PLUMB_TLS_CERT" in refused(kit, *serve, PLUMB_TOKEN=kit.TOKEN)


def test_a_port_that_is_taken_is_told(kit: type[Kit]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        where = f"127.0.0.1:{taken.getsockname()[1]}"
        said = refused(kit, "serve", "--listen", "127.0.0.1:0", "--http", where)
        assert said.startswith(f"cannot serve HTTP on {where} (")
        assert refused(kit, "gateway", "--http", where).startswith(f"cannot serve HTTP on {where}")


@pytest.fixture
def start_gateway(tmp_path: Path, kit: type[Kit]) -> Iterator[Any]:
    """Starts `plumb gateway` for a server elsewhere, which must end cleanly."""
    started: list[Running] = []

    def start(server: str, **variables: str) -> Running:
        where = ["gateway", "--server", server, "--http", "127.0.0.1:0"]
        started.append(kit.Running(tmp_path / f"gateway{len(started)}", where, 1, variables))
        return started[-1]

    yield start
    for running in started:
        running.stop_cleanly()


def test_a_gateway_alone_serves_for_a_server_elsewhere(
    guarded: Running, start_gateway: Any, kit: type[Kit]
) -> None:
    gateway = start_gateway(guarded.address)
    with gateway.http() as stranger, gateway.http(kit.TOKEN) as http:
        assert stranger.get("/v1/kinds").status_code == 401
        eventually(lambda: http.get("/readyz").status_code == 200)
        path = kit.create(http)
        step = {"step_index": 1, "action": "echo hi"}
        assert http.post(f"{path}/steps", json=step).json()["observation"]["text"] == "hi\n"
        assert http.get(path.removeprefix("/v1")).status_code == 200
        http.delete(path)


def test_a_gateway_whose_server_is_away_is_up_and_not_ready(
    start_gateway: Any,
) -> None:
    with start_gateway("127.0.0.1:1").http() as http:
        assert http.get("/healthz").status_code == 200
        assert http.get("/readyz").status_code == 503
        answer = http.get("/v1/kinds")
        assert answer.status_code == 503
        assert "start one with `plumb serve`" in answer.json()["detail"]


def test_a_gateway_alone_refuses_what_would_let_everybody_in(
    running: Running, guarded: Running, certificates: dict[str, str], kit: type[Kit]
) -> None:
    off = ["gateway", "--http", "0.0.0.0:0"]
    ours = {name: certificates[name] for name in ("PLUMB_TLS_CERT", "PLUMB_TLS_KEY")}
    assert "is not on loopback: set PLUMB_TLS_CERT" in refused(kit, *off)
    said = refused(kit, *off, "--server", running.address, **ours)
    assert said == (
        "0.0.0.0:0 is not on loopback, and the server lets everybody in: start it with PLUMB_TOKEN"
    )
    said = refused(kit, *off, "--server", "127.0.0.1:1", **ours)
    assert said.startswith("whether the server wants a token is not known: no plumb server")
    half = {"PLUMB_TLS_CERT": certificates["PLUMB_TLS_CERT"]}
    assert refused(kit, "gateway", **half).startswith("HTTPS needs both PLUMB_TLS_CERT and")
    none = {"PLUMB_TLS_CERT": "/none", "PLUMB_TLS_KEY": "/none"}
    assert refused(kit, "gateway", **none).startswith("cannot serve HTTPS with /none, /none (")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_cleanly_whatever_is_open(
    start_serve: StartServe, kit: type[Kit], number: signal.Signals
) -> None:
    running = start_serve(PLUMB_SHUTDOWN_GRACE="1")
    with running.http() as http, running.http() as waiting:
        path = kit.create(http)
        with running.live(f"{path}/live?own=true") as live:
            live.receive()
            live.send(step={"action": "echo begun; sleep 600", "timeout": 600})
            live.receive()
            other = kit.create(http)
            step = {"step_index": 1, "action": "echo begun; sleep 600", "timeout": 600}
            with waiting.stream("POST", f"{other}/steps/stream", json={"step": step}) as stream:
                next(stream.iter_lines())
                ending = threading.Thread(target=running.process.wait)
                ending.start()
                running.process.send_signal(number)
                ending.join(kit.WITHIN)
    running.stop_cleanly()
