"""Answers of plumb's own program: whole, or none."""

from __future__ import annotations

import random

import pytest

from plumb_backends.real.guest import Answer, Frames, request, texts


def frame(text: bytes) -> bytes:
    return len(text).to_bytes(4, "big") + text


WHOLE = frame(b"a") + frame(b"b\0\n" * 1000) + frame(b"")


@pytest.mark.parametrize("size", [1, 2, 3, 5, 4096])
def test_an_answer_is_the_same_in_pieces_of_any_size(size: int) -> None:
    answer = Answer(10_000)
    for start in range(0, len(WHOLE), size):
        answer.feed(WHOLE[start : start + size])
    assert answer.is_whole
    assert answer.frames == [b"a", b"b\0\n" * 1000]


@pytest.mark.parametrize("end", range(len(WHOLE) - 1, 0, -331))
def test_an_answer_that_was_cut_short_is_none(end: int) -> None:
    answer = Answer(10_000)
    answer.feed(WHOLE[:end])
    assert not answer.is_whole


def test_what_comes_after_the_end_is_no_part_of_it() -> None:
    answer = Answer(10_000)
    assert not answer.feed(WHOLE + frame(b"forged"))
    assert answer.frames == [b"a", b"b\0\n" * 1000]


def test_an_answer_that_is_too_long_is_not_kept() -> None:
    answer = Answer(1000)
    assert not answer.feed(frame(b"x" * 2000) + frame(b""))
    assert (answer.frames, answer.is_whole) == ([], False)


def test_no_bytes_make_it_raise() -> None:
    dice = random.Random(1)
    for _ in range(200):
        answer = Answer(1000)
        answer.feed(dice.randbytes(200))
        assert sum(map(len, answer.frames)) <= 200


def test_a_frame_that_is_not_there_is_empty() -> None:
    frames = Frames([b"3", b"abc", b"0"])
    assert (frames.take_sized(), frames.take_sized(), frames.take_sized()) == (b"abc", b"", b"")
    assert not frames


def test_a_request_tells_its_size_and_ends_each_text() -> None:
    assert request([b"a", *texts(["b", "\udcff"])]) == b"\0\0\0\x08a\x002\0b\0\xff\0"
