"""What is known of the right answer to an action, learnt from real runs; and `compare`.

Normalise, align, compare, explain. Real runs are learnt first, as many as there are, so that what
differs between them is not held against a simulator.
"""

import datetime
from collections.abc import Iterable, Sequence

from plumb_fidelity.action import is_random
from plumb_fidelity.judgement import judge
from plumb_fidelity.normalise import Section, sections
from plumb_fidelity.seen import Seen
from plumb_fidelity.stopped import without_stop
from plumb_fidelity.veil import Veil
from plumb_fidelity.verdict import Verdict
from plumb_fidelity.volatility import Clock, Template, learn

MOST_UNTYPED = 0.8
"""A step cannot be scored of whose text more than this share is held to nothing.

Real runs differ there, and neither the action nor what they have in common says what may stand.
"""


def compare(
    real: Sequence[Seen | str],
    simulated: Seen | str,
    *,
    action: str = "",
    prompt: str = "",
    is_table: bool = False,
    at: datetime.datetime | None = None,
    elsewhere: Sequence[Seen | str] = (),
    history: Sequence[tuple[str, str]] = (),
    told: str = "",
) -> Verdict:
    """Compares what a simulator answered with real runs of the same.

    Args:
        real: One run or more, the first shown in evidence; three or more tell what is volatile.
        simulated: What the simulator answered.
        action: What was typed.
        prompt: A regular expression for the session's own prompt; see `find_breaks`.
        is_table: Whether `text` is what the `mysql` client prints.
        at: When the real runs were made, UTC without a zone: dates about then are volatile.
        elsewhere: Runs in other worlds that are as valid (another version): what differs only
            there cannot be known.
        history: The simulator's turns before, as action and text, for what it contradicts.
        told: What the simulator was told of its world: what of the host stands there is known.

    Raises:
        ValueError: There is no real run.
        TypeError: An argument has a wrong type, for example one text for the real runs.
    """
    truth = Truth(
        _runs("real", real),
        action=action,
        prompt=prompt,
        is_table=is_table,
        at=at,
        elsewhere=_runs("elsewhere", elsewhere),
        told=told,
    )
    return truth.judge(_seen("simulated", simulated), history=history)


def _runs(name: str, runs: Sequence[Seen | str]) -> list[Seen]:
    if isinstance(runs, (str, bytes, Seen)) or not isinstance(runs, Iterable):
        raise TypeError(f"{name} is a {type(runs).__name__}; give a list of runs: {name}=[…]")
    return [_seen(f"{name}[{at}]", run) for at, run in enumerate(runs)]


def _seen(name: str, run: Seen | str) -> Seen:
    if isinstance(run, str):
        return Seen(text=run)
    if not isinstance(run, Seen):
        raise TypeError(f"{name} is a {type(run).__name__}; give a str or a Seen")
    return run


