"""What the server's image is given of this project: what uv.lock says, and this checkout.

Installed by uv on this machine and copied: so the build itself needs neither a network nor pip, and
packages come from where uv gets those of the environment, too. No Docker here.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from docker_engine import BuildError, tail
from recipe import PROJECT, Held, Image

EXTRAS: Final = ("server", "simulator")
PYTHON: Final = "3.11"
"""The version in both bases; what is compiled for it is installed whatever runs this."""
MACHINES: Final = {"amd64": "x86_64", "arm64": "aarch64"}
"""An engine's name for a processor, and Python's."""


@contextmanager
def context_of(image: Image, architecture: str) -> Iterator[Path]:
    """Gives the folder that a build is given: the image's own, and the project where it holds it.

    Args:
        image: What is built.
        architecture: What the engine runs on, in its own words.

    Raises:
        BuildError: uv is missing or failed, or there are no packages for this engine.
    """
    if image.holds is None:
        yield image.folder
        return
    with tempfile.TemporaryDirectory(prefix="plumb-") as name:
        folder = Path(name)
        shutil.copytree(image.folder, folder, dirs_exist_ok=True)
        if image.holds is Held.DEPENDENCIES:
            install_dependencies(folder / image.holds, architecture)
        else:
            install_project(folder / image.holds)
        yield folder


def install_dependencies(target: Path, architecture: str) -> None:
    """Installs the locked dependencies for the engine's machine, each checked by its hash."""
    machine = MACHINES.get(architecture)
    if machine is None:
        raise BuildError(
            f"the server's image is made for {' and '.join(MACHINES)}, and this engine runs on "
            f"{architecture}: run `plumb serve` outside a container"
        )
    with tempfile.TemporaryDirectory(prefix="plumb-") as folder:
        locked = Path(folder) / "requirements.txt"
        extras = [word for extra in EXTRAS for word in ("--extra", extra)]
        uv("export", "--frozen", "--no-dev", *extras, "--no-emit-project",
           "--output-file", str(locked), "--project", str(PROJECT))  # fmt: skip
        uv(*install_into(target), "--python-version", PYTHON, "--require-hashes",
           "--python-platform", f"{machine}-manylinux_2_28", "--only-binary", ":all:",
           "--requirements", str(locked))  # fmt: skip


def install_project(target: Path) -> None:
    """Installs a wheel of this checkout, as a user would get it."""
    with tempfile.TemporaryDirectory(prefix="plumb-") as folder:
        # With what builds wheels in this environment, which is locked, too, and needs no index.
        uv("build", "--wheel", "--no-build-isolation", "--python", sys.executable,
           "--out-dir", folder, str(PROJECT))  # fmt: skip
        (wheel,) = Path(folder).glob("*.whl")
        uv(*install_into(target), "--no-deps", str(wheel))


def install_into(target: Path) -> tuple[str, ...]:
    """Spells the command that installs into a folder, short of what."""
    return "pip", "install", "--target", str(target), "--python", sys.executable, "--link-mode=copy"


def uv(*words: str) -> None:
    """Runs uv.

    Raises:
        BuildError: It is missing or failed.
    """
    command = [find_uv(), *words]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", check=False
        )
    except FileNotFoundError as error:
        raise BuildError("uv is missing: `make setup` installs it, or set UV to it") from error
    if done.returncode != 0:
        raise BuildError(f"`uv {words[0]}` failed: see its words below\n{tail(done.stderr)}")


def find_uv() -> str:
    """Finds uv as the Makefile does."""
    beside = PROJECT / ".venv-uv" / "bin" / "uv"
    return os.environ.get("UV") or shutil.which("uv") or str(beside)
