"""Steps as lines of `steps.jsonl`: from them alone every figure can be computed again. Pure."""

import dataclasses
import json
from collections.abc import Iterator, Sequence
from typing import Any

from plumb_bench.scoring import RIGHT, Row, Scored, Step
from plumb_bench.trajectory import Turn
from plumb_fidelity.verdict import Aligned

MOST_ALIGNED = 40
"""So many aligned lines of a step are shown."""


def step_lines(scored: Scored) -> Iterator[str]:
    """Every step of every simulator, then every real run as judged by the others."""
    for row in (*scored.rows, scored.floor_row):
        for step in row.steps:
            yield json.dumps(_line(row, step), ensure_ascii=False) + "\n"


def _line(row: Row, step: Step) -> dict[str, Any]:
    line: dict[str, Any] = {
        "scenario": step.scenario,
        "kind": step.kind,
        "simulator": row.simulator.label,
        "mode": row.mode,
        "turn": step.turn,
        "action": step.action,
        "real": _side(step.real),
        "simulated": _side(step.simulated),
        "verdict": step.verdict.verdict,
        "flags": list(step.verdict.flags),
        "evidence": list(step.verdict.evidence),
        "outcome": step.outcome,
        "content": step.content,
        "changes_state": step.changes_state,
        "facts_changed": step.facts_changed,
        "statuses": list(step.statuses),
        "error_classes": list(step.error_classes),
        "state": {suite: dataclasses.asdict(score) for suite, score in step.state.items()},
        "cost": _cost(step.simulated),
    }
    if step.run:
        line["run"] = step.run
    if step.outcome != RIGHT:
        shown = around_differences(laid(step))[:MOST_ALIGNED]
        line["aligned"] = [[one.real, one.simulated, one.mark] for one in shown]
    return line


def _side(turn: Turn) -> dict[str, Any]:
    known = {"exit_code": turn.exit_code, "errno": turn.errno, "ending": turn.ending or None}
    side: dict[str, Any] = {"text": turn.text}
    side |= {name: value for name, value in known.items() if value is not None}
    return side | ({"failure": turn.failure} if turn.failure else {})


def _cost(turn: Turn) -> dict[str, Any]:
    names = ("seconds", "prompt_tokens", "completion_tokens", "cost_usd", "attempts",
             "probe_prompt_tokens", "probe_completion_tokens", "probe_cost_usd")  # fmt: skip
    return {name: value for name in names if (value := getattr(turn, name))}


def laid(step: Step) -> list[Aligned]:
    """The lines of both sides as the differ laid them; where it did not, one beside the other."""
    if step.verdict.aligned:
        return list(step.verdict.aligned)
    real, simulated = (turn.text.rstrip("\n").split("\n") for turn in (step.real, step.simulated))
    return [
        Aligned(
            real[at] if at < len(real) else None,
            simulated[at] if at < len(simulated) else None,
            "same" if real[at : at + 1] == simulated[at : at + 1] else "wrong",
        )
        for at in range(max(len(real), len(simulated)))
    ]


def around_differences(aligned: Sequence[Aligned]) -> list[Aligned]:
    """The lines that differ, each with two equal ones round it; all where none differs."""
    wanted = {
        near
        for at, one in enumerate(aligned)
        if one.mark != "same"
        for near in range(at - 2, at + 3)
    }
    return [one for at, one in enumerate(aligned) if at in wanted] or list(aligned)
