"""The tree of errors."""

from __future__ import annotations

import inspect
import re

import pytest

from plumb_backends import errors
from plumb_backends.errors import LimitReached, PlumbError

CLASSES = [value for value in vars(errors).values() if inspect.isclass(value)
           and value.__module__ == errors.__name__]  # fmt: skip
TREE = (errors.__doc__ or "").partition("* PlumbError")[2]


def _drawn_below() -> dict[str, str]:
    """Each class that is drawn in the docstring, and what it is drawn below."""
    below, parent = {}, ""
    for line in TREE.splitlines():
        if top := re.match(r"  x (\w+)", line):
            parent = top[1]
            below[parent] = "PlumbError"
        elif sub := re.match(r"    - ([\w, ]+?)\s*(?:  |$)", line):
            below |= dict.fromkeys(sub[1].split(", "), parent)
    return below


def test_every_class_is_drawn_below_its_base() -> None:
    real = {cls.__name__: cls.__bases__[0].__name__ for cls in CLASSES if cls is not PlumbError}
    assert _drawn_below() == real


@pytest.mark.parametrize("error", CLASSES)
def test_every_error_is_a_plumb_error_with_a_docstring(error: type[Exception]) -> None:
    assert issubclass(error, PlumbError)
    assert error.__doc__


def test_metadata_is_a_copy_of_what_was_given() -> None:
    facts = {"a": "b"}
    error = PlumbError("why", facts)
    facts.clear()
    assert (str(error), error.metadata) == ("why", {"a": "b"})
    assert PlumbError("why").metadata == {}


def test_a_limit_says_which_and_when_to_try_again() -> None:
    error = LimitReached("full", limit="sessions", retry_after=2.0)
    assert (error.metadata, error.retry_after) == ({"limit": "sessions"}, 2.0)
