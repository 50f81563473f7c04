"""Scenarios: a task, its grounding and a fixed list of actions; one JSON line each."""

import dataclasses
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any


class BadScenario(ValueError):
    """A line is no scenario; the message says file, line, field, and what was expected."""


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
        BadScenario: A line does not parse, lacks a field, or repeats an id.
        OSError: A file cannot be read.
    """
    scenarios: list[Scenario] = []
    seen: dict[str, str] = {}
    for path in paths:
        for place, scenario in _read(path):
            if scenario.id in seen:
                raise BadScenario(
                    f"{place}: id {scenario.id!r} was used in {seen[scenario.id]} already; "
                    "give each scenario its own"
                )
            seen[scenario.id] = place
            scenarios.append(scenario)
    return scenarios


def _read(path: Path) -> Iterator[tuple[str, Scenario]]:
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                place = f"{path}, line {number}"
                yield place, parse_scenario(line, place)


def parse_scenario(line: bytes, place: str) -> Scenario:
    """Reads one line; `place` says where it stands.

    Raises:
        BadScenario: It is none.
    """
    try:
        data = json.loads(line)
    except ValueError as error:
        raise BadScenario(f"{place}: this is not JSON: {error}") from None
    if not isinstance(data, dict):
        raise BadScenario(f"{place}: expected an object, found {_kind_of(data)}")
    _refuse_unknown(data, place)
    actions = _take(data, place, "actions", "a list of strings, at least one", _is_texts)
    if not actions:
        raise BadScenario(f"{place}: field 'actions' is empty; expected at least one action")
    return Scenario(
        id=_take(data, place, "id", "a text that is not empty", _is_filled),
        environment=_take(data, place, "environment", "a kind, for example 'shell'", _is_filled),
        task=_take(data, place, "task", "a text", _is_text),
        init=tuple(_take(data, place, "init", "a list of strings", _is_texts)),
        actions=tuple(actions),
        tags=tuple(_take(data, place, "tags", "a list of strings", _is_texts)),
        database=_take(data, place, "database", "a text", _is_text) if "database" in data else "",
    )


def _refuse_unknown(data: dict[str, Any], place: str) -> None:
    known = [field.name for field in dataclasses.fields(Scenario)]
    for name in data:
        if name not in known:
            raise BadScenario(f"{place}: unknown field {name!r}; the fields are {', '.join(known)}")


def _take(
    data: dict[str, Any], place: str, field: str, expected: str, check: Callable[[Any], bool]
) -> Any:
    if field not in data:
        raise BadScenario(f"{place}: field {field!r} is missing; expected {expected}")
    if not check(data[field]):
        raise BadScenario(
            f"{place}: field {field!r} is {_kind_of(data[field])}; expected {expected}"
        )
    return data[field]


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_filled(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _kind_of(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."
