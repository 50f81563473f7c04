"""What benchmarks find: rows of the one table, and budgets that are met or missed. Pure."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from measure import Timings

OURS = "plumb"
SCHEMA = 1


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One way of doing something.

    Attributes:
        subject: What is done.
        way: Who does it; those that begin with `plumb` are ours.
        unit: Of the figures.
        runs: How often it was done.
        p50: The median; None where it could not be done.
        p95: None where there is only one figure.
        ratio: The median divided by that of ours.
        note: What a reader must know to compare it fairly.
    """

    subject: str
    way: str
    unit: str
    runs: int = 0
    p50: float | None = None
    p95: float | None = None
    ratio: float | None = None
    note: str = ""

    @property
    def is_ours(self) -> bool:
        """Whether it is printed in bold."""
        return self.way.startswith(OURS)


@dataclasses.dataclass(frozen=True, slots=True)
class Budget:
    """A bar that the design sets.

    Attributes:
        what: What is measured.
        measured: None where that was not possible.
        limit: The most that it may be, or the least.
        unit: Of both.
        is_least: Whether the limit is the least.
    """

    what: str
    measured: float | None
    limit: float
    unit: str
    is_least: bool = False

    @property
    def is_met(self) -> bool | None:
        """None where it was not measured."""
        if self.measured is None:
            return None
        return self.measured >= self.limit if self.is_least else self.measured <= self.limit

    @property
    def bar(self) -> str:
        """The limit, for people."""
        return f"{'≥' if self.is_least else '≤'} {figure(self.limit)} {self.unit}"


@dataclasses.dataclass(frozen=True, slots=True)
class Findings:
    """What one subject found."""

    rows: Sequence[Row]
    budgets: Sequence[Budget] = ()


def latencies(
    subject: str, timings: Mapping[str, Timings], ours: str, notes: Mapping[str, str]
) -> list[Row]:
    """A row for each way that took time, in milliseconds.

    Args:
        subject: What they did.
        timings: How long it took, by way.
        ours: The way that ratios are to.
        notes: By way.
    """
    base = p50(timings, ours)
    return [
        _latency(subject, way, taken, base, notes.get(way, "")) for way, taken in timings.items()
    ]


def _latency(subject: str, way: str, taken: Timings, base: float | None, note: str) -> Row:
    if not taken.seconds:
        why = taken.failures[0] if taken.failures else "it was not tried"
        return Row(subject=subject, way=way, unit="ms", note=f"not possible: {why}")
    if taken.failures:
        tries = len(taken.seconds) + len(taken.failures)
        failed = f"{len(taken.failures)} of {tries} failed: {taken.failures[0]}"
        note = f"{note}; {failed}" if note else failed
    median = taken.percentile(50)
    return Row(
        subject=subject,
        way=way,
        unit="ms",
        runs=len(taken.seconds),
        p50=median * 1000,
        p95=taken.percentile(95) * 1000,
        ratio=median / base if base else None,
        note=note,
    )


def with_ratios(rows: Sequence[Row], ours: str = OURS) -> list[Row]:
    """The same rows, of one subject, with their ratios to ours."""
    base = next((row.p50 for row in rows if row.way == ours), None)
    return [
        dataclasses.replace(row, ratio=row.p50 / base) if base and row.p50 is not None else row
        for row in rows
    ]


def p50(timings: Mapping[str, Timings], way: str) -> float | None:
    """The median in seconds, where there is one."""
    taken = timings.get(way)
    return taken.percentile(50) if taken is not None and taken.seconds else None


def ratio_of(timings: Mapping[str, Timings], numerator: str, denominator: str) -> float | None:
    """How many times longer one way takes than another, by the medians."""
    above, below = p50(timings, numerator), p50(timings, denominator)
    return above / below if above is not None and below else None


def milliseconds(seconds: float | None) -> float | None:
    """For budgets."""
    return None if seconds is None else seconds * 1000


def figure(value: float | None) -> str:
    """Three digits that count, and no more than two behind the point."""
    if value is None:
        return "-"
    for least, digits in ((100, 0), (10, 1)):
        if abs(value) >= least:
            return f"{value:,.{digits}f}"
    return f"{value:.2f}"


def as_json(findings: Iterable[Findings], about: Mapping[str, Any]) -> dict[str, Any]:
    """Everything for machines.

    Args:
        findings: Of all subjects.
        about: When, on what, and how often.
    """
    found = list(findings)
    return {
        "schema": SCHEMA,
        **about,
        "rows": [_rounded(dataclasses.asdict(row)) for one in found for row in one.rows],
        "budgets": [
            _rounded({**dataclasses.asdict(budget), "is_met": budget.is_met})
            for one in found
            for budget in one.budgets
        ],
    }


def _rounded(fields: dict[str, Any]) -> dict[str, Any]:
    return {
        name: float(f"{value:.4g}") if isinstance(value, float) else value
        for name, value in fields.items()
    }
