"""The server in a container: it makes sandboxes beside itself, and nothing of it is left."""

from __future__ import annotations

import contextlib
import json
import re
import threading
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import docker.errors
import pytest
from testcontainers.core.config import testcontainers_config
from testcontainers.core.network import Network
from tests.served import eventually

import plumb_client
from plumb_backends.real.hardening import LABEL, OWNER_LABEL
from plumb_client.testing import PlumbContainer
from plumb_client.testing.readiness import Healthy

LOCK = Path(__file__).resolve().parents[3] / "uv.lock"


@pytest.fixture(scope="module", autouse=True)
def _no_reaper() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(testcontainers_config, "ryuk_disabled", True)  # its image is elsewhere
        yield


@pytest.fixture(scope="module")
def engine() -> Iterator[docker.DockerClient]:
    with contextlib.closing(docker.from_env()) as client:
        yield client


@pytest.fixture(scope="module")
def server(plumb_server_image: str) -> Iterator[PlumbContainer]:
    """One for the tests that do it no harm."""
    with PlumbContainer(plumb_server_image) as started:
        yield started


def is_there(engine: docker.DockerClient, container_id: str) -> bool:
    try:
        engine.api.inspect_container(container_id)
    except docker.errors.NotFound:
        return False
    return True


def inside(server: PlumbContainer, *argv: str) -> str:
    """What a program prints in the server's container."""
    ran = server.exec(list(argv))
    assert ran.exit_code == 0, ran.output
    return ran.output.decode().strip()


# --- what it serves


def test_a_shell_is_a_container_beside_it(
    server: PlumbContainer, engine: docker.DockerClient
) -> None:
    before = server.owned()
    with server.client() as plumb, plumb.session("shell", init=["echo 42 > /srv/n"]) as shell:
        assert shell.step("cat /srv/n").text.strip() == "42"
        (sandbox,) = set(server.owned()) - set(before)
        labels = engine.api.inspect_container(sandbox)["Config"]["Labels"]
        assert labels[LABEL] == "1"
        assert labels[OWNER_LABEL].startswith(server.get_container_id()[:12])
    assert server.owned() == before


@pytest.mark.parametrize("isolation", ["shared", "dedicated"])
def test_mysql_is_reached_from_inside_without_a_port_on_this_machine(
    server: PlumbContainer, engine: docker.DockerClient, isolation: str
) -> None:
    with (
        server.client() as plumb,
        plumb.session("mysql", database="shop", isolation=isolation) as db,
    ):
        db.step("CREATE TABLE t (a INT)")
        db.step("INSERT INTO t VALUES (7)")
        assert db.step("SELECT * FROM t").rows == ((7,),)
        made = [engine.api.inspect_container(one) for one in server.owned()]
        assert {one["Config"]["Hostname"] for one in made} == {"mysql"}
        assert not [one for one in made if one["HostConfig"]["PortBindings"]]


def test_in_a_network_of_ones_own_mysql_joins_it(plumb_server_image: str) -> None:
    with (
        Network() as network,
        PlumbContainer(plumb_server_image).with_network(network) as server,
        server.client() as plumb,
    ):
        with plumb.session("mysql") as db:
            assert db.step("SELECT 1").rows == ((1,),)
        server.stop()  # before its network


def test_settings_are_variables(plumb_server_image: str) -> None:
    container = PlumbContainer(plumb_server_image).with_env("PLUMB_MAX_SESSIONS", "1")
    with container as server, server.client() as plumb, plumb.session("shell"):
        with pytest.raises(plumb_client.LimitReached) as caught:
            plumb.session("shell")
        assert caught.value.limit == "PLUMB_MAX_SESSIONS"


# --- how it is run


def test_it_is_published_on_loopback_alone_at_a_port_that_docker_chose(
    server: PlumbContainer, engine: docker.DockerClient
) -> None:
    ports = engine.api.inspect_container(server.get_container_id())["NetworkSettings"]["Ports"]
    ((binding,),) = ports.values()
    assert binding["HostIp"] == "127.0.0.1"
    assert server.get_address() == f"127.0.0.1:{binding['HostPort']}"


def test_it_is_not_root(server: PlumbContainer) -> None:
    assert inside(server, "id", "--user") == "1000"


def test_the_command_is_there_as_everywhere(server: PlumbContainer) -> None:
    assert re.fullmatch(r"plumb \d+\.\d+\.\d+", inside(server, "plumb", "--version"))
    assert "engine" in server.exec(["plumb", "doctor"]).output.decode()


def test_its_health_check_asks_the_server(
    server: PlumbContainer, engine: docker.DockerClient
) -> None:
    image = engine.images.get(server.image).attrs
    command, *argv = image["Config"]["Healthcheck"]["Test"]
    assert command == "CMD"
    eventually(lambda: server.exec(argv) == (0, b""))
    asked_elsewhere = server.exec(["env", "PLUMB_LISTEN=127.0.0.1:1", *argv])
    assert asked_elsewhere.exit_code == 1
    assert b"no server answers at 127.0.0.1:1 (UNAVAILABLE)" in asked_elsewhere.output


