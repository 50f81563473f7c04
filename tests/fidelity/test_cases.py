"""The table of pairs in cases.yaml: what is right by the taxonomy, and what the differ answers."""

from __future__ import annotations

import collections
import dataclasses
import datetime
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from plumb_fidelity import Seen, compare
from plumb_fidelity.verdict import SEVERITY

PROMPT = r"root@sandbox:[^\s#$]*[#$] ?"
_NUMBER = re.compile(r"-?\d+(\.\d+)?(e[+-]?\d+)?")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Case:
    """One pair; the fields are those of the table, an unknown one fails."""

    name: str
    action: str
    real: Any
    simulated: Any
    verdict: str
    kind: str = "shell"
    at: datetime.datetime | None = None
    elsewhere: tuple[Any, ...] = ()
    history: tuple[tuple[str, str], ...] = ()
    flags: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    evidence: str = ""


def _case(fields: dict[str, Any]) -> Case:
    named = {"without" if key == "not" else key: value for key, value in fields.items()}
    return Case(**named)


CASES = [
    _case(fields)
    for fields in yaml.safe_load(Path(__file__).with_name("cases.yaml").read_text("utf-8"))
]


def _seen(run: Any) -> Seen:
    if isinstance(run, str):
        return Seen(text=run)
    fields = dict(run)
    if "columns" in fields:
        fields["text"] = _table(fields.pop("columns"), fields.pop("rows"))
    return Seen(**fields)


def _table(columns: list[str], rows: list[list[Any]]) -> str:
    """A result as the interactive client prints it: numbers stand on the right."""
    if not rows:
        return "Empty set (0.00 sec)\n"
    texts = [["NULL" if cell is None else str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(columns, *texts, strict=True)]
    is_number = [
        all(cell is None or _NUMBER.fullmatch(str(cell)) for cell in column)
        for column in zip(*rows, strict=True)
    ]

    def row_of(cells: list[str], right: list[bool]) -> str:
        padded = (
            cell.rjust(width) if is_right else cell.ljust(width)
            for cell, width, is_right in zip(cells, widths, right, strict=True)
        )
        return "| " + " | ".join(padded) + " |"

    border = "+" + "+".join("-" * (width + 2) for width in widths) + "+"
    header = row_of(columns, [False] * len(columns))
    body = [row_of(row, is_number) for row in texts]
    footer = f"{len(rows)} row{'s' if len(rows) > 1 else ''} in set (0.00 sec)"
    return "\n".join([border, header, border, *body, border, footer, ""])


@pytest.mark.parametrize(
    "case", [pytest.param(case, id=f"{case.verdict}: {case.name}") for case in CASES]
)
def test_verdict(case: Case) -> None:
    real = case.real if isinstance(case.real, list) else [case.real]
    found = compare(
        [_seen(run) for run in real],
        _seen(case.simulated),
        action=case.action,
        prompt=PROMPT if case.kind == "shell" else "",
        is_table=case.kind == "mysql",
        at=case.at,
        elsewhere=[_seen(run) for run in case.elsewhere],
        history=[(action, text) for action, text in case.history],
    )
    assert found.verdict == case.verdict, found
    assert set(case.flags) <= set(found.flags), found
    assert not set(case.without) & set(found.flags), found
    assert any(case.evidence in line for line in found.evidence or ("",)), found


def test_the_table_covers_every_class() -> None:
    verdicts = collections.Counter(case.verdict for case in CASES)
    assert len(CASES) >= 150
    assert set(verdicts) == set(SEVERITY) - {"BACKEND_FAILURE"}


def test_names_are_unique() -> None:
    names = collections.Counter(case.name for case in CASES)
    assert [name for name, count in names.items() if count > 1] == []


def test_kinds_are_known() -> None:
    assert {case.kind for case in CASES} == {"shell", "mysql"}
