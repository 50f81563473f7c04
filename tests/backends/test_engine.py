"""What the engine does about containers that cannot be removed."""

from __future__ import annotations

import pytest
import structlog.testing

from plumb_backends.errors import SandboxUnavailable
from plumb_backends.real.engine import engine
from plumb_backends.real.engine.engine import Engine
from plumb_backends.real.engine.sandbox import Sandbox
from plumb_backends.real.hardening import EXPIRY_LABEL, OWNER_LABEL, SandboxSpec


class _Container:
    def __init__(self, name: str, *, stuck: bool = False, expiry: str = "0") -> None:
        self.id = name
        self.stuck = stuck
        self._container = {"Labels": {OWNER_LABEL: "elsewhere/1/1", EXPIRY_LABEL: expiry}}


class _Docker:
    """An engine with containers."""

    def __init__(self, *there: _Container) -> None:
        self.there = list(there)
        self.containers = self

    async def list(self, **_: object) -> list[_Container]:
        return list(self.there)


@pytest.fixture
def docker(monkeypatch: pytest.MonkeyPatch) -> _Docker:
    docker = _Docker(_Container("a"), _Container("b", stuck=True), _Container("c"))

    async def remove(container: _Container) -> None:
        if container.stuck:
            raise SandboxUnavailable("device or resource busy")
        docker.there.remove(container)

    monkeypatch.setattr(engine, "remove_container", remove)
    return docker


async def test_a_container_that_cannot_be_removed_does_not_stop_the_sweep(docker: _Docker) -> None:
    with structlog.testing.capture_logs() as logs:
        assert await Engine(docker, "me").sweep() == 2  # type: ignore[arg-type]
    assert [container.id for container in docker.there] == ["b"]
    assert [(log["container"], log["error"]) for log in logs] == [("b", "device or resource busy")]


async def test_a_removal_that_failed_is_tried_again_by_each_sweep(docker: _Docker) -> None:
    docker.there = [mine := _Container("mine", stuck=True, expiry="inf")]
    engine = Engine(docker, "elsewhere/1/1")  # type: ignore[arg-type]
    spec = SandboxSpec(image="", session_id="", hostname="", env={})
    await engine.remove(Sandbox(mine, spec))  # type: ignore[arg-type]
    assert await engine.sweep() == 0
    mine.stuck = False
    assert await engine.sweep() == 1
    assert docker.there == []
    assert await engine.sweep() == 0
