"""Output made to be expensive costs its own session, and its neighbours next to nothing.

How little is a line of `make bench` (`neighbours`); here a step of a neighbour has a wide net.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest

import plumb_client

if TYPE_CHECKING:
    from tests.integration.service.conftest import Server

_NET = 3.0
"""Seconds for a neighbour's `echo`, which takes some milliseconds; each attack took 8 to 46 s."""

_ALONE: dict[str, Any] = {}
_PAIRED: dict[str, Any] = {
    "backend": "paired",
    "simulator": {"model": "baseline:always_error"},
}

_ATTACKS: dict[str, tuple[dict[str, Any], str]] = {
    "erases of a far cell": (
        _ALONE,
        r"printf '\e[65536Gx'; yes $'\e[1K' | tr -d '\n' | head -c 300000",
    ),
    "backspaces": (_ALONE, r"yes $'a\b' | tr -d '\n' | head -c 1000000"),
    "lines put in": (_ALONE, r"yes $'\e[40L\e[99B\e[119Gx' | tr -d '\n' | head -c 1000000"),
    "wide characters": (_ALONE, r"yes $'\u65e5\r\e[@' | tr -d '\n' | head -c 3000000"),
    "edits without end": (_ALONE, r"yes $'\e[A\e[M\e[1J'"),
    "one line many times": (_PAIRED, "yes a | head -32000"),
    "lines that all differ": (_PAIRED, "seq 30000"),
    "words that a pattern looks for": (_PAIRED, ": " + "shuf " * 16_000),
    "a long word": (_PAIRED, "head -c 60000 /dev/zero | tr '\\0' a; : " + "a" * 30_000),
}


@pytest.mark.parametrize("attack", _ATTACKS)
async def test_neighbours_go_on_while_output_is_expensive(server: Server, attack: str) -> None:
    options, action = _ATTACKS[attack]
    async with (
        plumb_client.aio.connect(server.address) as plumb,
        plumb.session("shell", **options) as attacker,
        plumb.session("shell") as neighbour,
    ):
        await neighbour.step("echo warm")
        attacking = asyncio.create_task(attacker.step(action, timeout=3))
        slowest = 0.0
        while not attacking.done():
            started = time.monotonic()
            assert (await neighbour.step("echo hi")).text == "hi\n"
            slowest = max(slowest, time.monotonic() - started)
        seen = await attacking
        assert slowest < _NET
        assert "\x1b" not in seen.text
        if options:
            assert seen.verdict is not None
        assert (await attacker.step("echo alive")).text == "alive\n"


async def test_a_heavy_action_ends_as_a_terminal_shows_it(server: Server) -> None:
    async with (
        plumb_client.aio.connect(server.address) as plumb,
        plumb.session("shell") as shell,
    ):
        seen = await shell.step(
            r"printf 'a: 0\nb: 0\n'; for i in {1..1500}; do"
            r" printf '\e[2A\e[2K\ra: %d\e[B\e[2K\rb: %d\e[B\r' $i $i; done; echo done",
            timeout=60,
        )
        assert seen.text == "a: 1500\nb: 1500\ndone\n"
