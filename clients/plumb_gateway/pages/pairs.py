"""Two answers to one action, side by side."""

import dataclasses
import difflib
import re
from collections.abc import Iterator, Sequence
from typing import TypeAlias

from plumb_client import JournaledStep, Observation, Verdict

Line: TypeAlias = tuple[str | None, str | None, str]
"""The real line, the simulated one, and how they compare; None for a side that has none there."""


Words: TypeAlias = list[tuple[str, bool]]
"""A line in pieces, and whether each differs from the other side's."""

_WORD = re.compile(r"\w+|\s+|.", re.DOTALL)
_MOST_WEIGHED = 4000
"""Words of one line times those of the other; what is longer is marked as a whole."""


@dataclasses.dataclass(frozen=True, slots=True)
class Pair:
    """Both sides of a step.

    Attributes:
        real: What the real thing answered; None where it failed.
        simulated: What the simulator answered; None where it failed.
        lines: Both, line by line.
    """

    real: Observation | None
    simulated: Observation | None
    lines: Sequence[Line]


def pair_of(step: JournaledStep) -> Pair | None:
    """Both sides of a paired session's step; None for another session's."""
    seen = step.observation
    if seen is None or seen.verdict is None:
        return None
    if seen.provenance.backend == "real":
        return pair(seen, seen.counterpart, seen.verdict)
    return pair(seen.counterpart, seen, seen.verdict)


def pair(real: Observation | None, simulated: Observation | None, verdict: Verdict) -> Pair:
    """Lays two sides beside each other, as the differ did, or else line by line."""
    texts = [side.text if side else "" for side in (real, simulated)]
    return Pair(real, simulated, verdict.aligned or side_by_side(*texts))


def side_by_side(real: str, simulated: str) -> list[Line]:
    """Pairs lines by their place."""
    left, right = _lines(real), _lines(simulated)
    return [
        _line(
            left[at] if at < len(left) else None,
            right[at] if at < len(right) else None,
        )
        for at in range(max(len(left), len(right)))
    ]


def _lines(text: str) -> list[str]:
    return text.removesuffix("\n").split("\n") if text else []


def _line(real: str | None, simulated: str | None) -> Line:
    if real == simulated:
        return real, simulated, "same"
    if real is None:
        return real, simulated, "extra"
    return real, simulated, "missing" if simulated is None else "wrong"


def words_of(line: Line) -> tuple[Words, Words]:
    """Both sides of a line; where it is wrong, with the words marked that differ."""
    real, simulated, mark = line
    if mark != "wrong" or not real or not simulated:
        return _unmarked(real), _unmarked(simulated)
    left, right = _WORD.findall(real), _WORD.findall(simulated)
    if len(left) * len(right) > _MOST_WEIGHED:
        return _unmarked(real), _unmarked(simulated)
    blocks = difflib.SequenceMatcher(None, left, right, autojunk=False).get_matching_blocks()
    return (
        list(_marked(left, [(block.a, block.a + block.size) for block in blocks])),
        list(_marked(right, [(block.b, block.b + block.size) for block in blocks])),
    )


def _unmarked(text: str | None) -> Words:
    return [(text, False)] if text else []


def _marked(words: Sequence[str], equal: Sequence[tuple[int, int]]) -> Iterator[tuple[str, bool]]:
    """Pieces of a line: what is equal, and what is between."""
    done = 0
    for start, end in equal:
        if start > done:
            yield "".join(words[done:start]), True
        if end > start:
            yield "".join(words[start:end]), False
        done = end
