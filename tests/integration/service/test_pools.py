"""Pools and limits of a server as people run it: what is left of a pool, and who is refused."""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import docker
import pytest
from tests.model_endpoint import KEY, endpoint_in_a_thread, says

import plumb_client

if TYPE_CHECKING:
    from tests.integration.service.conftest import Kit, Server, StartServer

SIZE = 2


def free_port() -> int:
    """One that nobody is given by chance meanwhile: below those that a system gives."""
    for port in itertools.count(20_000 + os.getpid() % 1000 * 10):
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise AssertionError


def metrics_of(port: int) -> dict[str, float]:
    """A server's metrics, those of pools and limits, by name and labels."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    found = (line.rpartition(" ") for line in lines if not line.startswith("#"))
    return {name: float(value) for name, _, value in found if name.startswith("plumb_")}


def is_full(port: int, pool: str = "shell") -> bool:
    return metrics_of(port).get(f'plumb_pool_size{{pool="{pool}"}}') == SIZE


@pytest.fixture
def port() -> int:
    return free_port()


def start(start_server: StartServer, port: int, **variables: str) -> Server:
    pools = {"PLUMB_SHELL_POOL": str(SIZE), "PLUMB_METRICS_PORT": str(port)}
    return start_server(f"server-{port}", **{**pools, **variables})


def test_sessions_from_the_pool_are_counted_and_work_like_all_others(
    start_server: StartServer, kit: Kit, port: int
) -> None:
    server = start(start_server, port)
    kit.eventually(lambda: is_full(port), within=60)
    before = server.containers()
    with plumb_client.connect(server.address) as plumb:
        with plumb.session("shell") as shell:
            assert server.containers() >= before  # none was made for it
            assert shell.step("cd /tmp; echo hi").text == "hi\n"
            assert shell.step("sleep 100", timeout=0.2).ending is plumb_client.Ending.TIMED_OUT
            assert shell.exec(["pwd"]).stdout == b"/root\n"
        with plumb.session("shell", hostname="elsewhere") as shell:
            assert shell.step("hostname").text == "elsewhere\n"
    counted = metrics_of(port)
    assert counted['plumb_pool_draws_total{outcome="hit",pool="shell"}'] == 1
    assert counted['plumb_pool_draws_total{outcome="unfit",pool="shell"}'] == 1


def test_what_waits_in_a_pool_is_no_session_and_takes_no_place(
    start_server: StartServer, kit: Kit, port: int
) -> None:
    server = start(start_server, port, PLUMB_MAX_SESSIONS="1")
    kit.eventually(lambda: is_full(port), within=60)
    with plumb_client.connect(server.address) as plumb:
        assert plumb.sessions() == []
        assert metrics_of(port)["plumb_places_taken"] == 0
        with plumb.session("shell"), pytest.raises(plumb_client.LimitReached):
            plumb.session("shell")


def test_a_pool_is_gone_after_sigterm(start_server: StartServer, kit: Kit, port: int) -> None:
    server = start(start_server, port, PLUMB_MYSQL_POOL=str(SIZE))
    with plumb_client.connect(server.address) as plumb, plumb.session("mysql"):
        pass  # the pool is lazy
    kit.eventually(lambda: is_full(port) and is_full(port, "mysql"), within=60)
    kit.eventually(lambda: len(server.containers()) == 2 * SIZE)
    assert server.stop() == 0
    assert not server.containers()
    assert "exception" not in server.log()


def test_after_kill_9_and_a_restart_nothing_is_left_of_a_pool(
    start_server: StartServer, kit: Kit, port: int
) -> None:
    first = start(start_server, port, PLUMB_MYSQL_POOL=str(SIZE))
    with plumb_client.connect(first.address) as plumb, plumb.session("mysql"):
        pass
    kit.eventually(lambda: is_full(port) and is_full(port, "mysql"), within=60)
    with plumb_client.connect(first.address) as plumb:
        plumb.session("shell").step("x=1")  # taken from the pool: its label names no session
        assert len(first.containers()) >= SIZE + 1
        first.process.kill()
        first.process.wait()
    start_server("second", PLUMB_SWEEP_INTERVAL="1")
    # What the engine was making at the kill, to fill the pool again, may come to be after the
    # second server's first sweep.
    kit.eventually(lambda: not first.containers())


def test_a_pool_that_cannot_be_filled_is_told_once_and_does_not_keep_the_server_from_its_work(
    start_server: StartServer, kit: Kit, port: int
) -> None:
    server = start(start_server, port, PLUMB_SHELL_IMAGE="plumb-none:latest")
    kit.eventually(lambda: metrics_of(port).get('plumb_pool_failures_total{pool="shell"}') == 1)
    with plumb_client.connect(server.address) as plumb:
        with pytest.raises(plumb_client.PlumbError, match="plumb-none"):
            plumb.session("shell")
        with plumb.session("shell", image=kit.IMAGE) as shell:
            assert shell.step("echo hi").text == "hi\n"
    assert server.log().count("the pool cannot be filled") == 1


def test_removing_a_pool_s_containers_behind_its_back_costs_nobody_a_session(
    start_server: StartServer, kit: Kit, port: int
) -> None:
    server = start(start_server, port)
    kit.eventually(lambda: is_full(port), within=60)
    with contextlib.closing(docker.from_env()) as engine:
        for identifier in server.containers():
            with contextlib.suppress(docker.errors.APIError):
                engine.api.remove_container(identifier, force=True)
    with plumb_client.connect(server.address) as plumb, plumb.session("shell") as shell:
        assert shell.step("echo hi").text == "hi\n"
    kit.eventually(lambda: is_full(port), within=60)


# Limits.


def test_creations_beyond_the_limit_wait_for_their_turn(
    start_server: StartServer, port: int
) -> None:
    server = start(start_server, port, PLUMB_SHELL_POOL="0", PLUMB_MAX_CREATIONS="1")
    with plumb_client.connect(server.address) as plumb, ThreadPoolExecutor(4) as threads:
        shells = list(threads.map(lambda _: plumb.session("shell"), range(4)))
        assert len({shell.name for shell in shells}) == 4
        assert metrics_of(port).get('plumb_creations_waiting{kind="shell"}', 0) == 0
        for shell in shells:
            shell.close()


@pytest.fixture
def compared(start_server: StartServer, port: int) -> Server:
    return start(start_server, port, PLUMB_SHELL_POOL="0", PLUMB_MAX_SESSIONS="3")


def compare(plumb: plumb_client.Plumb, replicas: int) -> list[Any]:
    recorded = [[plumb_client.RecordedTurn("echo hi", "hi\n", 0)]]
    return list(plumb.compare("shell", ["echo hi"], recordings=recorded, replicas=replicas))


def test_a_comparison_s_sandboxes_take_places_and_give_them_back(
    compared: Server, port: int
) -> None:
    with plumb_client.connect(compared.address) as plumb:
        with plumb.session("shell"):
            with pytest.raises(plumb_client.LimitReached) as told:
                compare(plumb, 3)
            assert told.value.limit == "PLUMB_MAX_SESSIONS"
            assert told.value.retry_after >= 1
            assert compare(plumb, 2)
        assert compare(plumb, 3)
        with pytest.raises(plumb_client.PlumbError, match="places for 3"):
            compare(plumb, 4)
    assert metrics_of(port)["plumb_places_taken"] == 0


def test_writing_a_grounding_takes_two_places(start_server: StartServer, port: int) -> None:
    with endpoint_in_a_thread() as endpoint:
        endpoint.begin(says("unscripted"))
        model = {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": endpoint.url}
        server = start(start_server, port, PLUMB_SHELL_POOL="0", PLUMB_MAX_SESSIONS="2", **model)
        with plumb_client.connect(server.address) as plumb:
            with plumb.session("shell"), pytest.raises(plumb_client.LimitReached):
                plumb.generate_grounding("shell", "count lines", model="m", rounds=1)
            plumb.generate_grounding("shell", "count lines", model="m", rounds=1)
        assert metrics_of(port)["plumb_places_taken"] == 0
