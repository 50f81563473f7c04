"""What differs between real runs of the same, and is therefore no hallucination.

Several runs in fresh sandboxes are aligned; where they differ there is a hole that is held to the
type of what real runs had there, and everything else must be the same. Two equal runs are not
enough: after two the third still differed in 4.7 % of the steps that were looked at. What the
action licenses to differ (see `licences`) may do so where all runs agree by chance, too; the look
of a text alone licenses nothing.
"""

import collections
import dataclasses
from collections.abc import Sequence

from plumb_fidelity.align import align, match_in_any_order
from plumb_fidelity.complaints import same_complaint
from plumb_fidelity.fitting import (
    IMPLAUSIBLE,
    SAME,
    VOLATILE,
    WRONG,
    Hole,
    Reading,
    free_characters,
    merge,
)
from plumb_fidelity.kinds import Clock
from plumb_fidelity.licences import NOTHING, Licences
from plumb_fidelity.likeness import has_same_parts, is_but_for_digits, likeness
from plumb_fidelity.normalise import CELL, Section
from plumb_fidelity.tokens import Token, tokenise

__all__ = ["IMPLAUSIBLE", "SAME", "VOLATILE", "WRONG", "Clock", "Hole", "Line", "Template", "learn"]


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
    licences: Licences = NOTHING
    _pattern: list[Token | Hole] | None = None
    _reading: Reading | None = None
    _loose: bool | None = None
    _last: tuple[str, tuple[str, str]] | None = None  # it is asked for twice: to align, to judge

    @property
    def pattern(self) -> list[Token | Hole]:
        """The line's tokens, with holes where runs differ."""
        if self._pattern is None:
            self._pattern = merge([tokenise(text) for text in (self.key, *self.others)])
        return self._pattern

    def also(self, key: str) -> None:
        """Notes what a further run printed in its place."""
        self.others.append(key)
        self._pattern = self._reading = self._loose = self._last = None

    def licensed_reading(self, clock: Clock) -> Reading | None:
        """The line read as a single run's, by which others are found; None where it is exact."""
        single = dataclasses.replace(clock, is_single=True)
        if self.licences.cells is not None or not self.licensed(single):
            return None
        return Reading((self.key,), self.licences.at(self.key), single)

    def has_form(self, key: str) -> bool:
        """Whether another line differs only in the volatile fields of a form of its program."""
        if self.licences.cells is not None:
            return False
        return any(
            shape.compare(self.key, key) == "" for shape in self.licences.at(self.key).shapes
        )

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
        if self._last is None or self._last[0] != key:
            self._last = (key, self._fit(key, clock))
        return self._last[1]

    def _fit(self, key: str, clock: Clock) -> tuple[str, str]:
        if self.licences.cells is not None:
            return self._fits_row(key, clock)
        how, why = self._read(clock).fit(key)
        if how == WRONG and same_complaint(self.key, key):
            return SAME, ""
        return how, why

    def is_loose(self, clock: Clock) -> bool:
        """Whether something in it may differ, so that another line may stand for it."""
        if self._loose is None:
            self._loose = bool(self.others) or self.licensed(clock) > 0
        return self._loose

    def exact(self, clock: Clock) -> list[Token]:
        """The tokens of a line of text that have to be the same."""
        return self._read(clock).exact

    def untyped(self, clock: Clock) -> int:
        """How many characters of it are held to nothing, for real runs differ in them."""
        if not self.others:
            return 0
        if self.licences.cells is None:
            return self._read(clock).untyped
        rows = [text.split(CELL) for text in (self.key, *self.others)]
        if len({len(row) for row in rows}) > 1:
            return len(self.key)
        return sum(
            Reading(tuple(dict.fromkeys(cells)), self.licences.of_cell(at), clock).untyped
            for at, cells in enumerate(zip(*rows, strict=True))
            if len(set(cells)) > 1
        )

    def _read(self, clock: Clock) -> Reading:
        if self._reading is None:
            runs = (self.key, *self.others)
            self._reading = Reading(runs, self.licences.at(self.key), clock)
        return self._reading

    def _fits_row(self, key: str, clock: Clock) -> tuple[str, str]:
        runs = [text.split(CELL) for text in (self.key, *self.others)]
        cells = key.split(CELL)
        if {len(run) for run in runs} != {len(cells)}:
            return WRONG, f"{len(cells)} cells instead of {len(runs[0])}"
        worst, reason = SAME, ""
        for at, (cell, *real) in enumerate(zip(cells, *runs, strict=True)):
            if cell == real[0]:
                continue
            seen = tuple(dict.fromkeys(real))
            licence = self.licences.of_cell(at)
            is_known = cell in seen or has_same_parts(seen[0], cell, licence.separator)
            how, why = (VOLATILE, "") if is_known else Reading(seen, licence, clock).fit(cell)
            if how == WRONG:
                return WRONG, why
            if how == IMPLAUSIBLE or worst == SAME:
                worst, reason = how, why
        return worst, reason

    def licensed(self, clock: Clock) -> int:
        """How many characters may differ by licence, in a line that all runs agree on."""
        if self.licences.cells is None:
            return free_characters(self.key, self.licences.at(self.key), clock)
        return sum(
            free_characters(cell, self.licences.of_cell(at), clock)
            for at, cell in enumerate(self.key.split(CELL))
        )


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

    def licensed(self, clock: Clock) -> int:
        """How many characters may differ by licence, beside those that `holes` counts."""
        return sum(
            line.licensed(clock) for line in self.lines if line.is_everywhere and not line.others
        )

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


