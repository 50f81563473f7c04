"""A pair has the same verdict on a server, in a bench and in the library."""

from __future__ import annotations

import dataclasses
import time

import pytest

from plumb_backends.comparison import compared
from plumb_backends.environment import (
    Action,
    Ending,
    Observation,
    Provenance,
    ShellDetail,
    SqlDetail,
)
from plumb_backends.registry import all_kinds
from plumb_bench.scenario import Scenario
from plumb_bench.scoring import score
from plumb_bench.simulators import Simulator
from plumb_bench.trajectory import FREE, REAL, Trajectory, Turn
from plumb_fidelity import Seen, compare
from plumb_fidelity.rules import rules_of
from plumb_fidelity.seen import OF_MODELS

_TABLE = "+---+\n| n |\n+---+\n| {} |\n+---+\n1 row in set (0.00 sec)\n"
_PAIRS = [
    # kind, action, real, simulated, verdict
    ("shell", "cat f", Seen(text="a\n"), Seen(text="a\nbob@db:/srv$"), "FABRICATED"),
    ("shell", "cat f", Seen(text="a\n"), Seen(text="a\nroot@sandbox:/srv# "), "FORMAT_BREAK"),
    ("shell", "cat f", Seen(text="a\n"), Seen(text="a\nroot@sandbox:~# ls\nf\n"), "OVERRUN"),
    ("shell", "cat n", Seen(text="42\n", exit_code=0), Seen(text="42\n", exit_code=0), "AGREES"),
    ("shell", "cat n", Seen(text="42\n", exit_code=0), Seen(text="43\n"), "WRONG_VALUE"),
    ("shell", "exit 4", Seen(text="exit\n", exit_code=4, ending="SHELL_EXITED"),
     Seen(text="exit\n", exit_code=4, ending="EXITED"), "AGREES"),
    ("shell", "sleep 9", Seen(text="^C\n", exit_code=130, ending="TIMED_OUT"),
     Seen(text="", exit_code=130, ending="TIMED_OUT"), "AGREES"),
    ("shell", "cd /srv", Seen(text="", exit_code=0, cwd="/srv"),
     Seen(text="", exit_code=0, cwd="/root"), "WRONG_VALUE"),
    ("shell", "grep -q x f", Seen(text="", exit_code=1), Seen(text=""), "FALSE_SUCCESS"),
    ("shell", "uname -a; cat n", Seen(text="Linux a 6.1\n42\n"), Seen(text="Linux b 5\n42\n"),
     "VOLATILE_ONLY"),
    ("shell", "uname -r", Seen(text="6.1\n"), Seen(text="5.4\n"), "UNKNOWABLE"),
    ("mysql", "SELECT n", Seen(text=_TABLE.format(1), errno=0),
     Seen(text="mysql> SELECT n;\n" + _TABLE.format(1), errno=0), "FORMAT_BREAK"),
    ("mysql", "SELECT n", Seen(text=_TABLE.format(1), errno=0),
     Seen(text=_TABLE.format(2), errno=0), "WRONG_VALUE"),
    ("mysql", "SELECT n", Seen(text=_TABLE.format(1), errno=0),
     Seen(text=_TABLE.format(1) + "mysql> ", errno=0), "FORMAT_BREAK"),
    ("mysql", "SELECT VERSION() AS n", Seen(text=_TABLE.format(8), errno=0),
     Seen(text=_TABLE.format(9), errno=0), "UNKNOWABLE"),
]  # fmt: skip


def _observation(kind: str, seen: Seen, provenance: Provenance) -> Observation:
    return Observation(
        text=seen.text,
        ending=Ending[seen.ending or "EXITED"],
        exit_code=seen.exit_code,
        shell=ShellDetail(cwd=seen.cwd, user="root", host="sandbox") if kind == "shell" else None,
        sql=SqlDetail(errno=seen.errno or 0) if kind == "mysql" else None,
        provenance=provenance,
    )


