"""The page: one file, everything in it, and whatever came from a sandbox or a model as text."""

from __future__ import annotations

import json
import re
import xml.dom.minidom
from pathlib import Path
from typing import Any

import pytest
from tests.bench.test_labelled import line
from tests.bench.test_scoring import MODEL, A, reals, run

from plumb_bench.charts import draw_all
from plumb_bench.labelled import parse_labelled
from plumb_bench.labelled_accuracy import measure
from plumb_bench.leaderboard import table_of
from plumb_bench.report import MOST_SHOWN_STEPS, write_report
from plumb_bench.scoring import Scored, score
from plumb_bench.summary import summarise
from plumb_bench.trajectory import FREE, TEACHER

HOSTILE = "<script>alert(1)</script>\x1b[31m\u202e{{ 7 * 7 }} </td></article>"


@pytest.fixture
def scored() -> Scored:
    simulated = run(A, "m", FREE, HOSTILE, "2", "9"), run(A, "m", TEACHER, "1", "2", "3")
    return score([A], [MODEL], [*reals(A, "1", "2", "3"), *simulated])


@pytest.fixture
def folder(scored: Scored, tmp_path: Path) -> Path:
    write_report(tmp_path, scored, {"seed": 7, "plumb": "0"}, seed=7)
    return tmp_path


def test_what_a_model_said_is_text_and_no_markup(folder: Path) -> None:
    page = (folder / "report.html").read_text()
    assert "alert(1)" in page
    assert "<script>alert" not in page
    assert "{{ 7 * 7 }}" in page
    assert page.count("<article") == page.count("</article>") == 6


def test_what_the_differ_makes_of_labelled_pairs_stands_beside_what_it_finds_planted(
    scored: Scored, tmp_path: Path
) -> None:
    pairs = [
        parse_labelled(line(id="a", simulated={"text": "43\n"}), "here"),
        parse_labelled(line(id="b", simulated={"text": "42\n"}), "here"),
    ]
    found = measure(pairs)
    written = write_report(tmp_path, scored, {}, seed=7, labelled=found.to_json())
    assert written.report["labelled"]["overall"]["count"] == 1
    page = (tmp_path / "report.html").read_text()
    assert "50.0 % (1 of 2 pairs); where the sides differ 100.0 % (1 of 1)" in page


def test_the_page_loads_nothing(folder: Path) -> None:
    page = (folder / "report.html").read_text()
    without_names = re.sub(r'xmlns(:\w+)?="[^"]*"', "", page)
    assert not re.search(r"""(?:src|href)\s*=\s*["'](?!#)|@import|url\((?!#)""", without_names)


def test_the_json_holds_every_figure_and_every_step(folder: Path) -> None:
    report = json.loads((folder / "report.json").read_text())
    assert report["record"] == {"seed": 7, "plumb": "0"}
    assert [row["mode"] for row in report["rows"]] == [FREE, TEACHER]
    steps = [json.loads(line) for line in (folder / "steps.jsonl").read_text().splitlines()]
    assert [step["mode"] for step in steps] == [FREE] * 3 + [TEACHER] * 3 + ["real"] * 9
    assert steps[0]["simulated"]["text"] == HOSTILE
    assert steps[2]["verdict"] == "WRONG_VALUE"
    assert steps[2]["evidence"]


def test_the_same_run_and_seed_give_the_same_report(scored: Scored, tmp_path: Path) -> None:
    pages = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write_report(tmp_path / name, scored, {"plumb": "0"}, seed=7)
        pages.append((tmp_path / name / "report.json").read_bytes())
    assert pages[0] == pages[1]


def test_charts_are_drawn_of_anything(scored: Scored) -> None:
    empty: dict[str, Any] = summarise(score([], [], []), seed=1)
    for report in (summarise(scored, seed=1), empty):
        for name, chart in draw_all(report).items():
            xml.dom.minidom.parseString(chart.svg)
            assert chart.svg.startswith("<svg"), name
            assert not chart.failure


def test_the_table_has_a_row_for_each_simulator_and_one_for_the_floor(scored: Scored) -> None:
    assert table_of(summarise(scored, seed=1)).row_count == 3


def test_the_browser_of_errors_has_an_end_and_says_so(
    scored: Scored, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from plumb_bench import report

    assert MOST_SHOWN_STEPS > 1
    monkeypatch.setattr(report, "MOST_SHOWN_STEPS", 1)
    monkeypatch.setattr(report, "MOST_RIGHT_STEPS", 2)
    written = write_report(tmp_path, scored, {"plumb": "0"}, seed=7)
    assert written.page is not None
    page = written.page.read_text()
    assert page.count("<article") == 3
    assert "3 more steps are in" in page
