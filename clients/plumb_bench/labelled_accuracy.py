"""How often the differ decides as an expert does, on labelled pairs."""

import collections
import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from scipy import stats

from plumb_bench.labelled import LABELS, REPLICA, RIGHT, WRONG, LabelledPair, decision_of
from plumb_fidelity import Verdict
from plumb_fidelity.statuses import kappa
from plumb_fidelity.verdict import SEVERITY


@dataclasses.dataclass(frozen=True, slots=True)
class Bars:
    """What figures have to reach, as shares.

    Attributes:
        right: Of all pairs, those that are decided as labelled.
        different: The same, of the pairs whose sides differ.
        false_alarms: Of the further real runs, at most so many are held to be wrong.
    """

    right: float
    different: float
    false_alarms: float


AIMED = Bars(right=0.99, different=0.97, false_alarms=0.005)
"""What a differ has to reach whose every verdict an expert would sign."""

HELD = Bars(right=0.975, different=0.97, false_alarms=0.01)
"""What this one reaches: the check fails below, so that no change makes it worse unseen."""


@dataclasses.dataclass(frozen=True, slots=True)
class Share:
    """A share with Clopper and Pearson's exact interval (1934), of 95 %.

    Attributes:
        count: How many have it.
        of: Of how many.
        value: The share; None of none, as are `low` and `high`.
    """

    count: int
    of: int
    value: float | None
    low: float | None
    high: float | None

    @classmethod
    def of_all(cls, outcomes: Iterable[bool]) -> "Share":
        """The share of those that are true."""
        found = list(outcomes)
        count, of = sum(found), len(found)
        if not of:
            return cls(0, 0, None, None, None)
        interval = stats.binomtest(count, of).proportion_ci(method="exact")
        return cls(count, of, count / of, float(interval.low), float(interval.high))


@dataclasses.dataclass(frozen=True, slots=True)
class Judged:
    """A pair, and what the differ says of it."""

    pair: LabelledPair
    verdict: Verdict

    @property
    def decision(self) -> str:
        """The verdict as a label."""
        return decision_of(self.verdict.verdict)

    @property
    def is_agreed(self) -> bool:
        """Whether the differ decides as the expert does."""
        return self.decision == self.pair.label


@dataclasses.dataclass(frozen=True, slots=True)
class LabelledAccuracy:
    """The figures.

    Attributes:
        judged: Every pair with its verdict.
        overall: Pairs that are decided as labelled: right, wrong or undecidable.
        different: The same, of the pairs whose sides are not the same text and facts.
        sure: The same, of the pairs that the rater was sure of.
        false_alarms: Of the further real runs, those that are held to be wrong.
        missed: Of the answers labelled wrong, those that are held to be right.
        decisions: How many pairs have a label and a decision, by label, then decision.
        confusion: How many have a class and a verdict, by labelled class, then verdict.
        kappa: Cohen's κ (1960) of class and verdict, the right classes taken for one; None where
            chance alone agrees everywhere.
    """

    judged: tuple[Judged, ...]
    overall: Share
    different: Share
    sure: Share
    false_alarms: Share
    missed: Share
    decisions: Mapping[str, Mapping[str, int]]
    confusion: Mapping[str, Mapping[str, int]]
    kappa: float | None

    @property
    def disagreements(self) -> list[Judged]:
        """The pairs that are not decided as labelled."""
        return [one for one in self.judged if not one.is_agreed]

    def to_json(self) -> dict[str, Any]:
        """The figures alone, without the pairs."""
        shares = ("overall", "different", "sure", "false_alarms", "missed")
        return {
            "pairs": len(self.judged),
            **{name: dataclasses.asdict(getattr(self, name)) for name in shares},
            "decisions": self.decisions,
            "confusion": self.confusion,
            "kappa": self.kappa,
        }


def measure(
    pairs: Sequence[LabelledPair], *, judge: Callable[[LabelledPair], Verdict] = LabelledPair.judge
) -> LabelledAccuracy:
    """Judges every pair, and counts.

    Args:
        pairs: One at least.
        judge: The differ; the library's own by default.
    """
    judged = tuple(Judged(pair, judge(pair)) for pair in pairs)
    replicas = [one for one in judged if one.pair.origin == REPLICA]
    wrong = [one for one in judged if one.pair.label == WRONG]
    return LabelledAccuracy(
        judged=judged,
        overall=Share.of_all(one.is_agreed for one in judged),
        different=Share.of_all(one.is_agreed for one in judged if one.pair.differs),
        sure=Share.of_all(one.is_agreed for one in judged if one.pair.sure),
        false_alarms=Share.of_all(one.decision == WRONG for one in replicas),
        missed=Share.of_all(one.decision == RIGHT for one in wrong),
        decisions=_counted(((one.pair.label, one.decision) for one in judged), LABELS),
        confusion=_counted(((one.pair.expected, one.verdict.verdict) for one in judged), SEVERITY),
        kappa=kappa([(_merged(one.pair.expected), _merged(one.verdict.verdict)) for one in judged]),
    )


def _counted(found: Iterable[tuple[str, str]], order: Sequence[str]) -> dict[str, dict[str, int]]:
    counts = collections.Counter(found)
    rows = {name: {to: counts[name, to] for to in order if counts[name, to]} for name in order}
    return {name: row for name, row in rows.items() if row}


def _merged(name: str) -> str:
    """The class; what tells the right classes apart is how, not whether."""
    return RIGHT if decision_of(name) == RIGHT else name


def shortfalls(found: LabelledAccuracy, bars: Bars) -> list[str]:
    """The bars that are missed, a sentence each."""
    of_pairs = (
        ("decided as labelled", found.overall, bars.right),
        ("decided as labelled where the sides differ", found.different, bars.different),
    )
    short = [
        f"{share.count} of {share.of} pairs are {name}; at least {least:.0%} are due"
        for name, share, least in of_pairs
        if share.count < least * share.of
    ]
    alarms = found.false_alarms
    if alarms.count > bars.false_alarms * alarms.of:
        short.append(
            f"{alarms.count} of {alarms.of} real runs are held to be wrong; "
            f"at most {bars.false_alarms:.1%} may be"
        )
    return short
