"""Who owns a sandbox, and whether that process still lives."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest

from plumb_backends.real import owner


def test_this_process_is_not_gone() -> None:
    assert not owner.is_gone(owner.this_process())


def test_its_name_holds_host_and_pid_and_stays_the_same() -> None:
    assert owner.this_process().startswith(f"{socket.gethostname()}/{os.getpid()}/")
    assert owner.this_process() == owner.this_process()


def test_a_process_that_has_ended_is_gone() -> None:
    program = "from plumb_backends.real import owner; print(owner.this_process())"
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True, text=True
    )
    assert owner.is_gone(ran.stdout.strip())


def test_a_process_that_was_killed_and_not_yet_reaped_is_gone() -> None:
    program = (
        "from plumb_backends.real import owner; print(owner.this_process(), flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        name = process.stdout.readline().strip()
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # it stays a zombie
        assert owner.is_gone(name)


def test_a_process_that_lives_elsewhere_in_this_machine_is_not_gone() -> None:
    program = (
        "from plumb_backends.real import owner; print(owner.this_process(), flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert not owner.is_gone(process.stdout.readline().strip())
        process.communicate("\n")


def test_a_pid_that_is_used_again_does_not_count_as_its_old_owner() -> None:
    assert owner.is_gone(f"{socket.gethostname()}/{os.getpid()}/1")


@pytest.mark.parametrize(
    "name", ["", "elsewhere/1/1", f"{socket.gethostname()}/nonsense/1", "nonsense"]
)
def test_what_cannot_be_known_is_not_gone(name: str) -> None:
    assert not owner.is_gone(name)
