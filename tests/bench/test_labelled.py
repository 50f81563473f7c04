"""Labelled pairs: how they are read, and what stands in those that ship."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from plumb_bench.labelled import LabelledPair, decision_of, parse_labelled, read_labelled
from plumb_bench.lines import BadLine
from plumb_bench.scenario import read_scenarios

FIDELITY = Path(__file__).parents[1] / "fidelity"
SHIPPED = (FIDELITY / "labelled.jsonl", FIDELITY / "labelled_heldout.jsonl")


def line(**changed: Any) -> bytes:
    """A line of a file; None takes a field away."""
    fields: dict[str, Any] = {
        "id": "n.1-a",
        "kind": "shell",
        "action": "cat n",
        "history": [["echo 42 > n", ""]],
        "real": [{"text": "42\n", "exit_code": 0, "ending": "EXITED", "cwd": "/root"}],
        "simulated": {"text": "43\n"},
        "at": "2026-11-30T16:00:00",
        "label": "wrong",
        "class": "WRONG_VALUE",
        "reason": "another number",
        "sure": True,
        "origin": "written",
        "source": "nowhere",
    }
    fields.update(changed)
    kept = {name: value for name, value in fields.items() if value is not None}
    return json.dumps(kept).encode()


def pair(**changed: Any) -> LabelledPair:
    return parse_labelled(line(**changed), "here")


def test_a_line_is_read_and_judged() -> None:
    read = pair()
    assert (read.expected, read.label, read.sure) == ("WRONG_VALUE", "wrong", True)
    assert read.history == (("echo 42 > n", ""),)
    assert read.judge().verdict == "WRONG_VALUE"


def test_a_statement_is_judged_as_a_table() -> None:
    real = "+---+\n| a |\n+---+\n| 1 |\n+---+\n1 row in set (0.00 sec)"
    table = pair(
        kind="mysql",
        action="SELECT a FROM t",
        real=[{"text": real, "errno": 0}],
        simulated={"text": real.replace("0.00", "0.01").replace("| 1 |", "| 2 |"), "errno": 0},
    )
    assert table.judge().verdict == "WRONG_VALUE"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"id": None}, "field 'id' is missing"),
        ({"kind": "web"}, "field 'kind' is \"web\"; expected one of shell, mysql"),
        ({"label": "maybe"}, "expected one of right, wrong, undecidable"),
        ({"class": "BAD"}, "field 'class' is \"BAD\""),
        ({"label": "right"}, "the class WRONG_VALUE is not right; change one of the two"),
        ({"label": "undecidable"}, "the class WRONG_VALUE is not undecidable"),
        ({"real": []}, "expected a list of runs, at least one"),
        ({"real": ["42"]}, "expected a list of runs, at least one"),
        ({"real": [{"text": "42", "exitcode": 0}]}, "expected a list of runs, at least one"),
        ({"simulated": {}}, "expected an object with text and known facts"),
        ({"history": [["a"]]}, "expected a list of pairs of texts"),
        ({"at": "yesterday"}, "field 'at' is 'yesterday'"),
        ({"sure": "yes"}, "expected true or false"),
        ({"origin": "made up"}, "expected one of replica, recorded, written"),
        ({"expected": "AGREES"}, "unknown field 'expected'"),
    ],
)
def test_a_line_that_is_wrong_is_told_with_its_field(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(BadLine, match=r"^here: ") as caught:
        parse_labelled(line(**changed), "here")
    assert said in str(caught.value)


def test_what_was_told_is_known() -> None:
    asked = {"action": "cat /etc/os-release", "real": [{"text": "ID=debian\n"}]}
    other = {"simulated": {"text": "ID=ubuntu\n"}}
    assert pair(**asked, **other).judge().verdict == "UNKNOWABLE"
    assert pair(**asked, **other, told="ID=debian").judge().verdict == "WRONG_VALUE"


def test_a_file_has_pairs_and_each_id_once(tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_bytes(b"\n")
    with pytest.raises(BadLine, match="there is no pair in it"):
        read_labelled(path)
    path.write_bytes(line() + b"\n" + line())
    with pytest.raises(BadLine, match=r"line 2: id 'n\.1-a' is used twice"):
        read_labelled(path)


@pytest.mark.parametrize(
    ("simulated", "differs"),
    [
        ({"text": "42\n"}, False),
        ({"text": "42"}, False),
        ({"text": "42  \n\n"}, False),
        ({"text": "42\n", "exit_code": 0, "ending": "EXITED", "cwd": "/root"}, False),
        ({"text": "42\n", "cwd": "/tmp"}, True),
        ({"text": "42\n", "exit_code": 1}, True),
        ({"text": "42\n", "ending": "TIMED_OUT"}, True),
        ({"text": " 42\n"}, True),
        ({"text": "7\n"}, False),
    ],
)
def test_sides_differ_where_no_real_run_is_the_same(
    simulated: dict[str, Any], differs: bool
) -> None:
    first = {"text": "42\n", "exit_code": 0, "ending": "EXITED", "cwd": "/root"}
    assert pair(real=[first, {"text": "7\n"}], simulated=simulated).differs is differs


def test_a_duration_makes_no_difference() -> None:
    real = "Query OK, 1 row affected (0.003 sec)"
    same = {"real": [{"text": real}], "simulated": {"text": real.replace("0.003", "0.01")}}
    assert not pair(kind="mysql", **same).differs


def test_classes_stand_for_labels() -> None:
    assert decision_of("VOLATILE_ONLY") == decision_of("AGREES_BUT_LAYOUT") == "right"
    assert decision_of("UNKNOWABLE") == decision_of("UNSCORABLE") == "undecidable"
    assert decision_of("FABRICATED") == decision_of("INCONSISTENT") == "wrong"


def test_as_many_pairs_ship_as_are_promised() -> None:
    files = [read_labelled(path) for path in SHIPPED]
    pairs = [one for found in files for one in found]
    assert all(len(found) >= 300 for found in files)
    assert len({one.id for one in pairs}) == len(pairs)
    assert sum(one.differs for one in pairs) >= len(pairs) / 2
    replicas = [one for one in pairs if one.origin == "replica"]
    assert len(replicas) >= 60
    assert all(one.label != "wrong" for one in replicas)


def test_both_halves_hold_other_turns() -> None:
    dev, held_out = ({one.source for one in read_labelled(path)} for path in SHIPPED)
    turns = [{source.split(" ", 1)[1] for source in half} for half in (dev, held_out)]
    assert not turns[0] & turns[1]


def test_what_pairs_are_from_ships_too() -> None:
    root = FIDELITY.parents[1]
    for one in (pair for path in SHIPPED for pair in read_labelled(path)):
        assert (root / one.source.split(" ")[0]).is_file(), one.id
    assert read_scenarios([FIDELITY / "labelled_sessions.jsonl"])
