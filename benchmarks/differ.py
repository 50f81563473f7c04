"""How fast the differ is: pairs a second for outputs of 1 KB, and how time grows to 1 MB.

One process, one core. A live pair has one real run; a bench has three, which it learns once for all
simulators; learning them anew for every pair is the slowest way there is.
"""

import random
import statistics
import time

from plumb_fidelity import Seen, Truth

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


def main() -> None:
    """Prints the table."""
    print("differ, one core, medians of", REPEATS)
    ways = (("one real run", 1, False), ("three, learnt before", 3, True),
            ("three, learnt anew", 3, False))  # fmt: skip
    for way, replicas, is_learnt in ways:
        for name, agrees in (("agrees", True), ("differs", False)):
            rate = statistics.median(
                pairs_per_second(agrees=agrees, replicas=replicas, is_learnt=is_learnt)
                for _ in range(REPEATS)
            )
            print(f"  1 KB, {way}, {name}: {rate:,.0f} pairs/s")
    base = statistics.median(seconds_for(10_000) for _ in range(REPEATS))
    for size in (100_000, 1_000_000):
        found = statistics.median(seconds_for(size) for _ in range(REPEATS))
        print(f"  {size:>9,} bytes: {found / base:.1f} times as long as 10,000 "
              f"({size // 10_000} times the size)")  # fmt: skip


if __name__ == "__main__":
    main()
