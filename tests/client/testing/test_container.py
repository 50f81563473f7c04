"""What the server's container is given, as far as it needs no Docker."""

from __future__ import annotations

from pathlib import Path

import pytest

from plumb_backends.real import hardening
from plumb_client import testing
from plumb_client.testing import container


def test_all_is_exactly_what_is_exported() -> None:
    exported = {name for name in vars(testing) if name[0].isupper()}
    assert exported == set(testing.__all__)


def test_both_sides_label_alike() -> None:
    assert (container.LABEL, container.OWNER_LABEL) == (hardening.LABEL, hardening.OWNER_LABEL)


def test_a_socket_that_a_group_may_use_is_used_by_that_group(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    path.touch()
    path.chmod(0o660)
    groups = [str(group) for group in sorted({0, path.stat().st_gid})]
    assert container.who_may_use(path) == {"group_add": groups}


def test_a_socket_of_its_owner_alone_is_used_by_root(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    path.touch()
    path.chmod(0o600)
    assert container.who_may_use(path) == {"user": "0:0"}


def test_a_socket_that_is_elsewhere_is_used_by_root(tmp_path: Path) -> None:
    assert container.who_may_use(tmp_path / "nothing") == {"user": "0:0"}


def test_without_an_engine_there_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    with pytest.raises(testing.EngineUnavailable, match="no Docker engine answers; start one"):
        testing.PlumbContainer()
