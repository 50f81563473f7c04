"""What the engine does about containers that it cannot remove, or that nobody waits for."""

from __future__ import annotations

import asyncio

import aiodocker
import pytest
import structlog.testing

from plumb_backends.errors import ImageMissing, SandboxUnavailable
from plumb_backends.real.engine import engine
from plumb_backends.real.engine.engine import Engine
from plumb_backends.real.engine.sandbox import Sandbox
from plumb_backends.real.hardening import EXPIRY_LABEL, OWNER_LABEL, SandboxSpec


class _Container:
    def __init__(self, name: str, *, stuck: bool = False, expiry: str = "0") -> None:
        self.id = name
        self.stuck = stuck
        self.going: asyncio.Event | None = None  # set when somebody else has removed it
        self._container = {"Labels": {OWNER_LABEL: "elsewhere/1/1", EXPIRY_LABEL: expiry}}


class _Docker:
    """An engine with containers. One that is made is there once `makes` is set, or has failed."""

    def __init__(self, *there: _Container) -> None:
        self.there = list(there)
        self.containers = self
        self.asked = asyncio.Event()
        self.makes: asyncio.Future[None] = asyncio.Future()

    async def list(self, **_: object) -> list[_Container]:
        return list(self.there)

    async def create(self, _: object, *, name: str) -> _Container:
        self.asked.set()
        await self.makes
        self.there.append(made := _Container(name, expiry="inf"))
        return made

    def container(self, name: str) -> _Container:
        return _Container(name)

    async def _query_json(self, _: str, **__: object) -> object:
        return {"Volumes": []}

    @property
    def images(self) -> _Docker:
        return self

    async def inspect(self, image: str) -> object:
        raise aiodocker.DockerError(404, f"No such image: {image}")


SPEC = SandboxSpec(image="", session_id="mine", hostname="", env={}, command=("serve",))


@pytest.fixture
async def docker(monkeypatch: pytest.MonkeyPatch) -> _Docker:
    docker = _Docker(_Container("a"), _Container("b", stuck=True), _Container("c"))

    async def remove(container: _Container) -> bool:
        if container.stuck:
            raise SandboxUnavailable("device or resource busy")
        if container.going is not None:
            await container.going.wait()
        before, docker.there = docker.there, [c for c in docker.there if c.id != container.id]
        return len(docker.there) < len(before)

    monkeypatch.setattr(engine, "remove_container", remove)
    return docker


async def test_a_removal_that_somebody_else_has_under_way_keeps_no_other_waiting(
    docker: _Docker,
) -> None:
    docker.there[0].going = asyncio.Event()
    sweeping = asyncio.create_task(Engine(docker, "me").sweep())  # type: ignore[arg-type]
    async with asyncio.timeout(60):
        while [one.id for one in docker.there] != ["a", "b"]:  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0)
    docker.there[0].going.set()
    assert await sweeping == 2


async def test_a_container_that_cannot_be_removed_does_not_stop_the_sweep(docker: _Docker) -> None:
    with structlog.testing.capture_logs() as logs:
        assert await Engine(docker, "me").sweep() == 2  # type: ignore[arg-type]
    assert [container.id for container in docker.there] == ["b"]
    assert [(log["container"], log["error"]) for log in logs] == [("b", "device or resource busy")]


async def test_a_removal_that_failed_is_tried_again_by_each_sweep(docker: _Docker) -> None:
    docker.there = [mine := _Container("mine", stuck=True, expiry="inf")]
    engine = Engine(docker, "elsewhere/1/1")  # type: ignore[arg-type]
    await engine.remove(Sandbox(mine, SPEC))  # type: ignore[arg-type]
    assert await engine.sweep() == 0
    mine.stuck = False
    assert await engine.sweep() == 1
    assert docker.there == []
    assert await engine.sweep() == 0


async def _given_up(docker: _Docker, engine: Engine) -> None:
    """A creation whose caller goes away while the engine is at it."""
    creation = asyncio.create_task(engine.create_sandbox(SPEC))
    await docker.asked.wait()
    creation.cancel()
    await asyncio.wait({creation})


async def test_a_sandbox_that_is_made_after_its_caller_went_away_is_removed_before_the_end(
    docker: _Docker,
) -> None:
    docker.there = []
    engine = Engine(docker, "me")  # type: ignore[arg-type]
    await _given_up(docker, engine)
    settled = asyncio.create_task(engine.settle())
    docker.makes.set_result(None)
    await settled
    assert docker.there == []


async def test_what_was_perhaps_made_when_the_connection_broke_is_looked_for_by_the_sweep(
    docker: _Docker,
) -> None:
    docker.there = []
    engine = Engine(docker, "elsewhere/1/1")  # type: ignore[arg-type]
    docker.makes.set_exception(ConnectionResetError("connection reset by peer"))
    for was_made in (True, False):
        with pytest.raises(SandboxUnavailable):
            await engine.create_sandbox(SPEC)
        await engine.settle()
        (name,) = engine._left
        docker.there = [_Container(name, expiry="inf")] if was_made else []
        assert await engine.sweep() == was_made
        assert (docker.there, engine._left) == ([], {})


async def test_nothing_is_looked_for_where_the_engine_refused(docker: _Docker) -> None:
    engine = Engine(docker, "me")  # type: ignore[arg-type]
    docker.makes.set_exception(aiodocker.DockerError(404, "No such image: x:1"))
    with pytest.raises(ImageMissing):
        await engine.create_sandbox(SPEC)
    await engine.settle()
    assert engine._left == {}
