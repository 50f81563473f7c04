"""Which line of one output stands for which of the other.

Equal beginnings and ends first, then lines that occur once on both sides, as in a patience diff
(Bram Cohen's): time grows with the lines times their logarithm. What is left between two
such anchors is small in practice; there lines are paired that are alike, and beyond a size that
would cost too much, those with the same first field.
"""

import bisect
import collections
from collections.abc import Callable, Sequence
from typing import TypeAlias

Pair: TypeAlias = tuple[int | None, int | None]
"""The indices of two lines that stand for each other; None where a line stands alone."""

_MOST_CELLS = 2500
_MOST_CELLS_IN_ALL = 100_000  # as many pairs of lines are weighed, and then no more
_PLAINLY = 0.5


def align(
    left: Sequence[str], right: Sequence[str], alike: Callable[[int, int], float]
) -> list[Pair]:
    """Pairs the lines of two outputs, in order.

    Args:
        left: One output's lines, as keys: equal keys are equal lines.
        right: The other's.
        alike: How much two lines are alike, by their indices: 0 for two that are no pair, to 1.
    """
    pairs: list[Pair] = []
    weigh = _Weighing(alike)
    done_left = done_right = 0
    for start, end in [*_anchors(left, right), (len(left), len(right))]:
        if done_left < start or done_right < end:  # anchors mostly follow one another
            pairs += weigh.fill(done_left, start, done_right, end)
        if start < len(left):
            pairs.append((start, end))
        done_left, done_right = start + 1, end + 1
    return pairs


def _anchors(left: Sequence[str], right: Sequence[str]) -> list[tuple[int, int]]:
    """Pairs of equal lines, rising on both sides."""
    head = 0
    shortest = min(len(left), len(right))
    while head < shortest and left[head] == right[head]:
        head += 1
    tail = 0
    while tail < shortest - head and left[-1 - tail] == right[-1 - tail]:
        tail += 1
    anchors = [(at, at) for at in range(head)]
    anchors += _inner(left, right, head, len(left) - tail, len(right) - tail)
    anchors += [(len(left) - at, len(right) - at) for at in range(tail, 0, -1)]
    return anchors


def _inner(
    left: Sequence[str], right: Sequence[str], start: int, end_left: int, end_right: int
) -> list[tuple[int, int]]:
    """Of the lines that are in the middle: those that occur equally often on both sides.

    The nth on one side is the nth on the other; of these pairs the longest rising sequence.
    """
    places: dict[str, list[int]] = collections.defaultdict(list)
    for at in range(start, end_right):
        places[right[at]].append(at)
    counts = collections.Counter(left[start:end_left])
    taken: collections.Counter[str] = collections.Counter()
    pairs = []
    for at in range(start, end_left):
        line = left[at]
        found = places.get(line, ())
        if len(found) == counts[line]:
            pairs.append((at, found[taken[line]]))
            taken[line] += 1
    return _longest_rising(pairs)


