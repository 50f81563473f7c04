"""Writes a run's results: `steps.jsonl`, `report.json` and `report.html`, in this order.

A page or a chart that cannot be made costs nothing of what is there already.
"""

import base64
import dataclasses
import datetime
import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2

from plumb_bench import labels
from plumb_bench.charts import Chart, draw_all
from plumb_bench.scoring import Row, Scored, Step
from plumb_bench.summary import FORMAT_VERSION, summarise
from plumb_bench.trajectory import Turn
from plumb_fidelity.verdict import AGREEING, HALLUCINATIONS, SEVERITY, Aligned

MOST_SHOWN_STEPS = 600
"""The error browser shows so many steps, the most severe first; all are in steps.jsonl."""

_MOST_ALIGNED = 40


@dataclasses.dataclass(frozen=True, slots=True)
class Written:
    """What came of writing a report.

    Attributes:
        report: What `report.json` holds.
        page: Where the page is; None where it could not be made.
        failures: What could not be drawn, and why, one sentence each.
    """

    report: Mapping[str, Any]
    page: Path | None
    failures: tuple[str, ...]


def write_report(folder: Path, scored: Scored, record: Mapping[str, Any], *, seed: int) -> Written:
    """Writes all three files; first what was found, then what is drawn of it.

    Args:
        folder: Where.
        scored: What to report.
        record: How it came about: models, seeds, versions; goes into the report as it is.
        seed: Of the intervals and of the planted errors.

    Raises:
        OSError: A file cannot be written.
    """
    _write(folder / "steps.jsonl", "".join(_step_lines(scored.rows)))
    report = {"version": FORMAT_VERSION, "record": dict(record), **summarise(scored, seed=seed)}
    _write(folder / "report.json", json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    charts = draw_all(report)
    failures = [
        f"the chart of {name} could not be drawn: {chart.failure}"
        for name, chart in charts.items()
        if chart.failure
    ]
    page = folder / "report.html"
    try:
        text = render(report, scored.rows, charts)
    except Exception as error:  # noqa: BLE001 - the figures are on disk, and must be told of
        why = f"report.html could not be made: {type(error).__name__}: {error}"
        return Written(report, None, (*failures, why))
    _write(page, text)
    return Written(report, page, tuple(failures))


def _write(path: Path, text: str) -> None:
    part = path.with_name(path.name + ".part")
    part.write_text(text, encoding="utf-8", errors="replace")
    part.replace(path)


def _step_lines(rows: Sequence[Row]) -> Iterator[str]:
    for row in rows:
        for step in row.steps:
            line: dict[str, Any] = {
                "scenario": step.scenario,
                "simulator": row.simulator.label,
                "mode": row.mode,
                "turn": step.turn,
                "action": step.action,
                "real": _side(step.real),
                "simulated": _side(step.simulated),
                "verdict": step.verdict.verdict,
                "flags": list(step.verdict.flags),
                "evidence": list(step.verdict.evidence),
                "state": dict(step.state),
            }
            if step.verdict.verdict not in AGREEING:
                line["aligned"] = _aligned(step)
            yield json.dumps(line, ensure_ascii=False) + "\n"


def _aligned(step: Step) -> list[list[str | None]]:
    """The lines round the differences, as the differ laid them: real, simulated, mark."""
    aligned = list(step.verdict.aligned) or _side_by_side(step)
    shown = _around_differences(aligned)[:_MOST_ALIGNED]
    return [[one.real, one.simulated, one.mark] for one in shown]


def _side(turn: Turn) -> dict[str, Any]:
    known = {"exit_code": turn.exit_code, "errno": turn.errno, "ending": turn.ending or None}
    side: dict[str, Any] = {"text": turn.text}
    side |= {name: value for name, value in known.items() if value is not None}
    return side | ({"failure": turn.failure} if turn.failure else {})


_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)


