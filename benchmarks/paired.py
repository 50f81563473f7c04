"""A paired step beside its two sides alone: it should take as long as the slower one.

The model is an endpoint of this process, speaking the OpenAI protocol over HTTP, that replies after
a fixed time. Once the real side is the slower one (`sleep 0.2` against 20 ms), once the model is
(200 ms against `echo hi`).
"""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import fastapi
import uvicorn

from bench import Bench, server
from findings import Budget, Findings, Row, latencies
from measure import Action, Timings, in_turns
from plumb_client import aio

PAIRED = "plumb, paired"
ROUNDS = 40
CASES = {"the real side is slower": ("sleep 0.2", 0.02), "the model is slower": ("echo hi", 0.2)}
MOST_RATIO = 1.1


async def measure(bench: Bench) -> Findings:
    """Measures both cases."""
    rows: list[Row] = []
    budgets = []
    async with _endpoint() as (url, delay):
        with server(OPENAI_BASE_URL=url) as access:
            async with access.connect() as plumb:
                for case, (action, seconds) in CASES.items():
                    delay["seconds"] = seconds
                    timings = await _measure(plumb, action, bench.rounds(ROUNDS))
                    rows += latencies(f"paired step, {case}", timings, PAIRED, {})
                    slower = max(t.percentile(50) for n, t in timings.items() if n != PAIRED)
                    ratio = timings[PAIRED].percentile(50) / slower
                    what = f"paired step / the slower side, {case}"
                    budgets.append(Budget(what, ratio, MOST_RATIO, "times"))
    return Findings(rows, budgets)


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


async def _measure(plumb: aio.Plumb, action: str, rounds: int) -> dict[str, Timings]:
    simulator = {"model": "m", "strategy": "naive"}
    async with (
        plumb.session("shell", "real") as real,
        plumb.session("shell", "simulated", simulator=simulator) as simulated,
        plumb.session("shell", "paired", simulator=simulator) as paired,
    ):
        ways: dict[str, Action] = {
            PAIRED: lambda: paired.step(action),
            "real alone": lambda: real.step(action),
            "simulated alone": lambda: simulated.step(action),
        }
        for way in ways.values():  # warm
            await way()
        # The history grows by a turn a step on both simulated sides alike.
        return await in_turns(ways, dict.fromkeys(ways, rounds))
