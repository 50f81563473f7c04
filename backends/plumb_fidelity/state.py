"""Compares what two sides say of a state, fact by fact: files' fields, rows, columns, variables.

The expected facts are those that all real runs agree on. What was not asked for is not missing
(`state_facts.OPTIONAL`), and rows are matched by what they hold, so that one more row is one error
and not as many as there are behind it.

>>> found = compare_state([{"/n": "type file, size 3"}], {"/n": "type file, size 4"})
>>> found.agreeing, found.wrong, [fact.name for fact in found.differing]
(1, 1, ['/n: size'])
"""

import collections
import dataclasses
import enum
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property

from plumb_fidelity.state_facts import (
    OPTIONAL,
    Row,
    entry_name,
    facts_of,
    read_row,
    row_place,
    told_facts_of,
)

_CUT = " (cut)"
"""How the key of an entry ends that says that more is there than was told."""

Probed = Mapping[str, str]
"""What one probe answered: what is true (values) of what (keys)."""


class Outcome(enum.Enum):
    """What came of one fact."""

    AGREES = "agrees"
    WRONG = "wrong"
    MISSING = "missing"
    EXTRA = "extra"


@dataclasses.dataclass(frozen=True, slots=True)
class Fact:
    """One compared fact.

    Attributes:
        entry: What it is a fact of: a path, a table's row, a variable.
        field: Which of its facts; empty where it has only one.
        outcome: See there.
        real: What is true; None where nothing is.
        simulated: What was said; None where nothing was.
    """

    entry: str
    field: str
    outcome: Outcome
    real: str | None
    simulated: str | None

    @property
    def name(self) -> str:
        """Entry and field."""
        return f"{self.entry}: {self.field}" if self.field else self.entry


@dataclasses.dataclass(frozen=True)
class StateComparison:
    """How one suite compares; facts that real runs differ in are not among the facts."""

    facts: tuple[Fact, ...]

    @cached_property
    def _counts(self) -> collections.Counter[Outcome]:
        return collections.Counter(fact.outcome for fact in self.facts)

    @property
    def agreeing(self) -> int:
        """How many facts agree."""
        return self._counts[Outcome.AGREES]

    @property
    def wrong(self) -> int:
        """How many have another value."""
        return self._counts[Outcome.WRONG]

    @property
    def missing(self) -> int:
        """How many were asked for and not said."""
        return self._counts[Outcome.MISSING]

    @property
    def extra(self) -> int:
        """How many were said of what is not there."""
        return self._counts[Outcome.EXTRA]

    @property
    def agrees(self) -> bool:
        """Whether no fact differs."""
        return self.agreeing == len(self.facts)

    @property
    def share(self) -> float:
        """The share of facts that agree; 1 where there is none."""
        return self.agreeing / len(self.facts) if self.facts else 1.0

    @property
    def differing(self) -> tuple[Fact, ...]:
        """The facts that do not agree."""
        return tuple(fact for fact in self.facts if fact.outcome is not Outcome.AGREES)

    @property
    def differing_entries(self) -> frozenset[str]:
        """What the facts that do not agree are facts of."""
        return frozenset(fact.entry for fact in self.differing)


def compare_state(real: Sequence[Probed], simulated: Probed) -> StateComparison:
    """Compares what one suite says on both sides.

    Args:
        real: The answers of real runs, at least one; facts that they differ in are left out.
        simulated: The answer to judge.
    """
    runs, told = [_divide(run) for run in real], _divide(simulated)
    return StateComparison((*_entries(runs, told), *_tables(runs, told)))


@dataclasses.dataclass(frozen=True, slots=True)
class _Divided:
    """An answer: rows by table, in order; all else by its name; tables that were cut."""

    entries: Mapping[str, str]
    tables: Mapping[str, Sequence[Row]]
    cut: frozenset[str]


def _divide(answer: Probed) -> _Divided:
    entries: dict[str, str] = {}
    numbered: dict[str, dict[int, Row]] = collections.defaultdict(dict)
    cut = set()
    for key, value in answer.items():
        place = row_place(key)
        row = read_row(value) if place else None
        if key.endswith(_CUT):
            cut.add(entry_name(key.removesuffix(_CUT)))
        elif place and row is not None:
            numbered[place[0]][place[1]] = row
        else:
            entries[entry_name(key)] = value
    tables = {table: [row for _, row in sorted(rows.items())] for table, rows in numbered.items()}
    return _Divided(entries, tables, frozenset(cut))


def _entries(runs: Sequence[_Divided], told: _Divided) -> Iterator[Fact]:
    known = [{name: facts_of(value) for name, value in run.entries.items()} for run in runs]
    for name in sorted({*told.entries, *(name for run in known for name in run)}):
        reals = [run.get(name) for run in known]
        first, text = reals[0], told.entries.get(name)
        if first is None or None in reals:
            if text is not None and not any(reals):
                yield from _compare(name, {}, facts_of(text), frozenset())
            continue
        volatile = frozenset(
            field
            for field in {field for facts in reals for field in facts or ()}
            if len({(facts or {}).get(field) for facts in reals}) > 1
        )
        said = {} if text is None else told_facts_of(text, first)
        yield from _compare(name, first, said, volatile)


