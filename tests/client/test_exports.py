"""`__all__` is exactly what is exported."""

from __future__ import annotations

import types

import plumb_client


def test_all_is_exactly_what_is_exported() -> None:
    exported = {
        name
        for name, value in vars(plumb_client).items()
        if not name.startswith("_") and not isinstance(value, types.ModuleType)
    }
    assert set(plumb_client.__all__) == exported | {"aio"}


def test_all_is_sorted_and_holds_nothing_twice() -> None:
    assert plumb_client.__all__ == sorted(set(plumb_client.__all__))
