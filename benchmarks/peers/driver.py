"""The loop of a peer's driver: orders as JSON lines in, what they took as JSON lines out.

Drivers run on the Python of their peer's environment, which has nothing of ours. The time is taken
here, so that the way through the pipe counts for nobody.
"""

import asyncio
import json
import os
import shlex
import sys
import time
from typing import Any, Protocol, TextIO


class Sandbox(Protocol):
    """What a peer can do."""

    async def create(self) -> None:
        """Makes a sandbox that is ready for commands."""

    async def run(self, command: str) -> str:
        """Runs a line of bash in it, and returns what it printed."""
        ...

    async def remove(self) -> None:
        """Ends it, as the peer does."""


def argv_of(command: str) -> list[str]:
    """For peers that start a program: without a shell where the line needs none."""
    words = shlex.split(command)
    return words if shlex.join(words) == command else ["bash", "-c", command]


def serve(sandbox: Sandbox) -> None:
    """Does what stdin says until it ends."""
    # Peers print as they like; the answers go where nothing else does.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    asyncio.run(_serve(sandbox, answers))


async def _serve(sandbox: Sandbox, answers: TextIO) -> None:
    answers.write(json.dumps({"ready": True}) + "\n")
    answers.flush()
    while line := await asyncio.to_thread(sys.stdin.readline):
        answers.write(json.dumps(await _answer(sandbox, json.loads(line))) + "\n")
        answers.flush()


async def _answer(sandbox: Sandbox, order: dict[str, str]) -> dict[str, Any]:
    text = ""
    started = time.perf_counter()
    try:
        match order["do"]:
            case "create":
                await sandbox.create()
            case "run":
                text = await sandbox.run(order["command"])
            case "remove":
                await sandbox.remove()
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what is reported
        return {"error": f"{type(error).__name__}: {_first_line(str(error))}"}
    seconds = time.perf_counter() - started
    return {"seconds": seconds, "size": len(text), "text": text[-1000:]}


def _first_line(message: str) -> str:
    lines = [line.strip().removeprefix("ERROR: ") for line in message.splitlines() if line.strip()]
    return lines[0][:300] if lines else "it says nothing more"
