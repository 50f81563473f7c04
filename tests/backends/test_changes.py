"""The engine's list of changes, and the first paths of many."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest

from plumb_backends.errors import SandboxUnavailable
from plumb_backends.real.changed import FirstPaths
from plumb_backends.real.engine.changes import read_changes

PATHS = ["/a", "/a/" + '"}{\\\n' * 5, "/b/\N{SNOWMAN}", "/c" * 2000]


async def _pieces(data: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


@pytest.mark.parametrize("size", [1, 7, 100_000])
@pytest.mark.parametrize("indent", [None, 1])
async def test_changes_are_read_in_pieces_of_any_size(size: int, indent: int | None) -> None:
    data = json.dumps([{"Kind": 1, "Path": path} for path in PATHS], indent=indent).encode()
    assert [path async for path, _ in read_changes(_pieces(data, size))] == PATHS


@pytest.mark.parametrize("data", [b"", b"null\n", b"[]"])
async def test_no_changes_are_none(data: bytes) -> None:
    assert [one async for one in read_changes(_pieces(data, 3))] == []


@pytest.mark.parametrize(
    "data", [b'{"message": "file name too long"}', b'[{"Kind":9,"Path":"/a"}]', b"[{" * 90_000]
)
async def test_what_is_no_list_of_changes_is_an_error(data: bytes) -> None:
    with pytest.raises(SandboxUnavailable):
        [one async for one in read_changes(_pieces(data, 1000))]


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
