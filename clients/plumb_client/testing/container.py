"""The server's container: what it is given, when it is ready, and that nothing of it is left."""

import contextlib
import logging
import secrets
import socket
import stat
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Self

import docker.errors
from testcontainers.core.config import ConnectionMode, testcontainers_config
from testcontainers.core.container import DockerContainer, Reaper
from testcontainers.core.docker_client import get_docker_host

import plumb_client
from plumb_client.errors import ImageMissing, Unavailable
from plumb_client.testing.readiness import Healthy

IMAGE: Final = "plumb-server:latest"
PORT: Final = 50051
LABEL: Final = "dev.plumb.sandbox"
OWNER_LABEL: Final = "dev.plumb.owner"

_log = logging.getLogger(__name__)

_SOCKET = "/var/run/docker.sock"
_LOOPBACK = "127.0.0.1"
_END_WITHIN = 30
"""Seconds for the server's own clean-up."""

_SETTINGS = {
    # It must listen off loopback to be published; the port is published on loopback.
    "PLUMB_INSECURE_LISTEN": "1",
    # When it is stopped the tests are over: nobody waits for what still runs.
    "PLUMB_SHUTDOWN_GRACE": "1",
    # Sandboxes end by themselves: that is what is left if test run and server are killed at once.
    "PLUMB_SESSION_MAX_LIFE": "3600",
    "PLUMB_LOG_FORMAT": "json",
}


class EngineUnavailable(Unavailable):
    """No Docker engine answers."""


