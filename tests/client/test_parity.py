"""The synchronous and the asynchronous client have the same methods with the same parameters."""

from __future__ import annotations

import inspect

import pytest

from plumb_client import aio, sync

PAIRS = {
    name: (getattr(sync, name), getattr(aio, name))
    for name in ("Plumb", "AgentSession", "Session", "Stream")
}


def public(cls: type) -> dict[str, object]:
    return {name: value for name, value in vars(cls).items() if not name.startswith("_")}


@pytest.mark.parametrize("name", PAIRS)
def test_both_have_the_same_public_members(name: str) -> None:
    one, other = PAIRS[name]
    assert set(public(one)) == set(public(other))


@pytest.mark.parametrize(
    ("name", "member"), [(name, member) for name in PAIRS for member in public(PAIRS[name][1])]
)
def test_both_take_the_same_parameters(name: str, member: str) -> None:
    one, other = (public(cls)[member] for cls in PAIRS[name])
    if isinstance(one, property):
        assert isinstance(other, property)
        return
    assert callable(one)
    assert callable(other)
    assert [
        (parameter.name, parameter.kind, parameter.default)
        for parameter in inspect.signature(one).parameters.values()
    ] == [
        (parameter.name, parameter.kind, parameter.default)
        for parameter in inspect.signature(other).parameters.values()
    ]


def test_both_connect_alike() -> None:
    assert str(inspect.signature(sync.connect)) == str(inspect.signature(aio.connect))


@pytest.mark.parametrize("name", ["Plumb", "AgentSession", "Session"])
def test_both_are_context_managers(name: str) -> None:
    one, other = PAIRS[name]
    assert hasattr(one, "__enter__")
    assert hasattr(one, "__exit__")
    assert hasattr(other, "__aenter__")
    assert hasattr(other, "__aexit__")
