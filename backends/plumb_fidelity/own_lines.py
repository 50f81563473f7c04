"""Lines that either side may lack, for nobody can know whether they come."""

from collections.abc import Sequence

from plumb_fidelity.jobs import is_notice, is_of_any
from plumb_fidelity.normalise import Section
from plumb_fidelity.volatility import Template

Pair = tuple[int | None, int | None]


def without_own(
    template: Template, part: Section, pairs: Sequence[Pair], jobs: Sequence[str]
) -> list[Pair]:
    """Pairs of lines without those that only one side has, and that either may lack.

    They are the sandbox's own first process, and what the shell tells of jobs. A simulated answer
    may have one of each job: else something could hide behind them.
    """
    kept: list[Pair] = []
    keys, left = template.keys, max(1, len(jobs))
    for i, j in pairs:
        if i is not None and j is not None:
            kept.append((i, j))
        elif i is not None:
            if not _is_own(template, keys[i], jobs):
                kept.append((i, j))
        elif j is not None:
            line = part.lines[j]
            is_own = left > 0 and _is_own(template, line, jobs)
            if is_own and (not is_notice(line) or is_of_any(line, jobs)):
                left -= 1
            else:
                kept.append((i, j))
    return kept


def _is_own(template: Template, line: str, jobs: Sequence[str]) -> bool:
    is_sandboxs = template.section.licences.at(line).is_sandboxs(line)
    return is_sandboxs or (bool(jobs) and is_notice(line))
