"""Grounds tasks: each becomes a scenario whose init scripts ran, or a failure that says why.

What is done is written at once, line by line, so that a run can be interrupted and goes on where it
was. Beside the scenarios stand the records (attempts, check, captured state), and the failures.
"""

import asyncio
import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from plumb_bench.lines import parse_object
from plumb_bench.task import Task
from plumb_client import aio
from plumb_client.errors import PlumbError
from plumb_client.groundings import GeneratedGrounding, GroundingOptions


@dataclasses.dataclass(frozen=True, slots=True)
class Files:
    """Where the results go.

    Attributes:
        scenarios: One line for each task that was grounded.
        records: How it came about, one line for each of those.
        failures: One line for each task that was not, with every attempt.
    """

    scenarios: Path
    records: Path
    failures: Path

    @classmethod
    def beside(cls, scenarios: Path) -> "Files":
        """The other two stand beside the first."""
        return cls(
            scenarios,
            scenarios.with_suffix(".records.jsonl"),
            scenarios.with_suffix(".failures.jsonl"),
        )

    def begin(self) -> None:
        """Makes them empty."""
        for path in (self.scenarios, self.records, self.failures):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"")

    def resume(self) -> set[str]:
        """The tasks that are grounded; takes away what an interruption left of a last line.

        Failures are tried again.
        """
        done = {str(data.get("id")) for _, data in _whole_lines(self.scenarios)}
        _keep(self.scenarios, done)
        _keep(self.records, done)
        self.failures.write_bytes(b"")
        return done


def _whole_lines(path: Path) -> list[tuple[bytes, dict[str, Any]]]:
    """The lines that were written to their end."""
    if not path.exists():
        return []
    data = path.read_bytes()
    lines = data[: data.rfind(b"\n") + 1].splitlines(keepends=True)
    return [
        (line, parse_object(line, f"{path}, line {number}")) for number, line in enumerate(lines, 1)
    ]


def _keep(path: Path, done: set[str]) -> None:
    path.write_bytes(b"".join(line for line, data in _whole_lines(path) if data.get("id") in done))


async def ground_all(
    plumb: aio.Plumb,
    tasks: Sequence[Task],
    files: Files,
    *,
    model: str,
    rounds: int = 5,
    parallel: int = 4,
    on_done: Callable[[Task, str], None] = lambda _, __: None,
) -> int:
    """Grounds tasks, so many at once; returns how many could not be.

    Args:
        plumb: The connection.
        tasks: What to ground.
        files: Where to write.
        model: Who writes the scripts.
        rounds: How often each may be tried.
        parallel: How many at once.
        on_done: Is told of each task and why it failed; empty if it did not.
    """
    places = asyncio.Semaphore(parallel)

    async def one(task: Task) -> bool:
        options: GroundingOptions = {"rounds": rounds}
        if task.database:
            options["database"] = task.database
        async with places:
            try:
                generated = await plumb.generate_grounding(
                    task.environment, task.task, model, **options
                )
            except PlumbError as error:
                _append(files.failures, {"id": task.id, "error": str(error), "attempts": []})
                on_done(task, str(error))
                return False
        on_done(task, _write(files, task, generated))
        return generated.grounded

    return (await asyncio.gather(*map(one, tasks))).count(False)


def _write(files: Files, task: Task, generated: GeneratedGrounding) -> str:
    """Writes one result; returns why it failed."""
    attempts = [dataclasses.asdict(attempt) for attempt in generated.attempts]
    if not generated.grounded:
        error = generated.attempts[-1].error if generated.attempts else "nothing was tried"
        _append(files.failures, {"id": task.id, "error": error, "attempts": attempts})
        return error
    record = {
        "id": task.id,
        "check": dataclasses.asdict(generated.check) if generated.check else None,
        "state": [dataclasses.asdict(entry) for entry in generated.state],
        "state_cut": list(generated.state_cut),
        "attempts": attempts,
        "prompt_tokens": generated.prompt_tokens,
        "completion_tokens": generated.completion_tokens,
        "cost_usd": generated.cost_usd,
    }
    _append(files.records, record)
    scenario: dict[str, Any] = {"id": task.id, "environment": task.environment}
    if task.database:
        scenario["database"] = task.database
    scenario |= {
        "task": task.task,
        "init": list(generated.init),
        "actions": list(generated.actions),
        "tags": [*task.tags, "generated"],
    }
    _append(files.scenarios, scenario)  # the last: what is here is done
    return ""


def _append(path: Path, data: dict[str, Any]) -> None:
    with path.open("ab") as file:
        file.write(json.dumps(data, ensure_ascii=False).encode(errors="replace") + b"\n")
