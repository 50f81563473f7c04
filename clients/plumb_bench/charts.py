"""The report's charts, as SVG to be put into a page: sharp on paper, no scripts, no fonts.

Each chart says in its own words what it shows where there is nothing to draw.
"""

import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from plumb_fidelity.verdict import HALLUCINATIONS

_STYLE: Any = {
    "svg.fonttype": "none",  # text stays text: it can be searched, and is drawn in the page's font
    "svg.hashsalt": "plumb",  # the same figures give the same bytes
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#8a8f98",
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
}
_WIDTH = 5.4
_INK, _FLOOR, _GREY = "#1f5c99", "#b3541e", "#8a8f98"
# Okabe and Ito's colours, which colour-blind readers tell apart, and lighter ones of the same hues.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#b8a200", "#555b66",
            "#80b9d9", "#eaae80", "#80cfb9", "#e6bcd3", "#f2cf80", "#abdaf4", "#c4c7cc",
            "#222831")  # fmt: skip


def draw_all(report: Mapping[str, Any]) -> dict[str, str]:
    """All charts, by name: `agreement`, `classes`, `survival`, `cost`."""
    with mpl.rc_context(_STYLE):
        return {
            "agreement": _draw(_agreement, report, _height(report)),
            "classes": _draw(_classes, report, _height(report) + 0.9),
            "survival": _draw(_survival, report, 3.4),
            "cost": _draw(_cost, report, 3.4 if _asked_models(report) else 1.2),
        }


def _asked_models(report: Mapping[str, Any]) -> bool:
    return any(row["cost"]["prompt_tokens"] for row in report["rows"])


def _height(report: Mapping[str, Any]) -> float:
    return 1.3 + 0.34 * max(2, len(report["rows"]))


def _draw(
    chart: Callable[[Axes, Mapping[str, Any]], None], report: Mapping[str, Any], height: float
) -> str:
    figure = Figure(figsize=(_WIDTH, height), layout="constrained")
    figure.patch.set_alpha(0)
    axes = figure.subplots()
    axes.patch.set_alpha(0)
    chart(axes, report)
    out = io.StringIO()
    figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    text = out.getvalue()
    return text[text.index("<svg") :]  # without the declaration, which has no place in a page


def _names(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Short names: the mode only where a simulator has two."""
    labels = [row["simulator"] for row in rows]
    return [
        f"{row['simulator']}\n({row['mode']})"
        if labels.count(row["simulator"]) > 1
        else row["simulator"]
        for row in rows
    ]


def _agreement(axes: Axes, report: Mapping[str, Any]) -> None:
    rows = [row for row in report["rows"] if row["agreement"]]
    axes.set_title("Agreement with the real thing")
    if not rows:
        _say(axes, "no step could be scored")
        return
    places = range(len(rows))
    for place, row in zip(places, rows, strict=True):
        found = row["agreement"]
        axes.plot([found["low"], found["high"]], [place, place], color=_INK, lw=2)
        axes.plot(found["value"], place, "o", color=_INK, ms=6)
        side = -1 if found["value"] > 0.85 else 1
        axes.annotate(
            f"{found['value']:.0%}", (found["value"], place), (0, 6), textcoords="offset points",
            ha="right" if side < 0 else "left",
        )  # fmt: skip
    floor = report["real"]["agreement"]
    if floor:
        axes.axvline(floor["value"], color=_FLOOR, ls="--", lw=1.2)
        axes.annotate(
            f"real against real: {floor['value']:.1%}", (floor["value"], -0.75), (-4, 0),
            textcoords="offset points", color=_FLOOR, ha="right", va="center",
        )  # fmt: skip
    axes.set_yticks(list(places), _names(rows))
    axes.set_ylim(len(rows) - 0.4, -1.1)
    _percent(axes)
    axes.set_xlabel("share of scored steps, 95 % interval by trajectory")


def _classes(axes: Axes, report: Mapping[str, Any]) -> None:
    rows = [row for row in report["rows"] if row["scored"]]
    axes.set_title("Hallucinations in 100 steps, by class")
    present = [name for name in HALLUCINATIONS if any(row["verdicts"].get(name) for row in rows)]
    if not present:
        _say(axes, "no hallucination was found")
        return
    starts = [0.0] * len(rows)
    for name in present:
        widths = [100 * row["verdicts"].get(name, 0) / row["scored"] for row in rows]
        colour = _COLOURS[HALLUCINATIONS.index(name) % len(_COLOURS)]
        axes.barh(range(len(rows)), widths, left=starts, label=name, color=colour, height=0.62)
        starts = [start + width for start, width in zip(starts, widths, strict=True)]
    axes.set_yticks(range(len(rows)), _names(rows))
    axes.invert_yaxis()
    axes.set_xlim(0, max(starts) * 1.05)
    axes.legend(
        loc="upper center", bbox_to_anchor=(0.3, -0.12), ncols=3, frameon=False, fontsize=7,
        handlelength=1, columnspacing=1,
    )  # fmt: skip


def _survival(axes: Axes, report: Mapping[str, Any]) -> None:
    axes.set_title("Trajectories without a hallucination so far")
    rows = [row for row in report["rows"] if row["survival"]]
    if not rows:
        _say(axes, "there are no trajectories")
        return
    for at, (row, name) in enumerate(zip(rows, _names(rows), strict=True)):
        found = row["survival"]
        colour = _COLOURS[at % len(_COLOURS)]
        axes.step(
            found["turns"], found["surviving"], where="post", color=colour,
            label=name.replace("\n", " "),
        )  # fmt: skip
        axes.fill_between(
            found["turns"], found["low"], found["high"], step="post", color=colour, alpha=0.08, lw=0
        )
    axes.set_ylim(0, 1.02)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("turn (Kaplan-Meier, 95 % band)")
    axes.legend(frameon=False, fontsize=7)


def _cost(axes: Axes, report: Mapping[str, Any]) -> None:
    axes.set_title("Cost against agreement")
    rows = [row for row in report["rows"] if row["agreement"] and row["cost"]["prompt_tokens"]]
    if not rows:
        _say(axes, "no model was asked in this run: recordings and baselines cost nothing")
        return
    is_priced = all(row["cost"]["usd"] for row in rows)
    for row, name in zip(rows, _names(rows), strict=True):
        cost = row["cost"]
        tokens = cost["prompt_tokens"] + cost["completion_tokens"]
        x = (1000 * cost["usd"] if is_priced else tokens) / row["steps"]
        axes.plot(x, row["agreement"]["value"], "o", color=_INK)
        axes.annotate(
            name.replace("\n", " "), (x, row["agreement"]["value"]), (5, 4),
            textcoords="offset points", fontsize=8,
        )  # fmt: skip
    axes.set_ylim(0, 1.02)
    axes.set_xlim(left=0)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    axes.set_xlabel("USD in 1,000 steps" if is_priced else "tokens a step (no price is known)")


def _percent(axes: Axes) -> None:
    axes.set_xlim(0, 1.02)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")


def _say(axes: Axes, text: str) -> None:
    axes.set_axis_off()
    axes.text(0.0, 0.6, text, color=_GREY, transform=axes.transAxes, wrap=True)