async def _on_a_server(
    kind: str, action: str, real: Seen, simulated: Seen, *, model: str = ""
) -> str:
    found = await compared(
        all_kinds()[kind],
        all_kinds()[kind].options_type(),
        Action(action.encode()),
        [_observation(kind, real, Provenance(backend="real"))],
        _observation(kind, simulated, Provenance(backend="simulated", model=model)),
        history=(),
        seconds=10.0,
        owner="a test",
    )
    return found.verdict


def _in_a_bench(
    kind: str, action: str, real: Seen, simulated: Seen, *, model: str = "baseline:m"
) -> str:
    scenario = Scenario(id="s", environment=kind, task="", init=(), actions=(action,), tags=())
    played = [
        Trajectory(
            scenario="s",
            side=side,
            run=run,
            at=time.time(),
            turns=(
                Turn(
                    action=action,
                    text=seen.text,
                    exit_code=seen.exit_code,
                    errno=seen.errno,
                    ending=seen.ending,
                    cwd=seen.cwd,
                ),
            ),
        )
        for side, run, seen in ((REAL, "1", real), ("m", FREE, simulated))
    ]
    (row,) = score([scenario], [Simulator(label="m", model=model)], played).rows
    return row.steps[0].verdict.verdict


@pytest.mark.parametrize(("kind", "action", "real", "simulated", "verdict"), _PAIRS)
async def test_a_pair_has_one_verdict_wherever_it_is_judged(
    kind: str, action: str, real: Seen, simulated: Seen, verdict: str
) -> None:
    rules = rules_of(kind)
    alone = compare([real], simulated, action=action, prompt=rules.prompt, is_table=rules.is_table)
    assert {
        "library": alone.verdict,
        "server": await _on_a_server(kind, action, real, simulated),
        "bench": _in_a_bench(kind, action, real, simulated),
    } == dict.fromkeys(("library", "server", "bench"), verdict)


async def test_a_model_is_held_to_the_endings_that_it_is_asked_for() -> None:
    real = Seen(text="exit\n", exit_code=4, ending="SHELL_EXITED")
    said = Seen(text="exit\n", exit_code=4, ending="EXITED")
    asked = dataclasses.replace(said, endings=OF_MODELS)
    assert {
        compare([real], asked, action="exit 4").verdict,
        await _on_a_server("shell", "exit 4", real, said, model="gpt-4o"),
        _in_a_bench("shell", "exit 4", real, said, model="gpt-4o"),
    } == {"WRONG_ERROR"}


def test_a_kind_and_its_rules_know_the_same_prompt() -> None:
    for name, kind in all_kinds().items():
        options = kind.options_type()
        rules = rules_of(name)
        assert kind.part.prompt(options) == rules.prompt
        assert kind.part.is_table(options) == rules.is_table


def test_whether_a_step_is_scored_does_not_depend_on_the_answer() -> None:
    runs = [Seen(text="6.1\n", exit_code=0)]
    truth = rules_of("shell").truth(runs, action="uname -r")
    answers = [*runs, Seen(text="5.4\n", exit_code=0), Seen(text="", exit_code=127)]
    assert [truth.judge(answer).is_scored for answer in answers] == [False] * 3
    truth = rules_of("shell").truth([Seen(text="6.1\n4\n")], action="uname -r; cat n")
    answers = [Seen(text=text) for text in ("6.1\n4\n", "5.4\n4\n", "6.1\n5\n")]
    assert [truth.judge(answer).is_scored for answer in answers] == [True] * 3


def test_no_verdict_gets_better_where_exit_codes_are_taken_away() -> None:
    failing = [
        ("cat nope", Seen(text="cat: nope: No such file or directory\n", exit_code=1)),
        ("grep -q x f", Seen(text="", exit_code=1)),
        ("diff a b", Seen(text="1c1\n< a\n---\n> b\n", exit_code=1)),
    ]
    for action, real in failing:
        truth = rules_of("shell").truth([real], action=action)
        for text in ("", "done\n"):
            told = truth.judge(Seen(text=text, exit_code=0))
            untold = truth.judge(Seen(text=text))
            assert (told.agrees, untold.agrees) == (False, False)
            assert {"FALSE_SUCCESS"} <= set(told.flags) & set(untold.flags)