def test_its_packages_are_those_of_the_lock_and_no_tests_and_caches(server: PlumbContainer) -> None:
    listing = (
        "import importlib.metadata as m, json; found = m.distributions(path=['/opt/plumb']);"
        "print(json.dumps({d.name.lower(): d.version for d in found}))"
    )
    installed: dict[str, str] = json.loads(inside(server, "python3", "-c", listing))
    locked: dict[str, set[str]] = {}
    for package in tomllib.loads(LOCK.read_text())["package"]:
        locked.setdefault(package["name"], set()).add(package.get("version", ""))
    assert {"plumb", "grpcio", "openai", "aiodocker"} <= installed.keys()
    assert not {"pytest", "ruff", "matplotlib", "testcontainers"} & installed.keys()
    for name, version in installed.items():
        assert version in locked[name.replace("_", "-").replace(".", "-")], name
    assert (
        inside(server, "find", "/opt/plumb", "-name", "test_[a-z]*.py", "-path", "*plumb_*") == ""
    )
    assert (
        inside(
            server, "sh", "-c", "find / -xdev '(' -name '*.whl' -o -name '*.deb' ')' 2>/dev/null; :"
        )
        == ""
    )


# --- when it is ready


def test_an_image_that_is_not_there_is_told_with_the_mend() -> None:
    with (
        pytest.raises(plumb_client.ImageMissing, match="no image plumb-server:none; make it with"),
        PlumbContainer("plumb-server:none"),
    ):
        pass


def test_a_server_that_ends_is_told_with_its_last_words_and_is_gone(
    plumb_server_image: str, engine: docker.DockerClient
) -> None:
    container = PlumbContainer(plumb_server_image, name="plumb-test-ends")
    container.with_env("PLUMB_MAX_SESSIONS", "none")
    with pytest.raises(plumb_client.ServerUnavailable, match="ended: plumb: PLUMB_MAX_SESSIONS is"):
        container.start()
    assert not is_there(engine, "plumb-test-ends")


def test_a_server_that_cannot_reach_its_engine_is_not_ready(
    plumb_server_image: str, engine: docker.DockerClient
) -> None:
    container = PlumbContainer(
        plumb_server_image, engine="unix:///nowhere", name="plumb-test-not-ready"
    ).waiting_for(Healthy(50051).with_startup_timeout(30))
    with pytest.raises(plumb_client.ServerUnavailable, match=r"(?s)30 s \(NOT_SERVING\).*engine"):
        container.start()
    assert not is_there(engine, "plumb-test-not-ready")


def test_without_its_image_the_reaper_is_done_without(
    plumb_server_image: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(testcontainers_config, "ryuk_disabled", False)
    monkeypatch.setattr(testcontainers_config, "ryuk_image", "plumb-no-such-reaper:0")
    with PlumbContainer(plumb_server_image) as server, server.client() as plumb:
        assert plumb.sessions() == []
    assert testcontainers_config.ryuk_disabled is False


# --- what is left of it


def sessions_of(plumb: plumb_client.Plumb) -> list[plumb_client.Session]:
    """A shell, and a MySQL server, that nobody closes."""
    return [plumb.session("shell"), plumb.session("mysql")]


def is_all_gone(engine: docker.DockerClient, ids: list[str]) -> bool:
    return not [one for one in ids if is_there(engine, one)]


def test_stopping_it_ends_running_actions_and_leaves_no_sandbox(
    plumb_server_image: str, engine: docker.DockerClient
) -> None:
    server = PlumbContainer(plumb_server_image).with_env("PLUMB_MYSQL_POOL", "0").start()
    with server.client() as plumb:
        shell, _ = sessions_of(plumb)
        working = threading.Thread(target=swallow, args=(shell.step, "touch /begun; sleep 600"))
        working.start()
        while shell.exec(["test", "-e", "/begun"]).exit_code:
            pass
        made = [*server.owned(), server.get_container_id()]
        assert len(made) == 3
        server.stop()
        working.join()
    assert is_all_gone(engine, made)
    server.stop()  # again: nothing happens


def swallow(step: Any, action: str) -> None:
    with contextlib.suppress(plumb_client.PlumbError):
        step(action)


def test_what_a_killed_server_left_is_swept_when_it_is_stopped(
    plumb_server_image: str, engine: docker.DockerClient
) -> None:
    server = PlumbContainer(plumb_server_image).with_env("PLUMB_MYSQL_POOL", "0").start()
    with server.client() as plumb:
        sessions_of(plumb)
        sandboxes = server.owned()
        server.get_wrapped_container().kill("SIGKILL")
        server.get_wrapped_container().wait()
        assert set(server.owned()) == set(sandboxes)
        assert len(sandboxes) == 2
        server.stop()
    assert is_all_gone(engine, sandboxes)


def test_two_of_them_keep_off_each_other_s_sandboxes(
    server: PlumbContainer, plumb_server_image: str
) -> None:
    with server.client() as plumb, plumb.session("shell") as shell:
        with PlumbContainer(plumb_server_image) as other, other.client() as theirs:
            theirs.session("shell")
            assert not set(other.owned()) & set(server.owned())
        assert shell.step("true").exit_code == 0
