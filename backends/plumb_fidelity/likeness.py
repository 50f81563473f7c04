"""How much two lines are alike, so that they can stand for each other."""

import collections
import re
from collections.abc import Callable, Sequence

from plumb_fidelity.normalise import CELL

_DIGITS = re.compile(r"\d+")
_NO_DIGITS = str.maketrans("", "", "0123456789")
_LEAST_ALIKE = 0.5
_MOST_FIELDS = 100  # as many fields are looked at, and what is behind them is one more


def has_same_parts(real: str, simulated: str, separator: str) -> bool:
    """Whether two lists, whose order is open, have the same parts."""
    if not separator or len(real) != len(simulated):
        return False
    parts = [sorted(text.strip("[]").split(separator)) for text in (real, simulated)]
    return parts[0] == parts[1]


def is_but_for_digits(left: str, right: str) -> bool:
    """Whether two lines have digits, and differ in nothing else."""
    shape = _DIGITS.sub("0", left)
    return shape != left.translate(_NO_DIGITS) and shape == _DIGITS.sub("0", right)


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
