"""What many tests share: the demand for Docker, and shells on real containers.

Tests that need Docker never skip: they fail, each with one line that says what is missing. Fixtures
here live on the session's event loop; modules that use them say
`pytestmark = pytest.mark.asyncio(loop_scope="session")`.
"""

from __future__ import annotations

import functools
import gc
import logging
import os
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Protocol

import docker
import docker.errors
import pytest
import pytest_asyncio
from hypothesis import HealthCheck, settings

from plumb_backends.grounding import Grounding
from plumb_backends.kinds.mysql import MysqlOptions
from plumb_backends.kinds.shell import ShellOptions
from plumb_backends.real import owner
from plumb_backends.real.hardening import LABEL, OWNER_LABEL, SESSION_LABEL, Limits
from plumb_backends.real.mysql import RealMysqlSettings
from plumb_backends.real.mysql_environment import RealMysql
from plumb_backends.real.pool import PoolSettings
from plumb_backends.real.shell import RealShellSettings
from plumb_backends.real.shell_environment import RealShell
from plumb_backends.real.sql.servers import ServerSettings
from plumb_backends.registry import Backends, Spec, open_backends

IMAGE = "plumb-shell:latest"
MYSQL_IMAGE = os.environ.get("PLUMB_TEST_MYSQL_IMAGE", "plumb-mysql:latest")
MEMORY_BYTES = 256 * 1024**2
"""For a sandbox: little enough that a test can use it up at once."""

_INTEGRATION = Path(__file__).parent / "integration"
PROJECT = Path(__file__).resolve().parents[1]


