"""The report's charts, as SVG to be put into a page: sharp on paper, no scripts, no fonts.

Each chart says in its own words what it shows where there is nothing to draw. Names are text:
neither TeX nor markup, without control characters, and cut where they are long.
"""

import dataclasses
import io
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from rich.cells import cell_len

from plumb_bench.labels import shown
from plumb_fidelity.verdict import HALLUCINATIONS

_STYLE: Any = {
    "svg.fonttype": "none",  # text stays text: it can be searched, and is drawn in the page's font
    "svg.hashsalt": "plumb",  # the same figures give the same bytes
    "text.parse_math": False,  # a dollar in a model's name begins no formula
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#8a8f98",
    **dict.fromkeys(("text.color", "axes.labelcolor", "xtick.color", "ytick.color"), "#010203"),
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
}
_WIDTH = 5.4
_INK, _FLOOR, _GREY = "#1f5c99", "#b3541e", "#8a8f98"
_OF_PAGE = {"#010203": "currentColor", _INK: "var(--accent)", _FLOOR: "var(--floor)",
            _GREY: "var(--soft)"}  # fmt: skip
"""Colours that the page sets, which differ in light and in dark."""

# Okabe and Ito's colours, which colour-blind readers tell apart, and lighter ones of the same hues.
# None is green: every class of a chart of mistakes is one.
_COLOURS = ("#0072b2", "#cc79a7", "#d55e00", "#8c6bb1", "#e69f00", "#56b4e9", "#b8a200", "#6d7480",
            "#80b9d9", "#eaae80", "#b59ad0", "#e6bcd3", "#f2cf80", "#abdaf4", "#c4c7cc",
            "#8c564b")  # fmt: skip

_NOT_RIGHT = (*HALLUCINATIONS, "BACKEND_FAILURE")

_MOST_COLUMNS = 36


@dataclasses.dataclass(frozen=True, slots=True)
class Chart:
    """One chart.

    Attributes:
        svg: The drawing; empty where it failed.
        failure: Why it could not be drawn; empty where it could.
    """

    svg: str = ""
    failure: str = ""


def draw_all(report: Mapping[str, Any]) -> dict[str, Chart]:
    """Draws all charts: `agreement`, `classes`, `survival`, `cost`. One that fails says why."""
    wanted: dict[str, tuple[_Drawing, Callable[[], float]]] = {
        "agreement": (_agreement, lambda: _height(report)),
        "classes": (_classes, lambda: _height(report) + 0.9),
        "survival": (_survival, lambda: 3.2 + _legend_height(report)),
        "cost": (_cost, lambda: 3.2 + _legend_height(report) if _asked_models(report) else 1.2),
    }
    with mpl.rc_context(_STYLE), warnings.catch_warnings():
        # The page's own font draws the text: what matplotlib's lacks is no fault.
        warnings.filterwarnings("ignore", r"(?s)Glyph .* missing from font", UserWarning)
        return {name: _tried(*how, report) for name, how in wanted.items()}


_Drawing: TypeAlias = Callable[[Axes, Mapping[str, Any]], None]


def _tried(drawing: _Drawing, height: Callable[[], float], report: Mapping[str, Any]) -> Chart:
    try:
        return Chart(_draw(drawing, report, height()))
    except Exception as error:  # noqa: BLE001 - a chart that fails must not cost the report
        return Chart(failure=f"{type(error).__name__}: {error}")


def _asked_models(report: Mapping[str, Any]) -> bool:
    return any(row["cost"]["prompt_tokens"] for row in report["rows"])


def _height(report: Mapping[str, Any]) -> float:
    return 1.3 + 0.34 * max(2, len(report["rows"]))


def _legend_height(report: Mapping[str, Any]) -> float:
    return 0.2 + 0.16 * math.ceil(len(report["rows"]) / 2)


def _legend(axes: Axes, lines: Sequence[Any], rows: Sequence[Mapping[str, Any]]) -> None:
    """Names what was drawn, below it, where nothing is drawn over.

    The names are given by hand: matplotlib leaves out one that begins with an underscore.
    """
    axes.legend(
        lines, [name.replace("\n", " ") for name in _names(rows)], loc="upper center",
        bbox_to_anchor=(0.45, -0.16), ncols=2, frameon=False, fontsize=7,
    )  # fmt: skip


