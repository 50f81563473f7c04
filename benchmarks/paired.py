"""A paired step beside its two sides alone, in one run: it should take as long as the slower one.

    make bench                          # or: python benchmarks/paired.py [--out FILE.json]

The model is an endpoint of this process, speaking the OpenAI protocol over HTTP, that replies after
a fixed time. Once the real side is the slower one (`sleep 0.2` against 20 ms), once the model is
(200 ms against `echo hi`).
"""

import argparse
import asyncio
import json
import os
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import fastapi
import uvicorn
from measure import Timings, as_json, failed, in_turns, machine, table_of
from rich.console import Console

from plumb_cli.local_server import server_at
from plumb_client import aio

OURS = "paired"
ROUNDS = 40
CASES = {"the real side is slower": ("sleep 0.2", 0.02), "the model is slower": ("echo hi", 0.2)}


@asynccontextmanager
async def _endpoint() -> AsyncIterator[tuple[str, dict[str, float]]]:
    """A model that replies after `delay["seconds"]`."""
    delay = {"seconds": 0.0}
    app = fastapi.FastAPI()

    @app.post("/v1/chat/completions")
    async def complete(_: dict[str, Any]) -> dict[str, Any]:
        await asyncio.sleep(delay["seconds"])
        reply = {"output": "hi\n", "exit_code": 0, "cwd": "/root", "seconds": 0}
        message = {"role": "assistant", "content": json.dumps(reply)}
        return {"id": "1", "object": "chat.completion", "created": 1, "model": "m",
                "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 1, "completion_tokens": 1}}  # fmt: skip

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))
        serving = asyncio.create_task(server._serve([listener]))
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1", delay
        finally:
            server.should_exit = True
            await serving


async def _measure(plumb: aio.Plumb, action: str) -> dict[str, Timings]:
    simulator = {"model": "m", "strategy": "naive"}
    async with (
        plumb.session("shell", "real") as real,
        plumb.session("shell", "simulated", simulator=simulator) as simulated,
        plumb.session("shell", "paired", simulator=simulator) as paired,
    ):
        ways: dict[str, Callable[[], Awaitable[object]]] = {
            OURS: lambda: paired.step(action),
            "real alone": lambda: real.step(action),
            "simulated alone": lambda: simulated.step(action),
        }
        for way in ways.values():  # warm
            await way()
        # The history grows by a turn a step on both simulated sides alike.
        return await in_turns(ways, dict.fromkeys(ways, ROUNDS))


async def main() -> int:
    """Measures, prints, and writes; returns 1 where a pair takes longer than it may."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    console = Console()
    results = {}
    bars = []
    async with _endpoint() as (url, delay):
        os.environ["OPENAI_BASE_URL"] = url
        with server_at(None) as server:
            async with server.connect() as plumb:
                for title, (action, seconds) in CASES.items():
                    delay["seconds"] = seconds
                    timings = await _measure(plumb, action)
                    console.print(table_of(f"A paired step; {title}", timings, OURS))
                    slower = max(t.percentile(50) for n, t in timings.items() if n != OURS)
                    ratio = timings[OURS].percentile(50) / slower
                    bars.append((f"paired / the slower side, {title}", ratio, 1.1))
                    console.print(f"paired takes {ratio:.3f} times as long as the slower side\n")
                    results[title] = as_json(timings, OURS)
    if arguments.out:
        arguments.out.write_text(json.dumps({"machine": machine(), "results": results}, indent=2))
    missed = failed(bars)
    for line in missed:
        console.print(f"missed: {line}", style="red")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
