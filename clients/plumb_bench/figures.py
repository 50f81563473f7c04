"""What the steps of one simulator come to, figure by figure. Pure.

What each figure means and what its limits are: docs/fidelity.md.
"""

import collections
import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from plumb_bench.scoring import EXCLUDED, RIGHT, Row, Step
from plumb_bench.state import SuiteScore
from plumb_fidelity import statistics, statuses
from plumb_fidelity.statistics import Interval

Trajectories = Sequence[Sequence[Step]]
Figures = dict[str, Any]

CONTENTS = ("empty", "error", "content")
FACTS = ("0", "1", "2", "3+")
"""How many facts an action changed."""

_MOST_NAMED = 10


def agreement_figures(row: Row) -> Figures:
    """How often the simulator is right, over all steps and by what the steps are like."""
    trajectories = row.trajectories
    by_content = [_only(trajectories, lambda s, n=n: s.content == n) for n in CONTENTS]  # type: ignore[misc]
    kinds = sorted({step.kind for step in row.steps})
    return {
        "agreement": agreement(trajectories),
        "agreement_bounds": _bounds(row.steps),
        "agreement_by_trajectory": _plain(
            statistics.macro_mean_of(outcomes(trajectories), strata=strata(trajectories))
        ),
        "agreement_by_kind": {
            kind: agreement(_only(trajectories, lambda s, k=kind: s.kind == k))  # type: ignore[misc]
            for kind in kinds
        },
        "agreement_by_content": {
            name: agreement(found) for name, found in zip(CONTENTS, by_content, strict=True)
        },
        "agreement_macro": _plain(
            statistics.balanced_mean_of(
                [outcomes(found) for found in by_content], strata=strata(trajectories)
            )
        ),
        "agreement_changing": agreement(_only(trajectories, lambda s: s.changes_state)),
        "agreement_by_facts": {
            name: agreement(_only(trajectories, lambda s, n=name: facts_of(s) == n))  # type: ignore[misc]
            for name in FACTS
        },
        "design_effect": statistics.design_effect(outcomes(trajectories)),
    }


def agreement(trajectories: Trajectories) -> Figures | None:
    """The share of counted steps that are right, with its interval by trajectory."""
    return _plain(statistics.mean_of(outcomes(trajectories), strata=strata(trajectories)))


def outcomes(trajectories: Trajectories) -> list[list[float]]:
    """Of each trajectory's counted steps, which are right; failures are not."""
    return [[float(s.outcome == RIGHT) for s in steps if s.is_counted] for steps in trajectories]


def strata(trajectories: Trajectories) -> list[str]:
    """Each trajectory's kind of environment."""
    return [steps[0].kind if steps else "" for steps in trajectories]


def _only(trajectories: Trajectories, which: Callable[[Step], bool]) -> list[list[Step]]:
    return [[step for step in steps if which(step)] for steps in trajectories]


def _plain(found: Interval | None) -> Figures | None:
    return None if found is None else dataclasses.asdict(found)


def _bounds(steps: Sequence[Step]) -> Figures | None:
    """What agreement would be if all that is excluded were wrong, or right."""
    if not steps:
        return None
    right = sum(step.outcome == RIGHT for step in steps)
    excluded = sum(step.outcome == EXCLUDED for step in steps)
    return {"low": right / len(steps), "high": (right + excluded) / len(steps)}


def facts_of(step: Step) -> str | None:
    """How many facts the action changed, one of `FACTS`; None where nobody looked."""
    changed = step.facts_changed
    return None if changed is None else "3+" if changed >= 3 else str(changed)


def status_figures(steps: Iterable[Step]) -> Figures:
    """Success and failure: both rates with bounds, the correlation, and error classes."""
    counted = [step for step in steps if step.is_counted]
    table = statuses.status_table(step.statuses for step in counted)
    return {
        "status_table": table,
        "false_success": dataclasses.asdict(statuses.false_rate(table, statuses.FAILURE)),
        "false_failure": dataclasses.asdict(statuses.false_rate(table, statuses.SUCCESS)),
        "status_mcc": dataclasses.asdict(statuses.correlation(table)),
        "errors": dataclasses.asdict(statuses.confusion([step.error_classes for step in counted])),
    }


