"""JSON of very many values would hold up everybody while it is read: it is refused unread."""

from __future__ import annotations

import json

import pytest

from plumb_gateway.api.json_mapping import BadJson
from plumb_gateway.api.requests import MOST_TOKENS, read_object

MANY = 5_000_000


@pytest.mark.parametrize(
    "text",
    [
        b'{"a":[' + b"[]," * MANY + b"1]}",
        b'{"a":[' + b"{}," * MANY + b"1]}",
        b'{"a":[' + b"1," * MANY + b"1]}",
        b'{"a":[' + b'"",' * MANY + b"1]}",
        b'{"' + b'x":1,"' * MANY + b'y":1}',
        b"[" * MANY,
        ('{"a":[' + "[]," * MANY + "1]}"),
    ],
    ids=["lists", "objects", "numbers", "texts", "names", "depth", "a message of a socket"],
)
def test_a_body_of_millions_of_values_is_refused(text: bytes | str) -> None:
    with pytest.raises(BadJson, match=f"more than {MOST_TOKENS}"):
        read_object(text)


@pytest.mark.parametrize("action", ["INSERT INTO t VALUES " + "(1,2)," * 150_000, '"[{,' * 200_000])
def test_a_long_text_full_of_commas_and_brackets_is_one_value(action: str) -> None:
    assert read_object(json.dumps({"action": action})) == {"action": action}
    assert read_object(json.dumps({"action": action}).encode()) == {"action": action}


def test_an_unclosed_text_is_no_json_and_takes_no_time() -> None:
    with pytest.raises(BadJson, match="no JSON"):
        read_object(b'{"a": "' + b"\\,[{" * 1_000_000)
