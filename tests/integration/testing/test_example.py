"""The example project does what its README says: its tests pass, and leave nothing."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import docker
import yaml

PROJECT = Path(__file__).resolve().parents[3]
EXAMPLE = PROJECT / "examples" / "ci"


def containers_from(image: str) -> set[str]:
    """The containers that were made from an image."""
    with contextlib.closing(docker.from_env()) as engine:
        found = engine.containers.list(all=True, sparse=True, filters={"ancestor": image})
        return {str(container.id) for container in found}


def test_its_tests_pass_and_leave_nothing(plumb_server_image: str, tmp_path: Path) -> None:
    before = containers_from(plumb_server_image)
    copy = shutil.copytree(EXAMPLE, tmp_path / "example")
    environment = {name: v for name, v in os.environ.items() if not name.startswith("PLUMB_")}
    ran = subprocess.run(
        # asyncio's plug-in is one of ours, and warns where it is not set up.
        [sys.executable, "-m", "pytest", "-p", "no:asyncio", "-o", "plumb_required=true"],
        cwd=copy,
        env={**environment, "PYTHONPATH": str(copy), "PLUMB_SERVER_IMAGE": plumb_server_image},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert re.search(r"\n=+ 4 passed in ", ran.stdout)
    assert containers_from(plumb_server_image) == before


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
