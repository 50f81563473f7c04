"""Tasks are read all or nothing, and a bad line says where and what."""

import json
from pathlib import Path

import pytest

from plumb_bench.lines import BadLine
from plumb_bench.task import Task, read_tasks


def write(path: Path, *lines: object) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_tasks_are_read(tmp_path: Path) -> None:
    path = write(
        tmp_path / "t.jsonl",
        {"id": "a", "environment": "shell", "task": "x"},
        {"id": "b", "environment": "mysql", "task": "y", "database": "shop", "tags": ["z"]},
    )
    assert read_tasks([path]) == [
        Task(id="a", environment="shell", task="x"),
        Task(id="b", environment="mysql", task="y", database="shop", tags=("z",)),
    ]


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ([{"id": "a", "environment": "shell"}], "line 1: field 'task' is missing"),
        ([{"id": "", "environment": "shell", "task": "x"}], "field 'id' is \"\""),
        ([{"id": "a", "environment": "shell", "task": "x", "init": []}], "unknown field 'init'"),
        ([{"id": "a", "environment": "s", "task": "x"}] * 2, "line 2: id 'a' comes twice"),
        ([[]], "line 1: expected an object"),
    ],
)
def test_a_bad_line_is_told(tmp_path: Path, lines: list[object], says: str) -> None:
    with pytest.raises(BadLine, match=says):
        read_tasks([write(tmp_path / "t.jsonl", *lines)])
