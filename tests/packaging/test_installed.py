"""The wheel as people install it: each extra alone, with old and new libraries."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import pytest

ROOT = Path(__file__).parents[2]
Install: TypeAlias = Callable[..., "Installed"]


def uv() -> str | None:
    """Where uv is: in PATH, or where the Makefile puts it."""
    own = Path(f"{sys.prefix}-uv/bin/uv")
    return shutil.which("uv") or (str(own) if own.exists() else None)


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    """Runs a command outside of this project's environment."""
    of_ours = ("PYTHON", "UV_PROJECT")
    return subprocess.run(
        [str(part) for part in command],
        env={name: value for name, value in os.environ.items() if not name.startswith(of_ours)},
        cwd="/",
        text=True,
        capture_output=True,
        check=False,
        timeout=300,
    )


class Installed:
    """An environment of its own with the wheel in it."""

    def __init__(self, folder: Path) -> None:
        self._bin = folder / "bin"

    def python(self, code: str) -> str:
        """What a program prints there; it succeeds, and nothing warns."""
        ran = run(self._bin / "python", "-W", "error", "-c", code)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    def plumb(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """Runs the command."""
        return run(self._bin / "plumb", *arguments)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from this checkout."""
    program = uv()
    if program is None:
        pytest.skip("uv is not here; make setup puts it into .venv-uv")
    folder = tmp_path_factory.mktemp("wheel")
    built = run(program, "build", "--quiet", "--wheel", "--out-dir", folder, ROOT)
    assert built.returncode == 0, built.stderr
    [found] = folder.glob("*.whl")
    return found


@pytest.fixture
def install(wheel: Path, tmp_path: Path) -> Iterator[Install]:
    """Installs the wheel with an extra, and perhaps with certain versions of libraries."""

    def make(extra: str = "", *versions: str) -> Installed:
        folder, program = tmp_path / "environment", uv()
        assert program is not None
        wanted = f"plumb[{extra}] @ file://{wheel}" if extra else f"plumb @ file://{wheel}"
        for ran in (
            run(program, "venv", "--quiet", "--python", sys.executable, folder),
            run(
                program,
                "pip",
                "install",
                "--quiet",
                "--python",
                folder / "bin/python",
                wanted,
                *versions,
            ),
        ):
            assert ran.returncode == 0, ran.stderr
        return Installed(folder)

    yield make
    shutil.rmtree(tmp_path, ignore_errors=True)


def test_the_licence_and_the_interface_are_in_it(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert "plumb/v1/environment.proto" in names
    assert not any(name.startswith("tests") for name in names)


@pytest.mark.parametrize(
    "versions",
    [
        ("protobuf==5.29.*", "grpcio==1.71.*"),
        ("protobuf==6.*",),
        ("protobuf>=7", "grpcio>=1.85"),
    ],
    ids=["oldest", "middle", "newest"],
)
def test_the_client_runs_with_the_versions_that_others_pin(
    install: Install, versions: tuple[str, ...]
) -> None:
    installed = install("", *versions)
    code = (
        "import plumb_client\n"
        "try: plumb_client.connect('127.0.0.1:1').session('shell')\n"
        "except plumb_client.ServerUnavailable: print('unavailable')"
    )
    assert installed.python(code) == "unavailable\n"


@pytest.mark.parametrize(
    ("extra", "command", "module"),
    [
        ("server", "serve", "plumb_server.app"),
        ("bench", "bench", "plumb_fidelity"),
        ("gateway", "shell", "plumb_gateway.app"),
        ("simulator", "shell", "plumb_backends.simulated.chat"),
        ("testing", "shell", "plumb_pytest, plumb_client.testing"),
    ],
)
def test_each_extra_works_alone(install: Install, extra: str, command: str, module: str) -> None:
    installed = install(extra)
    helped = installed.plumb(command, "--help")
    assert helped.stdout.startswith(f"usage: plumb {command}"), helped.stderr
    installed.python(f"import {module}")


def test_a_command_without_its_extra_says_which_it_is(install: Install) -> None:
    ran = install().plumb("bench", "x.jsonl")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.endswith("is missing; pip install './plumb[bench]'\n")


def test_a_command_that_would_start_a_server_says_what_is_missing(install: Install) -> None:
    scenarios = ROOT / "scenarios/shell.jsonl"
    ran = install("bench").plumb("play", scenarios)
    assert ran.returncode == 1
    assert "pip install './plumb[server]', or name a server that runs" in ran.stderr
    assert "Traceback" not in ran.stderr
