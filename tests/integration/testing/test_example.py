"""The example project does what its README says: its tests pass, and leave nothing."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
import uuid
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
import yaml

PROJECT = Path(__file__).resolve().parents[3]
EXAMPLE = PROJECT / "examples" / "ci"


def containers_from(image: str) -> set[str]:
    """The containers that were made from an image by this name of it."""
    with contextlib.closing(docker.from_env()) as engine:
        found = engine.containers.list(all=True, sparse=True, filters={"ancestor": image})
        return {str(one.id) for one in found if one.attrs["Image"] == image}


@pytest.fixture
def image(plumb_server_image: str) -> Iterator[str]:
    """A name of the server's image that nobody else uses."""
    name = f"plumb-server:example-{uuid.uuid4().hex[:8]}"
    with contextlib.closing(docker.from_env()) as engine:
        engine.images.get(plumb_server_image).tag(name)
        yield name
        engine.images.remove(name)


def test_its_tests_pass_and_leave_nothing(image: str, tmp_path: Path) -> None:
    copy = shutil.copytree(EXAMPLE, tmp_path / "example")
    environment = {name: v for name, v in os.environ.items() if not name.startswith("PLUMB_")}
    ran = subprocess.run(
        # asyncio's plug-in is one of ours, and warns where it is not set up.
        [sys.executable, "-m", "pytest", "-p", "no:asyncio", "-o", "plumb_required=true"],
        cwd=copy,
        env={**environment, "PYTHONPATH": str(copy), "PLUMB_SERVER_IMAGE": image},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert re.search(r"\n=+ 4 passed in ", ran.stdout)
    assert not containers_from(image)


def test_its_package_can_be_built_and_names_what_it_uses(tmp_path: Path) -> None:
    declared = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())
    assert declared["dependency-groups"]["test"] == ["plumb[testing]", "pytest"]
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=EXAMPLE, check=True, capture_output=True,
    )  # fmt: skip
    assert len(list(tmp_path.glob("tidy_logs-*.whl"))) == 1


def test_its_workflow_asks_the_makefile_for_what_there_is() -> None:
    workflow = yaml.safe_load((EXAMPLE / ".github" / "workflows" / "test.yml").read_text())
    steps = [step.get("run", "") for step in workflow["jobs"]["test"]["steps"]]
    assert "make -C plumb images" in steps
    assert re.search(r"^images:", (PROJECT / "Makefile").read_text(), re.MULTILINE)
    assert "python -m pytest -o plumb_required=true" in steps
