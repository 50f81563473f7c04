"""State, fact by fact: what an action changed, and how much of it a simulator has right. Pure."""

import dataclasses
from collections.abc import Mapping, Sequence

from plumb_bench.trajectory import NOT_TOLD
from plumb_fidelity.state import compare_state

Probes = Mapping[str, Mapping[str, str]]
"""Answers to probes, by suite and key."""

MOST_NAMED = 20
"""So many wrong facts of a suite are named; all are counted."""


@dataclasses.dataclass(frozen=True, slots=True)
class SuiteScore:
    """How much of one suite is right.

    Attributes:
        right: How many facts are.
        of: How many there are, those that only the simulator has included.
        wrong: The keys of those that are wrong, `MOST_NAMED` at most.
    """

    right: int
    of: int
    wrong: tuple[str, ...]


def score_state(real: Sequence[Probes], simulated: Probes) -> dict[str, SuiteScore]:
    """Scores each suite that was probed for real; one that was not answered is all wrong.

    Args:
        real: The probes of each real run after the same action; empty where it was not probed.
        simulated: The simulator's.
    """
    probed = [run for run in real if run]
    return {suite: _score(probed, simulated, suite) for suite in (probed[0] if probed else ())}


def _score(real: Sequence[Probes], simulated: Probes, suite: str) -> SuiteScore:
    told = simulated.get(suite, {})
    found = compare_state(_answers(real, suite), {} if NOT_TOLD in told else told)
    wrong = tuple(fact.name for fact in found.differing[:MOST_NAMED])
    return SuiteScore(found.agreeing, len(found.facts), wrong)


def _answers(runs: Sequence[Probes], suite: str) -> list[Mapping[str, str]]:
    return [run.get(suite, {}) for run in runs]


def facts_changed(before: Sequence[Probes], after: Sequence[Probes]) -> int | None:
    """How many entries an action added, removed or changed, of those that real runs agree on.

    None where the state was not probed on both sides of the action.

    Args:
        before: The probes of each real run before the action.
        after: Those after it.
    """
    runs = [(a, b) for a, b in zip(before, after, strict=True) if a and b]
    if not runs:
        return None
    earlier, later = [a for a, _ in runs], [b for _, b in runs]
    return sum(
        min(_differing(earlier, later[0], suite), _differing(later, earlier[0], suite))
        for suite in earlier[0].keys() & later[0].keys()
    )


def _differing(runs: Sequence[Probes], other: Probes, suite: str) -> int:
    """In how many entries one answer differs from what runs agree on."""
    return len(compare_state(_answers(runs, suite), other[suite]).differing_entries)
