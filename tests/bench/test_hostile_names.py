"""Hostile ids, names and texts: nothing that was played is lost, nothing of it is markup."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import html.parser
import io
import json
import re
import tempfile
import xml.dom.minidom
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from tests.bench.test_scoring import run

from plumb_bench import charts, report
from plumb_bench.charts import draw_all
from plumb_bench.labels import sentence, shown
from plumb_bench.leaderboard import table_of
from plumb_bench.lines import BadLine
from plumb_bench.records import Records
from plumb_bench.report import write_report
from plumb_bench.scenario import Scenario, parse_scenario
from plumb_bench.scoring import Scored, score
from plumb_bench.simulators import ModelOptions, Simulator, read_simulators
from plumb_bench.summary import summarise
from plumb_bench.trajectory import FREE, TEACHER, Turn

HOSTILE = [
    "[/]x", "[bold", "[link=http://a]b[/link]", "[@click=app.bell]", ":smile:", r"a\[b]\\",
    r"$\frac$", "$", "$$x^{$", r"\textbf{x}", "_x", "__", "%s{0}{x!r}", "{{ 7 * 7 }}{% raw %}",
    "<script>alert(1)</script>", "</script><script>alert(1)//", "<svg onload=alert(1)>",
    "\"><img src=x onerror=alert(1)>", "' autofocus onfocus=alert(1) x='", "<!--", "-->", "]]>",
    "javascript:alert(1)", "</title></style></option></select>", "&lt;b&gt;&#60;", "`${1}`",
    "../../etc/passwd", "/", "..", "a/b\\c", "CON", "nul\0x", "\x1b[2J\x1b]0;t\a",
    "\r\n\t\x08\x7f\x9b",
    "\u202egnp.exe", "\u2066\u2069\u200f", "\ufeff", "\u2028\u2029", "😀👨\u200d👩\u200d👧", "שלום",
    "n" * 300, "名" * 100, "e" + "\u0301" * 300, "real", "all", "a second real sandbox",
    "items", " ",
]  # fmt: skip


class Markup(html.parser.HTMLParser):
    """What a page is made of: its elements, and what in them could act."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.acting: list[str] = []
        self.counts: dict[str, int] = {}
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.counts[tag] = self.counts.get(tag, 0) + 1
        self.acting += [name for name, _ in attrs if name.startswith("on")]
        self.acting += [value or "" for name, value in attrs if name in ("src", "action", "srcdoc")]


@dataclasses.dataclass(frozen=True)
class Names:
    """What a scenario, who plays it and what it prints are called."""

    scenario: str
    model: str
    strategy: str
    text: str
    tag: str

    @property
    def label(self) -> str:
        return f"{self.model} {self.strategy}".strip()


PLAIN = Names("a", "m", "s", "1\n", "t")


def played(*several: Names) -> Scored:
    """Each scenario is played by its simulator in both modes; one more could not be run."""
    scenarios, simulators, trajectories = [], {}, []
    for at, one in enumerate(several):
        scenario = Scenario(
            id=f"{one.scenario}{at or ''}", environment="shell", task=one.text, init=(),
            actions=(f"cat {one.text}", "b"), tags=(one.tag,),
        )  # fmt: skip
        scenarios.append(scenario)
        simulators[one.label] = Simulator(label=one.label, model=one.model, strategy=one.strategy)
        trajectories += [run(scenario, "real", str(n), one.text, "2") for n in (1, 2, 3)]
        failed = Turn(action="b", failure=f"ModelFailed: {one.text}")
        trajectories.append(run(scenario, one.label, FREE, "9", failed))
        trajectories.append(run(scenario, one.label, TEACHER, one.text + "x", one.text))
    broken = dataclasses.replace(scenarios[0], id=several[0].scenario + " broken")
    trajectories.append(run(broken, "real", "1", failure=f"InitFailed: {several[0].text}"))
    return score([*scenarios, broken], list(simulators.values()), trajectories)


def check_whole(found: Scored, folder: Path) -> Mapping[str, Any]:
    """Reports a run, and checks that all of the report is there, and none of it acts."""
    written = write_report(folder, found, {"plumb": "0"}, seed=7)
    assert written.failures == ()
    assert written.page is not None
    page = written.page.read_text()
    markup = Markup(page)
    assert markup.acting == []
    assert (markup.counts["script"], page.count("<script")) == (1, 1)
    assert markup.counts["svg"] == 4
    assert not {"img", "iframe", "a", "object", "embed", "link", "base", "form"} & set(
        markup.counts
    )
    assert markup.counts["article"] == page.count("</article>")
    for chart in re.findall("<svg.*?</svg>", page, re.DOTALL):
        xml.dom.minidom.parseString(chart)
    out = io.StringIO()
    Console(file=out, width=120).print(table_of(written.report))
    assert "\x1b" not in out.getvalue()
    steps = (folder / "steps.jsonl").read_text().rstrip("\n").split("\n")
    assert len(steps) == sum(len(row.steps) for row in (*found.rows, found.floor_row))
    assert json.loads((folder / "report.json").read_text())["rows"]
    return written.report