class PlumbContainer(DockerContainer):
    """A server in a container. Its sandboxes are containers beside it, on the same engine.

    Settings of the server are variables: `with_env("PLUMB_SHELL_IMAGE", "ubuntu:24.04")`.

    Args:
        image: The server's. One without a registry in its name is never pulled.
        engine: The engine's address as the server shall use it, for example `tcp://…`; empty to
            mount the socket of the engine that runs the container.
        **options: Those of testcontainers' DockerContainer.

    Attributes:
        token: What the server wants to see of its clients, and its neighbours do not know.

    Raises:
        EngineUnavailable: No Docker engine answers.
    """

    def __init__(self, image: str = IMAGE, *, engine: str = "", **options: Any) -> None:
        try:
            super().__init__(image, **options)
        except docker.errors.DockerException as error:
            let_go_of(error)
            raise EngineUnavailable(
                "no Docker engine answers; start one, or set DOCKER_HOST to one that runs"
            ) from error
        self._engine = engine
        self.token = secrets.token_urlsafe(32)
        self.waiting_for(Healthy(PORT))

    def start(self) -> Self:
        """Starts it; returns when it says of itself that it is healthy.

        Raises:
            ImageMissing: The engine does not have the image.
            ServerUnavailable: It ended, or is not healthy within a minute; the message has its
                last words.
        """
        self._demand_image()
        try:
            with reaper_where_it_is_to_be_had():
                return super().start()
        except BaseException:
            self.stop()
            raise

    def stop(self, force: bool = True, delete_volume: bool = True) -> None:
        """Has the server remove what it made, removes what is left, and then the server itself."""
        if self._container is not None:
            try:
                # Where somebody else removes it just now, or has, it is gone all the same.
                with contextlib.suppress(docker.errors.NotFound):
                    self._end()
            finally:
                self._remove(str(self._container.id), force, delete_volume)
                self._container = None
        super().stop(force, delete_volume)

    def get_container_host_ip(self) -> str:
        """The host at which it is reached from here."""
        # Not `localhost`, which may be ::1, where the port is not published.
        return _LOOPBACK if self._is_near() else super().get_container_host_ip()

    def get_address(self) -> str:
        """Where it is reached from here: HOST:PORT."""
        return f"{self.get_container_host_ip()}:{self.get_exposed_port(PORT)}"

    def client(self) -> plumb_client.Plumb:
        """A client that is connected to it; to be used as a context manager, or closed."""
        return plumb_client.connect(self.get_address(), token=self.token)

    def owned(self) -> list[str]:
        """The ids of the containers that the server made, and that are there still."""
        listed = self._client.containers.list(all=True, sparse=True, filters={"label": LABEL})
        mine = f"{self._hostname()}/"
        return [
            str(container.id)
            for container in listed
            if container.attrs["Labels"].get(OWNER_LABEL, "").startswith(mine)
        ]

    @property
    def _client(self) -> Any:
        return self.get_docker_client().client

    def _demand_image(self) -> None:
        if "/" in self.image:  # of a registry: pulled if it is not here
            return
        try:
            self._client.images.get(self.image)
        except docker.errors.ImageNotFound as error:
            raise ImageMissing(
                f"the Docker engine has no image {self.image}; make it with `make images` in a "
                "checkout of plumb, or name another one"
            ) from error

    def _configure(self) -> None:
        for name, value in {**_SETTINGS, "PLUMB_MYSQL_NETWORK": self._network_name()}.items():
            self.env.setdefault(name, value)
        self.token = str(self.env.setdefault("PLUMB_TOKEN", self.token))
        self.ports[f"{PORT}/tcp"] = self._publish_on()
        # A first process besides: the signal to end is lost on one that is not ready for it.
        self._kwargs = {"init": True, **self._kwargs}
        if self._engine:
            self.env.setdefault("PLUMB_ENGINE", self._engine)
        else:
            path = testcontainers_config.ryuk_docker_socket
            self.with_volume_mapping(path, _SOCKET, "rw")
            self._kwargs = {**who_may_use(Path(path)), **self._kwargs}

    def _network_name(self) -> str:
        """The network that it will be in, and its MySQL servers with it."""
        if self._network is not None:
            return str(self._network.name)
        if "network" in self._kwargs:
            return str(self._kwargs["network"])
        # As testcontainers does it where the tests themselves run in a container.
        found = None if get_docker_host() else self.get_docker_client().find_host_network()
        return found or "bridge"

    def _publish_on(self) -> Any:
        """Loopback, at a port that Docker chooses; on an engine elsewhere that is not ours."""
        return (_LOOPBACK, None) if self._is_near() else None

    def _is_near(self) -> bool:
        """Whether the engine's loopback is ours."""
        engine = self.get_docker_client()
        if engine.get_connection_mode() is ConnectionMode.docker_host:
            return engine.host() in ("localhost", _LOOPBACK)
        # We are in a container: with the engine in it, or with the socket of one that is outside.
        return str(engine.client.info()["Name"]) == socket.gethostname()

    def _hostname(self) -> str:
        """Its name for itself, by which it labels what it makes."""
        return str(self.get_wrapped_container().attrs["Config"]["Hostname"])

    def _end(self) -> None:
        container = self.get_wrapped_container()
        container.reload()
        container.stop(timeout=_END_WITHIN)
        for left in self.owned():
            self._remove(left)

    def _remove(self, identifier: str, force: bool = True, volumes: bool = True) -> None:
        """Removes a container; returns when it is gone, whoever has removed it."""
        api = self._client.api
        with contextlib.suppress(docker.errors.NotFound):
            try:
                api.remove_container(identifier, force=force, v=volumes)
            except docker.errors.APIError as error:
                if error.status_code != 409 or not force:
                    raise
                # Its removal is under way.
                api.wait(identifier, timeout=_END_WITHIN, condition="removed")


def let_go_of(error: BaseException) -> None:
    """Has the socket go on which Docker's SDK found nobody: it never closes that, and says so."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        cause: BaseException | None = error
        while cause is not None:
            traceback.clear_frames(cause.__traceback__)
            cause = cause.__cause__ or cause.__context__


def who_may_use(path: Path) -> dict[str, Any]:
    """As whom the server must run to use the engine's socket: in its group, if that may; else root.

    Group 0 as well: to an engine in a virtual machine, or without root, the socket is root's.
    """
    try:
        found = path.stat()
    except OSError:  # on another machine, that of the engine
        return {"user": "0:0"}
    if not found.st_mode & stat.S_IWGRP:
        return {"user": "0:0"}
    return {"group_add": [str(group) for group in sorted({0, found.st_gid})]}


@contextlib.contextmanager
def reaper_where_it_is_to_be_had() -> Iterator[None]:
    """Goes on without testcontainers' reaper where its image can be neither found nor pulled.

    It is for test runs that are killed. All else removes itself; see docs/testing.md.
    """
    before = testcontainers_config.ryuk_disabled
    if not before:
        try:
            Reaper.get_instance()
        except docker.errors.APIError as error:
            _log.warning("testcontainers' reaper is not to be had, going on without: %s", error)
            Reaper.delete_instance()  # or the half of it would be connected to
            testcontainers_config.ryuk_disabled = True
    try:
        yield
    finally:
        testcontainers_config.ryuk_disabled = before