class Truth:
    """What is known of the right answer to one action; learnt once, for any number of simulators.

    Args are those of `compare`.
    """

    def __init__(
        self,
        real: Sequence[Seen],
        *,
        action: str = "",
        prompt: str = "",
        is_table: bool = False,
        at: datetime.datetime | None = None,
        elsewhere: Sequence[Seen] = (),
        told: str = "",
    ) -> None:
        if not real:
            raise ValueError("there is no real run to compare with; give at least one")
        self._endings = {seen.ending for seen in real}
        self.real = [without_stop(seen, self._endings) for seen in real]
        self.action = action
        self.prompt = prompt
        self.is_table = is_table
        self.clock = Clock(at, is_single=len(real) == 1)
        self._elsewhere = elsewhere
        self._told = told
        self._veil: Veil | None = None
        self._templates: list[Template] | None = None
        self._unstable = ""
        self._masked = 0.0
        self._licensed: float | None = None

    @property
    def templates(self) -> list[Template]:
        """The sections that the real runs have, as templates."""
        if self._templates is None:
            self._learn()
        assert self._templates is not None  # noqa: S101 - just made
        return self._templates

    @property
    def masked(self) -> float:
        """The share of the real text, 0 to 1, that is held to its type only.

        Where runs differ, or where the action licenses it.
        """
        if self._licensed is None:
            sizes = [template.holes()[1] for template in self.templates]
            free = sum(template.licensed(self.clock) for template in self.templates)
            self._licensed = free / sum(sizes) if sum(sizes) else 0.0
        return min(1.0, self._masked + self._licensed)

    @property
    def unstable(self) -> str:
        """Why the step cannot be scored; empty where it can."""
        _ = self.templates
        return self._unstable

    @property
    def veil(self) -> Veil:
        """What of the output cannot be known; decided by the action, whatever is answered."""
        if self._veil is None:
            first = self._sections(self.real[0])
            self._veil = Veil(self.action, first, is_table=self.is_table, told=self._told)
        return self._veil

    def cut(self, seen: Seen) -> list[Section]:
        """The sections of an output, without what cannot be known."""
        return self.veil.over(self._sections(seen))

    def _sections(self, seen: Seen) -> list[Section]:
        return sections(seen.text, self.action, is_table=self.is_table)

    def _learn(self) -> None:
        runs = [self.cut(seen) for seen in self.real]
        if len({seen.status for seen in self.real}) > 1:
            statuses = ", ".join(dict.fromkeys(seen.status for seen in self.real))
            self._unstable = f"real runs end differently: {statuses}"
        shapes = {tuple(section.name for section in run) for run in runs}
        if len(shapes) > 1:
            self._unstable = self._unstable or "real runs have different results"
            runs = [run for run in runs if len(run) == len(runs[0])]
        self._templates = [learn(parts, self.clock) for parts in zip(*runs, strict=True)]
        counts = [template.holes() for template in self._templates]
        total = sum(size for _, size in counts)
        self._masked = sum(masked for masked, _ in counts) / total if total else 0.0
        self._unstable = self._unstable or self._why_unstable()

    def _why_unstable(self) -> str:
        if is_random(self.action, sql=self.is_table) and not self.veil.leaves_chance_aside:
            return "it asks for a choice by chance"
        lines = [line for template in self._templates or () for line in template.lines]
        kept = [line for line in lines if line.is_everywhere]
        if lines and not kept:
            return f"{len(lines)} of {len(lines)} lines are not in every real run"
        total = sum(len(line.key) for line in kept)
        untyped = sum(line.untyped(self.clock) for line in kept)
        if untyped > MOST_UNTYPED * total:
            return f"real runs differ in {untyped / total:.0%} of the text"
        return ""

    def judge(self, simulated: Seen, *, history: Sequence[tuple[str, str]] = ()) -> Verdict:
        """Compares one answer."""
        simulated = without_stop(simulated, {*self._endings, simulated.ending})
        if self._is_plainly_right(simulated):
            return Verdict("AGREES", ("AGREES",), ())
        return judge(self, simulated, history)

    def _is_plainly_right(self, simulated: Seen) -> bool:
        if self.veil.hides_all or (self._templates is not None and self._unstable):
            return False
        first = self.real[0]
        same = (
            simulated.text == first.text
            and simulated.ends_like(first)
            and simulated.cwd in ("", first.cwd)
            and not (first.failed and simulated.failed is None)
        )
        return same and (len(self.real) == 1 or not self.unstable)

    def in_other_worlds(self) -> "Truth | None":
        """The same, learnt from other worlds, too; None where there are none."""
        if not self._elsewhere:
            return None
        other = Truth(
            [*self.real, *self._elsewhere],
            action=self.action,
            prompt=self.prompt,
            is_table=self.is_table,
            at=self.clock.at,
            told=self._told,
        )
        other._learn()
        other._unstable = ""  # worlds may differ in everything; the question is who is like one
        return other
