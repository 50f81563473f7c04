"""How a failing or missing mmdebstrap is told; a stub stands in for it."""

from __future__ import annotations

import importlib
import os
from pathlib import Path

import pytest

CONTAINERS = Path(__file__).resolve().parents[2] / "containers"

with pytest.MonkeyPatch.context() as patch:
    patch.syspath_prepend(str(CONTAINERS))
    build = importlib.import_module("build")


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that is the whole PATH."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def put_mmdebstrap(programs: Path, script: str) -> None:
    path = programs / "mmdebstrap"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def make(archive: Path) -> None:
    build.make_debian_root(("mmdebstrap", "--include=bash", "bookworm"), archive)


def test_a_missing_mmdebstrap_names_the_packages(programs: Path) -> None:
    with pytest.raises(build.BuildError, match=r"`mmdebstrap` and `debian-archive-keyring`"):
        make(programs / "root.tar")


@pytest.mark.parametrize(("user", "mend"), [(0, "see its words"), (1000, "run this as root")])
def test_a_failed_mmdebstrap_is_quoted(
    programs: Path, monkeypatch: pytest.MonkeyPatch, user: int, mend: str
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: user)
    put_mmdebstrap(programs, "echo E: no mirror >&2; exit 25")
    with pytest.raises(build.BuildError, match=rf"(?s){mend}.*E: no mirror"):
        make(programs / "root.tar")


def test_the_archive_is_the_last_word_of_the_command(programs: Path) -> None:
    put_mmdebstrap(programs, 'for last; do :; done; echo "$*" > "$last"')
    make(programs / "root.tar")
    assert "--include=bash bookworm" in (programs / "root.tar").read_text()
