"""Pairs of lines seen again: rows in ties, lines that moved, lines that come and go."""

import collections
from collections.abc import Callable, Sequence

from plumb_fidelity.align import match_in_any_order
from plumb_fidelity.likeness import is_but_for_digits
from plumb_fidelity.normalise import CELL, Section
from plumb_fidelity.volatility import SAME, VOLATILE, Clock, Template

_MOST_PASSING = 16  # lines that come and go are looked at for each one that is extra


def in_tied_order(
    template: Template,
    part: Section,
    pairs: list[tuple[int | None, int | None]],
    likely: Callable[[int, int], float],
) -> list[tuple[int | None, int | None]]:
    """Rows with equal sort keys may stand in any order among themselves."""
    if all(left is not None and right is not None for left, right in pairs):
        return pairs
    columns = template.section.keys

    def sort_key(line: str) -> tuple[str, ...]:
        cells = line.split(CELL)
        return tuple(cells[at].lower() if at < len(cells) else "" for at in columns)

    real = [sort_key(line) for line in template.keys]
    simulated = [sort_key(line) for line in part.lines]
    free = match_in_any_order(template.keys, part.lines, likely)
    kept = [pair for pair in free if pair[0] is not None and pair[1] is not None]
    wanted = [real[i] for i, _ in sorted(kept)]  # type: ignore[index]
    got = [simulated[j] for _, j in sorted(kept, key=lambda p: p[1] or 0)]  # type: ignore[index]
    return free if wanted == got else pairs


def without_passing(
    template: Template, part: Section, extra: Sequence[int], clock: Clock
) -> list[int]:
    """Extra lines without those that are like ones that only some real runs have."""
    passing = [line for line in template.lines if not line.is_everywhere][:_MOST_PASSING]
    if not passing:
        return list(extra)
    kept = []
    for j in extra:
        text = part.lines[j]
        if not any(
            line.fits(text, clock)[0] in (SAME, VOLATILE) or is_but_for_digits(line.key, text)
            for line in passing
        ):
            kept.append(j)
    return kept


def find_moved(
    keys: Sequence[str], part: Section, missing: Sequence[int], extra: Sequence[int]
) -> tuple[set[int], set[int]]:
    """The lines that both sides have, in other places."""
    places: dict[str, list[int]] = collections.defaultdict(list)
    for j in reversed(extra):
        places[part.lines[j]].append(j)
    left: set[int] = set()
    right: set[int] = set()
    for i in missing:
        found = places.get(keys[i])
        if found:
            left.add(i)
            right.add(found.pop())
    return left, right