def divergence_figures(trajectories: Trajectories) -> Figures:
    """When the first wrong or failed step comes, and how many trajectories have none."""
    played = [steps for steps in trajectories if any(step.is_counted for step in steps)]
    found = [first_divergence(steps) for steps in played]
    survival = statistics.survival([turn for turn, _ in found], [wrong for _, wrong in found])
    clean = sum(not wrong for _, wrong in found)
    return {
        "survival": None if survival is None else dataclasses.asdict(survival),
        "whole_trajectories": _plain(statistics.wilson(clean, len(found))),
    }


def first_divergence(steps: Sequence[Step]) -> tuple[int, bool]:
    """The turn of the first counted step that is not right; else the last turn, and False."""
    for step in steps:
        if step.is_counted and step.outcome != RIGHT:
            return step.turn, True
    return len(steps), False


def state_figures(trajectories: Trajectories) -> Figures | None:
    """How much of the state is right, fact by fact; None where it was not asked for."""
    probed = _only(trajectories, lambda step: bool(step.state))
    if not any(probed):
        return None
    last = [steps[-1:] for steps in probed]
    by_turn: dict[int, list[SuiteScore]] = collections.defaultdict(list)
    by_suite: dict[str, list[SuiteScore]] = collections.defaultdict(list)
    for step in (step for steps in probed for step in steps):
        by_turn[step.turn] += step.state.values()
        for suite, score in step.state.items():
            by_suite[f"{step.kind} {suite}"].append(score)
    return {
        "facts": _state(probed),
        "last": _state(last),
        "by_facts": {
            name: _state(_only(probed, lambda s, n=name: facts_of(s) == n))  # type: ignore[misc]
            for name in FACTS
        },
        "by_turn": {str(turn): _counted(found) for turn, found in sorted(by_turn.items())},
        "by_suite": {
            suite: {**_counted(found), "wrong_facts": _commonest(found)}
            for suite, found in sorted(by_suite.items())
        },
    }


def _state(trajectories: Trajectories) -> Figures | None:
    """The share of facts that are right; a suite without facts tells nothing."""
    facts = [
        [
            float(at < score.right)
            for step in steps
            for score in step.state.values()
            for at in range(score.of)
        ]
        for steps in trajectories
    ]
    return _plain(statistics.mean_of(facts, strata=strata(trajectories)))


def _counted(scores: Sequence[SuiteScore]) -> Figures:
    return {
        "right": sum(score.right for score in scores),
        "of": sum(score.of for score in scores),
        "suites_right": sum(score.right == score.of for score in scores),
        "suites": len(scores),
    }


def _commonest(scores: Sequence[SuiteScore]) -> list[Figures]:
    counts = collections.Counter(key for score in scores for key in score.wrong)
    return [{"fact": key, "count": count} for key, count in counts.most_common(_MOST_NAMED)]


def cost_figures(steps: Sequence[Step]) -> Figures:
    """What the steps' answers cost, how long they took, and how many probes were asked beside."""
    turns = [step.simulated for step in steps]
    seconds = [turn.seconds for turn in turns if turn.seconds]
    agreed = sum(step.outcome == RIGHT for step in steps)
    usd = sum(turn.cost_usd for turn in turns)
    return {
        "usd": usd,
        "usd_per_agreed_step": usd / agreed if agreed and usd else None,
        "prompt_tokens": sum(turn.prompt_tokens for turn in turns),
        "completion_tokens": sum(turn.completion_tokens for turn in turns),
        "attempts": sum(turn.attempts for turn in turns),
        "probe_calls": sum(len(turn.probes) for turn in turns),
        "probe_tokens": sum(
            turn.probe_prompt_tokens + turn.probe_completion_tokens for turn in turns
        ),
        "probe_usd": sum(turn.probe_cost_usd for turn in turns),
        "seconds_p50": percentile(seconds, 50),
        "seconds_p95": percentile(seconds, 95),
    }


def percentile(values: Sequence[float], percent: int) -> float | None:
    """A value that so many percent do not exceed; None without values."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)] if ordered else None
