"""Tests the differ on recorded real runs: `python -m plumb_bench.mutation_check`.

Errors of every class are planted, with a fixed seed, in runs that were recorded once; each run is
also judged by the others. Fails where too few planted errors are found, or too much
is found in what is real.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from plumb_bench.lines import BadLine, parse_object, read_lines
from plumb_bench.mutation import LEAST_RECALL, MOST_FALSE_ALARMS, mutation_table, shortfalls
from plumb_bench.scenario import read_scenarios
from plumb_bench.scoring import score
from plumb_bench.trajectory import Trajectory

SEED = 20_261_124


def main(argv: Sequence[str] | None = None) -> int:
    """Prints the table; returns 1 where the differ falls short, 2 for bad input."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("scenarios", nargs="+", type=Path)
    parser.add_argument("--runs", type=Path, required=True, help="real trajectories")
    parser.add_argument("--seed", type=int, default=SEED)
    arguments = parser.parse_args(argv)
    try:
        scenarios = read_scenarios(arguments.scenarios)
        runs = [
            Trajectory.from_json(parse_object(line, place), place)
            for place, line in read_lines(arguments.runs)
        ]
    except (BadLine, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    scored = score(scenarios, [], runs)
    table = mutation_table(scored.truths, seed=arguments.seed)
    verdicts = [verdict for run in scored.floor for verdict in run if verdict.is_scored]
    alarms = sum(verdict.is_wrong for verdict in verdicts)
    sys.stdout.write(_text(table, alarms, len(verdicts)))
    short = shortfalls(table)
    if alarms > MOST_FALSE_ALARMS * len(verdicts) or not verdicts:
        short.append(f"{alarms} false alarms in {len(verdicts)} steps of real against real")
    for line in short:
        sys.stderr.write(f"the differ falls short: {line}\n")
    return 1 if short else 0


def _text(table: Mapping[str, Mapping[str, Mapping[str, Any]]], alarms: int, steps: int) -> str:
    lines = [f"planted errors found, of each class at least {LEAST_RECALL:.0%}:"]
    for kind, rows in table.items():
        for name, row in rows.items():
            share = "-" if row["recall"] is None else f"{row['recall']:.1%}"
            lines.append(f"  {kind:6} {name:21} {row['found']:4} of {row['planted']:4}  {share}")
    lines.append(
        f"false alarms, real against real, at most {MOST_FALSE_ALARMS:.0%}: {alarms} of {steps}"
    )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
