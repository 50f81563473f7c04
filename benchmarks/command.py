"""Measures plumb beside others, everything in one run: `make bench`, or `python benchmarks`.

Prints the table and the budgets; writes results.json and results.svg. How to read them: README.md.
"""

import argparse
import asyncio
import datetime
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import docker
from rich.console import Console

import chart
import creation
import density
import differ
import health
import mysql_sessions
import neighbours
import output
import pages
import paired
import pool
import step
import sustained
from bench import Bench
from findings import Findings, as_json
from measure import machine
from table import budgets_table, numbered, rows_table

SUBJECTS: dict[str, Callable[[Bench], Awaitable[Findings]]] = {
    "step": step.measure,
    "creation": creation.measure,
    "pool": pool.measure,
    "sustained": sustained.measure,
    "density": density.measure,
    "output": output.measure,
    "mysql": mysql_sessions.measure,
    "health": health.measure,
    "paired": paired.measure,
    "neighbours": neighbours.measure,
    "pages": pages.measure,
    "differ": differ.measure,
}
"""A subject more is a file and a line here."""
_WIDTH = 120


def main(argv: Sequence[str] | None = None) -> int:
    """Measures, prints, writes; returns 1 where a budget is missed."""
    arguments = _parse(argv)
    os.environ.setdefault("PLUMB_LOG_LEVEL", "ERROR")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that nothing is left behind
    bench = Bench(scale=arguments.scale, with_peers=arguments.peers)
    with closing(docker.from_env()) as client:
        about: dict[str, Any] = {
            "measured_at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "scale": bench.scale,
            "machine": machine(client.version()),
        }
    findings = []
    progress = Console(stderr=True)
    load, cores = about["machine"]["load_1_minute"], about["machine"]["cores"]
    if load > cores:
        progress.print(f"the load is {load}, more than {cores} cores bear: measure again later")
    for name in arguments.only:
        progress.print(f"measuring {name} …", style="dim")
        findings.append(asyncio.run(_measure(name, bench)))
    console = Console(width=None if sys.stdout.isatty() else _WIDTH)
    console.print(rows_table(findings, about["machine"]))
    for note, number in numbered(findings).items():
        console.print(f"{number:>3}  {note}", highlight=False, markup=False)
    console.print(budgets_table(findings))
    if arguments.out:
        _write(arguments.out, as_json(findings, about), findings)
    return int(any(budget.is_met is False for one in findings for budget in one.budgets))


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("benchmarks", description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--only", type=_subjects, default=list(SUBJECTS), help=f"some of {','.join(SUBJECTS)}"
    )
    parser.add_argument("--scale", type=float, default=1.0, help="0.1: a tenth of the rounds")
    parser.add_argument("--no-peers", dest="peers", action="store_false", help="ours and Docker's")
    parser.add_argument("--out", type=Path, help="a folder for results.json and results.svg")
    return parser.parse_args(argv)


def _subjects(text: str) -> list[str]:
    names = text.split(",")
    for name in names:
        if name not in SUBJECTS:
            raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(SUBJECTS)}")
    return names


async def _measure(name: str, bench: Bench) -> Findings:
    return await SUBJECTS[name](bench)


def _write(folder: Path, results: dict[str, Any], findings: Sequence[Findings]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(results, indent=2, ensure_ascii=False)
    folder.joinpath("results.json").write_text(text + "\n", encoding="utf-8")
    on = results["machine"]
    caption = (
        f"{on['cores']} cores, {on['memory_gb']} GB, Linux {on['kernel']}, Docker {on['engine']}, "
        f"load before {on['load_1_minute']}; {results['measured_at']}"
    )
    chart.draw(findings, folder / "results.svg", caption)
