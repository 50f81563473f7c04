"""`plumb ground`: a model writes worlds for tasks, and they are run for real."""

import argparse
import asyncio
import sys
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from plumb_bench.grounding import Files, ground_all
from plumb_bench.labels import sentence, shown
from plumb_bench.lines import BadLine
from plumb_bench.task import Task, read_tasks
from plumb_cli.access import Access
from plumb_cli.local_server import server_at
from plumb_cli.visible import say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what the command takes."""
    parser.add_argument("tasks", nargs="+", type=Path, metavar="TASKS.jsonl")
    parser.add_argument("--out", type=Path, required=True, metavar="SCENARIOS.jsonl")
    parser.add_argument("--model", required=True, metavar="NAME", help="who writes the scripts")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="1 to 5; default: 5")
    parser.add_argument("--parallel", type=int, default=4, metavar="N", help="default: 4")
    parser.add_argument("--resume", action="store_true", help="go on where a run was interrupted")
    parser.add_argument("--server", metavar="HOST:PORT", help="default: one of its own")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Grounds. Returns 1 when a task could not be grounded, 2 for bad input."""
    files = Files.beside(arguments.out)
    try:
        tasks = read_tasks(arguments.tasks)
        done = _begin(files, resume=arguments.resume)
    except (BadLine, OSError) as error:
        say(f"plumb ground: {error}", sys.stderr)
        return 2
    left = [task for task in tasks if task.id not in done]
    with server_at(arguments.server) as server:
        skipped = len(tasks) - len(left)
        failed = asyncio.run(_ground(server, left, files, arguments, skipped=skipped))
    grounded = len(tasks) - failed
    print(f"{grounded} of {len(tasks)} tasks are grounded: {files.scenarios}; how: {files.records}")
    if failed:
        print(f"{failed} could not be: {files.failures}")
    return 1 if failed else 0


def _begin(files: Files, *, resume: bool) -> set[str]:
    if resume:
        return files.resume()
    if files.scenarios.exists():
        raise BadLine(f"{files.scenarios} is there already; --resume it, or name another --out")
    files.begin()
    return set()


async def _ground(
    server: Access, tasks: list[Task], files: Files, arguments: argparse.Namespace, *, skipped: int
) -> int:
    console = Console(stderr=True)
    columns = (TextColumn("grounding"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task("", total=len(tasks) + skipped, completed=skipped)

        def note(task: Task, error: str) -> None:
            progress.advance(bar)
            if error:
                console.print(Text(f"{shown(task.id)}: {sentence(error)}", style="red"))

        async with server.connect() as plumb:
            return await ground_all(
                plumb,
                tasks,
                files,
                model=arguments.model,
                rounds=arguments.rounds,
                parallel=arguments.parallel,
                on_done=note,
            )
