"""What every benchmark needs: timings taken in turns, their percentiles, and the machine."""

import dataclasses
import os
import platform
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence

from rich.table import Table


@dataclasses.dataclass(frozen=True, slots=True)
class Timings:
    """The seconds that one way of doing something took, again and again."""

    seconds: tuple[float, ...]

    def percentile(self, percent: int) -> float:
        """A percentile, in seconds."""
        ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]


async def in_turns(
    ways: Mapping[str, Callable[[], Awaitable[object]]], rounds: Mapping[str, int]
) -> dict[str, Timings]:
    """Times several ways in turns, so that a noisy moment hits all of them.

    Args:
        ways: What to time.
        rounds: How often, by way; the slow ones are spread over the rounds of the others.
    """
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    most = max(rounds.values())
    for number in range(most):
        for name, way in ways.items():
            if number * rounds[name] // most == (number + 1) * rounds[name] // most:
                continue
            started = time.perf_counter()
            await way()
            seconds[name].append(time.perf_counter() - started)
    return {name: Timings(tuple(values)) for name, values in seconds.items()}


def table_of(title: str, timings: Mapping[str, Timings], ours: str) -> Table:
    """One row a way, with how many times longer than ours it takes."""
    table = Table(title=title, header_style="bold")
    table.add_column("way")
    for name in ("runs", "p50 ms", "p95 ms", "p50 / ours"):
        table.add_column(name, justify="right")
    base = timings[ours].percentile(50)
    for name, taken in timings.items():
        table.add_row(
            name,
            str(len(taken.seconds)),
            f"{taken.percentile(50) * 1000:.2f}",
            f"{taken.percentile(95) * 1000:.2f}",
            f"{taken.percentile(50) / base:.1f}",
            style="bold" if name == ours else None,
        )
    return table


def as_json(timings: Mapping[str, Timings], ours: str) -> dict[str, dict[str, float]]:
    """The same for machines; times in milliseconds."""
    base = timings[ours].percentile(50)
    return {
        name: {
            "runs": len(taken.seconds),
            "p50_ms": round(taken.percentile(50) * 1000, 3),
            "p95_ms": round(taken.percentile(95) * 1000, 3),
            "p50_ratio": round(taken.percentile(50) / base, 2),
        }
        for name, taken in timings.items()
    }


def machine() -> dict[str, str | int | None]:
    """What this was measured on, as far as it matters."""
    return {
        "cores": os.cpu_count(),
        "kernel": platform.release().split("-")[0],
        "python": platform.python_version(),
        "load": round(os.getloadavg()[0], 1).__str__(),
    }


def failed(bars: Sequence[tuple[str, float, float]]) -> list[str]:
    """Which bars were missed: (what, measured, at most)."""
    return [
        f"{what}: {measured:.2f}, at most {bar:.2f}"
        for what, measured, bar in bars
        if measured > bar
    ]
