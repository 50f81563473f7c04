"""The chart: how long each way takes, a panel for each subject that is measured in time."""

from collections.abc import Iterable
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from findings import Findings, Row, figure

_OURS, _OTHERS = "#0b6e4f", "#9aa5b1"
_BAR_INCHES = 0.28
_PANEL_INCHES = 0.75


def draw(findings: Iterable[Findings], path: Path, caption: str) -> None:
    """Draws it; the file's ending says as what.

    Args:
        findings: Of all subjects; panels are in their order.
        path: Where to.
        caption: What it was measured on.
    """
    panels = _panels(findings)
    if not panels:
        return
    heights = [_PANEL_INCHES + _BAR_INCHES * len(rows) for rows in panels.values()]
    with mpl.rc_context({"svg.hashsalt": "plumb", "svg.fonttype": "none"}):
        drawing = Figure(figsize=(9, sum(heights) + 0.4), layout="constrained")
        grid = drawing.add_gridspec(len(panels), 1, height_ratios=heights)
        for number, (subject, rows) in enumerate(panels.items()):
            _panel(drawing.add_subplot(grid[number]), subject, rows)
        drawing.supxlabel(f"p50 with p95 as whisker, logarithmic\n{caption}", fontsize=8)
        drawing.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


def _panels(findings: Iterable[Findings]) -> dict[str, list[Row]]:
    panels: dict[str, list[Row]] = {}
    for row in (row for one in findings for row in one.rows):
        if row.unit == "ms" and row.p50 is not None:
            panels.setdefault(row.subject, []).append(row)
    return {subject: rows for subject, rows in panels.items() if len(rows) > 1}


def _panel(axes: Axes, subject: str, rows: list[Row]) -> None:
    medians = [row.p50 or 0.0 for row in rows]
    whiskers = [
        max(0.0, (row.p95 or median) - median) for row, median in zip(rows, medians, strict=True)
    ]
    axes.barh(
        range(len(rows)),
        medians,
        xerr=[[0.0] * len(rows), whiskers],
        color=[_OURS if row.is_ours else _OTHERS for row in rows],
        error_kw={"ecolor": "#52606d", "elinewidth": 1, "capsize": 2},
    )
    axes.set_yticks(range(len(rows)), [row.way for row in rows], fontsize=8)
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.set_title(f"{subject}, ms", loc="left", fontsize=9, fontweight="bold")
    axes.tick_params(axis="x", which="both", labelsize=7)
    axes.xaxis.set_major_formatter("{x:,g}")
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_xlim(min(medians) / 2, max(m + w for m, w in zip(medians, whiskers, strict=True)) * 3)
    for place, (median, whisker) in enumerate(zip(medians, whiskers, strict=True)):
        axes.text((median + whisker) * 1.1, place, figure(median), va="center", fontsize=7)
