"""The cassette: what misses, what hits, crashes, and two processes at one file."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from plumb_backends.simulated.cassette import BadCassette, Cassette, key_of
from plumb_backends.simulated.messages import ChatReply, ChatRequest, Message

REQUEST = ChatRequest(
    model="m",
    messages=(Message("system", "s"), Message("user", "a"), Message("assistant", "b"),
              Message("user", "c")),
    schema={"type": "object"},
    temperature=0.5,
    seed=1,
)  # fmt: skip
REPLY = ChatReply(content="gr\u00fc\u00dfe\n", finish_reason="stop", prompt_tokens=3,
                  completion_tokens=4)  # fmt: skip


def key(request: ChatRequest = REQUEST, **more: Any) -> str:
    return key_of(request, **{"prompts": "p", "grounding": "g", "sample": 1, **more})


def told(*contents: str) -> tuple[Message, ...]:
    return tuple(Message("user", content) for content in contents)


CHANGES: dict[str, str] = {
    "model": key(dataclasses.replace(REQUEST, model="n")),
    "temperature": key(dataclasses.replace(REQUEST, temperature=0.6)),
    "no temperature": key(dataclasses.replace(REQUEST, temperature=None)),
    "seed": key(dataclasses.replace(REQUEST, seed=2)),
    "reply length": key(dataclasses.replace(REQUEST, max_reply_tokens=5)),
    "schema": key(dataclasses.replace(REQUEST, schema={"type": "array"})),
    "no schema": key(dataclasses.replace(REQUEST, schema=None)),
    "prompt text": key(prompts="q"),
    "grounding": key(grounding="h"),
    "attempt": key(sample=2),
    "action": key(dataclasses.replace(REQUEST, messages=(*REQUEST.messages[:-1], *told("d")))),
    "an old turn": key(dataclasses.replace(
        REQUEST, messages=(REQUEST.messages[0], Message("user", "x"), *REQUEST.messages[2:]))),
    "less history": key(dataclasses.replace(
        REQUEST, messages=(REQUEST.messages[0], REQUEST.messages[3]))),
    "who said it": key(dataclasses.replace(REQUEST, messages=(
        *REQUEST.messages[:2], Message("user", "b"), REQUEST.messages[3]))),
}  # fmt: skip


@pytest.mark.parametrize("what", CHANGES)
def test_any_change_misses(what: str) -> None:
    assert CHANGES[what] != key()


def test_every_change_has_a_key_of_its_own() -> None:
    assert len(set(CHANGES.values())) == len(CHANGES)


def test_the_same_request_hits() -> None:
    assert key(dataclasses.replace(REQUEST)) == key()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "new" / "cassette.jsonl"


async def test_a_recorded_reply_is_found_whole_also_by_another_reader(path: Path) -> None:
    cassette = Cassette(path)
    assert await cassette.find("k") is None
    await cassette.add("k", REQUEST, REPLY)
    assert await cassette.find("k") == REPLY
    assert await Cassette(path).find("k") == REPLY


async def test_the_last_record_of_a_key_counts(path: Path) -> None:
    await Cassette(path).add("k", REQUEST, REPLY)
    newer = dataclasses.replace(REPLY, content="newer")
    await Cassette(path).add("k", REQUEST, newer)
    assert await Cassette(path).find("k") == newer


async def test_what_another_process_wrote_meanwhile_is_found(path: Path) -> None:
    one, other = Cassette(path), Cassette(path)
    await one.add("a", REQUEST, REPLY)
    assert await other.find("a") == REPLY
    await one.add("b", REQUEST, REPLY)
    assert await other.find("b") == REPLY


async def test_a_file_cut_by_a_crash_is_read_up_to_its_last_whole_record(path: Path) -> None:
    cassette = Cassette(path)
    for name in ("a", "b", "c"):
        await cassette.add(name, REQUEST, REPLY)
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    third = len(lines[0]) + len(lines[1])
    for cut in range(third, len(whole)):  # anywhere in the last record
        path.write_bytes(whole[:cut])
        read = Cassette(path)
        assert await read.find("b") == REPLY
        assert await read.find("c") is None


async def test_recording_goes_on_behind_the_last_whole_record(path: Path) -> None:
    await Cassette(path).add("a", REQUEST, REPLY)
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"key": "b", "rep' + b"x" * 200_000)
    reader = Cassette(path)
    assert await reader.find("a") == REPLY
    await Cassette(path).add("c", REQUEST, REPLY)
    assert await reader.find("c") == REPLY
    assert [json.loads(line)["key"] for line in path.read_text("utf-8").splitlines()] == ["a", "c"]


async def test_rubbish_in_the_middle_is_told_with_its_line(path: Path) -> None:
    await Cassette(path).add("a", REQUEST, REPLY)
    with path.open("ab") as file:
        file.write(b'{"key": "b"}\n')
    await Cassette(path).add("c", REQUEST, REPLY)
    with pytest.raises(BadCassette, match=r"cassette.jsonl:2: .*take the line out"):
        await Cassette(path).find("c")


WRITER = """
import asyncio, sys
from plumb_backends.simulated.cassette import Cassette
from plumb_backends.simulated.messages import ChatReply, ChatRequest, Message
from pathlib import Path

async def write():
    cassette = Cassette(Path(sys.argv[1]))
    for number in range(200):
        reply = ChatReply(content=f"{sys.argv[2]} {number} " + "x" * 5000, finish_reason="stop")
        request = ChatRequest(model="m", messages=(Message("user", "a"),))
        await cassette.add(f"{sys.argv[2]} {number}", request, reply)

asyncio.run(write())
"""


async def test_two_processes_can_record_into_one_file(path: Path) -> None:
    writers = [
        await asyncio.create_subprocess_exec(sys.executable, "-c", WRITER, str(path), name)
        for name in ("one", "other")
    ]
    assert [await writer.wait() for writer in writers] == [0, 0]
    cassette = Cassette(path)
    for name in ("one", "other"):
        for number in range(200):
            reply = await cassette.find(f"{name} {number}")
            assert reply is not None
            assert reply.content == f"{name} {number} " + "x" * 5000


async def test_a_writer_that_is_killed_leaves_whole_records_only(path: Path) -> None:
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path), "one"])
    while not (path.exists() and path.stat().st_size > 100_000):
        assert writer.poll() is None or path.stat().st_size > 100_000
        await asyncio.sleep(0.005)  # there is no event of another process's file
    writer.kill()
    writer.wait()
    await Cassette(path).add("after", REQUEST, REPLY)
    assert await Cassette(path).find("after") == REPLY
    assert await Cassette(path).find("one 0") is not None


async def test_a_lone_surrogate_in_a_reply_does_not_break_the_file(path: Path) -> None:
    await Cassette(path).add("k", REQUEST, dataclasses.replace(REPLY, content="\ud800"))
    assert await Cassette(path).find("k") is not None


async def test_nobody_else_may_read_a_cassette(path: Path) -> None:
    await Cassette(path).add("k", REQUEST, REPLY)
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o644)  # as it was made before
    await Cassette(path).add("l", REQUEST, REPLY)
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("tokens", [-1, 10**400, True])
async def test_a_recorded_usage_that_cannot_be_is_a_broken_record(path: Path, tokens: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    reply = dataclasses.asdict(REPLY) | {"prompt_tokens": tokens}
    path.write_text(json.dumps({"key": "k", "reply": reply}) + "\n")
    with pytest.raises(BadCassette, match="prompt_tokens"):
        await Cassette(path).find("k")