settings.register_profile(  # a machine that pauses is no counterexample
    "plumb", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("plumb")


def pytest_collection_finish() -> None:
    """Takes what was collected out of garbage collection, which would stop every clock for long."""
    gc.collect()
    gc.freeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if _INTEGRATION in item.path.parents:
            item.add_marker("docker")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("docker") and (missing := _missing()):
        pytest.fail(missing, pytrace=False)


@functools.cache
def _missing() -> str:
    """What a test of Docker lacks here, with the mend; empty if nothing."""
    try:
        with closing(docker.from_env()) as engine:
            for image in (IMAGE, MYSQL_IMAGE):
                engine.images.get(image)
    except docker.errors.ImageNotFound:
        return f"the Docker engine has no image {image}; run `make setup`"
    except docker.errors.DockerException:
        return "no Docker engine answers; run `make setup`"
    return ""


def containers_labelled(label: str, value: str) -> list[str]:
    """The names of plumb's containers with a label, those left out that are being removed."""
    with closing(docker.from_env()) as engine:
        found = engine.api.containers(all=True, filters={"label": [LABEL, f"{label}={value}"]})
    return [container["Names"][0] for container in found if container["State"] != "removing"]


@pytest.fixture(scope="session", autouse=True)
def _nothing_is_left_at_the_end(request: pytest.FixtureRequest) -> Iterator[None]:
    """No container of this process outlives the tests."""
    yield
    if any(item.get_closest_marker("docker") for item in request.session.items) and not _missing():
        end = time.monotonic() + 60  # what somebody else removes meanwhile goes in its time
        while left := containers_labelled(OWNER_LABEL, owner.this_process()):
            assert time.monotonic() < end, f"containers are left behind: {', '.join(left)}"
            time.sleep(0.1)


@pytest.fixture(scope="session")
def plumb_server_image() -> str:
    """The server's image with this checkout in it, for the fixtures of our own plug-in."""
    built = subprocess.run(
        [sys.executable, str(PROJECT / "containers" / "build.py"), "server"],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return built.stdout.strip()


@pytest.fixture(scope="session")
def plumb_server_settings() -> Mapping[str, str]:
    """Those of the other servers here."""
    return {"PLUMB_SHELL_IMAGE": IMAGE, "PLUMB_SHELL_MEMORY_BYTES": str(MEMORY_BYTES)}


class _Said(logging.Handler):
    """Keeps what asyncio says of tasks that were destroyed, and of errors that nobody took."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        line = self.format(record)
        if "PollerCompletionQueue" not in line:  # gRPC's own, which outlives the loop of a test
            self.lines.append(line)


@pytest.fixture(autouse=True)
def _asyncio_has_nothing_to_say() -> Iterator[None]:
    """No task is destroyed pending, no exception is never retrieved: these are no warnings."""
    said = _Said()
    logging.getLogger("asyncio").addHandler(said)
    yield
    logging.getLogger("asyncio").removeHandler(said)
    assert not said.lines, "\n".join(said.lines)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def backends() -> AsyncIterator[Backends]:
    """Every backend, up for the whole run."""
    shell = RealShellSettings(image=IMAGE, limits=Limits(memory_bytes=MEMORY_BYTES))
    mysql = RealMysqlSettings(
        servers=ServerSettings(image=MYSQL_IMAGE), pool=PoolSettings(size=1, is_lazy=True)
    )
    async with open_backends([shell, mysql]) as opened:
        yield opened


class MakeShell(Protocol):
    """Makes a shell, and closes it when the test has ended."""

    async def __call__(
        self,
        *,
        init: Sequence[str] = (),
        options: ShellOptions | None = None,
        backends: Backends | None = None,
    ) -> RealShell:
        """Makes one; on other backends than the run's own, where some are given."""
        ...


@pytest_asyncio.fixture(loop_scope="session")
async def make_shell(backends: Backends) -> AsyncIterator[MakeShell]:
    """Shells for one test; what they had must be gone once they are closed."""
    shells: dict[str, RealShell] = {}
    usual = backends

    async def make(
        *,
        init: Sequence[str] = (),
        options: ShellOptions | None = None,
        backends: Backends | None = None,
    ) -> RealShell:
        spec = Spec(
            kind="shell",
            backend="real",
            session_id=str(uuid.uuid4()),
            grounding=Grounding(tuple(init)),
            options=options,
        )
        shell = (await (backends or usual).create(spec)).environment
        assert isinstance(shell, RealShell)
        shells[spec.session_id] = shell
        return shell

    yield make
    for shell in shells.values():
        await shell.close()
    for session_id in shells:
        assert not containers_labelled(SESSION_LABEL, session_id)


@pytest_asyncio.fixture(loop_scope="session")
async def shell(make_shell: MakeShell) -> RealShell:
    """A fresh shell."""
    return await make_shell()


class MakeMysql(Protocol):
    """Makes a MySQL session, and closes it when the test has ended."""

    async def __call__(
        self,
        *,
        init: Sequence[str] = (),
        options: MysqlOptions | None = None,
        backends: Backends | None = None,
    ) -> RealMysql:
        """Makes one; on other backends than the run's own, where some are given."""
        ...


@pytest_asyncio.fixture(loop_scope="session")
async def make_mysql(backends: Backends) -> AsyncIterator[MakeMysql]:
    """MySQL sessions for one test."""
    sessions: list[RealMysql] = []
    usual = backends

    async def make(
        *,
        init: Sequence[str] = (),
        options: MysqlOptions | None = None,
        backends: Backends | None = None,
    ) -> RealMysql:
        spec = Spec(
            kind="mysql",
            backend="real",
            session_id=str(uuid.uuid4()),
            grounding=Grounding(tuple(init)),
            options=options,
        )
        session = (await (backends or usual).create(spec)).environment
        assert isinstance(session, RealMysql)
        sessions.append(session)
        return session

    yield make
    for session in sessions:
        await session.close()


@pytest_asyncio.fixture(loop_scope="session")
async def mysql(make_mysql: MakeMysql) -> RealMysql:
    """A fresh MySQL session, its database named `shop`."""
    return await make_mysql(options=MysqlOptions(database="shop"))
