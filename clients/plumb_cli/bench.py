"""`plumb bench`: how faithful are simulators? Both sides are run, compared, and reported."""

import argparse
import asyncio
import dataclasses
import importlib.metadata
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from plumb_bench.labelled import LabelledPair, read_labelled
from plumb_bench.labels import sentence, shown
from plumb_bench.leaderboard import table_of
from plumb_bench.lines import BadLine
from plumb_bench.preflight import check_plan
from plumb_bench.records import Records, settings_of
from plumb_bench.runner import Plan, Runner, real_jobs, simulated_jobs
from plumb_bench.scenario import read_scenarios
from plumb_bench.scoring import score
from plumb_bench.simulators import ModelOptions, Simulator, read_simulators
from plumb_bench.trajectory import FREE, TEACHER, Trajectory
from plumb_cli.access import Access
from plumb_cli.local_server import server_at
from plumb_cli.visible import say
from plumb_client import aio

_MODES = {"free": (FREE,), "teacher": (TEACHER,), "both": (FREE, TEACHER)}
_MOST_REPLICAS = 20
_STATUSES = (
    "exit status: 0, everything was measured; 1, the report is written, and something is not in it "
    "(a scenario that could not be run for real, a step of a live simulator that was not answered, "
    "a chart), or the server failed; 2, the input was refused and nothing was started."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what the command takes."""
    parser.description = (
        "Runs scenarios for real and on simulators, compares every step, and writes "
        "report.json, steps.jsonl and report.html."
    )
    parser.epilog = _STATUSES
    parser.add_argument("scenarios", nargs="+", type=Path, metavar="SCENARIOS.jsonl")
    parser.add_argument(
        "--simulator", action="append", default=[], metavar="SPEC",
        help="transcripts:FILE, model:NAME, baseline:NAME or sqlite; may come several times",
    )  # fmt: skip
    parser.add_argument(
        "--strategy", action="append", metavar="S",
        help="of models: naive, few_shot, grounded (default), snapshot, ledger, tools; may come "
        "several times",
    )  # fmt: skip
    parser.add_argument("--reason", action="store_true", help="models think first")
    parser.add_argument("--critic", action="store_true", help="a second call criticises models")
    parser.add_argument("--temperature", type=float, metavar="T", help="default: the endpoint's")
    parser.add_argument("--model-seed", type=int, metavar="N", help="default: none")
    parser.add_argument(
        "--mode", choices=_MODES, default="both",
        help="models over their own past, the real one, or both (default)",
    )  # fmt: skip
    parser.add_argument(
        "--replicas", type=int, default=3, metavar="N", help="real runs; default: 3"
    )
    parser.add_argument(
        "--probe-at", type=_turns, default=(1, 5, 10, 20, 0), metavar="T,T",
        help="turns after which the state is probed; 0 is the last; default: 1,5,10,20,0",
    )  # fmt: skip
    parser.add_argument(
        "--changes", action=argparse.BooleanOptionalAction, default=True,
        help="probe two real runs before and after every action, to tell how much it changes",
    )  # fmt: skip
    parser.add_argument(
        "--timeout", type=float, default=10.0, metavar="S", help="of each action; default: 10"
    )
    parser.add_argument("--parallel", type=int, default=4, metavar="N", help="default: 4")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of intervals; default: 0")
    parser.add_argument("--out", type=Path, default=Path("out"), metavar="DIR", help="default: out")
    parser.add_argument("--resume", action="store_true", help="go on where a run was interrupted; "
                        "what failed is played again")  # fmt: skip
    parser.add_argument("--labelled", type=Path, action="append", default=[],
                        metavar="PAIRS.jsonl", help="judge these pairs, too, and report how often "
                        "the verdict is the label")  # fmt: skip
    parser.add_argument("--server", metavar="HOST:PORT", help="default: one of its own")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Benchmarks. See `_STATUSES` for what it returns."""
    try:
        plan = _plan(arguments)
        labelled = [pair for path in arguments.labelled for pair in read_labelled(path)]
        records = Records(arguments.out)
        settings = settings_of(
            plan.scenarios,
            plan.simulators,
            replicas=plan.replicas,
            modes=list(plan.modes),
            probe_at=list(plan.probe_at),
            changes=plan.probes_changes,
            timeout=plan.timeout,
            temperature=arguments.temperature,
            model_seed=arguments.model_seed,
        )
        records.check(settings, resume=arguments.resume)
        with server_at(arguments.server) as server:
            asyncio.run(_run(server, plan, records, settings, resume=arguments.resume))
    except (BadLine, OSError) as error:
        say(f"plumb bench: {error}", sys.stderr)
        return 2
    return _report(plan, records, settings, arguments.seed, labelled)


def _plan(arguments: argparse.Namespace) -> Plan:
    """Reads everything before anything starts.

    Raises:
        BadLine: Something is wrong with it.
        OSError: A file cannot be read.
    """
    _check_range("--replicas", arguments.replicas, 1, _MOST_REPLICAS)
    _check_range("--parallel", arguments.parallel, 1, 64)
    scenarios = read_scenarios(arguments.scenarios)
    if not scenarios:
        raise BadLine(f"{arguments.scenarios[0]}: there is no scenario in it")
    simulators = read_simulators(arguments.simulator, scenarios, _model_options(arguments))
    return Plan(
        scenarios=scenarios,
        simulators=simulators,
        replicas=arguments.replicas,
        modes=_MODES[arguments.mode],
        probe_at=arguments.probe_at,
        probes_changes=arguments.changes,
        timeout=arguments.timeout,
        parallel=arguments.parallel,
    )


def _check_range(name: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise BadLine(f"{name} is {value}; use {least} to {most}")


def _model_options(arguments: argparse.Namespace) -> ModelOptions:
    return ModelOptions(
        strategies=arguments.strategy or ("grounded",),
        reason=arguments.reason,
        critic=arguments.critic,
        temperature=arguments.temperature,
        seed=arguments.model_seed,
    )


def _turns(text: str) -> Sequence[int]:
    try:
        turns = tuple(int(turn) for turn in text.split(",") if turn.strip())
    except ValueError:
        turns = (-1,)
    if any(turn < 0 for turn in turns):
        raise argparse.ArgumentTypeError(f"{text!r} is no list of turns; use for example 1,5,10")
    return turns


async def _run(
    server: Access, plan: Plan, records: Records, settings: dict[str, Any], *, resume: bool
) -> None:
    async with server.connect() as plumb:
        await check_plan(plumb, plan)
        records.begin(settings, resume=resume)
        await _play(plumb, plan, records)


async def _play(plumb: aio.Plumb, plan: Plan, records: Records) -> None:
    jobs = [*real_jobs(plan), *simulated_jobs(plan)]
    sizes = {scenario.id: len(scenario.actions) for scenario in plan.scenarios}
    left = [job for job in jobs if job.key not in records.done]
    total, done = (sum(sizes[job.scenario.id] for job in some) for some in (jobs, left))
    console = Console(stderr=True)
    columns = (TextColumn("steps"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task("", total=total, completed=total - done)

        def note(one: Trajectory) -> None:
            progress.advance(bar, sizes[one.scenario])
            if one.failure:
                why = f"{shown(one.scenario)}, {shown(one.side)}: {sentence(one.failure)}"
                console.print(Text(why, style="red"))

        await Runner(plumb, plan, records, note).run()


def _report(
    plan: Plan,
    records: Records,
    settings: dict[str, Any],
    seed: int,
    labelled: Sequence[LabelledPair],
) -> int:
    # Here: they bring scipy and matplotlib, seconds.
    from plumb_bench.labelled_accuracy import measure
    from plumb_bench.report import write_report

    scored = score(plan.scenarios, plan.simulators, records.done.values())
    accuracy = measure(labelled).to_json() if labelled else None
    written = write_report(
        records.folder, scored, _record(plan, settings, seed), seed=seed, labelled=accuracy
    )
    console = Console()
    console.print(table_of(written.report))
    wrong = [*_unmeasured(written.report), *map(sentence, written.failures)]
    for why in wrong:
        console.print(Text(why, style="red"))
    console.print(Text(f"report: {written.page or records.folder}"), soft_wrap=True)
    return 1 if wrong else 0


def _unmeasured(report: Mapping[str, Any]) -> Iterator[str]:
    """What is in no figure, one sentence each."""
    for name, why in report["not_run"].items():
        yield f"{shown(name)} could not be run for real: {sentence(why)}"
    for row in report["rows"]:
        failed = row["backend_failures"]
        if failed and row["model"]:  # a recording that ends early is no failure of this run
            answered = (
                f"answered {row['steps'] - failed}" if failed < row["steps"] else "answered none"
            )
            yield (
                f"{shown(row['simulator'])} ({row['mode']}) {answered} of {row['steps']} steps, "
                "and the rest counts as wrong: --resume plays it again; steps.jsonl says why"
            )


def _record(plan: Plan, settings: dict[str, Any], seed: int) -> dict[str, Any]:
    """How the run came about, for whoever wants to do it again."""
    simulators = [_described(simulator) for simulator in plan.simulators]
    version = importlib.metadata.version("plumb")
    return {**settings, "seed": seed, "plumb": version, "simulator_options": simulators}


def _described(simulator: Simulator) -> dict[str, Any]:
    described = dataclasses.asdict(dataclasses.replace(simulator, transcripts={}))
    return {**described, "transcripts": len(simulator.transcripts)}
