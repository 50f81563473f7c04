"""`plumb play`: plays scenarios on real sandboxes, and prints what came of it."""

import argparse
import asyncio
import re
import sys
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from plumb_bench.labels import sentence, shown
from plumb_bench.lines import BadLine
from plumb_bench.player import Played, play_all
from plumb_bench.scenario import Scenario, read_scenarios
from plumb_bench.table import table_of
from plumb_bench.transcript import to_line
from plumb_cli.access import Access
from plumb_cli.local_server import server_at
from plumb_cli.visible import say

_FONT_FACE = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what the command takes."""
    parser.add_argument("scenarios", nargs="+", type=Path, metavar="SCENARIOS.jsonl")
    parser.add_argument("--server", metavar="HOST:PORT", help="default: one of its own")
    parser.add_argument("--parallel", type=int, default=4, metavar="N", help="default: 4")
    parser.add_argument(
        "--timeout", type=float, default=10.0, metavar="S", help="of each action; default: 10"
    )
    parser.add_argument("--picture", type=Path, metavar="FILE.svg", help="draw the table, too")
    parser.add_argument(
        "--record", type=Path, metavar="FILE.jsonl", help="write what was observed as transcripts"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Plays. Returns 1 when a scenario could not be played to its end, 2 for bad input."""
    try:
        scenarios = read_scenarios(arguments.scenarios)
    except (BadLine, OSError) as error:
        say(f"plumb play: {error}", sys.stderr)
        return 2
    console = Console(record=arguments.picture is not None)
    with server_at(arguments.server) as server:
        played = asyncio.run(_play(server, scenarios, arguments.parallel, arguments.timeout))
    if arguments.record:  # before anything is shown: what was played must not be lost
        lines = [to_line(one) + "\n" for one in played]
        arguments.record.write_text("".join(lines), encoding="utf-8", errors="replace")
    console.print(table_of(played))
    for one in played:
        if one.error:
            why = f"{shown(one.scenario.id)} could not be played: {sentence(one.error)}"
            console.print(Text(why, style="red"))
    if arguments.picture:
        arguments.picture.write_text(_picture(console), encoding="utf-8")
    return 1 if any(one.error for one in played) else 0


def _picture(console: Console) -> str:
    """What was printed, as SVG, without the fonts that it would load from elsewhere."""
    return _FONT_FACE.sub("", console.export_svg(title="plumb play"))


async def _play(
    server: Access, scenarios: list[Scenario], parallel: int, timeout: float
) -> list[Played]:
    columns = (TextColumn("playing"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=sum(len(scenario.actions) for scenario in scenarios))
        async with server.connect() as plumb:
            return await play_all(
                plumb,
                scenarios,
                timeout=timeout,
                parallel=parallel,
                on_turns=lambda turns: progress.advance(task, turns),
            )
