"""The folders that `plumb bench` wrote: figures, and every step with its verdict."""

import contextlib
import dataclasses
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from plumb_bench.lines import BadLine, parse_object
from plumb_gateway.folders import list_names, open_inside

_MOST_REPORT_BYTES = 64 * 1024 * 1024
_MOST_LINE_BYTES = 16 * 1024 * 1024
"""What is read into memory at once: a report, and a step; larger ones are none of the bench's."""


_OF_ROW = frozenset(
    ("simulator", "mode", "steps", "scored", "agreement", "false_success",
     "false_failure", "backend_failures")
)  # fmt: skip
_OF_REAL = frozenset(("scenarios", "steps", "replicas", "agreement"))
_OF_STEP = frozenset(
    ("scenario", "simulator", "mode", "turn", "action", "real", "simulated", "verdict", "flags",
     "evidence")
)  # fmt: skip
"""What the pages show of each; files of others that are named alike lack it."""


@dataclasses.dataclass(frozen=True, slots=True)
class Run:
    """One run.

    Attributes:
        name: Of its folder.
        runs: The folder that its folder is in.
        made: When its report was written: Unix time in seconds.
        report: What `report.json` holds; docs/fidelity.md says what the figures mean.
    """

    name: str
    runs: Path
    made: float
    report: dict[str, Any]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class StepFilter:
    """Which steps of a run are wanted; all that is set must hold.

    Attributes:
        verdict: With this verdict; `wrong` for every hallucination.
        simulator: Of this one.
        text: With this text in scenario, action or outputs, whatever its case.
    """

    verdict: str = ""
    simulator: str = ""
    text: str = ""

    def fits(self, step: dict[str, Any], wrong: Sequence[str]) -> bool:
        """Whether a step is wanted; `wrong` are the hallucinations."""
        if self.verdict and step["verdict"] not in (
            wrong if self.verdict == "wrong" else [self.verdict]
        ):
            return False
        if self.simulator and step["simulator"] != self.simulator:
            return False
        return not self.text or self.text.casefold() in _searched(step)


def _searched(step: dict[str, Any]) -> str:
    sides = (step[side].get("text", "") for side in ("real", "simulated"))
    return "\n".join((step["scenario"], step["action"], *sides)).casefold()


def list_runs(folder: Path) -> list[Run]:
    """The runs in a folder, newest first; what cannot be read is no run. Reads files."""
    found = [read_run(folder, name) for name in list_names(folder)]
    return sorted((run for run in found if run), key=lambda run: run.made, reverse=True)


def read_run(folder: Path, name: str) -> Run | None:
    """One run; None where there is none of this name. Reads a file."""
    try:
        with open_inside(folder, name, "report.json") as file:
            report = parse_object(_read_whole(file), f"{name}/report.json")
            made = os.fstat(file.fileno()).st_mtime
    except (OSError, BadLine):
        return None
    return Run(name, folder, made, report) if _is_report(report) else None


def _read_whole(file: BinaryIO) -> bytes:
    data = file.read(_MOST_REPORT_BYTES + 1)
    if len(data) > _MOST_REPORT_BYTES:
        raise BadLine(f"the report has more than {_MOST_REPORT_BYTES} bytes")
    return data


def _is_report(report: dict[str, Any]) -> bool:
    rows = report.get("rows")
    has_rows = isinstance(rows, list) and all(
        _has(_OF_ROW, row) and _is_share(row["agreement"]) for row in rows
    )
    return has_rows and _has(_OF_REAL, report.get("real"))


def _is_share(data: object) -> bool:
    """Whether something is a figure with its interval, or the lack of one."""
    parts = ("value", "low", "high")
    return data is None or (
        isinstance(data, dict) and all(isinstance(data.get(part), float | int) for part in parts)
    )


def _has(fields: frozenset[str], data: object) -> bool:
    return isinstance(data, dict) and fields <= data.keys()


def find_steps(
    run: Run, wanted: StepFilter, wrong: Sequence[str], first: int, most: int
) -> tuple[list[dict[str, Any]], int]:
    """A page of steps, and how many there are on all pages together. Reads a file.

    Args:
        run: Whose.
        wanted: Which.
        wrong: The verdicts that are hallucinations.
        first: How many to leave out before.
        most: How many to give.
    """
    page: list[dict[str, Any]] = []
    number = 0
    for step in _steps(run):
        if not wanted.fits(step, wrong):
            continue
        if first <= number < first + most:
            page.append(step)
        number += 1
    return page, number


def _steps(run: Run) -> Iterator[dict[str, Any]]:
    """The steps of a run; a line that is none is left out, as the one is that is being written."""
    with contextlib.suppress(OSError), open_inside(run.runs, run.name, "steps.jsonl") as file:
        for line in iter(lambda: file.readline(_MOST_LINE_BYTES), b""):
            with contextlib.suppress(BadLine):
                step = parse_object(line, "steps.jsonl")
                if _has(_OF_STEP, step):
                    yield step
