"""Explanations: every verdict has one, and its colour says what it means."""

from __future__ import annotations

import pytest

from plumb_fidelity.verdict import AGREEING, HALLUCINATIONS, SEVERITY, UNSCORED
from plumb_gateway.pages.explanations import EXPLANATIONS, tone


def test_every_verdict_is_explained_and_nothing_else_is() -> None:
    assert tuple(EXPLANATIONS) == SEVERITY


@pytest.mark.parametrize("verdict", SEVERITY)
def test_an_explanation_is_a_sentence(verdict: str) -> None:
    assert EXPLANATIONS[verdict][0].isupper()
    assert EXPLANATIONS[verdict].endswith(".")


def test_the_colours_are_those_of_the_differ_s_classes() -> None:
    tones = {name: tone(name) for name in SEVERITY}
    assert {name for name in tones if tones[name] == "right"} == AGREEING
    assert {name for name in tones if tones[name] == "open"} == UNSCORED
    assert {name for name in tones if tones[name] == "wrong"} == set(HALLUCINATIONS)
