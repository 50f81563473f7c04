"""The choice of a base, the tags, and what is built when; no Docker needed."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

CONTAINERS = Path(__file__).resolve().parents[2] / "containers"

with pytest.MonkeyPatch.context() as patch:
    # As when `python containers/build.py` runs: its neighbours are found beside it.
    patch.syspath_prepend(str(CONTAINERS))
    build = importlib.import_module("build")
    recipe = importlib.import_module("recipe")
    project = importlib.import_module("project")
    docker_engine = importlib.import_module("docker_engine")

SHELL = recipe.IMAGES["shell"]
REGISTRY, DEBIAN = recipe.Source.REGISTRY, recipe.Source.DEBIAN
AUTO = recipe.SOURCES["auto"]
REGISTRY_TAG, DEBIAN_TAG = recipe.tag_of(SHELL, REGISTRY), recipe.tag_of(SHELL, DEBIAN)
DEBIAN_BASE = recipe.debian_base(SHELL)


def test_what_python_writes_beside_the_source_is_no_part_of_it(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_bytes(b"a")
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "a.cpython-311.pyc.140234").write_bytes(b"half of it")
    assert list(recipe.context_parts(tmp_path)) == [b"a.py", b"a"]


class FakeEngine:
    """Remembers what it was asked; its registry answers or does not."""

    def __init__(self, *local: str, registry: bool = False, builds_fail_on: str = "") -> None:
        self.local = set(local)
        self.registry = registry
        self.builds_fail_on = builds_fail_on
        self.calls: list[str] = []
        self.aliases: dict[str, str] = {}
        self.networks: list[str | None] = []

    def architecture(self) -> str:
        return "amd64"

    def has(self, reference: str) -> bool:
        return reference in self.local

    def pull(self, reference: str) -> str | None:
        self.calls.append(f"pull {reference}")
        return None if self.registry else "silence"

    def import_root(self, archive: Path, reference: str) -> None:
        assert archive.parent.is_dir()
        self.calls.append(f"import {reference}")

    def build(
        self, folder: Path, reference: str, arguments: dict[str, str], network: str | None
    ) -> None:
        self.calls.append(f"build {reference}")
        self.local.add(reference)
        self.networks.append(network)
        if arguments["BASE"] == self.builds_fail_on:
            self.local.remove(reference)
            raise docker_engine.BuildError("no package mirror answers")

    def alias(self, reference: str, alias: str) -> None:
        self.aliases[alias] = reference


@pytest.fixture(autouse=True)
def debian_roots(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Stands in for mmdebstrap; returns the suites it was asked for."""
    suites: list[str] = []
    monkeypatch.setattr(build, "make_debian_root", lambda words, *_: suites.append(words[-1]))
    return suites


# --- the choice


def never_asked() -> str | None:
    raise AssertionError("the registry was asked")


def test_auto_takes_the_registry_when_it_answers() -> None:
    assert build.choose_source(AUTO, lambda: None) is REGISTRY


def test_auto_takes_debian_when_the_registry_does_not_answer() -> None:
    assert build.choose_source(AUTO, lambda: "silence") is DEBIAN


def test_debian_asks_no_registry() -> None:
    assert build.choose_source((DEBIAN,), never_asked) is DEBIAN


def test_an_explicit_registry_that_does_not_answer_is_an_error_with_the_mend() -> None:
    with pytest.raises(docker_engine.BuildError, match=r"silence.*--base debian"):
        build.choose_source((REGISTRY,), lambda: "silence")


# --- what is built


def test_a_local_registry_base_is_built_on_without_a_pull() -> None:
    engine = FakeEngine(SHELL.registry_base)
    assert build.ensure(engine, SHELL, AUTO) == REGISTRY_TAG
    assert engine.calls == [f"build {REGISTRY_TAG}"]


def test_a_pulled_base_is_built_on_with_a_network() -> None:
    engine = FakeEngine(registry=True)
    assert build.ensure(engine, SHELL, AUTO) == REGISTRY_TAG
    assert engine.calls == [f"pull {SHELL.registry_base}", f"build {REGISTRY_TAG}"]
    assert engine.networks == [None]


