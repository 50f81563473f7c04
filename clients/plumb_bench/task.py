"""Tasks: what somebody shall be able to do, before there is a world for it; one JSON line each."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from plumb_bench.lines import (
    BadLine,
    is_filled,
    is_text,
    is_texts,
    parse_object,
    read_lines,
    refuse_unknown,
    take,
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One task.

    Attributes:
        id: Unique within a run.
        environment: The kind of environment.
        task: What is to be done.
        database: For SQL, the database's name; empty for the default.
        tags: For selecting and grouping.
    """

    id: str
    environment: str
    task: str
    database: str = ""
    tags: tuple[str, ...] = ()


def read_tasks(paths: Sequence[Path]) -> list[Task]:
    """Reads files of tasks, all or nothing.

    Raises:
        BadLine: A line does not parse, lacks a field, or repeats an id.
        OSError: A file cannot be read.
    """
    tasks: dict[str, Task] = {}
    for path in paths:
        for place, line in read_lines(path):
            task = parse_task(line, place)
            if task.id in tasks:
                raise BadLine(f"{place}: id {task.id!r} comes twice; give each task its own")
            tasks[task.id] = task
    return list(tasks.values())


def parse_task(line: bytes, place: str) -> Task:
    """Reads one line; `place` says where it stands.

    Raises:
        BadLine: It is none.
    """
    data = parse_object(line, place)
    refuse_unknown(data, place, [field.name for field in dataclasses.fields(Task)])
    return Task(
        id=take(data, place, "id", "a text that is not empty", is_filled),
        environment=take(data, place, "environment", "a kind, for example 'shell'", is_filled),
        task=take(data, place, "task", "a text that is not empty", is_filled),
        database=take(data, place, "database", "a text", is_text) if "database" in data else "",
        tags=tuple(take(data, place, "tags", "a list of strings", is_texts))
        if "tags" in data
        else (),
    )