def _compare(
    entry: str, real: Mapping[str, str], said: Mapping[str, str], volatile: frozenset[str]
) -> Iterator[Fact]:
    for field in dict.fromkeys((*real, *said)):
        if field in volatile or (field in OPTIONAL and not (field in real and field in said)):
            continue
        yield Fact(
            entry,
            field,
            _outcome(real.get(field), said.get(field)),
            real.get(field),
            said.get(field),
        )


def _outcome(real: str | None, said: str | None) -> Outcome:
    if real == said:
        return Outcome.AGREES
    if said is None:
        return Outcome.MISSING
    return Outcome.EXTRA if real is None else Outcome.WRONG


@dataclasses.dataclass(slots=True)
class _Expected:
    """A real row, by its cells that all real runs agree on: `kept` are their numbers."""

    number: int
    row: Row
    kept: tuple[int, ...]

    @property
    def key(self) -> Row:
        return tuple(self.row[at] for at in self.kept)


def _tables(runs: Sequence[_Divided], told: _Divided) -> Iterator[Fact]:
    for table in sorted({*told.tables, *(table for run in runs for table in run.tables)}):
        expected, spare = _expected([run.tables.get(table, ()) for run in runs])
        is_cut = any(table in run.cut for run in runs)
        yield from _rows(table, expected, told.tables.get(table, ()), spare, is_cut=is_cut)


def _expected(runs: Sequence[Sequence[Row]]) -> tuple[list[_Expected], int]:
    """The rows to expect, and how many more may be there."""
    first = runs[0]
    if len({len(rows) for rows in runs}) > 1:  # what all have, in any number
        common = collections.Counter(first)
        for rows in runs[1:]:
            common &= collections.Counter(rows)
        shared = list(common.elements())
        found = [_Expected(at, row, tuple(range(len(row)))) for at, row in enumerate(shared, 1)]
        return found, max(map(len, runs)) - len(found)
    found = []
    for number, rows in enumerate(zip(*runs, strict=True), 1):
        widths = {len(row) for row in rows}
        kept = range(len(rows[0])) if len(widths) == 1 else ()
        stable = tuple(at for at in kept if len({row[at] for row in rows}) == 1)
        found.append(_Expected(number, rows[0], stable))
    fixed = [one for one in found if one.kept or not one.row]
    return fixed, len(found) - len(fixed)


def _rows(
    table: str, expected: Sequence[_Expected], told: Sequence[Row], spare: int, *, is_cut: bool
) -> Iterator[Fact]:
    """Matches rows by what they hold; what is left by its first cell, which mostly is the key."""
    left, unmatched = _match(expected, told)
    missing = {id(one) for one in left}
    for one in expected:
        if id(one) not in missing:
            text = _shown(one.row)
            yield Fact(f"{table} {one.number}", "", Outcome.AGREES, text, text)
    by_first: dict[str | None, collections.deque[Row]] = collections.defaultdict(collections.deque)
    for row in unmatched:
        by_first[row[0] if row else None].append(row)
    for one in left:
        same = by_first[one.row[0] if one.row else None]
        said = _shown(same.popleft()) if same else None
        outcome = Outcome.MISSING if said is None else Outcome.WRONG
        yield Fact(f"{table} {one.number}", "", outcome, _shown(one.row), said)
    extra = [row for rows in by_first.values() for row in rows]
    for number, row in enumerate([] if is_cut else extra[spare:], 1):
        yield Fact(f"{table} (extra {number})", "", Outcome.EXTRA, None, _shown(row))


def _match(expected: Sequence[_Expected], told: Sequence[Row]) -> tuple[list[_Expected], list[Row]]:
    """What is left of both sides once equal rows are taken away."""
    waiting: dict[tuple[int, tuple[int, ...]], dict[Row, collections.deque[_Expected]]] = {}
    for one in expected:
        shape = waiting.setdefault((len(one.row), one.kept), {})
        shape.setdefault(one.key, collections.deque()).append(one)
    most_first = sorted(waiting, key=lambda shape: -len(shape[1]))
    unmatched = []
    for row in told:
        for width, kept in most_first:
            found = waiting[width, kept].get(tuple(row[at] for at in kept if at < len(row)))
            if found and len(row) == width:
                found.popleft()
                break
        else:
            unmatched.append(row)
    left = [one for shape in waiting.values() for ones in shape.values() for one in ones]
    return sorted(left, key=lambda one: one.number), unmatched


def _shown(row: Row) -> str:
    return "[" + ", ".join("NULL" if cell is None else cell for cell in row) + "]"
