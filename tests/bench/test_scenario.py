"""Scenarios are read all or nothing, and a bad line says where and what."""

import json
from pathlib import Path
from typing import Any

import pytest

from plumb_bench.lines import BadLine
from plumb_bench.scenario import parse_scenario, read_scenarios

GOOD: dict[str, Any] = {
    "id": "a",
    "environment": "shell",
    "task": "count",
    "init": ["true"],
    "actions": ["ls"],
    "tags": [],
}


def test_the_shipped_scenarios_are_good() -> None:
    scenarios = read_scenarios([Path("scenarios/shell.jsonl")])
    assert len(scenarios) == 24
    assert {scenario.environment for scenario in scenarios} == {"shell"}


def test_a_good_line_is_read() -> None:
    scenario = parse_scenario(json.dumps(GOOD).encode(), "f, line 1")
    assert (scenario.id, scenario.init, scenario.actions) == ("a", ("true",), ("ls",))


@pytest.mark.parametrize("field", sorted(GOOD))
def test_a_missing_field_is_named_with_what_was_expected(field: str) -> None:
    line = json.dumps({name: value for name, value in GOOD.items() if name != field})
    with pytest.raises(BadLine, match=rf"^f, line 7: field '{field}' is missing; expected "):
        parse_scenario(line.encode(), "f, line 7")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"id": ""}, "field 'id' is \"\"; expected a text that is not empty"),
        ({"init": "true"}, "field 'init' is \"true\"; expected a list of strings"),
        ({"actions": [1]}, "field 'actions' is [1]; expected a list of strings"),
        ({"actions": []}, "field 'actions' is empty"),
        ({"tags": None}, "field 'tags' is null"),
        ({"database": 3}, "field 'database' is 3"),
        ({"action": []}, "unknown field 'action'; the fields are id, "),
    ],
)
def test_a_wrong_field_is_named_with_what_it_is(change: dict[str, Any], says: str) -> None:
    with pytest.raises(BadLine) as caught:
        parse_scenario(json.dumps({**GOOD, **change}).encode(), "f, line 1")
    assert says in str(caught.value)


@pytest.mark.parametrize("line", [b"{", b"[]", b"3", b'"x"', b"\xff", b"null"])
def test_what_is_no_object_is_refused(line: bytes) -> None:
    with pytest.raises(BadLine, match=r"^f, line 1: "):
        parse_scenario(line, "f, line 1")


def test_an_id_may_be_used_once_in_all_files(tmp_path: Path) -> None:
    for name in ("one.jsonl", "two.jsonl"):
        (tmp_path / name).write_text(json.dumps(GOOD) + "\n\n")
    with pytest.raises(BadLine, match=r"two\.jsonl, line 1: id 'a' was used in .*one\.jsonl"):
        read_scenarios([tmp_path / "one.jsonl", tmp_path / "two.jsonl"])
