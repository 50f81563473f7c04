"""Output that stops early or does not stop: cut lines, ellipses, circles."""

import re
from collections.abc import Sequence

LOOP_TIMES = 4
"""As often as this a block has to be repeated to be a circle."""

_LONGEST_LOOP = 8
_LONGEST_ELLIPSIS = 200
_ELLIPSIS = re.compile(
    r"[\[(]?(?:\.\.\.|\u2026)?\s*[\[(]?(?:\d+ )?(?:more )?(?:rows?|lines?)?\s*"
    r"(?:omitted|truncated|and so on)?[\])]?(?:\.\.\.|\u2026)?[\])]?"
)
_CUT_WORDS = re.compile(r"\.\.\.|\u2026|omitted|truncated|more (?:rows|lines)")


def is_cut_off(real: str, simulated: str) -> bool:
    """Whether a line is the beginning of another, and says so: `ssh-rsa AAAA...`."""
    kept = simulated.removesuffix("...").removesuffix("\u2026")
    return kept != simulated and bool(kept.strip()) and real.startswith(kept.rstrip())


def says_it_is_cut(line: str) -> bool:
    """Whether a line stands for others: `...`, `(12 more rows omitted)`."""
    is_short = len(line) <= _LONGEST_ELLIPSIS
    return bool(is_short and _CUT_WORDS.search(line) and _ELLIPSIS.fullmatch(line.strip()))


def longest_loop(lines: Sequence[str]) -> tuple[int, int]:
    """How often the block that is repeated most is repeated in a row, and how long it is."""
    best = (1, 1)
    for period in range(1, _LONGEST_LOOP + 1):
        run = 0
        for at in range(period, len(lines)):
            run = run + 1 if lines[at] == lines[at - period] and lines[at] else 0
            times = run // period + 1
            if times > best[0]:
                best = (times, period)
    return best