def test_without_a_registry_debian_is_imported_and_built_on_without_a_network() -> None:
    engine = FakeEngine()
    assert build.ensure(engine, SHELL, AUTO) == DEBIAN_TAG
    assert engine.calls[1:] == [f"import {DEBIAN_BASE}", f"build {DEBIAN_TAG}"]
    assert engine.networks == ["none"]


def test_an_imported_debian_base_is_reused(debian_roots: list[str]) -> None:
    engine = FakeEngine(DEBIAN_BASE)
    build.ensure(engine, SHELL, (DEBIAN,))
    assert engine.calls == [f"build {DEBIAN_TAG}"]
    assert not debian_roots


def test_a_failed_build_on_the_registry_base_goes_on_with_debian() -> None:
    engine = FakeEngine(SHELL.registry_base, builds_fail_on=SHELL.registry_base)
    assert build.ensure(engine, SHELL, AUTO) == DEBIAN_TAG


def test_a_failed_build_on_the_last_base_is_an_error() -> None:
    engine = FakeEngine(builds_fail_on=DEBIAN_BASE)
    with pytest.raises(docker_engine.BuildError, match="no package mirror answers"):
        build.ensure(engine, SHELL, AUTO)


@pytest.mark.parametrize("tag", [REGISTRY_TAG, DEBIAN_TAG])
def test_when_nothing_changed_nothing_is_built_or_asked(tag: str) -> None:
    engine = FakeEngine(tag)
    assert build.ensure(engine, SHELL, AUTO) == tag
    assert engine.calls == []
    assert engine.aliases == {"plumb-shell:latest": tag}


def test_of_two_cached_tags_the_registry_one_wins() -> None:
    assert build.ensure(FakeEngine(DEBIAN_TAG, REGISTRY_TAG), SHELL, AUTO) == REGISTRY_TAG


def test_an_explicit_base_does_not_take_the_other_ones_tag() -> None:
    assert build.ensure(FakeEngine(REGISTRY_TAG), SHELL, (DEBIAN,)) == DEBIAN_TAG


# --- MySQL: a registry's, else Debian unstable's, else MariaDB


MYSQL = recipe.IMAGES["mysql"]
LAST_RESORT = recipe.Source.LAST_RESORT
UNSTABLE = recipe.debian_base(MYSQL, DEBIAN)
STABLE = recipe.debian_base(MYSQL, LAST_RESORT)


def test_mysql_is_the_registry_s_where_one_answers() -> None:
    engine = FakeEngine(registry=True)
    assert build.ensure(engine, MYSQL, AUTO) == recipe.tag_of(MYSQL, REGISTRY)
    assert engine.calls[0] == "pull mysql:8.4"


def test_without_a_registry_mysql_comes_from_debian_unstable(debian_roots: list[str]) -> None:
    assert build.ensure(FakeEngine(), MYSQL, AUTO) == recipe.tag_of(MYSQL, DEBIAN)
    assert debian_roots == ["unstable"]


def test_where_unstable_fails_mariadb_comes_from_stable(debian_roots: list[str]) -> None:
    engine = FakeEngine(builds_fail_on=UNSTABLE)
    assert build.ensure(engine, MYSQL, AUTO) == recipe.tag_of(MYSQL, LAST_RESORT)
    assert debian_roots == ["unstable", "bookworm"]


def test_where_all_fails_it_is_an_error() -> None:
    with pytest.raises(docker_engine.BuildError, match="no package mirror answers"):
        build.ensure(FakeEngine(builds_fail_on=STABLE), MYSQL, (LAST_RESORT,))


def test_the_last_resort_is_mariadb_and_only_mysql_has_one() -> None:
    assert "mysql-server-core" in recipe.packages_of(MYSQL, DEBIAN)
    assert "mariadb-server-core" in recipe.packages_of(MYSQL, LAST_RESORT)
    assert MYSQL.origin(LAST_RESORT) == "Debian bookworm (MariaDB)"
    assert MYSQL.origin(DEBIAN) == "Debian unstable"
    assert SHELL.sources_of(AUTO) == (REGISTRY, DEBIAN)
    assert MYSQL.sources_of(AUTO) == (REGISTRY, DEBIAN, LAST_RESORT)


