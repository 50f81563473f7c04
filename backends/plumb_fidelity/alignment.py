"""Columns that an action asks to be aligned: `column -t`."""

import re

from plumb_fidelity.action import commands

_FIRST_CELL = re.compile(r"\S++(?: \S+)*+ {2,}")
_MOST_LINES = 1000


def is_unaligned(action: str, real: str, simulated: str) -> bool:
    """Whether the real columns stand below one another, and the simulated ones do not."""
    pipelines = commands(action)
    if not pipelines or pipelines[-1][-1][0] != "column" or "-t" not in pipelines[-1][-1]:
        return False
    if "\n" not in real.strip():
        return False  # one line stands below nothing
    expected, found = _starts(real), _starts(simulated)
    is_one = len(expected) == 1 and None not in expected
    return is_one and (len(found) > 1 or None in found)


def _starts(text: str) -> set[int | None]:
    """Where the second cells begin; None for a line that has none."""
    found = (_FIRST_CELL.match(line) for line in text.split("\n")[:_MOST_LINES] if line.strip())
    return {cell.end() if cell else None for cell in found}
