"""The settings: read once, checked at once, and a bad value names its variable."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pydantic
import pytest

from plumb_server.__main__ import main
from plumb_server.settings import Settings


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("PLUMB_"):
            monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("listen", "is_loopback"),
    [
        ("127.0.0.1:50051", True),
        ("127.8.9.1:0", True),
        ("localhost:1", True),
        ("[::1]:50051", True),
        ("0.0.0.0:50051", False),
        ("[::]:50051", False),
        ("192.168.0.1:50051", False),
        ("example.com:50051", False),
        ("localhost.example.com:1", False),
    ],
)
def test_only_loopback_is_loopback(listen: str, is_loopback: bool) -> None:
    assert Settings(listen=listen).listens_on_loopback is is_loopback


def test_the_default_listens_on_loopback() -> None:
    settings = Settings()
    assert settings.listens_on_loopback
    assert not settings.insecure_listen


@pytest.mark.parametrize("listen", ["", "localhost", ":1", "host:", "host:x", "host:65536", "h:-1"])
def test_what_is_no_address_is_refused_with_an_example(listen: str) -> None:
    with pytest.raises(pydantic.ValidationError, match=re.escape("is not HOST:PORT, for example")):
        Settings(listen=listen)


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_is_documented_and_has_a_default(name: str) -> None:
    field = Settings.model_fields[name]
    assert field.description
    assert not field.is_required()


def test_a_variable_sets_its_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLUMB_MAX_SESSIONS", "7")
    monkeypatch.setenv("PLUMB_SHELL_IMAGE", "box:1")
    monkeypatch.setenv("PLUMB_INSECURE_LISTEN", "1")
    settings = Settings()
    assert (settings.max_sessions, settings.shell_image) == (7, "box:1")
    assert settings.insecure_listen


def test_settings_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings()
    monkeypatch.setenv("PLUMB_MAX_SESSIONS", "7")
    assert settings.max_sessions == 512
    with pytest.raises(pydantic.ValidationError, match="frozen"):
        settings.max_sessions = 8  # type: ignore[misc]


def test_a_setting_that_is_not_there_is_refused() -> None:
    with pytest.raises(pydantic.ValidationError, match="no_such"):
        Settings(no_such=1)  # type: ignore[call-arg]


BAD: dict[str, Any] = {
    "PLUMB_MAX_SESSIONS": "none",
    "PLUMB_LISTEN": "here",
    "PLUMB_SHELL_MEMORY_BYTES": "1024",
    "PLUMB_SHELL_CPUS": "0",
    "PLUMB_SESSION_IDLE_TIMEOUT": "-1",
    "PLUMB_METRICS_PORT": "70000",
    "PLUMB_LOG_FORMAT": "xml",
    "PLUMB_LOG_LEVEL": "loud",
    "PLUMB_SHUTDOWN_GRACE": "-0.1",
}


@pytest.mark.parametrize("variable", BAD)
def test_a_bad_value_ends_with_status_2_and_one_line_that_names_variable_and_value(
    variable: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(variable, BAD[variable])
    assert main() == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert said.startswith(f"plumb: {variable} is {BAD[variable]!r}: ")


def test_a_bad_url_is_not_shown_for_it_may_hold_a_password(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PLUMB_MYSQL_URL", "http://root:hidden@db")
    assert main() == 2
    said = capsys.readouterr().err
    assert said.startswith("plumb: PLUMB_MYSQL_URL is not what it must be: ")
    assert "mysql://user:password@host:3306/" in said
    assert "hidden" not in said + repr(Settings.model_construct(mysql_url="mysql://a:hidden@b"))


def _run(tmp_path: Path, **variables: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "plumb_server"],
        env={**os.environ, "PLUMB_LISTEN": "127.0.0.1:0", **variables},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("listen", ["0.0.0.0:0", "[::]:0"])
def test_off_loopback_the_server_refuses_to_start_and_says_how_it_would(
    tmp_path: Path, listen: str
) -> None:
    status, out, said = _run(tmp_path, PLUMB_LISTEN=listen, PLUMB_JOURNAL="sqlite://")
    assert (status, out) == (2, "")
    assert said.count("\n") == 1
    assert f"{listen} is not on loopback" in said
    assert "PLUMB_INSECURE_LISTEN=1" in said


@pytest.mark.parametrize("journal", ["nonsense", "sqlite:////no/such/folder/journal", "x://y"])
def test_a_journal_that_cannot_be_opened_ends_with_status_2_and_one_line(
    tmp_path: Path, journal: str
) -> None:
    status, out, said = _run(tmp_path, PLUMB_JOURNAL=journal)
    assert (status, out) == (2, "")
    assert said.count("\n") == 1, said
    assert "PLUMB_JOURNAL" in said


def test_the_settings_of_the_shell_arrive_at_the_backend() -> None:
    shell = Settings(
        engine="unix:///x",
        shell_image="i:1",
        shell_network="n",
        shell_runtime="runsc",
        shell_memory_bytes=2**26,
        shell_processes=20,
        shell_cpus=0.5,
        shell_disk_bytes=2**21,
        shell_files=2**11,
        max_output_bytes=4096,
        session_max_life=100,
    ).real_shell()
    assert (shell.engine, shell.image, shell.network, shell.runtime) == (
        "unix:///x", "i:1", "n", "runsc",
    )  # fmt: skip
    assert (shell.limits.memory_bytes, shell.limits.processes) == (2**26, 20)
    assert (shell.limits.cpus, shell.limits.disk_bytes) == (0.5, 2**21)
    assert shell.limits.files == 2**11
    assert shell.max_output_bytes == 4096
    assert shell.limits.lifetime > 100  # the server ends it first


@pytest.mark.parametrize(("step_seconds", "within"), [("5", 60), ("60", 90), ("600", 630)])
def test_a_session_tells_clients_to_wait_longer_than_a_simulated_step_may_take(
    step_seconds: str, within: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLUMB_SIMULATOR_STEP_SECONDS", step_seconds)
    assert Settings().session_limits().answer_within == within
