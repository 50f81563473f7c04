"""Readers of files and of actions: every input is read, or refused with the reader's own error."""

from __future__ import annotations

import asyncio
import contextlib
import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from plumb_backends.simulated.cassette import BadCassette, Cassette
from plumb_backends.sql.statements import split
from plumb_bench.lines import BadLine
from plumb_bench.scenario import parse_scenario
from plumb_bench.transcript import parse_transcript

SCENARIO = {"id": "a", "environment": "shell", "task": "t", "init": ["true"], "actions": ["ls"],
            "tags": ["x"], "database": "shop"}  # fmt: skip
TRANSCRIPT = {
    "scenario": "a",
    "simulator": {"model": "m", "strategy": "naive"},
    "turns": [{"action": "ls", "observation": "a", "exit_code": 0}],
}
RECORD = {
    "key": "k",
    "model": "m",
    "asked": "a",
    "reply": {"content": "t", "finish_reason": "stop", "prompt_tokens": 1},
}
DEEP = b"[" * 100_000
"""Deeper than any reader's stack."""

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


def near(valid: dict[str, Any]) -> st.SearchStrategy[bytes]:
    """Lines that are nearly right: a field is missing, is something else, or is one too many."""
    changed = st.dictionaries(st.sampled_from([*valid, "other"]), _JSON, max_size=2).map(
        lambda changes: json.dumps(valid | changes)
    )
    without = st.sampled_from([*valid]).map(
        lambda field: json.dumps({name: value for name, value in valid.items() if name != field})
    )
    cut = st.integers(0, 200).map(lambda size: json.dumps(valid)[:size])
    text = st.one_of(changed, without, cut, _JSON.map(json.dumps))
    return st.one_of(st.binary(max_size=80), text.map(str.encode))


def check_texts(value: object) -> None:
    """Whatever was read can be sent, and written into a report."""
    json.dumps(repr(value)).encode()
    for text in value if isinstance(value, (list, tuple)) else [value]:
        if isinstance(text, str):
            text.encode()


SURROGATE = json.dumps(SCENARIO | {"actions": ["\ud800"]}).encode()


@given(near(SCENARIO))
@example(DEEP)
@example(SURROGATE)
@example(json.dumps(SCENARIO | {"id": "\udfff"}).encode())
def test_a_line_is_a_scenario_or_a_bad_line(line: bytes) -> None:
    try:
        scenario = parse_scenario(line, "file, line 1")
    except BadLine:
        return
    for value in (scenario.id, scenario.task, scenario.init, scenario.actions, scenario.tags):
        check_texts(value)


@given(near(TRANSCRIPT))
@example(DEEP)
@example(json.dumps(TRANSCRIPT | {"turns": [{"action": "\ud800", "observation": ""}]}).encode())
def test_a_line_is_a_transcript_or_a_bad_line(line: bytes) -> None:
    try:
        transcript = parse_transcript(line, "file, line 1")
    except BadLine:
        return
    check_texts([transcript.scenario, transcript.label])
    for turn in transcript.turns:
        check_texts([turn.action, turn.text])


@given(st.lists(near(RECORD), max_size=3), st.booleans())
@example([DEEP], True)
@example([json.dumps(RECORD | {"reply": {"content": 1, "finish_reason": ""}}).encode()], True)
def test_a_file_is_a_cassette_or_a_bad_one(lines: list[bytes], ends: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cassette.jsonl"
        path.write_bytes(b"\n".join(lines) + b"\n" * ends)
        with contextlib.suppress(BadCassette):
            reply = asyncio.run(Cassette(path).find("k"))
            assert reply is None or isinstance(reply.content, str | None)


_SQL = st.lists(
    st.sampled_from(
        [b"USE shop", b"shop", b".", b"t", b"`", b"'", b'"', b";", b" ", b"\\G", b"/*!50000 ",
         b"*/", b"-- ", b"\n", b"delimiter //\n", b"//", b"BEGIN", b"END", b"CREATE PROCEDURE p()",
         b"IF", b"SELECT * FROM ", b"\x00", b"\xff", b"@", b"SHOW TABLES FROM ", b"IN ", b"("]
    )
    | st.binary(max_size=4),
    max_size=40,
).map(b"".join)  # fmt: skip


@given(_SQL)
def test_every_action_is_split_and_no_statement_says_what_the_action_does_not(
    action: bytes,
) -> None:
    for statement in split(action).statements:
        said = statement.text
        if statement.is_use and said not in action:  # the client quotes the word itself
            said = said.removeprefix(b"USE `").removesuffix(b"`").replace(b"``", b"`")
            action = action.replace(b"\\", b"")
        assert said in action


@pytest.mark.parametrize("depth", [10, 100_000])
def test_a_deep_line_names_its_place(depth: int) -> None:
    with pytest.raises(BadLine, match=r"^here: "):
        parse_scenario(b"[" * depth, "here")
