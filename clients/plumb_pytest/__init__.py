"""pytest's plug-in: `plumb_server`, `plumb_shell` and `plumb_mysql` for whoever installs plumb.

It is loaded in every run of pytest where plumb is installed, so it is small, and imports nothing
but pytest until one of its fixtures is used.

* PLUMB_SERVER: HOST:PORT of a server that runs already; else one is started in a container.
* PLUMB_TOKEN: the token of that server, where it wants one.
* PLUMB_SERVER_IMAGE: the image of that container.
* `plumb_required = true` in pytest's settings: what is missing here fails tests, and skips none.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

if TYPE_CHECKING:
    import plumb_client

__all__ = ["PlumbServer"]

_KINDS = ("shell", "mysql")
_MARKER = (
    "plumb(kind, **options): what the session of plumb_shell or plumb_mysql shall be, as in "
    "plumb_client's session(); without a kind it counts for both"
)


@dataclasses.dataclass(frozen=True, slots=True)
class PlumbServer:
    """A server that answers.

    Attributes:
        address: HOST:PORT.
        token: What it wants to see; empty for nothing.
    """

    address: str
    token: str = dataclasses.field(default="", repr=False)

    def client(self) -> plumb_client.Plumb:
        """A client that is connected to it; to be used as a context manager, or closed."""
        import plumb_client

        return plumb_client.connect(self.address, token=self.token or None)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds the plug-in's setting."""
    parser.addini(
        "plumb_required",
        "whether tests fail, and are not skipped, where Docker or an image of plumb is missing",
        type="bool",
        default=False,
    )


def pytest_configure(config: pytest.Config) -> None:
    """Makes the marker known."""
    config.addinivalue_line("markers", _MARKER)


@pytest.fixture(scope="session")
def plumb_server_image() -> str:
    """The image of the server's container; to be overridden."""
    return os.environ.get("PLUMB_SERVER_IMAGE") or "plumb-server:latest"


@pytest.fixture(scope="session")
def plumb_server_settings() -> Mapping[str, str]:
    """PLUMB_* variables of the server's container; to be overridden."""
    return {}


@pytest.fixture(scope="session")
def plumb_server(request: pytest.FixtureRequest) -> Iterator[PlumbServer]:
    """A server for the whole run: the one at PLUMB_SERVER, else one in a container."""
    if address := os.environ.get("PLUMB_SERVER"):
        yield PlumbServer(address, os.environ.get("PLUMB_TOKEN", ""))
        return
    try:
        from plumb_client import testing
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package.startswith("plumb"):
            raise
        _lack(request, f"{package} is missing; pip install './plumb[testing]', or set PLUMB_SERVER")
    from plumb_client import ImageMissing

    try:
        container = testing.PlumbContainer(request.getfixturevalue("plumb_server_image"))
        container.with_envs(**request.getfixturevalue("plumb_server_settings"))
        container.start()
    except (testing.EngineUnavailable, ImageMissing) as error:
        _lack(request, str(error))
    try:
        yield PlumbServer(container.get_address(), container.token)
    finally:
        container.stop()


@pytest.fixture(scope="session")
def _plumb_connection(plumb_server: PlumbServer) -> Iterator[plumb_client.Plumb]:
    with plumb_server.client() as plumb:
        yield plumb


@pytest.fixture
def plumb_shell(
    request: pytest.FixtureRequest, _plumb_connection: plumb_client.Plumb
) -> Iterator[plumb_client.Session]:
    """A fresh shell for one test, as the marker `plumb` says."""
    yield from _session("shell", request, _plumb_connection)


@pytest.fixture
def plumb_mysql(
    request: pytest.FixtureRequest, _plumb_connection: plumb_client.Plumb
) -> Iterator[plumb_client.Session]:
    """A fresh MySQL session for one test, as the marker `plumb` says."""
    yield from _session("mysql", request, _plumb_connection)


def _session(
    kind: str, request: pytest.FixtureRequest, plumb: plumb_client.Plumb
) -> Iterator[plumb_client.Session]:
    from plumb_client import ImageMissing, InvalidInput

    options = _options(kind, request.node)
    try:
        session = plumb.session(kind, **options)
    except ImageMissing as error:
        _lack(request, str(error))
    except InvalidInput as error:
        raise pytest.fail.Exception(f"the marker plumb: {error}", pytrace=False) from None
    with session:
        yield session


def _options(kind: str, test: pytest.Item) -> dict[str, Any]:
    """What the test's markers say; of two that say the same, the one nearer to the test counts."""
    options: dict[str, Any] = {}
    for marker in test.iter_markers("plumb"):
        if unknown := [name for name in marker.args if name not in _KINDS]:
            pytest.fail(
                f"the marker plumb names {unknown[0]!r}; use {' or '.join(_KINDS)}, or neither",
                pytrace=False,
            )
        if not marker.args or kind in marker.args:
            options = {**marker.kwargs, **options}
    return options


def _lack(request: pytest.FixtureRequest, what: str) -> NoReturn:
    """Skips what needs something that is missing here, or fails it."""
    if request.config.getini("plumb_required"):
        pytest.fail(what, pytrace=False)
    pytest.skip(what)
