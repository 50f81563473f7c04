"""From trajectories to figures: what counts, what does not, and what is said of it."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from plumb_bench.scenario import Scenario
from plumb_bench.scoring import Scored, score
from plumb_bench.simulators import Simulator
from plumb_bench.summary import summarise
from plumb_bench.trajectory import FREE, TEACHER, Trajectory, Turn

AT = 1_795_528_200.0  # 2026-11-24 13:50 UTC


def scenario(name: str, *actions: str, kind: str = "shell") -> Scenario:
    return Scenario(id=name, environment=kind, task="", init=(), actions=actions, tags=())


def run(one: Scenario, side: str, mode: str, *turns: Any, failure: str = "") -> Trajectory:
    made = tuple(
        turn if isinstance(turn, Turn) else Turn(action=action, text=turn, exit_code=0)
        for action, turn in zip(one.actions, turns, strict=False)
    )
    return Trajectory(
        scenario=one.id, side=side, run=mode, at=AT, turns=made, failure=failure
    )  # fmt: skip


def reals(one: Scenario, *turns: Any) -> list[Trajectory]:
    return [run(one, "real", str(replica), *turns) for replica in (1, 2, 3)]


MODEL = Simulator(label="m", model="m", strategy="naive")
A = scenario("a", "cat a", "cat b", "cat c")


def scored(*simulated: Trajectory, real: list[Trajectory] | None = None) -> Scored:
    return score([A], [MODEL], [*(real or reals(A, "1", "2", "3")), *simulated])


def figures(found: Scored) -> dict[str, Any]:
    row: dict[str, Any] = summarise(found, seed=1)["rows"][0]
    return row


def test_a_failed_step_counts_as_wrong_and_has_its_own_column() -> None:
    failed = Turn(action="cat c", failure="ModelRefused: no")
    row = figures(scored(run(A, "m", FREE, "1", "9", failed)))
    assert (row["right"], row["wrong"], row["backend_failures"]) == (1, 1, 1)
    assert row["agreement"]["value"] == pytest.approx(1 / 3)
    assert row["verdicts"] == {"AGREES": 1, "WRONG_VALUE": 1, "BACKEND_FAILURE": 1}
    assert row["coverage"] == pytest.approx(2 / 3)
    assert (row["ranked"], row["rank"]) == (False, None)


def test_turns_that_were_not_reached_are_failures_and_say_why() -> None:
    found = scored(run(A, "m", FREE, "1", failure="SandboxUnavailable: gone"))
    assert [step.verdict.verdict for step in found.rows[0].steps] == [
        "AGREES", "BACKEND_FAILURE", "BACKEND_FAILURE",
    ]  # fmt: skip
    assert "SandboxUnavailable: gone" in found.rows[0].steps[2].verdict.evidence[0]


def test_a_scenario_without_its_real_side_is_in_no_figure_and_is_named() -> None:
    broken = [*reals(A, "1", "2", "3")[:2], run(A, "real", "3", failure="InitFailed: no")]
    found = scored(run(A, "m", FREE, "1", "2", "3"), real=broken)
    assert not found.rows
    assert found.not_run == {"a": "InitFailed: no"}


def test_free_running_and_teacher_forced_are_rows_apart() -> None:
    found = scored(run(A, "m", FREE, "1", "x", "x"), run(A, "m", TEACHER, "1", "2", "3"))
    report = summarise(found, seed=1)
    assert [row["mode"] for row in report["rows"]] == ["free-running", "teacher-forced"]
    assert [row["agreement"]["value"] for row in report["rows"]] == [pytest.approx(1 / 3), 1]
    assert report["comparisons"] == []  # one trajectory tells nothing of two simulators


def test_what_real_runs_do_not_agree_on_is_not_held_against_a_simulator() -> None:
    real = [run(A, "real", str(n), f"pid {n}00", "2", "3") for n in (1, 2, 3)]
    row = figures(scored(run(A, "m", FREE, "pid 77", "2", "4"), real=real))
    assert row["verdicts"] == {"VOLATILE_ONLY": 1, "AGREES": 1, "WRONG_VALUE": 1}


def test_the_noise_floor_is_each_real_run_against_the_others_by_scenario() -> None:
    real = [run(A, "real", str(n), f"pid {n}00", "2", "3") for n in (1, 2, 3)]
    report = summarise(scored(run(A, "m", FREE, "1", "2", "3"), real=real), seed=1)
    assert report["real"]["agreement"]["clusters"] == report["real"]["scenarios"] == 1
    assert report["real"]["agreement"]["steps"] == 9
    assert report["real"]["agreement"]["value"] == 1
    assert report["real"]["false_alarms"] == {"count": 0, "of": 9, "value": 0}
    assert 0 < report["real"]["masked_share"] < 1


def test_rates_have_their_denominators() -> None:
    one = scenario("e", "cat x", "cat y", "cat z")
    error = Turn(action="cat x", text="cat: x: No such file or directory", exit_code=1)
    wrong = Turn(action="cat z", text="cat: z: No such file or directory", exit_code=1)
    real = reals(one, error, "y", "z")
    found = score([one], [MODEL], [*real, run(one, "m", FREE, "invented", "y", wrong)])
    row = figures(found)
    assert row["false_success"] | {"count": 1, "of": 1, "value": 1.0} == row["false_success"]
    assert row["false_failure"] | {"count": 1, "of": 2, "value": 0.5} == row["false_failure"]
    assert row["status_mcc"]["value"] == pytest.approx(-0.5)
    assert row["verdicts"]["DEFAULT_ERROR"] == 1
    assert row["agreement_by_content"]["error"]["value"] == 0
    assert row["agreement_by_content"]["empty"] is None


def probed(state: dict[str, str], text: str = "1") -> Turn:
    return Turn(action="cat a", text=text, exit_code=0, probes={"files": state})


def test_the_state_is_compared_fact_by_fact_without_what_is_volatile() -> None:
    real = [run(A, "real", str(n), probed({"a": "x", "b": "z", "pid": str(n)})) for n in (1, 2, 3)]
    short = scenario("a", "cat a")
    good = run(short, "m", FREE, probed({"a": "x", "b": "z", "pid": "9"}))
    bad = run(short, "m", FREE, probed({"a": "y", "b": "z", "made up": "1"}))
    for one, right, of, wrong in ((good, 2, 2, []), (bad, 1, 3, ["a", "made up"])):
        row = figures(score([short], [MODEL], [*real, one]))
        assert row["state"]["facts"]["value"] == pytest.approx(right / of)
        suite = row["state"]["by_suite"]["shell files"]
        assert (suite["right"], suite["of"]) == (right, of)
        assert [fact["fact"] for fact in suite["wrong_facts"]] == wrong


def test_a_state_that_was_asked_for_and_not_told_is_wrong() -> None:
    one = scenario("a", "cat a", "cat b")
    real = [run(one, "real", str(n), probed({"a": "x"}), probed({"a": "x"})) for n in (1, 2)]
    played = run(one, "m", FREE, probed({"a": "x"}), Turn(action="cat b", failure="no"))
    found = score([one], [MODEL], [*real, dataclasses.replace(played, probed_at=(1, 2))])
    state = figures(found)["state"]
    assert (state["facts"]["value"], state["last"]["value"]) == (0.5, 0)


def test_agreement_is_split_by_how_many_facts_an_action_changed() -> None:
    one = scenario("a", "touch x", "rm x y z", "cat a")
    states = [{"x": "1", "y": "1", "z": "1"}, {}, {}]
    turns = [probed(state, "") for state in states]
    real = [
        dataclasses.replace(
            run(one, "real", str(n), *turns),
            before={"files": {"y": "1", "z": "1", "pid": str(n)}},
        )
        for n in (1, 2)
    ]
    row = figures(score([one], [MODEL], [*real, run(one, "m", FREE, "", "rm: no", "")]))
    found = {name: one["value"] if one else None for name, one in row["agreement_by_facts"].items()}
    assert found == {"0": 1, "1": 1, "2": None, "3+": 0}


def test_state_changing_steps_are_also_counted_apart() -> None:
    one = scenario("c", "cat x > y", "cat y", "sed -i s/a/b/ y")
    found = score([one], [MODEL], [*reals(one, "", "a", ""), run(one, "m", FREE, "", "b", "")])
    row = figures(found)
    assert row["agreement_changing"]["steps"] == 2
    assert row["agreement_changing"]["value"] == 1
    assert row["survival"]["turns"] == (0, 2)
