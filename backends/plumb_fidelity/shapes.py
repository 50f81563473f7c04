"""Lines that a program prints in a fixed form, with volatile fields."""

import re
from typing import NamedTuple

from plumb_fidelity.tokens import why_not_pid

_OWN_SHELL = re.compile(r"(?:(?:/usr)?/bin/|-)?bash(?: --rcfile \S+)?(?: -i)?")


def _are_own_shell(real: str | None, simulated: str | None) -> bool:
    """Whether both are the session's own shell, however it was started."""
    return bool(_OWN_SHELL.fullmatch(real or "") and _OWN_SHELL.fullmatch(simulated or ""))


class Shape(NamedTuple):
    """A line that a program prints in a fixed form, with volatile fields.

    Attributes:
        pattern: The line, with its space folded. Its groups are what has to be the same; a group
            `pid` has to be a possible process id instead.
    """

    pattern: re.Pattern[str]

    def compare(self, real: str, simulated: str) -> str | None:
        """Says why the line cannot stand for the real one; None where one is not of the form.

        Empty where it can; begins with `implausible` where only the process id cannot be.
        """
        left = self.pattern.fullmatch(real)
        right = self.pattern.fullmatch(simulated) if left else None
        if not left or not right:
            return None
        pid = self.pattern.groupindex.get("pid", 0)
        if pid and left["pid"] == right["pid"] == "1":
            return ""  # the sandbox's own, whatever it is called
        for at, (mine, its) in enumerate(zip(left.groups(), right.groups(), strict=True), 1):
            if at != pid and mine != its and not _are_own_shell(mine, its):
                return f"{its!r} instead of {mine!r}"
        return why_not_pid(right["pid"]) if pid else ""

    def free(self, line: str) -> int:
        """How many characters of a line are volatile; 0 where it is not of the form."""
        found = self.pattern.fullmatch(line)
        if not found:
            return 0
        pid = self.pattern.groupindex.get("pid", 0)
        kept = "".join(text or "" for at, text in enumerate(found.groups(), 1) if at != pid)
        return max(0, len(line.replace(" ", "")) - len(kept.replace(" ", "")))
