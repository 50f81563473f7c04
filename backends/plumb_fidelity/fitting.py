"""Whether a line can stand in the place of another: token by token, then the space between them.

What real runs differ in is a `Hole`, what the action licenses is `Free`; all else is the same, or
it is wrong.
"""

import bisect
import dataclasses
from collections.abc import Callable, Sequence
from typing import TypeAlias

from plumb_fidelity.kinds import Clock, Kind
from plumb_fidelity.licences import Licence
from plumb_fidelity.tokens import (
    Token,
    has_type,
    same_float,
    same_value,
    scan,
    starts_of,
    why_not_of_type,
)

SAME, VOLATILE, IMPLAUSIBLE, WRONG = "same", "volatile", "implausible", "wrong"


@dataclasses.dataclass(frozen=True, slots=True)
class Hole:
    """A place where real runs differ.

    Attributes:
        samples: What they had there.
        is_wide: Whether they had a different number of tokens there.
        kind: What the action says that stands there; None where it says nothing.
    """

    samples: tuple[str, ...]
    is_wide: bool = False
    kind: Kind | None = None

    @property
    def is_typed(self) -> bool:
        """Whether another value is held to anything."""
        return self.kind is not None or (not self.is_wide and has_type(self.samples))


@dataclasses.dataclass(frozen=True, slots=True)
class Free:
    """A token that the action licenses to differ.

    Attributes:
        token: The first run's.
        kind: What another one is held to.
    """

    token: Token
    kind: Kind


Part: TypeAlias = Token | Hole | Free


def merge(runs: Sequence[list[Token]]) -> list[Token | Hole]:
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


class Reading:
    """A line of the real runs, read once, with what may differ in it.

    Args:
        runs: The line in the real runs, the first one's first.
        licence: What it may differ in.
        clock: When the runs were made.
    """

    def __init__(self, runs: Sequence[str], licence: Licence, clock: Clock) -> None:
        self._runs = runs
        self._licence = licence
        self._clock = clock
        read = [scan(text) for text in runs]
        self._spaces = [spaces for _, spaces in read]
        self._parts = _licensed(runs[0], merge([tokens for tokens, _ in read]), licence, clock)

    @property
    def untyped(self) -> int:
        """How many characters stand where real runs differ, and nothing says in what."""
        if any(shape.free(self._runs[0]) for shape in self._licence.shapes):
            return 0
        return sum(
            len(part.samples[0])
            for part in self._parts
            if isinstance(part, Hole) and not part.is_typed
        )

    @property
    def exact(self) -> list[Token]:
        """The tokens that have to be the same."""
        if any(shape.free(self._runs[0]) for shape in self._licence.shapes):
            return []
        return [part for part in self._parts if isinstance(part, Token)]

    def fit(self, simulated: str) -> tuple[str, str]:
        """Whether another line can stand for it: SAME, VOLATILE, IMPLAUSIBLE or WRONG; and why."""
        for shape in self._licence.shapes:
            why = shape.compare(self._runs[0], simulated)
            if why is not None:
                return judged(why)
        tokens, spaces = scan(simulated)
        if self._licence.shuffled and sorted(tokens) == sorted(scan(self._runs[0])[0]):
            return VOLATILE, ""
        tokens = _stretched(self._parts, tokens)
        if len(self._parts) != len(tokens):
            return WRONG, ""
        worst, reason, loose = SAME, "", set[int]()
        for at, (part, token) in enumerate(zip(self._parts, tokens, strict=True)):
            if part == token:
                continue
            loose.add(at)
            how, why = _fit_token(part, token, self._licence, self._clock)
            if how == WRONG:
                return WRONG, why
            if how == IMPLAUSIBLE or (how == VOLATILE and worst == SAME):
                worst, reason = how, why or reason
        if not self._licence.columns and not self._has_its_space(spaces, loose):
            return WRONG, "other white space"
        return worst, reason

    def _has_its_space(self, spaces: list[str], loose: set[int]) -> bool:
        """Whether the same space stands between the tokens, but for those of another length."""
        first = self._spaces[0]
        if {len(found) for found in (*self._spaces, spaces)} != {len(self._parts)}:
            return True  # a hole of several tokens is there; the line has no places to compare
        return spaces == first or all(
            mine in {found[at] for found in self._spaces}
            or ((at in loose or at - 1 in loose) and bool(mine) == bool(first[at]))
            for at, mine in enumerate(spaces)
        )


