"""What differs between real runs of the same, and is therefore no hallucination.

Several runs in fresh sandboxes are aligned; where they differ there is a hole that is held to the
type of what real runs had there, and everything else must be the same. Two equal runs are not
enough: after two the third still differed in 4.7 % of the steps that were looked at. What is
volatile by its type alone (a date that is now, a duration, a process's id behind `[1]`) is so even
where all runs agree, for they may do so by chance.
"""

import collections
import dataclasses
import datetime
import re
from collections.abc import Callable, Sequence

from plumb_fidelity.align import align, match_in_any_order
from plumb_fidelity.normalise import CELL, Section
from plumb_fidelity.tokens import (
    Token,
    is_of_now,
    same_value,
    tokenise,
    why_not_of_type,
    why_not_pid,
)

_JOB = re.compile(r"\[\d+\][+-]? +(\d+)\b")
_DIRECTORY = re.compile(r"d[rwxsStT-]{9}[.+@]? (\d+) ")
_DIGITS = re.compile(r"\d+")
_LEAST_ALIKE = 0.5
_MOST_FIELDS = 100  # as many fields are looked at, and what is behind them is one more

SAME, VOLATILE, IMPLAUSIBLE, WRONG = "same", "volatile", "implausible", "wrong"


@dataclasses.dataclass(frozen=True, slots=True)
class Hole:
    """A place where real runs differ.

    Attributes:
        samples: What they had there.
        is_wide: Whether they had a different number of tokens there.
    """

    samples: tuple[str, ...]
    is_wide: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Clock:
    """When the real runs were made, and what else tells volatile values.

    Attributes:
        at: The time, UTC and without a zone; None where it is not known: no date is "now" then.
        process_ids: Whether plain numbers may be ids of processes: with one run only, for more
            runs show which are.
    """

    at: datetime.datetime | None = None
    process_ids: bool = False


@dataclasses.dataclass(slots=True)
class Line:
    """One line of a template.

    Attributes:
        key: As the first run that has it printed it.
        others: What further runs printed in its place, where that differs.
        is_everywhere: Whether every run has it.
    """

    key: str
    others: list[str] = dataclasses.field(default_factory=list)
    is_everywhere: bool = True
    _pattern: list[Token | Hole] | None = None

    @property
    def pattern(self) -> list[Token | Hole]:
        """The line's tokens, with holes where runs differ."""
        if self._pattern is None:
            self._pattern = _merge([tokenise(text) for text in (self.key, *self.others)])
        return self._pattern

    def fits(self, key: str, clock: Clock) -> tuple[str, str]:
        """Whether another line can stand in its place: SAME, VOLATILE, IMPLAUSIBLE or WRONG; why.

        Args:
            key: The other line.
            clock: See there.
        """
        if key == self.key:
            return SAME, ""
        if key in self.others:
            return VOLATILE, ""
        return _fit(self.pattern, tokenise(key), _masked(self.key), clock)


@dataclasses.dataclass(slots=True)
class Template:
    """A section as all real runs have it.

    Attributes:
        section: The first run's.
        lines: The template.
        is_ordered: Whether the order of lines says anything.
    """

    section: Section
    lines: list[Line]
    is_ordered: bool

    @property
    def keys(self) -> list[str]:
        """The lines as the first run that has them printed them."""
        return [line.key for line in self.lines]

    @property
    def is_literal(self) -> bool:
        """Whether all runs are alike."""
        return all(line.is_everywhere and not line.others for line in self.lines)

    def holes(self) -> tuple[int, int]:
        """How many characters are in holes, or in lines that come and go; and how many there are.

        Space is not counted.
        """
        masked = total = 0
        for line in self.lines:
            size = len(line.key.replace(" ", ""))
            total += size
            if not line.is_everywhere:
                masked += size
            elif line.others:
                masked += sum(
                    len(part.samples[0].replace(" ", ""))
                    for part in line.pattern
                    if isinstance(part, Hole) and part.samples
                )
        return masked, total


def learn(runs: Sequence[Section]) -> Template:
    """Learns a template from the same section of every run; one run is its own template."""
    first = runs[0]
    lines = [Line(key) for key in first.lines]
    is_ordered = first.order.fixed
    for run in runs[1:]:
        if is_ordered and _is_reordered(first.lines, run.lines):
            is_ordered = False
    template = Template(first, lines, is_ordered)
    for run in runs[1:]:
        if run.lines != first.lines:
            _merge_run(template, run)
    return template


def _is_reordered(left: Sequence[str], right: Sequence[str]) -> bool:
    return left != right and collections.Counter(left) == collections.Counter(right)


def _merge_run(template: Template, run: Section) -> None:
    pair = align if template.is_ordered else match_in_any_order
    keys = template.keys
    merged: list[Line] = []
    for left, right in pair(keys, run.lines, likeness(keys, run.lines)):
        if left is None:
            assert right is not None  # noqa: S101 - one of the two is there
            merged.append(Line(run.lines[right], is_everywhere=False))
            continue
        line = template.lines[left]
        merged.append(line)
        if right is None:
            line.is_everywhere = False
        elif run.lines[right] != line.key and run.lines[right] not in line.others:
            line.others.append(run.lines[right])
    template.lines[:] = merged


