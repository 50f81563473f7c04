"""Writes a run's results: `steps.jsonl`, `report.json` and `report.html`, in this order.

A page or a chart that cannot be made costs nothing of what is there already.
"""

import base64
import dataclasses
import datetime
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2

from plumb_bench import labels
from plumb_bench.charts import Chart, draw_all
from plumb_bench.figures import CONTENTS, FACTS
from plumb_bench.scoring import RIGHT, Row, Scored, Step
from plumb_bench.steps import MOST_ALIGNED, around_differences, laid, step_lines
from plumb_bench.summary import FORMAT_VERSION, LEAST_COVERAGE, summarise
from plumb_fidelity.statuses import NAMES
from plumb_fidelity.verdict import SEVERITY

MOST_SHOWN_STEPS = 600
"""The browser shows so many steps that are not right, the most severe first; all are in
steps.jsonl."""

MOST_RIGHT_STEPS = 300
"""And so many that are right, for whoever wants to see what the differ lets pass."""


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


def write_report(
    folder: Path,
    scored: Scored,
    record: Mapping[str, Any],
    *,
    seed: int,
    labelled: Mapping[str, Any] | None = None,
) -> Written:
    """Writes all three files; first what was found, then what is drawn of it.

    Args:
        folder: Where.
        scored: What to report.
        record: How it came about: models, seeds, versions; goes into the report as it is.
        seed: Of sign flips and of planted errors.
        labelled: As in `summarise`.

    Raises:
        OSError: A file cannot be written.
    """
    _write(folder / "steps.jsonl", "".join(step_lines(scored)))
    figures = summarise(scored, seed=seed, labelled=labelled)
    report = {"version": FORMAT_VERSION, "record": dict(record), **figures}
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


_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)


def render(report: Mapping[str, Any], rows: Sequence[Row], charts: Mapping[str, Chart]) -> str:
    """Makes the page: one file that loads nothing, and runs no script but its own."""
    wrong, right = _browsed_steps(rows)
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
        span=_span,
        shown=labels.shown,
        sentence=labels.sentence,
    )
    return environment.get_template("report.html").render(
        report=report,
        charts=charts,
        script_hash=_script_hash(environment),
        least_coverage=LEAST_COVERAGE,
        contents=CONTENTS,
        facts=FACTS,
        statuses=NAMES,
        steps=[
            _browsed(row, step)
            for row, step in (*wrong[:MOST_SHOWN_STEPS], *right[:MOST_RIGHT_STEPS])
        ],
        hidden_steps=max(0, len(wrong) - MOST_SHOWN_STEPS) + max(0, len(right) - MOST_RIGHT_STEPS),
        made=datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
    )


def _script_hash(environment: jinja2.Environment) -> str:
    """Names the page's script for its security policy, which allows no other."""
    assert environment.loader is not None  # noqa: S101 - it was given one
    source, _, _ = environment.loader.get_source(environment, "report.html")
    found = _SCRIPT.search(source)
    assert found is not None  # noqa: S101 - the template has one script, and no markup in it
    return base64.b64encode(hashlib.sha256(found[1].encode()).digest()).decode()


def _browsed_steps(rows: Sequence[Row]) -> tuple[list[tuple[Row, Step]], list[tuple[Row, Step]]]:
    """Those that are not right, the most severe first, and those that are."""
    steps = sorted(((row, step) for row in rows for step in row.steps), key=_severity)
    return (
        [one for one in steps if one[1].outcome != RIGHT],
        [one for one in steps if one[1].outcome == RIGHT],
    )


def _severity(shown: tuple[Row, Step]) -> tuple[bool, int, str, int]:
    """Baselines last: they are wrong nearly everywhere, and nobody reads why."""
    row, step = shown
    is_baseline = row.simulator.model.startswith("baseline:")
    return is_baseline, SEVERITY.index(step.verdict.verdict), step.scenario, step.turn


def _browsed(row: Row, step: Step) -> dict[str, Any]:
    verdict = step.verdict
    aligned = laid(step)
    return {
        "id": f"{row.simulator.label}-{row.mode}-{step.scenario}-{step.turn}".replace(" ", "_"),
        "simulator": row.simulator.label,
        "mode": row.mode,
        "scenario": step.scenario,
        "turn": step.turn,
        "action": step.action,
        "verdict": verdict.verdict,
        "is_right": step.outcome == RIGHT,
        "flags": [name for name in verdict.flags if name != verdict.verdict],
        "evidence": verdict.evidence[:4],
        "statuses": (step.real.seen.status, step.simulated.seen.status),
        "aligned": around_differences(aligned)[:MOST_ALIGNED],
        "cut": max(0, len(aligned) - MOST_ALIGNED),
        "failure": step.simulated.failure,
        "wrong_state": [
            f"{suite}: {', '.join(score.wrong)}"
            for suite, score in step.state.items()
            if score.wrong
        ],
    }


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f}"  # noqa: RUF001 - a dash for nothing


def _interval(found: Mapping[str, Any] | None) -> str:
    return "" if found is None else f"{100 * found['low']:.0f} to {100 * found['high']:.0f}"


def _span(found: Mapping[str, Any]) -> str:
    """A rate: its value, or its bounds where too much is unknown."""
    if found["value"] is not None:
        return f"{100 * found['value']:.1f}"
    if found["low"] is None:
        return "–"  # noqa: RUF001 - see above
    return f"{100 * found['low']:.0f} to {100 * found['high']:.0f}"


def _number(value: float | None, digits: int = 2) -> str:
    return "–" if value is None else f"{value:.{digits}f}"  # noqa: RUF001 - see above
