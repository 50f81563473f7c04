"""A private folder goes with its process, however that ends."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from tests.served import eventually

from plumb_server.private_folder import private_folder

_HOLD = """
import subprocess, sys
from plumb_server.private_folder import private_folder
with private_folder() as (folder, lock):
    (folder / "socket").touch()
    heir = subprocess.Popen(["sleep", "1000"], pass_fds=[lock]) if "heir" in sys.argv else None
    print(folder, heir.pid if heir else "", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where folders are made, here and in the processes of a test."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def held(*arguments: str) -> tuple[subprocess.Popen[str], Path, str]:
    """A process that has a folder until its standard input ends; the folder; an heir's number."""
    process = subprocess.Popen(
        [sys.executable, "-c", _HOLD, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    folder, _, heir = process.stdout.readline().strip().partition(" ")
    return process, Path(folder), heir


def test_nobody_else_may_enter_it_and_it_goes_with_its_owner(folders: Path) -> None:
    with private_folder() as (folder, _):
        assert folder.parent == folders
        assert folder.stat().st_mode & 0o777 == 0o700
        (folder / "file").touch()
    assert not list(folders.iterdir())


def test_what_kill_9_left_behind_goes_with_the_next(folders: Path) -> None:
    process, left, _ = held()
    with process:
        os.kill(process.pid, signal.SIGKILL)
    assert (left / "socket").exists()
    with private_folder() as (folder, _):
        assert list(folders.iterdir()) == [folder]


def test_what_a_living_process_has_is_left_alone(folders: Path) -> None:
    process, living, _ = held()
    with process, private_folder() as (folder, _):
        assert set(folders.iterdir()) == {living, folder}
        assert (living / "socket").exists()
        process.communicate("")
    assert not living.exists()


def test_what_a_process_inherited_stays_until_that_ends_too() -> None:
    process, left, heir = held("heir")
    with process:
        os.kill(process.pid, signal.SIGKILL)
    with private_folder():
        assert left.exists()
    os.kill(int(heir), signal.SIGKILL)

    def is_swept() -> bool:
        with private_folder():
            return not left.exists()

    eventually(is_swept)


def test_where_nothing_can_be_locked_folders_are_made_and_nothing_is_swept(
    folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EBADF, "this file system locks no folders")

    monkeypatch.setattr(fcntl, "flock", refuse)
    (folders / "plumb-private-other").mkdir()
    with private_folder() as (folder, _):
        assert len(list(folders.iterdir())) == 2
    assert not folder.exists()
    assert (folders / "plumb-private-other").exists()


def test_what_only_looks_like_one_is_left_alone(folders: Path) -> None:
    elsewhere = folders / "elsewhere"
    elsewhere.mkdir()
    (folders / "plumb-private-link").symlink_to(elsewhere)
    (folders / "plumb-private-file").touch()
    with private_folder():
        pass
    assert {path.name for path in folders.iterdir()} == {
        "elsewhere", "plumb-private-link", "plumb-private-file"}  # fmt: skip
