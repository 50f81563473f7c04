"""Whether two complaints of programs say the same of the same things, in another form.

A shell names itself as it was started, with the line that it is at or without it; programs put
names into quotes or not, by their version and locale. What failed, of whom and why has to be equal.
"""

import re

from plumb_fidelity.failure import is_complaint

_SHELL = re.compile(r"(?:-?(?:ba|da)?sh|/bin/(?:ba|da)?sh): (?:(?:line )?(\d{1,9}): )?(.*)")
_REFUSED = re.compile(r"curl: \(7\) Failed to connect to (\S+) port (\d+)\b")
_QUOTES = str.maketrans("", "", "'\"`\u2018\u2019")
_LONGEST = 4096


def same_complaint(real: str, simulated: str) -> bool:
    """Whether both are complaints, and differ in their form only.

    The line that a shell is at counts where both tell it.
    """
    if max(len(real), len(simulated)) > _LONGEST:
        return False
    left, right = _REFUSED.match(real), _REFUSED.match(simulated)
    if left and right:
        return left.groups() == right.groups()
    if not all(_SHELL.fullmatch(line) or is_complaint(line) for line in (real, simulated)):
        return False
    line, what = _parts(real)
    its_line, its_what = _parts(simulated)
    return what == its_what and (line is None or its_line is None or line == its_line)


def _parts(line: str) -> tuple[str | None, str]:
    """The line that a shell is at, where it tells one, and the rest without quotes."""
    found = _SHELL.fullmatch(line)
    if not found:
        return None, line.translate(_QUOTES)
    shell = "" if found[2].endswith("not found") else "sh: "  # which one found no command
    return found[1], shell + found[2].translate(_QUOTES)
