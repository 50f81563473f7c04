"""The output of a step: in order, with offsets, for readers that come late or read slowly."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from plumb_server.output_log import KEPT_OUTPUT_BYTES, MAX_CHUNK_BYTES, Chunk, OutputLog
from plumb_server.steps import StepRun

if TYPE_CHECKING:
    from tests.server.conftest import Kit


async def read(log: OutputLog, offset: int = 0) -> list[Chunk]:
    chunks: list[Chunk] = []
    while chunk := await log.next(offset):
        chunks.append(chunk)
        offset = chunk.offset + len(chunk.data)
    return chunks


def closed_log(*pieces: bytes) -> OutputLog:
    log = OutputLog()
    for piece in pieces:
        log.add(piece)
    log.close()
    return log


async def test_pieces_come_in_order_with_their_offsets() -> None:
    log = OutputLog()
    seen = []
    for offset, piece in ((0, b"ab"), (2, b"c"), (3, b"def")):
        log.add(piece)
        seen.append(await log.next(offset))
    assert seen == [Chunk(0, b"ab"), Chunk(2, b"c"), Chunk(3, b"def")]


async def test_small_pieces_that_wait_are_given_together() -> None:
    assert await read(closed_log(b"ab", b"c", b"def")) == [Chunk(0, b"abcdef")]


async def test_a_log_without_output_ends_at_once() -> None:
    assert await read(closed_log()) == []
    assert await read(closed_log(b"")) == []


@pytest.mark.parametrize("offset", range(8))
async def test_reading_resumes_at_any_offset_even_inside_a_piece(offset: int) -> None:
    chunks = await read(closed_log(b"ab", b"c", b"def"), offset)
    assert b"".join(chunk.data for chunk in chunks) == b"abcdef"[offset:]
    assert not chunks or chunks[0].offset == offset


async def test_a_reader_waits_for_output_and_for_the_end(kit: Kit) -> None:
    log = OutputLog()
    first = asyncio.create_task(log.next(0))
    await asyncio.sleep(0)
    assert not first.done()
    log.add(b"a")
    assert await kit.soon(first) == Chunk(0, b"a")
    second = asyncio.create_task(log.next(1))
    await asyncio.sleep(0)
    assert not second.done()
    log.close()
    assert await kit.soon(second) is None


async def test_many_readers_read_the_same_at_their_own_pace(kit: Kit) -> None:
    log = OutputLog()
    readers = [asyncio.create_task(read(log)) for _ in range(3)]
    for index in range(10):
        log.add(b"%d" % index)
        await asyncio.sleep(0)
    log.close()
    readers.append(asyncio.create_task(read(log)))  # and one that comes late
    for chunks in await kit.soon(asyncio.gather(*readers)):
        assert b"".join(chunk.data for chunk in chunks) == b"0123456789"


async def test_a_large_piece_is_cut_into_chunks_of_at_most_64_kib() -> None:
    data = bytes(range(256)) * 1024
    chunks = await read(closed_log(data))
    assert max(len(chunk.data) for chunk in chunks) == MAX_CHUNK_BYTES == 65536
    assert b"".join(chunk.data for chunk in chunks) == data


async def test_only_the_last_mebibyte_is_kept_and_a_late_reader_sees_the_gap_in_the_offset() -> (
    None
):
    pieces = [bytes([index]) * 65536 for index in range(20)]
    chunks = await read(closed_log(*pieces))
    assert chunks[0].offset == 20 * 65536 - KEPT_OUTPUT_BYTES
    assert b"".join(chunk.data for chunk in chunks) == b"".join(pieces)[-KEPT_OUTPUT_BYTES:]


async def test_a_slow_reader_goes_on_where_output_is_still_kept() -> None:
    log = OutputLog()
    log.add(b"a" * 10)
    seen = await log.next(0)
    assert seen == Chunk(0, b"a" * 10)
    log.add(b"b" * (KEPT_OUTPUT_BYTES + MAX_CHUNK_BYTES))
    log.add(b"c")
    log.close()
    gap = await log.next(10)
    assert gap is not None
    assert gap.offset > 10
    chunks = await read(log, 10)
    assert chunks[-1].data.endswith(b"c")
    assert chunks[-1].offset + len(chunks[-1].data) == 10 + KEPT_OUTPUT_BYTES + MAX_CHUNK_BYTES + 1


async def test_an_offset_behind_the_end_gives_the_end() -> None:
    assert await closed_log(b"abc").next(10**12) is None


async def test_an_answer_is_given_to_all_who_wait_now_and_later(kit: Kit) -> None:
    step = StepRun(1, kit.action(b"a"))
    assert not step.is_answered
    waiting = [asyncio.create_task(step.answer()) for _ in range(2)]
    await asyncio.sleep(0)
    step.settle(ValueError("no"))
    for call in (*waiting, step.answer()):
        assert isinstance(await kit.fails_soon(call), ValueError)
        assert step.is_answered
    assert await kit.soon(step.output.next(0)) is None


async def test_many_tiny_pieces_are_read_by_many_in_linear_time(kit: Kit) -> None:
    log = OutputLog()
    for _ in range(200_000):
        log.add(b"x")
    log.close()
    readers = await kit.soon(asyncio.gather(*(read(log) for _ in range(8))))
    for chunks in readers:
        assert len(chunks) <= 5
        assert sum(len(chunk.data) for chunk in chunks) == 200_000


async def test_a_reader_of_every_tiny_piece_gets_each_once(kit: Kit) -> None:
    log = OutputLog()
    reading = asyncio.create_task(read(log))
    for number in range(3000):
        log.add(b"%04d" % number)
        await asyncio.sleep(0)
    log.close()
    seen = b"".join(chunk.data for chunk in await kit.soon(reading))
    assert seen == b"".join(b"%04d" % number for number in range(3000))
