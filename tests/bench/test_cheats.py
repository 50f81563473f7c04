"""Simulators that game a figure: no figure rewards them."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.bench.test_scoring import MODEL, reals, run, scenario

from plumb_bench.report import write_report
from plumb_bench.scoring import Scored, score
from plumb_bench.simulators import Simulator
from plumb_bench.summary import summarise
from plumb_bench.trajectory import FREE, TEACHER, Trajectory, Turn

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ACTIONS = ("cat n", "ls /none", "touch x", "cat y", "uname -r", "grep -q z n", "wc -l n", "cat w")
SCENARIOS = [scenario(f"s{number}", *ACTIONS) for number in range(6)]


def truth(action: str) -> Turn:
    match action:
        case "ls /none":
            text = "ls: cannot access '/none': No such file or directory\n"
            return Turn(action=action, text=text, exit_code=2, ending="EXITED")
        case "touch x":
            return Turn(action=action, exit_code=0, ending="EXITED")
        case "grep -q z n":
            return Turn(action=action, exit_code=1, ending="EXITED")
    return Turn(action=action, text=f"{action} 42\n", exit_code=0, ending="EXITED")


REAL = [one for s in SCENARIOS for one in reals(s, *map(truth, ACTIONS))]


def played(*cheats: Callable[[Turn], Turn | None], mode: str = FREE) -> list[Trajectory]:
    """What a simulator answers that does this to each right answer; None is a failure."""
    found = []
    for one in SCENARIOS:
        turns = []
        for turn in map(truth, ACTIONS):
            made: Turn | None = turn
            for cheat in cheats:
                made = cheat(made) if made is not None else None
            turns.append(made or Turn(action=turn.action, failure="ModelRefused: no"))
        found.append(run(one, "m", mode, *turns))
    return found


def figures(trajectories: list[Trajectory], *, simulator: Simulator = MODEL) -> dict[str, Any]:
    row: dict[str, Any] = summarise(scored(trajectories, simulator), seed=1)["rows"][0]
    return row


def scored(trajectories: list[Trajectory], *simulators: Simulator) -> Scored:
    return score(SCENARIOS, simulators or (MODEL,), [*REAL, *trajectories])


def says_little(turn: Turn) -> Turn:
    """Always empty, always successful."""
    return dataclasses.replace(turn, text="", exit_code=0)


def lies(turn: Turn) -> Turn:
    return dataclasses.replace(turn, text="7\n", exit_code=0) if turn.exit_code else turn


def hides_status(turn: Turn) -> Turn:
    return dataclasses.replace(turn, exit_code=None, ending="")


def fails_always(turn: Turn) -> Turn:
    text = f"bash: {turn.action.split()[0]}: No such file or directory\n"
    return dataclasses.replace(turn, text=text, exit_code=1)


def stops_after_one(turn: Turn) -> Turn | None:
    return turn if turn.action == ACTIONS[0] else None


def refuses_errors(turn: Turn) -> Turn | None:
    return None if turn.exit_code else turn


def pads(turn: Turn) -> Turn:
    return dataclasses.replace(turn, text=turn.text.replace("\n", " " * 100_000 + "\n"))


HONEST = figures(played())


def test_an_honest_simulator_is_right_everywhere() -> None:
    assert (HONEST["agreement"]["value"], HONEST["rank"]) == (1, 1)
    assert HONEST["whole_trajectories"]["value"] == 1
    assert HONEST["status_mcc"]["value"] == HONEST["errors"]["kappa"] == pytest.approx(1)


def test_one_that_stops_after_one_step_has_that_one_step() -> None:
    row = figures(played(stops_after_one))
    assert (row["right"], row["backend_failures"]) == (6, 42)
    assert row["agreement"]["value"] == pytest.approx(6 / 48)
    assert row["agreement_by_trajectory"]["value"] == pytest.approx(1 / 8)
    assert row["agreement_macro"]["value"] < 0.2
    assert row["whole_trajectories"]["value"] == 0
    assert row["survival"]["surviving"][-1] == 0
    assert row["status_mcc"]["value"] is None
    assert row["errors"]["kappa"] < 0.2
    assert not row["ranked"]


def test_one_whose_every_reply_fails_is_nowhere_clean() -> None:
    row = figures(played(lambda _: None))
    assert row["agreement"]["value"] == row["agreement"]["low"] == 0
    assert (row["whole_trajectories"]["value"], row["ranked"]) == (0, False)
    assert row["false_success"]["value"] is None
    assert row["false_success"]["high"] == 1


def test_refusing_what_is_hard_is_no_better_than_getting_it_wrong() -> None:
    refused, lied = figures(played(refuses_errors)), figures(played(lies))
    for name in ("agreement", "agreement_by_trajectory", "agreement_macro", "whole_trajectories"):
        assert refused[name]["value"] <= lied[name]["value"], name
    assert refused["false_success"]["high"] >= lied["false_success"]["value"]
    assert refused["errors"]["kappa"] <= lied["errors"]["kappa"]


@pytest.mark.parametrize("also", [says_little, lies, fails_always])
def test_taking_the_exit_codes_away_improves_no_figure(also: Callable[[Turn], Turn]) -> None:
    stated, hidden = figures(played(also)), figures(played(also, hides_status))
    if also is not says_little:  # what silence says of a silent failure, the differ's cases hold
        for name in ("agreement", "agreement_by_trajectory", "agreement_macro"):
            assert hidden[name]["value"] <= stated[name]["value"], name
    for name in ("false_success", "false_failure"):
        assert hidden[name]["high"] >= stated[name]["high"], name
        value = hidden[name]["value"]
        assert value is None or value >= stated[name]["value"], name
    known, blurred = stated["status_mcc"]["value"], hidden["status_mcc"]["value"]
    assert known is None or blurred is None or blurred <= known
    assert hidden["errors"]["kappa"] == stated["errors"]["kappa"]


def test_hiding_the_status_only_where_one_lies_gives_no_rate_at_all() -> None:
    row = figures(played(lambda turn: hides_status(lies(turn)) if turn.exit_code else turn))
    assert row["false_success"]["value"] is None
    assert row["false_success"]["high"] == 1


def test_a_lie_about_the_host_and_the_truth_of_it_widen_the_bounds_alike() -> None:
    lied = figures(played(lambda t: t if "uname" not in t.action else
                          dataclasses.replace(t, text="lie\n")))  # fmt: skip
    assert lied["agreement_bounds"]["low"] <= 42 / 48
    assert lied["agreement"]["value"] <= HONEST["agreement"]["value"]
    assert lied["right"] <= HONEST["right"]


@pytest.mark.parametrize("value", ["1", "9" * 12, "2001-01-01"])
def test_answering_what_chance_decides_is_worth_only_those_steps(value: str) -> None:
    one = scenario("r", "echo $RANDOM", "cat n", "cat y")
    real = [run(one, "real", str(n), f"{n * 4711}\n", "3\n", "4\n") for n in (1, 2, 3)]
    masked = run(one, "m", FREE, f"{value}\n", "wrong\n", "wrong\n")
    row: dict[str, Any] = summarise(score([one], [MODEL], [*real, masked]), seed=1)["rows"][0]
    assert row["agreement_bounds"]["high"] <= 1 / 3
    assert row["whole_trajectories"]["value"] == 0


def test_playing_only_an_easy_scenario_gives_no_rank() -> None:
    row = figures(played()[:1])
    assert (row["agreement"]["value"], row["due"], row["ranked"]) == (1, 48, False)


@pytest.mark.parametrize(
    "cheat", [says_little, lies, fails_always, stops_after_one, refuses_errors, pads]
)
def test_no_figure_of_a_cheat_is_above_the_honest_ones(cheat: Callable[[Turn], Turn]) -> None:
    row = figures(played(cheat))
    for name in ("agreement", "agreement_by_trajectory", "agreement_macro", "agreement_changing"):
        assert row[name]["value"] <= HONEST[name]["value"], name
        assert row[name]["high"] <= HONEST[name]["high"], name
    for name in ("false_success", "false_failure"):
        assert row[name]["high"] >= HONEST[name]["high"], name
    assert (row["errors"]["kappa"] or 0) <= HONEST["errors"]["kappa"]
    assert row["whole_trajectories"]["value"] <= HONEST["whole_trajectories"]["value"]


def test_only_ranked_models_of_one_mode_are_compared_and_holm_decides() -> None:
    def named(label: str, model: str, trajectories: list[Trajectory]) -> tuple[Simulator, Any]:
        renamed = [dataclasses.replace(one, side=label) for one in trajectories]
        return Simulator(label=label, model=model, strategy="naive"), renamed

    sides = [
        named("good", "x", [*played(), *played(mode=TEACHER)]),
        named("bad", "x", [*played(fails_always), *played(fails_always, mode=TEACHER)]),
        named("quits", "x", played(stops_after_one)),
        named("empty", "baseline:always_empty", played(says_little)),
    ]
    everything = [one for _, some in sides for one in some]
    report = summarise(scored(everything, *(simulator for simulator, _ in sides)), seed=1)
    pairs = [(one["left"], one["right"], one["mode"]) for one in report["comparisons"]]
    assert pairs == [("good", "bad", FREE), ("good", "bad", TEACHER)]
    for one in report["comparisons"]:
        assert (one["better"], one["family"]) == ("left", 1)
        assert one["mcnemar"]["p_value_holm"] >= one["mcnemar"]["p_value"]


def test_the_headline_can_be_computed_from_the_steps_alone(tmp_path: Path) -> None:
    found = scored([*played(lies), *played(refuses_errors, mode=TEACHER)])
    write_report(tmp_path, found, {}, seed=1)
    report = json.loads((tmp_path / "report.json").read_text())
    steps = [json.loads(line) for line in (tmp_path / "steps.jsonl").read_text().splitlines()]
    for row in report["rows"]:
        own = [s for s in steps if (s["simulator"], s["mode"]) == (row["simulator"], row["mode"])]
        assert recomputed(own) == {
            "agreement": row["agreement"]["value"],
            "bounds": [row["agreement_bounds"]["low"], row["agreement_bounds"]["high"]],
            "macro": row["agreement_macro"]["value"],
            "changing": row["agreement_changing"]["value"],
            "clean": row["whole_trajectories"]["value"],
            "false_success": row["false_success"]["high"],
        }
    floor = [s for s in steps if s["mode"] == "real"]
    assert {(s["scenario"], s["run"]) for s in floor} == {
        (one.id, str(n)) for one in SCENARIOS for n in (1, 2, 3)
    }
    counted = [s for s in floor if s["outcome"] != "excluded"]
    right = sum(s["outcome"] == "right" for s in counted) / len(counted)
    assert right == report["real"]["agreement"]["value"]
    assert report["real"]["agreement"]["clusters"] == len(SCENARIOS)


def recomputed(steps: list[dict[str, Any]]) -> dict[str, Any]:
    """The figures, by plain counting."""

    def share(some: list[dict[str, Any]]) -> float:
        return float(sum(step["outcome"] == "right" for step in some) / len(some))

    counted = [step for step in steps if step["outcome"] != "excluded"]
    right, excluded = sum(s["outcome"] == "right" for s in steps), len(steps) - len(counted)
    contents = [[s for s in counted if s["content"] == c] for c in ("empty", "error", "content")]
    names = {step["scenario"] for step in counted}
    unclean = {step["scenario"] for step in counted if step["outcome"] != "right"}
    statuses = [simulated for real, simulated in (s["statuses"] for s in counted)
                if real == "failure"]  # fmt: skip
    return {
        "agreement": pytest.approx(share(counted)),
        "bounds": pytest.approx([right / len(steps), (right + excluded) / len(steps)]),
        "macro": pytest.approx(sum(map(share, filter(None, contents))) / sum(map(bool, contents))),
        "changing": pytest.approx(share([step for step in counted if step["changes_state"]])),
        "clean": pytest.approx(1 - len(unclean) / len(names)),
        "false_success": pytest.approx(
            sum(status != "failure" for status in statuses) / len(statuses)
        ),
    }