@pytest.mark.parametrize("first", range(0, len(HOSTILE), 8))
def test_hostile_names_are_in_the_report_as_text(first: int, tmp_path: Path) -> None:
    some = [Names(one, one, one, one, one) for one in HOSTILE[first : first + 8]]
    found = check_whole(played(*some), tmp_path)
    assert {row["simulator"] for row in found["rows"]} == {one.label for one in some}
    name = some[0].scenario
    assert found["not_run"] == {f"{name} broken": f"InitFailed: {name}"}
    assert {path.name for path in tmp_path.iterdir()} == {
        "report.html", "report.json", "steps.jsonl",
    }  # fmt: skip


_TEXTS = st.text(min_size=1, max_size=60) | st.sampled_from(HOSTILE)


@settings(max_examples=5)
@given(st.lists(st.builds(Names, _TEXTS, _TEXTS, _TEXTS, _TEXTS, _TEXTS), min_size=1, max_size=5))
def test_any_names_and_texts_give_a_whole_report(several: list[Names]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        check_whole(played(*several), Path(folder))


@given(st.text() | st.lists(st.sampled_from(HOSTILE)).map("".join), st.integers(3, 400))
def test_what_is_shown_moves_no_cursor_reorders_no_line_and_is_not_long(
    text: str, most: int
) -> None:
    made = shown(text, most)
    assert len(made) <= most
    assert not re.search("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]", made)
    made.encode()
    if text.isprintable() and text.isascii() and len(text) <= most:
        assert made == text


def test_an_explanation_keeps_its_lines_and_nothing_else_that_acts() -> None:
    assert sentence("a\n\tb\x1b[1m\r\ud800") == "a\n\tb\\x1b[1m\\r\\ud800"


def test_a_chart_that_cannot_be_drawn_is_told_of_and_costs_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(*_: object) -> None:
        raise OverflowError("<b>no room</b>")

    monkeypatch.setattr(charts, "_classes", breaks)
    written = write_report(tmp_path, played(PLAIN), {"plumb": "0"}, seed=7)
    (failure,) = written.failures
    assert failure == ("the chart of classes could not be drawn: OverflowError: <b>no room</b>")
    assert written.page is not None
    page = written.page.read_text()
    assert "The chart of classes could not be drawn: OverflowError: &lt;b&gt;no room" in page
    assert page.count("<svg") == 3


def test_a_page_that_cannot_be_made_is_told_of_and_the_figures_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(*_: object) -> str:
        raise ValueError("no page")

    monkeypatch.setattr(report, "render", breaks)
    written = write_report(tmp_path, played(PLAIN), {"plumb": "0"}, seed=7)
    assert written.failures == ("report.html could not be made: ValueError: no page",)
    assert written.page is None
    assert {path.name for path in tmp_path.iterdir()} == {"report.json", "steps.jsonl"}


def test_steps_are_on_disk_before_anything_is_computed_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(*_: object, **__: object) -> dict[str, Any]:
        raise ZeroDivisionError

    monkeypatch.setattr(report, "summarise", breaks)
    with pytest.raises(ZeroDivisionError):
        write_report(tmp_path, played(PLAIN), {"plumb": "0"}, seed=7)
    assert (tmp_path / "steps.jsonl").read_text().count("\n") == 4 + 6  # and the floor


def test_the_page_runs_its_own_script_and_allows_no_other(tmp_path: Path) -> None:
    check_whole(played(dataclasses.replace(PLAIN, text="<script>alert(1)</script>")), tmp_path)
    page = (tmp_path / "report.html").read_text()
    scripts = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    hashes = [base64.b64encode(hashlib.sha256(one.encode()).digest()).decode() for one in scripts]
    assert re.findall(r"script-src ([^;]*);", page) == [f"'sha256-{one}'" for one in hashes]
    assert "base-uri 'none'" in page


def test_names_that_differ_in_their_middle_or_begin_with_an_underscore_have_a_line_each() -> None:
    found = summarise(played(dataclasses.replace(PLAIN, model="_m")), seed=1)
    drawn = draw_all(found)["survival"].svg
    assert f"_m s ({FREE})" in drawn
    assert f"_m s ({TEACHER})" in drawn


def test_a_recording_that_is_called_real_is_a_simulator_like_others() -> None:
    one = Scenario(id="a", environment="shell", task="", init=(), actions=("a",), tags=())
    real = [run(one, "real", str(replica), "1") for replica in (1, 2)]
    found = score([one], [Simulator(label="real")], [*real, run(one, "real", FREE, "1")])
    assert len(found.truths["a"][0].real) == 2
    assert [step.verdict.verdict for step in found.rows[0].steps] == ["AGREES"]


@pytest.mark.parametrize("hostile", HOSTILE, ids=lambda one: ascii(one)[:40])
def test_records_with_hostile_names_are_read_back(hostile: str, tmp_path: Path) -> None:
    line = {
        "id": hostile, "environment": "shell", "task": hostile, "init": [], "actions": [hostile],
        "tags": [hostile],
    }  # fmt: skip
    one = parse_scenario(json.dumps(line).encode(), "x")
    trajectory = run(one, hostile, FREE, hostile)
    records = Records(tmp_path)
    records.begin({"simulators": [hostile]}, resume=False)
    records.add(trajectory)
    again = Records(tmp_path)
    again.begin({"simulators": [hostile]}, resume=True)
    assert again.done == {trajectory.key: trajectory}


def test_a_model_s_name_that_is_not_utf_8_is_refused_before_anything_starts() -> None:
    with pytest.raises(BadLine, match=r"model:\\udcff: this is not UTF-8"):
        read_simulators(["model:\udcff"], [], ModelOptions())