def test_an_expired_release_file_of_unstable_is_taken() -> None:
    assert any("Check-Valid-Until" in word for word in recipe.debian_command(MYSQL))
    assert not any("Check-Valid-Until" in word for word in recipe.debian_command(SHELL))


# --- the server: stands on an image of its packages


SERVER, PYTHON = recipe.IMAGES["server"], recipe.IMAGES["python"]


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Stands in for what installs this project; returns what it was asked for."""
    asked: list[str] = []
    for name in ("install_dependencies", "install_project"):
        monkeypatch.setattr(project, name, lambda folder, *_: asked.append(folder.name))
    return asked


def test_the_server_is_built_on_its_packages(installed: list[str]) -> None:
    engine = FakeEngine(registry=True)
    packages, server = recipe.tag_of(PYTHON, REGISTRY), recipe.tag_of(SERVER, REGISTRY)
    assert build.ensure(engine, SERVER, AUTO) == server
    assert engine.calls == ["pull python:3.11-slim", f"build {packages}", f"build {server}"]
    assert engine.aliases == {"plumb-server:latest": server}
    assert installed == ["dependencies", "project"]


def test_where_its_packages_are_there_the_server_is_built_on_them_and_nobody_is_asked(
    installed: list[str],
) -> None:
    engine = FakeEngine(recipe.tag_of(PYTHON, DEBIAN), registry=True)
    assert build.ensure(engine, SERVER, AUTO) == recipe.tag_of(SERVER, DEBIAN)
    assert engine.calls == [f"build {recipe.tag_of(SERVER, DEBIAN)}"]
    assert installed == ["project"]


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small project, whose server would be built."""
    (tmp_path / "a_package").mkdir()
    (tmp_path / "a_package" / "code.py").write_text("x = 1\n")
    (tmp_path / "uv.lock").write_text("version = 1\n")
    (tmp_path / "pyproject.toml").write_text(
        '[tool.hatch.build.targets.wheel]\npackages = ["a_package"]\n'
    )
    monkeypatch.setattr(recipe, "PROJECT", tmp_path)
    return tmp_path


def moved(checkout: Path, changed: str) -> set[str]:
    """Which of the two images a change makes anew."""
    before = {image.name: recipe.tag_of(image, DEBIAN) for image in (SERVER, PYTHON)}
    path = checkout / changed
    path.write_text(f"{path.read_text() if path.exists() else ''}# changed\n")
    return {
        image.name
        for image in (SERVER, PYTHON)
        if recipe.tag_of(image, DEBIAN) != before[image.name]
    }


@pytest.mark.parametrize(
    ("changed", "images"),
    [
        ("uv.lock", {"python", "server"}),
        ("pyproject.toml", {"server"}),
        ("a_package/code.py", {"server"}),
        ("a_package/new/prompt.md", {"server"}),
        ("a_package/__pycache__/code.cpython-311.pyc", set()),
        ("tests/test_code.py", set()),
    ],
)
def test_what_is_in_an_image_moves_its_tag_and_nothing_else_does(
    checkout: Path, changed: str, images: set[str]
) -> None:
    (checkout / changed).parent.mkdir(parents=True, exist_ok=True)
    assert moved(checkout, changed) == images


# --- tags and package lists


@pytest.fixture
def image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(recipe, "HERE", tmp_path)
    folder = tmp_path / "toy"
    folder.mkdir()
    (folder / "Dockerfile").write_text("FROM scratch\n")
    (folder / "packages.txt").write_text("bash\n")
    return recipe.Image("toy", "toy:1", {DEBIAN: recipe.DebianRoot("bookworm")})


def tags(image: Any) -> tuple[str, str]:
    return recipe.tag_of(image, REGISTRY), recipe.tag_of(image, DEBIAN)


def test_a_tag_is_the_image_and_twelve_hex_digits(image: Any) -> None:
    name, _, digits = recipe.tag_of(image, DEBIAN).partition(":")
    assert name == "plumb-toy"
    assert len(digits) == 12
    assert int(digits, 16) >= 0


