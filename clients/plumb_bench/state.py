"""State, fact by fact: what an action changed, and how much of it a simulator has right. Pure."""

import dataclasses
from collections.abc import Mapping, Sequence

from plumb_bench.trajectory import NOT_TOLD

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
    return {
        suite: _score(
            stable_facts(probed, suite), _volatile(probed, suite), _told(simulated, suite)
        )
        for suite in (probed[0] if probed else ())
    }


def _told(simulated: Probes, suite: str) -> Mapping[str, str]:
    told = simulated.get(suite, {})
    return {} if NOT_TOLD in told else told


def _score(expected: Mapping[str, str], ignored: set[str], got: Mapping[str, str]) -> SuiteScore:
    keys = sorted({*expected, *got} - ignored)
    wrong = [key for key in keys if expected.get(key) != got.get(key)]
    return SuiteScore(len(keys) - len(wrong), len(keys), tuple(wrong[:MOST_NAMED]))


def stable_facts(real: Sequence[Probes], suite: str) -> dict[str, str]:
    """The facts of a suite that all real runs agree on."""
    ignored = _volatile(real, suite)
    return {key: value for key, value in real[0].get(suite, {}).items() if key not in ignored}


def _volatile(real: Sequence[Probes], suite: str) -> set[str]:
    found = [run.get(suite, {}) for run in real]
    return {key for run in found for key in run if len({one.get(key) for one in found}) > 1}


def facts_changed(before: Sequence[Probes], after: Sequence[Probes]) -> int | None:
    """How many facts an action added, removed or changed, of those that real runs agree on.

    None where the state was not probed on both sides of the action.

    Args:
        before: The probes of each real run before the action.
        after: Those after it.
    """
    runs = [(a, b) for a, b in zip(before, after, strict=True) if a and b]
    if not runs:
        return None
    earlier, later = [a for a, _ in runs], [b for _, b in runs]
    changed = 0
    for suite in earlier[0].keys() & later[0].keys():
        ignored = _volatile(earlier, suite) | _volatile(later, suite)
        old, new = earlier[0][suite], later[0][suite]
        changed += sum(old.get(key) != new.get(key) for key in {*old, *new} - ignored)
    return changed
