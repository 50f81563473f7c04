"""Scenarios: a task, its grounding and a fixed list of actions; one JSON line each."""

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
class Scenario:
    """One scenario.

    Attributes:
        id: Unique within a run.
        environment: The kind of environment.
        task: What the agent was asked for.
        init: The init scripts.
        actions: What to do, in order.
        tags: For selecting and grouping.
        database: The logical name, where the kind has one; empty otherwise.
    """

    id: str
    environment: str
    task: str
    init: tuple[str, ...]
    actions: tuple[str, ...]
    tags: tuple[str, ...]
    database: str = ""


def read_scenarios(paths: Sequence[Path]) -> list[Scenario]:
    """Reads files of scenarios, all or nothing.

    Raises:
        BadLine: A line does not parse, lacks a field, or repeats an id.
        OSError: A file cannot be read.
    """
    scenarios: list[Scenario] = []
    seen: dict[str, str] = {}
    for path in paths:
        for place, line in read_lines(path):
            scenario = parse_scenario(line, place)
            if scenario.id in seen:
                raise BadLine(
                    f"{place}: id {scenario.id!r} was used in {seen[scenario.id]} already; "
                    "give each scenario its own"
                )
            seen[scenario.id] = place
            scenarios.append(scenario)
    return scenarios


def parse_scenario(line: bytes, place: str) -> Scenario:
    """Reads one line; `place` says where it stands.

    Raises:
        BadLine: It is none.
    """
    data = parse_object(line, place)
    refuse_unknown(data, place, [field.name for field in dataclasses.fields(Scenario)])
    actions = take(data, place, "actions", "a list of strings, at least one", is_texts)
    if not actions:
        raise BadLine(f"{place}: field 'actions' is empty; expected at least one action")
    return Scenario(
        id=take(data, place, "id", "a text that is not empty", is_filled),
        environment=take(data, place, "environment", "a kind, for example 'shell'", is_filled),
        task=take(data, place, "task", "a text", is_text),
        init=tuple(take(data, place, "init", "a list of strings", is_texts)),
        actions=tuple(actions),
        tags=tuple(take(data, place, "tags", "a list of strings", is_texts)),
        database=take(data, place, "database", "a text", is_text) if "database" in data else "",
    )