def likeness(left: Sequence[str], right: Sequence[str]) -> Callable[[int, int], float]:
    """How much lines are alike: 0 for two that have little in common, else up to 1.

    By their fields, cells or words: at least half of them are the same, or the lines are alike but
    for digits, or it is the same row, by its first cell.
    """
    left_fields: dict[int, list[str]] = {}
    right_fields: dict[int, list[str]] = {}
    left_shapes: dict[int, str] = {}
    right_shapes: dict[int, str] = {}
    is_single = len(left) == len(right) == 1

    def fields(cache: dict[int, list[str]], lines: Sequence[str], at: int) -> list[str]:
        if at not in cache:
            line = lines[at]
            cache[at] = line.split(CELL if CELL in line else None, _MOST_FIELDS)
        return cache[at]

    def shape(cache: dict[int, str], lines: Sequence[str], at: int) -> str:
        if at not in cache:
            cache[at] = _DIGITS.sub("0", lines[at])
        return cache[at]

    def alike(i: int, j: int) -> float:
        one, other = fields(left_fields, left, i), fields(right_fields, right, j)
        shared = _shared(one, other)
        ratio = 2 * shared / ((len(one) + len(other)) or 1)
        if ratio >= _LEAST_ALIKE:
            return ratio
        if shape(left_shapes, left, i) == shape(right_shapes, right, j):
            return _LEAST_ALIKE
        is_row = CELL in left[i] and len(one) == len(other) and one[0] == other[0]
        return 0.4 if is_row else 0.1 if is_single else 0.0

    return alike


def _shared(one: Sequence[str], other: Sequence[str]) -> int:
    """How many fields two lines have in common, each as often as both have it."""
    if len(one) == len(other):
        here = sum(1 for mine, its in zip(one, other, strict=True) if mine == its)
        if here >= len(one) - 1:  # as in most that real runs pair, and counting them costs more
            return here
    return sum((collections.Counter(one) & collections.Counter(other)).values())


def _merge(runs: Sequence[list[Token]]) -> list[Token | Hole]:
    """Makes one pattern of a line's tokens in several runs."""
    first = runs[0]
    if len(runs) == 1:
        return list(first)
    if len({len(run) for run in runs}) == 1:
        columns = list(zip(*runs, strict=True))
        return [column[0] if len(set(column)) == 1 else _hole(column) for column in columns]
    head = _common(runs, lambda run, at: run[at])
    tail = min(_common(runs, lambda run, at: run[-1 - at]), min(map(len, runs)) - head)
    middles = ["".join(token.text for token in run[head : len(run) - tail]) for run in runs]
    return [*first[:head], Hole(tuple(middles), is_wide=True), *first[len(first) - tail :]]


def _hole(column: Sequence[Token]) -> Hole:
    return Hole(tuple(token.text for token in column))


def _common(runs: Sequence[list[Token]], at: Callable[[list[Token], int], Token]) -> int:
    count = 0
    shortest = min(map(len, runs))
    while count < shortest and len({at(run, count) for run in runs}) == 1:
        count += 1
    return count


def _masked(key: str) -> str:
    """A number of the line that is volatile by where it stands: a job's process, link counts."""
    found = _JOB.match(key) or _DIRECTORY.match(key)
    return found[1] if found else ""


def _fit(
    pattern: Sequence[Token | Hole], tokens: Sequence[Token], masked: str, clock: Clock
) -> tuple[str, str]:
    if len(pattern) != len(tokens):
        tokens = _stretch(pattern, tokens)
    if len(pattern) != len(tokens):
        return WRONG, ""
    worst = SAME
    reason = ""
    for part, token in zip(pattern, tokens, strict=True):
        how, why = _fit_token(part, token, masked, clock)
        if how == WRONG:
            return WRONG, why
        if how == IMPLAUSIBLE or (how == VOLATILE and worst == SAME):
            worst, reason = how, why or reason
    return worst, reason


def _stretch(pattern: Sequence[Token | Hole], tokens: Sequence[Token]) -> list[Token]:
    """Joins the tokens that stand in the place of a hole of several; else leaves them."""
    holes = [at for at, part in enumerate(pattern) if isinstance(part, Hole) and part.is_wide]
    extra = len(tokens) - len(pattern)
    if len(holes) != 1 or extra < -1:
        return list(tokens)
    at = holes[0]
    middle = Token("text", "".join(token.text for token in tokens[at : at + extra + 1]))
    return [*tokens[:at], middle, *tokens[at + extra + 1 :]]


def _fit_token(part: Token | Hole, token: Token, masked: str, clock: Clock) -> tuple[str, str]:
    if isinstance(part, Hole):
        if token.text in part.samples:
            return (SAME if token.text == part.samples[0] else VOLATILE), ""
        return _judge(why_not_of_type(part.samples, token.text, clock.at))
    if part == token:
        return SAME, ""
    if masked and part.text == masked and token.type == "number":
        return _judge(why_not_pid(token.text))
    if is_of_now(part, clock.at) or part.type in ("duration", "rate"):
        return _judge(why_not_of_type((part.text,), token.text, clock.at))
    if part.type == token.type == "number":
        if same_value(part.text, token.text):
            return SAME, ""
        if clock.process_ids and not masked and part.text.isdigit() and not why_not_pid(part.text):
            return _judge(why_not_pid(token.text))
    return WRONG, f"{token.text!r} instead of {part.text!r}"


def _judge(why: str) -> tuple[str, str]:
    if not why:
        return VOLATILE, ""
    return (IMPLAUSIBLE if why.startswith("implausible") else WRONG), why
