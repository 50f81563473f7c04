"""The public door of the differ: one text is not a list of runs, and nothing is no answer."""

from __future__ import annotations

from typing import Any

import pytest

import plumb_fidelity
from plumb_fidelity import Seen


@pytest.mark.parametrize("real", ["a\nb\n", b"a", Seen(text="a"), None, 7])
def test_one_run_is_no_list_of_runs(real: Any) -> None:
    with pytest.raises(TypeError, match=r"real is a \w+; give a list of runs: real=\["):
        plumb_fidelity.compare(real, "a\nc\n")
    with pytest.raises(TypeError, match="elsewhere is a "):
        plumb_fidelity.compare(["a"], "a", elsewhere=real)


@pytest.mark.parametrize("wrong", [None, b"a", ["a"], 7])
def test_what_is_no_text_is_named_with_its_place(wrong: Any) -> None:
    with pytest.raises(TypeError, match=r"simulated is a .*; give a str or a Seen"):
        plumb_fidelity.compare(["a"], wrong)
    with pytest.raises(TypeError, match=r"real\[1\] is a .*; give a str or a Seen"):
        plumb_fidelity.compare(["a", wrong], "a")