def _draw(chart: _Drawing, report: Mapping[str, Any], height: float) -> str:
    figure = Figure(figsize=(_WIDTH, height), layout="constrained")
    figure.patch.set_alpha(0)
    axes = figure.subplots()
    axes.patch.set_alpha(0)
    chart(axes, report)
    out = io.StringIO()
    figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    text = out.getvalue()
    for ours, of_page in _OF_PAGE.items():
        text = text.replace(ours, of_page)
    return text[text.index("<svg") :]  # without the declaration, which has no place in a page


def _names(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Short names: the mode only where a simulator has two."""
    labels = [row["simulator"] for row in rows]
    return [
        _short(label) + (f"\n({row['mode']})" if labels.count(label) > 1 else "")
        for label, row in zip(labels, rows, strict=True)
    ]


def _short(label: str) -> str:
    """A name as wide as a chart has room for: some characters take two columns."""
    text = shown(label, _MOST_COLUMNS)
    while cell_len(text) > _MOST_COLUMNS:
        text = shown(text, len(text) - 1)
    return text


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
        axes.annotate(
            f"{found['value']:.0%}", (1.03, place), xycoords=axes.get_yaxis_transform(),
            ha="left", va="center",
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
    axes.set_xlabel("share of steps; 95 % interval by trajectory")


def _classes(axes: Axes, report: Mapping[str, Any]) -> None:
    rows = [row for row in report["rows"] if row["scored"]]
    axes.set_title("What is wrong in 100 steps, by class")
    present = [name for name in _NOT_RIGHT if any(row["verdicts"].get(name) for row in rows)]
    if not present:
        _say(axes, "no step was wrong")
        return
    starts = [0.0] * len(rows)
    for name in present:
        widths = [100 * row["verdicts"].get(name, 0) / row["scored"] for row in rows]
        colour = _COLOURS[_NOT_RIGHT.index(name) % len(_COLOURS)]
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
    axes.set_title("Trajectories without a wrong or failed step so far")
    rows = [row for row in report["rows"] if row["survival"]]
    if not rows:
        _say(axes, "there are no trajectories")
        return
    lines = []
    for at, row in enumerate(rows):
        found = row["survival"]
        colour = _COLOURS[at % len(_COLOURS)]
        lines += axes.step(found["turns"], found["surviving"], where="post", color=colour)
        axes.fill_between(
            found["turns"], found["low"], found["high"], step="post", color=colour, alpha=0.08, lw=0
        )
    axes.set_ylim(0, 1.02)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("turn (Kaplan-Meier, 95 % band)")
    _legend(axes, lines, rows)


def _cost(axes: Axes, report: Mapping[str, Any]) -> None:
    axes.set_title("Cost against agreement")
    rows = [row for row in report["rows"] if row["agreement"] and row["cost"]["prompt_tokens"]]
    if not rows:
        _say(axes, "no model was asked in this run: recordings and baselines cost nothing")
        return
    is_priced = all(row["cost"]["usd"] for row in rows)
    points = []
    for at, row in enumerate(rows):
        cost = row["cost"]
        tokens = cost["prompt_tokens"] + cost["completion_tokens"]
        x = (1000 * cost["usd"] if is_priced else tokens) / row["steps"]
        colour = _COLOURS[at % len(_COLOURS)]
        points += axes.plot(x, row["agreement"]["value"], "o", color=colour, ls="", alpha=0.85)
    axes.set_ylim(0, 1.02)
    axes.set_xlim(left=0)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    axes.set_xlabel("USD in 1,000 steps" if is_priced else "tokens a step (no price is known)")
    _legend(axes, points, rows)


def _percent(axes: Axes) -> None:
    axes.set_xlim(0, 1.02)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")


def _say(axes: Axes, text: str) -> None:
    axes.set_axis_off()
    axes.text(0.0, 0.6, text, color=_GREY, transform=axes.transAxes, wrap=True)