def test_tags_differ_by_base_and_stay_when_nothing_changes(image: Any) -> None:
    assert tags(image) == tags(image)
    assert len(set(tags(image))) == 2


@pytest.mark.parametrize("changed", ["Dockerfile", "packages.txt", "new/file"])
def test_every_file_of_the_context_moves_both_tags(image: Any, changed: str) -> None:
    before = tags(image)
    path = image.folder / changed
    path.parent.mkdir(exist_ok=True)
    path.write_text("git\n")
    assert not set(before) & set(tags(image))


def test_the_debian_base_moves_with_the_packages_alone(image: Any) -> None:
    before = recipe.debian_base(image)
    (image.folder / "Dockerfile").write_text("FROM other\n")
    assert recipe.debian_base(image) == before
    (image.folder / "packages.txt").write_text("bash\ngit\n")
    assert recipe.debian_base(image) != before


def test_a_package_list_has_comments_and_no_order() -> None:
    assert recipe.parse_packages("# why\n\nzip  # because\nbash\n") == ("bash", "zip")


def test_the_shell_has_no_compiler_and_no_vim() -> None:
    packages = set(recipe.packages_of(SHELL))
    assert {"bash", "git", "python3", "vim-tiny"} <= packages
    assert not {"gcc", "make", "npm", "jq", "cron", "vim"} & packages


def test_no_mirror_is_named() -> None:
    assert not [word for word in recipe.mmdebstrap_command("bookworm", ["bash"]) if "://" in word]


# --- the engine


def engine_that_pulls(*lines: dict[str, str], hang: threading.Event | None = None) -> Any:
    def pull(*_: Any, **__: Any) -> Iterator[dict[str, str]]:
        yield from lines
        if hang is not None:
            hang.wait(60)

    return docker_engine.Engine(SimpleNamespace(api=SimpleNamespace(pull=pull)))


def test_a_pull_that_ends_has_no_obstacle() -> None:
    assert engine_that_pulls({"status": "Pulling"}).pull("toy:1") is None


def test_a_pull_that_fails_says_why() -> None:
    assert engine_that_pulls({"error": "no such host"}).pull("toy:1") == "no such host"


def test_an_engine_that_refuses_the_pull_says_why() -> None:
    assert "pull" in docker_engine.Engine(SimpleNamespace(api=SimpleNamespace())).pull("toy:1")


@pytest.mark.parametrize("lines", [[], [{"status": "Pulling"}]])
def test_a_registry_that_hangs_is_given_up(lines: list[dict[str, str]]) -> None:
    released = threading.Event()
    engine = engine_that_pulls(*lines, hang=released)
    assert "silent" in engine.pull("toy:1", first_answer=0.05, stall=0.05)
    released.set()


def test_a_failed_build_quotes_its_last_words() -> None:
    said = [{"stream": "Step 1/1\n"}, {"stream": "E: no room\n"}, {"error": "returned 100"}]
    client = SimpleNamespace(api=SimpleNamespace(build=lambda **_: iter(said)))
    with pytest.raises(docker_engine.BuildError, match=r"(?s)returned 100.*E: no room"):
        docker_engine.Engine(client).build(Path(), "toy:1", {}, None)


# --- the command


def test_no_engine_is_one_sentence_that_names_the_script(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse() -> None:
        raise docker_engine.docker.errors.DockerException("no such file")

    monkeypatch.setattr(docker_engine.docker, "from_env", refuse)
    assert build.main(["shell"]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert "containers/engine.sh" in said.err
    assert said.err.count("\n") == 1


def run_command(monkeypatch: pytest.MonkeyPatch, engine: FakeEngine, *words: str) -> int:
    monkeypatch.setattr(build.Engine, "connect", lambda: engine)
    return int(build.main(["shell", *words]))


def test_standard_output_is_the_tag_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(monkeypatch, FakeEngine()) == 0
    assert capsys.readouterr().out == f"{DEBIAN_TAG}\n"


def test_print_tag_builds_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    engine = FakeEngine()
    assert run_command(monkeypatch, engine, "--print-tag") == 1
    assert engine.calls == []
    assert "without --print-tag" in capsys.readouterr().err
