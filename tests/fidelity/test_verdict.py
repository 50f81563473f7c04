"""Verdicts of one pair: the class, the flags, and evidence that a person can read."""

from __future__ import annotations

import pytest

from plumb_fidelity.verdict import SEVERITY, Seen, backend_failure, compare

PROMPT = r"root@sandbox:[^\s#$]*[#$] ?"


def ok(text: str) -> Seen:
    return Seen(text=text, status="exit status 0", failed=False)


def failed(text: str, status: int = 1) -> Seen:
    return Seen(text=text, status=f"exit status {status}", failed=True)


CASES = [
    (ok("a\n"), ok("a\n"), "AGREES"),
    (ok("a\n"), ok("a"), "AGREES"),  # the end of the last line is not looked at
    (ok("1 row in set (0.00 sec)"), ok("1 row in set (1 min 2.15 sec)"), "AGREES"),
    (ok("a  b\n"), ok("a b\n"), "AGREES_BUT_LAYOUT"),
    (ok("a b"), ok("a\nb"), "AGREES_BUT_LAYOUT"),
    (ok(""), ok("x"), "SPURIOUS"),
    (ok("x"), ok(""), "EMPTY"),
    (ok("a\nb\n"), ok("b\na\n"), "WRONG_ORDER"),
    (ok("a\nb\nc\n"), ok("a\nc\n"), "OMITTED"),
    (ok("a\nb\n"), ok("a\nb\nc\n"), "FABRICATED"),
    (ok("a\nb\nc\n"), ok("a\nb"), "TRUNCATED"),
    (ok("total 3\n"), ok("total 4\n"), "WRONG_VALUE"),
    (failed("no"), ok(""), "FALSE_SUCCESS"),
    (failed("no"), ok("yes"), "FALSE_SUCCESS"),
    (ok("yes"), failed("no"), "FALSE_FAILURE"),
    (failed("not found", 127), failed("denied", 126), "WRONG_ERROR"),
    (ok("x"), ok("```\nx\n```"), "FORMAT_BREAK"),
    (ok("x"), ok("I'm sorry, I cannot do that."), "CHARACTER_BREAK"),
    (ok("x"), ok("x\nroot@sandbox:~# rm x"), "OVERRUN"),
]


@pytest.mark.parametrize(("real", "simulated", "verdict"), CASES)
def test_a_pair_has_its_class(real: Seen, simulated: Seen, verdict: str) -> None:
    found = compare(real, simulated, action="cmd arg", prompt=PROMPT)
    assert found.verdict == verdict
    assert found.flags[0] == verdict
    assert list(found.flags) == sorted(found.flags, key=SEVERITY.index)


def test_every_class_but_failure_of_a_backend_is_in_the_table_above() -> None:
    assert {case[2] for case in CASES} == set(SEVERITY) - {"BACKEND_FAILURE"}


def test_a_status_that_is_not_known_is_not_compared() -> None:
    assert compare(failed("x"), Seen(text="x"), action="cmd").verdict == "AGREES"


def test_what_the_real_thing_prints_too_is_no_break() -> None:
    text = "```\nx\n```"
    assert compare(ok(text), ok(text), action="cat x").verdict == "AGREES"


def test_evidence_names_the_side() -> None:
    found = compare(failed("no\nsame"), ok("yes\nsame"), action="cmd")
    assert found.evidence == (
        "real: exit status 1; simulated: exit status 0",
        "only real: no",
        "only simulated: yes",
    )
    assert found.flags == ("FALSE_SUCCESS", "WRONG_VALUE")


def test_long_evidence_is_cut_and_says_so() -> None:
    real = ok("".join(f"{number}\n" for number in range(1000)))
    evidence = compare(real, ok("none of them"), action="seq").evidence
    assert len(evidence) == 21
    assert evidence[-1] == "... 981 more lines differ"


def test_the_failure_of_a_backend_says_which_side_it_was() -> None:
    found = backend_failure("simulated", "ModelRefused: no")
    assert (found.verdict, found.evidence) == ("BACKEND_FAILURE", ("simulated: ModelRefused: no",))
