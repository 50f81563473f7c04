"""The first changed paths of many."""

from __future__ import annotations

from plumb_backends.real.changed import FirstPaths


def test_the_first_paths_are_kept_and_the_others_counted() -> None:
    first = FirstPaths(most=3, most_bytes=100)
    for number in range(100, 0, -1):
        first.add(f"/{number:03}", "added")
    found = first.result()
    assert list(found.kinds) == ["/001", "/002", "/003"]
    assert found.left_out == ("97 more paths",)


def test_long_paths_take_no_more_memory_than_short_ones() -> None:
    first = FirstPaths(most=2000, most_bytes=10_000)
    for number in range(2000):
        first.add(f"/{number:04}" + "x" * 3500, "added")
        assert sum(map(len, first._kinds)) < 50_000
    assert first.result().left_out == ("1998 more paths",)
