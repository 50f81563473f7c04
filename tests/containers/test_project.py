"""What is installed for the server's image, and how a failing or missing uv is told."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

CONTAINERS = Path(__file__).resolve().parents[2] / "containers"

with pytest.MonkeyPatch.context() as patch:
    patch.syspath_prepend(str(CONTAINERS))
    project = importlib.import_module("project")
    recipe = importlib.import_module("recipe")


@pytest.fixture
def stub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stands in for uv; writes down what it was told."""
    path = tmp_path / "uv"
    path.write_text(f'#!/bin/sh\necho "$*" >> "{tmp_path}/told"\n')
    path.chmod(0o755)
    monkeypatch.setenv("UV", str(path))
    return path


def told(stub: Path) -> list[str]:
    return (stub.parent / "told").read_text().splitlines()


@pytest.mark.parametrize(("engine", "machine"), [("amd64", "x86_64"), ("arm64", "aarch64")])
def test_dependencies_are_the_locked_ones_for_the_engine_s_machine(
    stub: Path, engine: str, machine: str
) -> None:
    project.install_dependencies(stub.parent / "dependencies", engine)
    export, install = told(stub)
    assert export.startswith("export --frozen --no-dev --extra server --extra simulator")
    for word in ("--require-hashes", "--only-binary :all:", "--python-version 3.11"):
        assert word in install
    assert f"--python-platform {machine}-manylinux_2_28" in install


def test_an_engine_on_another_machine_is_told_before_anything_is_installed(stub: Path) -> None:
    with pytest.raises(project.BuildError, match="amd64 and arm64, and this engine runs on s390x"):
        project.install_dependencies(stub.parent / "dependencies", "s390x")
    assert not (stub.parent / "told").exists()


def test_an_image_that_holds_nothing_of_the_project_is_built_from_its_own_folder() -> None:
    shell = recipe.IMAGES["shell"]
    with project.context_of(shell, "amd64") as folder:
        assert folder == shell.folder


def test_a_missing_uv_names_the_mend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV", str(tmp_path / "nothing"))
    with pytest.raises(project.BuildError, match="uv is missing: `make setup` installs it"):
        project.install_project(tmp_path / "project")


def test_a_failed_uv_is_quoted(stub: Path) -> None:
    stub.write_text("#!/bin/sh\necho no such index >&2; exit 2\n")
    with pytest.raises(project.BuildError, match=r"(?s)`uv build` failed.*no such index"):
        project.install_project(stub.parent / "project")


def test_the_project_is_installed_as_its_wheel_is(tmp_path: Path) -> None:
    project.install_project(tmp_path)
    program = "import plumb_server, sys; print(plumb_server.__file__)"
    ran = subprocess.run(
        [sys.executable, "-S", "-c", program],
        env={"PYTHONPATH": str(tmp_path)}, check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert ran.stdout.startswith(str(tmp_path))
    assert (tmp_path / "plumb_backends" / "simulated" / "prompts" / "critic.md").exists()
    assert not (tmp_path / "tests").exists()
