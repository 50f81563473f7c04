"""Files of a folder: what is opened, and what is refused without a wait."""

from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from plumb_gateway.folders import is_name, list_names, open_inside
from plumb_gateway.pages.scenarios import read_folder
from plumb_gateway.runs import StepFilter, find_steps, list_runs, read_run

if TYPE_CHECKING:
    from collections.abc import Callable

REPORT = (
    '{"rows": [], "real": {"scenarios": 1, "steps": 1, "replicas": 3, "agreement": null}, '
    '"canary": "outside"}'
)


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder that nobody may be led to, with all files of a run."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "report.json").write_text(REPORT)
    (folder / "report.html").write_text("outside")
    (folder / "steps.jsonl").write_text('{"outside": 1}\n')
    return folder


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """The folder of runs; nothing is in it."""
    folder = tmp_path / "runs"
    folder.mkdir()
    return folder


def test_a_file_in_the_folder_is_opened(outside: Path) -> None:
    with open_inside(outside.parent, "outside", "report.html") as file:
        assert file.read() == b"outside"
    with open_inside(outside, "report.html") as file:
        assert file.read() == b"outside"


def as_link(runs: Path, outside: Path) -> None:
    (runs / "run").mkdir()
    (runs / "run" / "report.json").symlink_to(outside / "report.json")


def as_relative_link(runs: Path, outside: Path) -> None:
    (runs / "run").mkdir()
    (runs / "run" / "report.json").symlink_to("../../outside/report.json")


def as_link_to_link(runs: Path, outside: Path) -> None:
    (runs / "run").mkdir()
    (runs / "run" / "other").symlink_to(outside / "report.json")
    (runs / "run" / "report.json").symlink_to("other")


def as_folder(runs: Path, outside: Path) -> None:
    (runs / "run").symlink_to(outside)


def as_pipe(runs: Path, _: Path) -> None:
    (runs / "run").mkdir()
    os.mkfifo(runs / "run" / "report.json")


def as_socket(runs: Path, _: Path) -> None:
    (runs / "run").mkdir()
    # The path of a socket may have no more than 107 bytes.
    with contextlib.chdir(runs / "run"), socket.socket(socket.AF_UNIX) as unix:
        unix.bind("report.json")


def as_device(runs: Path, _: Path) -> None:
    (runs / "run").mkdir()
    (runs / "run" / "report.json").symlink_to("/dev/zero")


def as_directory(runs: Path, _: Path) -> None:
    (runs / "run" / "report.json").mkdir(parents=True)


TRICKS = [
    as_link, as_relative_link, as_link_to_link, as_folder, as_pipe, as_socket, as_device,
    as_directory,
]  # fmt: skip


@pytest.mark.parametrize("trick", TRICKS)
def test_what_leads_elsewhere_or_is_no_file_is_no_run(
    runs: Path, outside: Path, trick: Callable[[Path, Path], None]
) -> None:
    trick(runs, outside)
    assert read_run(runs, "run") is None
    assert list_runs(runs) == []
    with pytest.raises(OSError), open_inside(runs, "run", "report.json"):
        pass


@pytest.mark.parametrize(
    "name", ["..", ".", "", "../outside", "/etc", "a/b", "a\0b", "x" * 300, "\udcff"]
)
def test_a_name_that_leads_elsewhere_is_none(runs: Path, outside: Path, name: str) -> None:
    assert read_run(runs, name) is None
    with pytest.raises(OSError), open_inside(runs, name, "report.json"):
        pass
    with pytest.raises(OSError), open_inside(outside, name):
        pass


def test_a_name_is_one_of_an_entry() -> None:
    assert is_name("nightly")
    assert is_name("..nightly")
    assert not is_name("..")


def test_steps_that_are_a_link_are_not_read(runs: Path, outside: Path) -> None:
    (runs / "run").mkdir()
    (runs / "run" / "report.json").write_text(REPORT)
    (runs / "run" / "steps.jsonl").symlink_to(outside / "steps.jsonl")
    found = read_run(runs, "run")
    assert found is not None
    assert find_steps(found, StepFilter(), [], 0, 10) == ([], 0)


def test_a_report_that_is_too_large_to_be_read_is_none(runs: Path) -> None:
    (runs / "run").mkdir()
    with (runs / "run" / "report.json").open("wb") as sparse:
        sparse.truncate(10 * 1024**3)
    assert read_run(runs, "run") is None


def test_the_folder_itself_may_be_a_link(tmp_path: Path, outside: Path) -> None:
    (tmp_path / "link").symlink_to(outside.parent)
    assert [run.name for run in list_runs(tmp_path / "link")] == ["outside"]


def test_descriptors_are_given_back_whatever_happens(runs: Path, outside: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    as_pipe(runs, outside)
    (runs / "link").symlink_to(outside)
    for _ in range(20):
        assert read_run(runs, "run") is None
        assert read_run(runs, "link") is None
        assert read_run(outside.parent, "outside") is not None
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_scenarios_that_lead_elsewhere_are_not_read_and_told(tmp_path: Path) -> None:
    folder = tmp_path / "scenarios"
    folder.mkdir()
    (tmp_path / "secret").write_text("root:x:0:0\n")
    (folder / "a.jsonl").symlink_to(tmp_path / "secret")
    os.mkfifo(folder / "b.jsonl")
    (folder / "c.jsonl").mkdir()
    found, wrong = read_folder(folder)
    assert found == []
    assert len(wrong) == 3
    assert "root" not in "".join(wrong)


def test_names_are_those_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "b").touch()
    (tmp_path / "a").touch()
    assert list_names(tmp_path) == ["a", "b"]
    assert list_names(tmp_path / "none") == []
    assert list_names(tmp_path / "a") == []
