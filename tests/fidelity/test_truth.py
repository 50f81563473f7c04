"""Real runs are learnt once, and used for any number of simulators."""

from __future__ import annotations

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

import plumb_fidelity
from plumb_fidelity import Seen, Truth, compare
from plumb_fidelity.verdict import (
    AGREEING,
    HALLUCINATIONS,
    SEVERITY,
    UNSCORED,
    Aligned,
    backend_failure,
)

AT = datetime.datetime(2026, 11, 24, 13, 50)


def test_it_is_usable_alone_with_plain_texts() -> None:
    found = plumb_fidelity.compare(real=["42", "42", "42"], simulated="43")
    assert (found.verdict, found.agrees, found.is_scored) == ("WRONG_VALUE", False, True)
    assert found.evidence == ("real: 42; simulated: 43 ('43' instead of '42')",)
    assert found.aligned == (Aligned("42", "43", "wrong"),)


def test_without_a_real_run_there_is_nothing_to_say() -> None:
    with pytest.raises(ValueError, match="there is no real run to compare with; give at least one"):
        compare([], "x")


def test_every_class_is_a_right_answer_a_wrong_one_or_none() -> None:
    assert set(SEVERITY) == AGREEING | UNSCORED | set(HALLUCINATIONS)
    assert not AGREEING & UNSCORED


def test_a_failure_of_a_backend_is_neither_right_nor_wrong() -> None:
    found = backend_failure("simulated", "no key")
    assert (found.verdict, found.agrees, found.is_scored) == ("BACKEND_FAILURE", False, False)


def test_the_masked_share_is_of_what_runs_do_not_agree_on() -> None:
    truth = Truth([Seen(text=f"a {n} b") for n in ("11", "12", "13")])
    assert truth.masked == 0.5
    assert truth.judge(Seen(text="a 99 b")).masked == 0.5
    assert not truth.unstable


def test_three_runs_tell_what_two_did_not() -> None:
    runs = [Seen(text="x 1 of many words"), Seen(text="x 1 of many words")]
    assert Truth(runs).judge(Seen(text="x 7 of many words")).verdict == "WRONG_VALUE"
    third = Seen(text="x 3 of many words")
    assert Truth([*runs, third]).judge(Seen(text="x 7 of many words")).verdict == "VOLATILE_ONLY"


@given(text=st.text(max_size=200), action=st.sampled_from(["", "ls", "cat f", "find .", "ls -l"]))
def test_an_answer_that_is_the_real_one_agrees(text: str, action: str) -> None:
    assert compare([text] * 3, text, action=action, at=AT).verdict == "AGREES"


@given(
    real=st.lists(st.text(max_size=60), min_size=1, max_size=3),
    simulated=st.text(max_size=60),
    action=st.text(max_size=20),
    is_table=st.booleans(),
)
def test_any_texts_have_a_verdict_and_evidence_where_it_is_bad(
    real: list[str], simulated: str, action: str, is_table: bool
) -> None:
    found = compare(real, simulated, action=action, is_table=is_table, at=AT)
    assert found.verdict in SEVERITY
    assert found.verdict == found.flags[0]
    assert 0 <= found.masked <= 1
    if found.verdict in HALLUCINATIONS:
        assert found.evidence or found.aligned


def test_what_differs_is_said_with_its_lines_and_not_more_than_a_person_reads() -> None:
    real = "\n".join(f"line number {n} has value {n}" for n in range(1000))
    wrong = "\n".join(f"line number {n} has value {n + 1}" for n in range(1000))
    found = compare([real], wrong, action="cat f")
    assert found.verdict == "WRONG_VALUE"
    assert len(found.evidence) <= 20
    assert len(found.aligned) <= 400
