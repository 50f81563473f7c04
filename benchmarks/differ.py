"""How fast the differ is, pairs a second of 1 KB, how time grows to 1 MB; and how good it is.

One process, one core. A live pair has one real run; a bench has three, which it learns once for all
simulators; learning them anew for every pair is the slowest way there is. How good it is `make
check-differ` tells class by class; here is the class that it finds least often.
"""

import gc
import random
import statistics
import time
from pathlib import Path

from bench import Bench
from findings import Budget, Findings, Row
from plumb_bench.lines import parse_object, read_lines
from plumb_bench.mutation import LEAST_RECALL, MOST_FALSE_ALARMS, mutation_table
from plumb_bench.mutation_check import SEED
from plumb_bench.scenario import read_scenarios
from plumb_bench.scoring import score
from plumb_bench.trajectory import Trajectory
from plumb_fidelity import Seen, Truth
from plumb_fidelity.verdict import HALLUCINATIONS

_PROJECT = Path(__file__).resolve().parents[1]
_SCENARIOS = [_PROJECT / "scenarios" / f"{kind}.jsonl" for kind in ("shell", "mysql")]
_RUNS = _PROJECT / "tests" / "fidelity" / "data" / "real_runs.jsonl"
LEAST_PAIRS = 2000.0
MOST_TIMES_LINEAR = 1.5
"""Of ten times the size, what is still called linear: memory is slower where caches end."""
WAYS = {
    "one real run": (1, False),
    "three, learnt before": (3, True),
    "three, learnt anew": (3, False),
}
PAIRS = 2000
REPEATS = 5


def listing(lines: int, rng: random.Random) -> str:
    """What `ls -l` prints."""
    return "".join(
        f"-rw-r--r-- 1 root root {rng.randint(1, 99999):>6} Nov 24 13:{rng.randint(10, 59)} f{at}\n"
        for at in range(lines)
    )


def changed(text: str, rng: random.Random) -> str:
    """The same with one wrong size, one line more and one less."""
    lines = text.splitlines(keepends=True)
    at = rng.randrange(len(lines))
    lines[at] = lines[at].replace("root root", "root staff")
    del lines[rng.randrange(len(lines))]
    lines.insert(rng.randrange(len(lines)), "-rw-r--r-- 1 root root 1 Nov 24 13:00 other\n")
    return "".join(lines)


def pairs_per_second(*, agrees: bool, replicas: int, is_learnt: bool = False) -> float:
    """Of 1 KB each; all real runs but the first have other times."""
    rng = random.Random(1)
    work = []
    for _ in range(PAIRS):
        text = listing(20, rng)
        runs = [text, text.replace(":1", ":2"), text.replace(":1", ":3")][:replicas]
        truth = Truth([Seen(text=run) for run in runs], action="ls -l")
        work.append((truth, Seen(text=text if agrees else changed(text, rng))))
        _ = is_learnt and truth.masked
    started = time.perf_counter()
    for truth, simulated in work:
        truth.judge(simulated)
    return PAIRS / (time.perf_counter() - started)


def seconds_for(size: int) -> float:
    """For one pair that differs, of so many bytes."""
    rng = random.Random(2)
    text = listing(size // 50, rng)
    simulated = changed(text, rng)
    started = time.perf_counter()
    Truth([Seen(text=text)] * 3, action="ls -l").judge(Seen(text=simulated))
    return time.perf_counter() - started


async def measure(bench: Bench) -> Findings:
    """Measures speed, growth and quality."""
    gc.collect()
    gc.freeze()  # as the `plumb` command does: what other subjects left is not walked over again
    rounds = bench.rounds(REPEATS)
    rows, budgets = [], []
    for way, (replicas, is_learnt) in WAYS.items():
        rates = {
            said: statistics.median(
                pairs_per_second(agrees=agrees, replicas=replicas, is_learnt=is_learnt)
                for _ in range(rounds)
            )
            for said, agrees in (("agrees", True), ("differs", False))
        }
        rows += [
            Row(subject="differ, pairs of 1 KB", way=f"plumb, {way}, {said}", unit="pairs/s",
                runs=rounds, p50=rate)
            for said, rate in rates.items()
        ]  # fmt: skip
        what = f"differ, pairs of 1 KB, {way}"
        budgets.append(Budget(what, min(rates.values()), LEAST_PAIRS, "pairs/s", is_least=True))
    growth = _growth(bench)
    what = "differ, time for 1 MB / for 100 KB"
    rows.append(Row(subject=what, way="plumb", unit="times", runs=rounds, p50=growth))
    budgets.append(Budget(f"{what}; linear is 10", growth, 10 * MOST_TIMES_LINEAR, "times"))
    return Findings(rows, [*budgets, *_quality()])


def _growth(bench: Bench) -> float:
    rounds = max(3, bench.rounds(REPEATS))  # one alone is the noise of its moment
    few, many = (
        statistics.median(seconds_for(size) for _ in range(rounds)) for size in (100_000, 1_000_000)
    )
    return many / few


def _quality() -> list[Budget]:
    scenarios = read_scenarios(_SCENARIOS)
    runs = [
        Trajectory.from_json(parse_object(line, place), place) for place, line in read_lines(_RUNS)
    ]
    scored = score(scenarios, [], runs)
    table = mutation_table(scored.truths, seed=SEED)
    recalls = [row["recall"] for rows in table.values() for row in rows.values()]
    verdicts = [verdict for run in scored.floor for verdict in run if verdict.is_scored]
    alarms = sum(verdict.verdict in HALLUCINATIONS for verdict in verdicts)
    return [
        Budget("differ, recall of the planted class found least",
               100 * min(recall for recall in recalls if recall is not None),
               100 * LEAST_RECALL, "%", is_least=True),
        Budget("differ, false alarms, real against real",
               100 * alarms / len(verdicts), 100 * MOST_FALSE_ALARMS, "%"),
    ]  # fmt: skip
