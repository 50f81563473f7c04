"""What every benchmark needs: timings taken in turns, their percentiles, and the machine."""

import dataclasses
import math
import os
import platform
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

_GIVE_UP_AFTER = 3
"""Failures in a row after which a way is not tried again."""

Action = Callable[[], Awaitable[object]]


@dataclasses.dataclass(frozen=True, slots=True)
class Timings:
    """What one way of doing something took, again and again.

    Attributes:
        seconds: Of the times that went well.
        failures: What went wrong the other times.
    """

    seconds: tuple[float, ...]
    failures: tuple[str, ...] = ()

    def percentile(self, percent: int) -> float:
        """A percentile by the nearest rank, in seconds."""
        ordered = sorted(self.seconds)
        return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


@dataclasses.dataclass(frozen=True, slots=True)
class Took:
    """What an action returns that was timed elsewhere, so that its way here does not count."""

    seconds: float


class WayFailed(Exception):
    """One try of one way failed, which is a finding; the message says why."""


@dataclasses.dataclass(slots=True)
class _Tries:
    seconds: list[float] = dataclasses.field(default_factory=list)
    failures: list[str] = dataclasses.field(default_factory=list)
    failed_in_a_row: int = 0

    async def take(self, action: Action) -> None:
        started = time.perf_counter()
        try:
            returned = await action()
        except WayFailed as failure:
            self.failures.append(str(failure))
            self.failed_in_a_row += 1
            return
        taken = time.perf_counter() - started
        self.seconds.append(returned.seconds if isinstance(returned, Took) else taken)
        self.failed_in_a_row = 0


async def in_turns(ways: Mapping[str, Action], rounds: Mapping[str, int]) -> dict[str, Timings]:
    """Times several ways in turns, so that a noisy moment hits all of them.

    Args:
        ways: What to time. One that raises `WayFailed` three times in a row is left out from then
            on; anything else that it raises ends the benchmark.
        rounds: How often, by way; the slow ones are spread over the rounds of the others.
    """
    tries = {name: _Tries() for name in ways}
    most = max(rounds.values())
    for number in range(most):
        for name, way in ways.items():
            is_due = number * rounds[name] // most != (number + 1) * rounds[name] // most
            if is_due and tries[name].failed_in_a_row < _GIVE_UP_AFTER:
                await tries[name].take(way)
    return {
        name: Timings(tuple(taken.seconds), tuple(taken.failures)) for name, taken in tries.items()
    }


def joined(parts: Sequence[Mapping[str, Timings]]) -> dict[str, Timings]:
    """Timings that were taken at several times, by way."""
    names = dict.fromkeys(name for part in parts for name in part)
    taken = {name: [part[name] for part in parts if name in part] for name in names}
    return {
        name: Timings(
            tuple(second for timings in found for second in timings.seconds),
            tuple(failure for timings in found for failure in timings.failures),
        )
        for name, found in taken.items()
    }


def machine(engine: Mapping[str, Any]) -> dict[str, str | int | float]:
    """What this was measured on, as far as it matters, with the load before.

    Args:
        engine: What `docker version` says of the server.
    """
    one, five, _ = os.getloadavg()
    return {
        "cores": os.cpu_count() or 0,
        "processor": _field(Path("/proc/cpuinfo"), "model name"),
        "memory_gb": round(memory_bytes("MemTotal") / 1e9, 1),
        "memory_available_gb": round(memory_bytes("MemAvailable") / 1e9, 1),
        "kernel": platform.release().split("-")[0],
        "engine": str(engine["Version"]),
        "python": platform.python_version(),
        "load_1_minute": round(one, 2),
        "load_5_minutes": round(five, 2),
    }


def memory_bytes(name: str, path: Path = Path("/proc/meminfo")) -> int:
    """A figure that Linux keeps in kB: of the machine, or of a process from its `status`."""
    return int(_field(path, name).split()[0]) * 1024


def _field(path: Path, name: str) -> str:
    for line in path.read_text(encoding="utf-8").splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return ""