def learn(runs: Sequence[Section], clock: Clock) -> Template:
    """Learns a template from the same section of every run; one run is its own template."""
    first = runs[0]
    licences = first.owned or [first.licences] * len(first.lines)
    lines = [Line(key, licences=own) for key, own in zip(first.lines, licences, strict=True)]
    is_ordered = first.order.fixed
    for run in runs[1:]:
        if is_ordered and _is_reordered(first.lines, run.lines):
            is_ordered = False
    template = Template(first, lines, is_ordered)
    for run in runs[1:]:
        if run.lines != first.lines:
            _merge_run(template, run, clock)
    return template


def _stands_in_place(template: Template, run: Section) -> bool:
    """Whether each line is like the one in its place: by chance it may equal another's, too."""
    return len(template.lines) == len(run.lines) and all(
        line.key == text or is_but_for_digits(line.key, text) or line.has_form(text)
        for line, text in zip(template.lines, run.lines, strict=True)
    )


def _is_reordered(left: Sequence[str], right: Sequence[str]) -> bool:
    return left != right and collections.Counter(left) == collections.Counter(right)


def _merge_run(template: Template, run: Section, clock: Clock) -> None:
    pair = align if template.is_ordered else match_in_any_order
    keys = template.keys
    merged: list[Line] = []
    alike = likeness(keys, run.lines)
    readings: dict[int, Reading | None] = {}

    def likely(i: int, j: int) -> float:
        if i not in readings:
            readings[i] = template.lines[i].licensed_reading(clock)
        reading = readings[i]
        if reading and reading.fit(run.lines[j])[0] in (SAME, VOLATILE):
            return 1.0
        return alike(i, j)

    pairs = pair(keys, run.lines, likely)
    if template.is_ordered and _stands_in_place(template, run):
        pairs = [(at, at) for at in range(len(keys))]
    for left, right in pairs:
        if left is None:
            assert right is not None  # noqa: S101 - one of the two is there
            merged.append(Line(run.lines[right], is_everywhere=False, licences=run.licences))
            continue
        line = template.lines[left]
        merged.append(line)
        if right is None:
            line.is_everywhere = False
        elif run.lines[right] != line.key and run.lines[right] not in line.others:
            line.also(run.lines[right])
    template.lines[:] = merged
