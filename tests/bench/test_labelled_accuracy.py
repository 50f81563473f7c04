"""`make check-differ` on labelled pairs: the figures by hand, and what fails it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.bench.test_labelled import line

from plumb_bench import labelled_check
from plumb_bench.labelled import LabelledPair, parse_labelled
from plumb_bench.labelled_accuracy import AIMED, Share, measure, shortfalls
from plumb_fidelity import Verdict
from plumb_fidelity.statuses import kappa

ANSWERS = {
    "right": ("right", "AGREES", "42\n"),
    "layout": ("right", "AGREES_BUT_LAYOUT", " 42\n"),
    "wrong": ("wrong", "WRONG_VALUE", "43\n"),
    "empty": ("wrong", "EMPTY", ""),
    "unknown": ("undecidable", "UNKNOWABLE", "7\n"),
}


def pairs(*names: str, **changed: Any) -> list[LabelledPair]:
    made = []
    for at, name in enumerate(names):
        label, expected, text = ANSWERS[name]
        fields = {"id": f"{name}-{at}", "label": label, "class": expected, **changed}
        made.append(parse_labelled(line(**fields, simulated={"text": text}), "here"))
    return made


def says(*names: str) -> Any:
    """A differ that gives these verdicts, in turn."""
    left = iter(names)
    return lambda _: Verdict(name := next(left), (name,), ("because",))


def test_figures_are_those_that_one_counts_by_hand() -> None:
    found = measure(
        pairs("right", "layout", "wrong", "empty", "unknown", "wrong"),
        judge=says("AGREES", "VOLATILE_ONLY", "FABRICATED", "AGREES", "WRONG_VALUE", "WRONG_VALUE"),
    )
    assert (found.overall.count, found.overall.of) == (4, 6)
    assert (found.different.count, found.different.of) == (3, 5)
    assert (found.missed.count, found.missed.of) == (1, 3)
    assert found.false_alarms.value is None
    assert found.decisions == {
        "right": {"right": 2},
        "wrong": {"right": 1, "wrong": 2},
        "undecidable": {"wrong": 1},
    }
    assert found.confusion["WRONG_VALUE"] == {"FABRICATED": 1, "WRONG_VALUE": 1}
    assert [one.pair.id for one in found.disagreements] == ["empty-3", "unknown-4"]
    # Classes with the right ones as one: observed 3/6; by chance (2·3 + 2·2) / 36.
    assert found.kappa == pytest.approx((3 / 6 - 10 / 36) / (1 - 10 / 36))


def test_a_real_run_that_is_held_to_be_wrong_is_a_false_alarm() -> None:
    found = measure(
        pairs("right", "right", "right", origin="replica"),
        judge=says("AGREES", "WRONG_VALUE", "UNSCORABLE"),
    )
    assert (found.false_alarms.count, found.false_alarms.of) == (1, 3)
    assert (found.overall.count, found.overall.of) == (1, 3)


def test_the_value_can_be_printed_elsewhere() -> None:
    found = measure(pairs("right", "wrong")).to_json()
    assert found["pairs"] == 2
    assert found["overall"]["value"] == 1.0
    assert found["confusion"] == {"WRONG_VALUE": {"WRONG_VALUE": 1}, "AGREES": {"AGREES": 1}}


@pytest.mark.parametrize(
    ("count", "of", "low", "high"),
    # Clopper and Pearson, 95 %: 1 - 0.025^(1/10); and 0 of 3 from 0.025^(1/3).
    [(10, 10, 0.025 ** (1 / 10), 1.0), (0, 3, 0.0, 1 - 0.025 ** (1 / 3))],
)
def test_intervals_are_exact(count: int, of: int, low: float, high: float) -> None:
    share = Share.of_all([True] * count + [False] * (of - count))
    assert share.low == pytest.approx(low)
    assert share.high == pytest.approx(high)


def test_kappa_is_undefined_where_chance_agrees_everywhere() -> None:
    assert kappa([]) is None
    assert kappa([("a", "a")]) is None
    assert kappa([("a", "b"), ("b", "a")]) == -1
    assert kappa([("a", "a"), ("b", "b")]) == 1


def test_bars_are_told_one_by_one() -> None:
    right = pairs(*["right"] * 200)
    assert shortfalls(measure(right, judge=says(*["AGREES"] * 200)), AIMED) == []
    short = shortfalls(measure(right, judge=says(*["AGREES"] * 197, *["EMPTY"] * 3)), AIMED)
    assert short == ["197 of 200 pairs are decided as labelled; at least 99% are due"]
    wrong = pairs(*["wrong"] * 100, "right")
    (overall, where) = shortfalls(
        measure(wrong, judge=says(*["AGREES"] * 4, *["EMPTY"] * 96, "AGREES")), AIMED
    )
    assert "96 of 100 pairs are decided as labelled where the sides differ" in where
    assert "97 of 101" in overall
    alarmed = measure(pairs("right", origin="replica"), judge=says("EMPTY"))
    assert "1 of 1 real runs are held to be wrong; at most 0.5% may be" in shortfalls(
        alarmed, AIMED
    )


def write(path: Path, *names: str, **changed: Any) -> str:
    lines = []
    for at, name in enumerate(names):
        label, expected, text = ANSWERS[name]
        fields = {"id": f"{path.stem}-{at}", "label": label, "class": expected, **changed}
        lines.append(line(**fields, simulated={"text": text}))
    path.write_bytes(b"\n".join(lines))
    return str(path)


def test_the_check_prints_what_it_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [
        write(tmp_path / "one.jsonl", "right", "wrong"),
        write(tmp_path / "two.jsonl", "layout", "empty", action="wc -l < n"),
    ]
    assert labelled_check.main(files) == 0
    out = capsys.readouterr().out
    assert "decided as the expert does: 4 of 4, 100.0% (39.8 to 100.0)" in out
    assert "where the sides differ: 3 of 3" in out
    assert "further real runs that are held to be wrong: none" in out
    assert "  one.jsonl: 2 of 2" in out
    assert "one-0" not in out


def test_a_disagreement_fails_it_and_is_listed_on_demand(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "one.jsonl", "wrong", action="cat n", sure=False)
    Path(path).write_bytes(Path(path).read_bytes().replace(b'"43\\n"', b'"42\\n"'))
    assert labelled_check.main([path, "--show"]) == 1
    told = capsys.readouterr()
    assert "one-0: wrong WRONG_VALUE (unsure), found AGREES" in told.out
    assert "where the rater was sure: none" in told.out
    assert "  label: another number" in told.out
    assert "the differ falls short: 0 of 1 pairs are decided as labelled" in told.err


def test_what_is_held_out_is_counted_and_never_listed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [write(tmp_path / f"{name}.jsonl", "wrong") for name in ("one", "two")]
    for path in map(Path, paths):
        path.write_bytes(path.read_bytes().replace(b'"43\\n"', b'"42\\n"'))
    assert labelled_check.main([paths[0], "--held-out", paths[1], "--show"]) == 1
    out = capsys.readouterr().out
    assert "decided as the expert does: 0 of 2" in out
    assert "two.jsonl: 0 of 1" in out
    assert "one-0: wrong" in out
    assert "two-0" not in out


def test_a_file_that_is_wrong_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bad").write_text("{}\n")
    assert labelled_check.main([str(tmp_path / "bad")]) == 2
    assert "line 1: field 'label' is missing" in capsys.readouterr().err
    assert labelled_check.main([str(tmp_path / "none")]) == 2
    one = write(tmp_path / "one.jsonl", "right")
    assert labelled_check.main([one, one]) == 0  # a file that is given twice is read once
    other = tmp_path / "other.jsonl"
    other.write_bytes(Path(one).read_bytes())
    capsys.readouterr()
    assert labelled_check.main([one, str(other)]) == 2
    assert "id 'one-0' is in" in capsys.readouterr().err
