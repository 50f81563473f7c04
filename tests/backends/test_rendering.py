"""Rendering with a bound on what it costs the event loop."""

from __future__ import annotations

import asyncio

import pytest

from plumb_backends import rendering, workers
from plumb_backends.capped import Capped
from plumb_backends.rendering import INLINE_WEIGHT, BoundedRendering, render_bounded
from plumb_backends.workers import WorkCut, open_workers
from plumb_fidelity.signature import render

_NET = 120.0
_HEAVY = b"".join(b"\x1b[1A\x1b[2K\r%d\n" % at for at in range(INLINE_WEIGHT))


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is rendered does not depend here on how busy the machine is."""
    monkeypatch.setattr(rendering, "BATCH_SECONDS", _NET)


async def _rendered(*pieces: bytes, seconds: float = _NET) -> str:
    followed = BoundedRendering(Capped(65_536), "test")
    for piece in pieces:
        followed.feed(piece)
    followed.end()
    await followed.wait(seconds)
    return followed.text.text()


async def test_ordinary_output_is_text_at_once() -> None:
    followed = BoundedRendering(Capped(65_536), "test")
    followed.feed(b"10%\r100%\r\n\x1b[31mred\x1b[m")
    followed.end()
    assert followed.text.text() == "100%\nred"


async def test_what_is_heavy_is_rendered_in_a_worker_and_ends_the_same() -> None:
    async with open_workers():
        assert await _rendered(b"top\n\n", *[_HEAVY] * 4, b"end") == render(
            b"top\n\n" + 4 * _HEAVY + b"end"
        )


async def test_heavy_output_in_pieces_that_cut_sequences_ends_the_same() -> None:
    pieces = [_HEAVY[start : start + 1001] for start in range(0, len(_HEAVY), 1001)]
    async with open_workers():
        assert await _rendered(*pieces) == render(_HEAVY)


async def test_the_loop_is_free_while_heavy_output_is_rendered() -> None:
    async with open_workers():
        task = asyncio.create_task(_rendered(*[_HEAVY] * 8))
        turns = 0
        while not task.done():
            turns += 1
            await asyncio.sleep(0.001)
    assert turns > 10


async def test_what_is_too_slow_is_read_without_its_movements_and_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def never(*_: object, deadline: float, owner: str) -> object:
        await asyncio.sleep(deadline)
        raise WorkCut(f"it took longer than {deadline} s")

    monkeypatch.setattr(workers, "run", never)
    text = await _rendered(b"first\n", _HEAVY, b"last", seconds=0.1)
    assert text.startswith("first\n\n[... from here on the cursor's movements are not followed: it")
    assert "took longer than 0.1 s" in text
    assert text.endswith("1998\n1999\nlast")
    assert "\x1b" not in text


async def test_what_a_worker_cannot_do_is_read_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendering, "BATCH_SECONDS", 0.0)
    async with open_workers():
        text = await _rendered(_HEAVY, b"\x1b[2", b"Klast")
    assert "are not followed: " in text
    assert text.endswith("\n1999\nlast")


async def test_what_waits_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendering, "MAX_WAITING_BYTES", 3 * len(_HEAVY))
    async with open_workers():
        text = await _rendered(*[_HEAVY] * 10, b"last")
    assert "there was too much of it" in text
    assert text.endswith("last")


async def test_a_whole_output_is_rendered_with_the_same_bound() -> None:
    async with open_workers():
        made = await render_bounded(3 * _HEAVY, max_bytes=4096, seconds=_NET, owner="test")
    assert made.text() == render(3 * _HEAVY)


async def test_rendering_ends_when_the_workers_go_down() -> None:
    followed = BoundedRendering(Capped(65_536), "test")
    async with open_workers():
        followed.feed(_HEAVY)
        await asyncio.sleep(0)
    followed.end()
    await followed.wait(_NET)
    assert followed.text.text()
