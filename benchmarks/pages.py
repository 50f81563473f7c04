"""How fast pages are, and whether that depends on how much the journal has.

Two servers, one with 100 journaled sessions and one with 10,000, are asked in turns over HTTP; both
have one session with 100 turns and one that lives.
"""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx2 as httpx

from bench import Bench
from findings import Budget, Findings, latencies
from full_journal import write_journal
from measure import in_turns

FEW, MANY = 100, 10_000
STEPS = 10
TURNS = 100
LIST_OF_FEW, LIST_OF_MANY = f"plumb, sessions of {FEW}", f"plumb, sessions of {MANY:,}"
PAGE_OF_TURNS, ONE_SESSION = f"plumb, a session with {TURNS} turns", "plumb, GET /v1/sessions/{id}"
ROUNDS = 100
MOST_RATIO = 2.0


@asynccontextmanager
async def _served(folder: Path, number: int) -> AsyncIterator[httpx.AsyncClient]:
    """A server with a journal of so many sessions, one of them long."""
    journal = f"sqlite:///{folder}/{number}.sqlite"
    write_journal(journal, number - 1, STEPS)
    write_journal(journal, 1, TURNS, first=number - 1)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "plumb_cli", "serve", "--listen", "127.0.0.1:0",
        "--http", "127.0.0.1:0",
        env={**os.environ, "PLUMB_JOURNAL": journal, "PLUMB_LOG_LEVEL": "ERROR"},
        stdout=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        await process.stdout.readline()
        url = (await process.stdout.readline()).decode()
        async with httpx.AsyncClient(base_url=url.split()[-1], timeout=60) as http:
            yield http
    finally:
        process.terminate()
        await process.wait()


async def _get(http: httpx.AsyncClient, path: str) -> Any:
    answer = await http.get(path)
    answer.raise_for_status()
    return answer


async def measure(bench: Bench) -> Findings:
    """Measures each page."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        few = await stack.enter_async_context(_served(folder, FEW))
        many = await stack.enter_async_context(_served(folder, MANY))
        longest = (await _get(many, "/v1/journal/sessions?page_size=1")).json()["sessions"][0]
        made = await many.post("/v1/sessions", json={"kind": "shell"})
        live = f"/v1/{made.json()['session']['name']}"
        stack.push_async_callback(many.delete, live)
        ways: dict[str, Callable[[], Awaitable[object]]] = {
            LIST_OF_FEW: lambda: _get(few, "/sessions"),
            LIST_OF_MANY: lambda: _get(many, "/sessions"),
            PAGE_OF_TURNS: lambda: _get(many, f"/{longest['name']}"),
            ONE_SESSION: lambda: _get(many, live),
        }
        for way in ways.values():  # warm
            await way()
        taken = await in_turns(ways, dict.fromkeys(ways, bench.rounds(ROUNDS)))
    ratio = taken[LIST_OF_MANY].percentile(50) / taken[LIST_OF_FEW].percentile(50)
    what = f"sessions page, {MANY:,} / {FEW} sessions"
    return Findings(
        latencies("a page over HTTP", taken, LIST_OF_FEW, {}),
        [Budget(what, ratio, MOST_RATIO, "times")],
    )