def _longest_rising(pairs: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    ends: list[int] = []
    holders: list[int] = []
    before: list[int] = []
    for at, (_, value) in enumerate(pairs):
        place = bisect.bisect_left(ends, value)
        before.append(holders[place - 1] if place else -1)
        ends[place : place + 1] = [value]
        holders[place : place + 1] = [at]
    rising: list[tuple[int, int]] = []
    at = holders[-1] if holders else -1
    while at >= 0:
        rising.append(pairs[at])
        at = before[at]
    return rising[::-1]


class _Weighing:
    """Pairs what is alike between two anchors; weighs so many pairs of lines in all."""

    def __init__(self, alike: Callable[[int, int], float]) -> None:
        self._alike = alike
        self._left = _MOST_CELLS_IN_ALL

    def fill(self, left: int, left_end: int, right: int, right_end: int) -> list[Pair]:
        """Pairs the lines of a block, in order."""
        alike = self._alike
        rows, columns = left_end - left, right_end - right
        if not rows or not columns:
            alone: list[Pair] = [(at, None) for at in range(left, left_end)]
            return alone + [(None, at) for at in range(right, right_end)]
        if rows == columns and all(alike(left + at, right + at) >= _PLAINLY for at in range(rows)):
            return [(left + at, right + at) for at in range(rows)]  # as real runs mostly are
        if rows * columns > min(_MOST_CELLS, self._left):
            return _fill_in_step(left, left_end, right, right_end, alike)
        self._left -= rows * columns
        best = [[0.0] * (columns + 1) for _ in range(rows + 1)]
        score = [[alike(left + i, right + j) for j in range(columns)] for i in range(rows)]
        for i in range(rows - 1, -1, -1):
            for j in range(columns - 1, -1, -1):
                together = score[i][j] + best[i + 1][j + 1] if score[i][j] else 0.0
                best[i][j] = max(best[i + 1][j], best[i][j + 1], together)
        return _walk(best, score, left, right)


def _walk(
    best: Sequence[Sequence[float]], score: Sequence[Sequence[float]], left: int, right: int
) -> list[Pair]:
    pairs: list[Pair] = []
    i = j = 0
    rows, columns = len(score), len(score[0])
    while i < rows and j < columns:
        if score[i][j] and best[i][j] == score[i][j] + best[i + 1][j + 1]:
            pairs.append((left + i, right + j))
            i, j = i + 1, j + 1
        elif best[i][j] == best[i + 1][j]:
            pairs.append((left + i, None))
            i += 1
        else:
            pairs.append((None, right + j))
            j += 1
    pairs += [(left + at, None) for at in range(i, rows)]
    pairs += [(None, right + at) for at in range(j, columns)]
    return pairs


def _fill_in_step(
    left: int, left_end: int, right: int, right_end: int, alike: Callable[[int, int], float]
) -> list[Pair]:
    """Goes through both at the same pace: linear, for blocks too large to weigh every pair."""
    pairs: list[Pair] = []
    while left < left_end and right < right_end:
        if alike(left, right):
            pairs.append((left, right))
        else:
            pairs += [(left, None), (None, right)]
        left, right = left + 1, right + 1
    pairs += [(at, None) for at in range(left, left_end)]
    pairs += [(None, at) for at in range(right, right_end)]
    return pairs


def match_in_any_order(
    left: Sequence[str], right: Sequence[str], alike: Callable[[int, int], float]
) -> list[Pair]:
    """Pairs the lines of two outputs whose order says nothing: equal ones, then those alike."""
    places: dict[str, list[int]] = collections.defaultdict(list)
    for at in range(len(right) - 1, -1, -1):
        places[right[at]].append(at)
    pairs: list[Pair] = []
    alone: list[int] = []
    for at, line in enumerate(left):
        if places.get(line):
            pairs.append((at, places[line].pop()))
        else:
            alone.append(at)
    rest = sorted(at for found in places.values() for at in found)
    if len(alone) * len(rest) > _MOST_CELLS:
        pairs += _by_rank(left, right, alone, rest, alike)
    else:
        pairs += _best_first(alone, rest, alike)
    return sorted(pairs, key=lambda pair: (pair[0] is None, pair[0] or 0, pair[1] or 0))


def _best_first(
    alone: Sequence[int], rest: Sequence[int], alike: Callable[[int, int], float]
) -> list[Pair]:
    scored = sorted(
        ((alike(i, j), i, j) for i in alone for j in rest), key=lambda s: (-s[0], s[1], s[2])
    )
    free_left, free_right = set(alone), set(rest)
    pairs: list[Pair] = []
    for score, i, j in scored:
        if score and i in free_left and j in free_right:
            pairs.append((i, j))
            free_left.remove(i)
            free_right.remove(j)
    pairs += [(i, None) for i in sorted(free_left)]
    return pairs + [(None, j) for j in sorted(free_right)]


def _by_rank(
    left: Sequence[str],
    right: Sequence[str],
    alone: Sequence[int],
    rest: Sequence[int],
    alike: Callable[[int, int], float],
) -> list[Pair]:
    """Sorted, then at the same pace: for very many lines that differ."""
    by_left = sorted(alone, key=lambda at: left[at])
    by_right = sorted(rest, key=lambda at: right[at])
    found = _fill_in_step(
        0, len(by_left), 0, len(by_right), lambda i, j: alike(by_left[i], by_right[j])
    )
    return [
        (None if i is None else by_left[i], None if j is None else by_right[j]) for i, j in found
    ]
