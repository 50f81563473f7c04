"""Who owns a sandbox, and whether that process still lives."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time

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


HERE, ELSEWHERE = f"{socket.gethostname()}/1/1", "elsewhere/1/1"


@pytest.mark.parametrize("owner_name", [HERE, ELSEWHERE])
@pytest.mark.parametrize("lifetime", [-2, 60])
def test_an_expiry_passes_after_its_lifetime(owner_name: str, lifetime: int) -> None:
    assert owner.has_expired(owner_name, owner.expiry(lifetime)) is (lifetime < 0)


@pytest.mark.parametrize("set_by", [-10_000, 10_000])
def test_a_clock_that_is_set_ends_no_owner_s_time_on_this_host(
    monkeypatch: pytest.MonkeyPatch, set_by: int
) -> None:
    short, long = owner.expiry(-60), owner.expiry(60)
    now = time.time()
    monkeypatch.setattr("time.time", lambda: now + set_by)
    assert owner.has_expired(HERE, short)
    assert not owner.has_expired(HERE, long)
    assert owner.has_expired(ELSEWHERE, short) is (set_by > 0)  # all that is known is the label


@pytest.mark.parametrize(("expiry", "expired"), [("0", True), ("inf", False)])
def test_an_expiry_that_tells_only_the_wall_s_time_goes_by_that(
    expiry: str, *, expired: bool
) -> None:
    assert owner.has_expired(HERE, expiry) is expired
