"""The table of neighbours.yaml: pairs that look alike, and that have another class each."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from plumb_fidelity import Seen, compare
from plumb_fidelity.mutate import client_text
from plumb_fidelity.verdict import SEVERITY

CASES: list[dict[str, Any]] = yaml.safe_load(
    Path(__file__).with_name("neighbours.yaml").read_text()
)
PROMPT = r"root@sandbox:[^\s#$]*[#$] ?"


def name(case: dict[str, Any]) -> str:
    return f"{case['is']}: {case['do'][:40]}".replace("\n", " ")


def seen(answer: Any, case: dict[str, Any], side: int) -> Seen:
    if isinstance(answer, dict) and "text" in answer:
        endings = frozenset(answer.get("endings", ()))
        return Seen(**{**answer, "endings": endings})
    if isinstance(answer, dict):
        rows = [[None if cell is None else str(cell) for cell in row] for row in answer["rows"]]
        return Seen(text=client_text(answer["cols"], rows))
    code = case.get("code")
    return Seen(text=answer, exit_code=code[side] if isinstance(code, list) else code)


def runs(answers: Any) -> list[Any]:
    return answers if isinstance(answers, list) else [answers]


@pytest.mark.parametrize("case", CASES, ids=name)
def test_a_pair_has_its_class(case: dict[str, Any]) -> None:
    is_table = case.get("sql", False)
    at = case.get("at")
    assert at is None or isinstance(at, datetime.datetime)
    found = compare(
        [seen(run, case, 0) for run in runs(case["real"])],
        seen(case["sim"], case, 1),
        action=case["do"],
        prompt="" if is_table else PROMPT,
        is_table=is_table,
        at=at,
        elsewhere=[seen(run, case, 0) for run in case.get("elsewhere", [])],
        history=[(action, text) for action, text in case.get("past", [])],
        told=case.get("told", ""),
    )
    assert found.verdict == case["is"], (found.flags, found.evidence)
    assert found.flags[0] == case["is"]
    assert list(found.flags) == sorted(found.flags, key=SEVERITY.index)
    assert set(case.get("flags", ())) <= set(found.flags)
    assert not set(case.get("not", ())) & set(found.flags)