def render(report: Mapping[str, Any], rows: Sequence[Row], charts: Mapping[str, Chart]) -> str:
    """Makes the page: one file that loads nothing, and runs no script but its own."""
    shown = sorted(_shown_steps(rows), key=_severity)
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("plumb_bench"),
        autoescape=True,  # everything that came from a sandbox or a model is text
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters.update(
        percent=_percent,
        interval=_interval,
        number=_number,
        shown=labels.shown,
        sentence=labels.sentence,
    )
    return environment.get_template("report.html").render(
        report=report,
        charts=charts,
        script_hash=_script_hash(environment),
        hallucinations=[
            name for name in HALLUCINATIONS if any(r["verdicts"].get(name) for r in report["rows"])
        ],
        steps=[_browsed(row, step) for row, step in shown[:MOST_SHOWN_STEPS]],
        hidden_steps=max(0, len(shown) - MOST_SHOWN_STEPS),
        made=datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
    )


def _script_hash(environment: jinja2.Environment) -> str:
    """Names the page's script for its security policy, which allows no other."""
    assert environment.loader is not None  # noqa: S101 - it was given one
    source, _, _ = environment.loader.get_source(environment, "report.html")
    found = _SCRIPT.search(source)
    assert found is not None  # noqa: S101 - the template has one script, and no markup in it
    return base64.b64encode(hashlib.sha256(found[1].encode()).digest()).decode()


def _shown_steps(rows: Sequence[Row]) -> Iterator[tuple[Row, Step]]:
    return (
        (row, step) for row in rows for step in row.steps if step.verdict.verdict not in AGREEING
    )


def _severity(shown: tuple[Row, Step]) -> tuple[bool, int, str, int]:
    """Baselines last: they are wrong nearly everywhere, and nobody reads why."""
    row, step = shown
    is_baseline = row.simulator.model.startswith("baseline:")
    return is_baseline, SEVERITY.index(step.verdict.verdict), step.scenario, step.turn


def _browsed(row: Row, step: Step) -> dict[str, Any]:
    verdict = step.verdict
    aligned = list(verdict.aligned) or _side_by_side(step)
    return {
        "id": f"{row.simulator.label}-{row.mode}-{step.scenario}-{step.turn}".replace(" ", "_"),
        "simulator": row.simulator.label,
        "mode": row.mode,
        "scenario": step.scenario,
        "turn": step.turn,
        "action": step.action,
        "verdict": verdict.verdict,
        "flags": [name for name in verdict.flags if name != verdict.verdict],
        "evidence": verdict.evidence[:4],
        "statuses": (step.real.seen.status, step.simulated.seen.status),
        "aligned": _around_differences(aligned)[:_MOST_ALIGNED],
        "cut": max(0, len(aligned) - _MOST_ALIGNED),
        "failure": step.simulated.failure,
    }


def _side_by_side(step: Step) -> list[Aligned]:
    """Where nothing was aligned, for only the status differs: both texts, line by line."""
    real, simulated = (turn.text.rstrip("\n").split("\n") for turn in (step.real, step.simulated))
    return [
        Aligned(
            real[at] if at < len(real) else None,
            simulated[at] if at < len(simulated) else None,
            "same" if real[at : at + 1] == simulated[at : at + 1] else "wrong",
        )
        for at in range(max(len(real), len(simulated)))
    ]


def _around_differences(aligned: Sequence[Aligned]) -> list[Aligned]:
    """The lines that differ, each with two equal ones round it."""
    wanted = {
        near
        for at, one in enumerate(aligned)
        if one.mark != "same"
        for near in range(at - 2, at + 3)
    }
    return [one for at, one in enumerate(aligned) if at in wanted] or list(aligned)


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f}"  # noqa: RUF001 - a dash for nothing


def _interval(found: Mapping[str, Any] | None) -> str:
    return "" if found is None else f"{100 * found['low']:.0f} to {100 * found['high']:.0f}"


def _number(value: float | None, digits: int = 2) -> str:
    return "–" if value is None else f"{value:.{digits}f}"  # noqa: RUF001 - see above
