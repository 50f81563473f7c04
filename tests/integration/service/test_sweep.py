"""What outlived its owner is removed at the start of a server, and nothing else is.

The containers here are started by testcontainers: the sweep must know them by their labels alone.
Owners end, and time runs out, once they run: another test's server may sweep at any moment.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import docker
import docker.errors
import pytest
from testcontainers.core.config import testcontainers_config
from testcontainers.core.container import DockerContainer

from plumb_backends.real import owner
from plumb_backends.real.hardening import EXPIRY_LABEL, LABEL, OWNER_LABEL

if TYPE_CHECKING:
    from tests.integration.service.conftest import Kit, StartServer

HOUR = 3600


@pytest.fixture(autouse=True)
def _no_reaper(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(testcontainers_config, "ryuk_disabled", True)  # its image is elsewhere


@contextlib.contextmanager
def container(kit: Kit, labels: dict[str, str]) -> Iterator[str]:
    """A container with labels, started by testcontainers; its id."""
    started = DockerContainer(kit.IMAGE).with_command("sleep 600").with_kwargs(labels=labels)
    started.start()
    try:
        yield str(started.get_wrapped_container().id)
    finally:
        with contextlib.suppress(docker.errors.APIError):  # gone, or going already
            started.stop()


def labels(of: str, expires_in: float = HOUR) -> dict[str, str]:
    return {LABEL: "1", OWNER_LABEL: of, EXPIRY_LABEL: str(int(time.time() + expires_in))}


class Owner:
    """A process that lives until it is told to end, as plumb names it."""

    def __init__(self) -> None:
        program = (
            "import sys; from plumb_backends.real import owner; "
            "print(owner.this_process(), flush=True); sys.stdin.read()"
        )
        self._process = subprocess.Popen(
            [sys.executable, "-c", program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self.name = self._process.stdout.readline().strip()

    def end(self) -> None:
        """Ends it; may be called again."""
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            stream.close()
        self._process.wait()


@pytest.fixture
def somebody() -> Iterator[Owner]:
    somebody = Owner()
    yield somebody
    somebody.end()


def runs(container_id: str) -> bool:
    with contextlib.closing(docker.from_env()) as engine:
        try:
            return bool(engine.containers.get(container_id).status == "running")
        except docker.errors.NotFound:
            return False


def test_a_sandbox_whose_owner_has_ended_is_removed_before_the_server_listens(
    start_server: StartServer, kit: Kit, somebody: Owner
) -> None:
    with container(kit, labels(somebody.name)) as orphan:
        assert runs(orphan)
        somebody.end()
        start_server()
        assert not runs(orphan)


def test_a_sandbox_whose_time_is_over_is_removed_whoever_owns_it(
    start_server: StartServer, kit: Kit
) -> None:
    mine = labels(owner.this_process(), expires_in=60)
    with container(kit, mine) as expiring:
        assert runs(expiring)
        kit.eventually(lambda: int(mine[EXPIRY_LABEL]) < time.time(), within=60)
        start_server()
        assert not runs(expiring)


@pytest.mark.parametrize("whose", ["one that lives", "one on another host", "none of ours"])
def test_every_other_container_is_left_alone(
    start_server: StartServer, kit: Kit, whose: str, somebody: Owner
) -> None:
    theirs = {
        "one that lives": labels(owner.this_process()),
        "one on another host": labels("elsewhere/1/1"),
        "none of ours": {"org.example": "1", OWNER_LABEL: somebody.name},
    }[whose]
    somebody.end()
    with container(kit, theirs) as other:
        server = start_server()
        assert runs(other)
        server.stop()
        assert runs(other)


def test_a_sandbox_that_is_orphaned_later_is_swept_from_time_to_time(
    start_server: StartServer, kit: Kit, somebody: Owner
) -> None:
    start_server(PLUMB_SWEEP_INTERVAL="0.1")
    with container(kit, labels(somebody.name)) as orphan:
        assert runs(orphan)
        somebody.end()
        kit.eventually(lambda: not runs(orphan))