def free_characters(line: str, licence: Licence, clock: Clock) -> int:
    """How many characters of a line its licence lets differ."""
    shaped = max((shape.free(line) for shape in licence.shapes), default=0)
    if shaped or not (_kinds(line, licence, clock) or _fields(line, licence, clock)):
        return shaped
    parts = _licensed(line, scan(line)[0], licence, clock)
    return sum(len(part.token.text) for part in parts if isinstance(part, Free))


def _licensed(
    first: str, pattern: Sequence[Token | Hole], licence: Licence, clock: Clock
) -> list[Part]:
    """The line's pattern, with what is licensed marked as such."""
    if any(isinstance(part, Hole) and part.is_wide for part in pattern):
        return list(pattern)  # places are not those of the first run's line
    kinds = _kinds(first, licence, clock)
    fields = _fields(first, licence, clock)
    if not licence.kinds and not fields:
        return list(pattern)
    return [
        _held(part, fields.get(at), licence, clock)
        if isinstance(part, Hole)
        else _freed(part, fields.get(at), kinds, licence, clock)
        for at, part in enumerate(pattern)
    ]


def _held(hole: Hole, field: Kind | None, licence: Licence, clock: Clock) -> Hole:
    """A hole with the kind that the action says of it, where all runs' values are of one."""
    read = [scan(sample)[0] for sample in hole.samples]
    if any(len(tokens) != 1 for tokens in read):
        return hole
    for kind in (field,) if field else licence.kinds:
        if all(kind.holds(tokens[0], clock) for tokens in read):
            return dataclasses.replace(hole, kind=kind)
    return hole


def _kinds(line: str, licence: Licence, clock: Clock) -> list[Kind]:
    """The kinds that a line may have values of."""
    return [
        kind
        for kind in licence.kinds
        if (clock.is_single or not kind.is_single) and kind.hint.search(line)
    ]


def _fields(line: str, licence: Licence, clock: Clock) -> dict[int, Kind]:
    """The tokens, by their place, that are volatile by where they stand."""
    starts: list[int] = []
    kinds: dict[int, Kind] = {}
    for field in licence.fields:
        found = field.pattern.search(line)
        if found and (clock.is_single or not field.kind.is_single):
            starts = starts or starts_of(line)
            for group in range(1, len(found.groups()) + 1):
                kinds[bisect.bisect_right(starts, found.start(group)) - 1] = field.kind
    return kinds


def _freed(
    token: Token, field: Kind | None, kinds: Sequence[Kind], licence: Licence, clock: Clock
) -> Token | Free:
    if field:
        return Free(token, field)
    for kind in kinds:
        if kind.holds(token, clock) and token.text not in licence.written:
            return Free(token, kind)
    return token


def _stretched(pattern: Sequence[Part], tokens: list[Token]) -> list[Token]:
    """Joins the tokens that stand in the place of one wide hole, or of one licensed token."""
    extra = len(tokens) - len(pattern)
    if not extra:
        return tokens
    wide = [at for at, part in enumerate(pattern) if isinstance(part, Hole) and part.is_wide]
    places = wide or [at for at, part in enumerate(pattern) if isinstance(part, Free)]
    if len(places) != 1 or extra < (-1 if wide else 1):
        return tokens
    at = places[0]
    middle = Token("text", "".join(token.text for token in tokens[at : at + extra + 1]))
    return [*tokens[:at], middle, *tokens[at + extra + 1 :]]


def _fit_token(part: Part, token: Token, licence: Licence, clock: Clock) -> tuple[str, str]:
    if isinstance(part, Hole):
        if token.text in part.samples:
            return (SAME if token.text == part.samples[0] else VOLATILE), ""
        if part.kind:
            first = scan(part.samples[0])[0][0]
            return judged(part.kind.why_not(first, token.text, clock))
        return judged(why_not_of_type(part.samples, token.text, clock.at))
    if isinstance(part, Free):
        if part.token == token or (licence.numbers and same_value(part.token.text, token.text)):
            return SAME, ""
        return judged(part.kind.why_not(part.token, token.text, clock))
    if part == token:
        return SAME, ""
    if part.type == token.type == "number" and (
        (licence.numbers and same_value(part.text, token.text))
        or (licence.floats and same_float(part.text, token.text))
    ):
        return SAME, ""
    return WRONG, f"{token.text!r} instead of {part.text!r}"


def judged(why: str) -> tuple[str, str]:
    """What a reason why something cannot stand in a place comes to."""
    if not why:
        return VOLATILE, ""
    return (IMPLAUSIBLE if why.startswith("implausible") else WRONG), why
