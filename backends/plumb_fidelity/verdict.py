"""How a real and a simulated observation of the same action compare.

One pair, no noise learnt: what differs between two real runs (dates, process ids) is not known
here and counts as a difference. The first class that matches by severity is the verdict, all that
match are its flags, and the evidence is for a person to read.
"""

import collections
import dataclasses
import difflib
import re

from plumb_fidelity.breaks import find_breaks

SEVERITY = (
    "BACKEND_FAILURE",
    "FORMAT_BREAK",
    "CHARACTER_BREAK",
    "FALSE_SUCCESS",
    "FALSE_FAILURE",
    "WRONG_ERROR",
    "EMPTY",
    "SPURIOUS",
    "OVERRUN",
    "TRUNCATED",
    "WRONG_VALUE",
    "FABRICATED",
    "OMITTED",
    "WRONG_ORDER",
    "AGREES_BUT_LAYOUT",
    "AGREES",
)
"""The classes, the most severe first."""

_MOST_EVIDENCE_LINES = 20
_DURATION = re.compile(r"\((?:\d+ \w+ )*\d+\.\d+ sec\)")


@dataclasses.dataclass(frozen=True, slots=True)
class Verdict:
    """How two observations compare.

    Attributes:
        verdict: One of `SEVERITY`.
        flags: Every class that matched, the most severe first.
        evidence: What a person should look at, one finding a line.
    """

    verdict: str
    flags: tuple[str, ...]
    evidence: tuple[str, ...]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What one side observed.

    Attributes:
        text: What the agent reads.
        status: How it ended, comparable and for people: `exit status 1`, `errno 1146`, `timed out`;
            empty where it is not known.
        failed: Whether that is a failure; None where it is not known.
    """

    text: str
    status: str = ""
    failed: bool | None = None


def compare(
    real: Seen, simulated: Seen, *, action: str, prompt: str = "", is_table: bool = False
) -> Verdict:
    """Compares one pair.

    Args:
        real: The truth.
        simulated: What a simulator made of it.
        action: What was typed.
        prompt: The session's own prompt; see `find_breaks`.
        is_table: Whether `text` is what the `mysql` client prints.
    """
    flags = [
        found.verdict
        for found in find_breaks(simulated.text, action, prompt=prompt, is_table=is_table)
        if simulated.text != real.text
    ]
    evidence: list[str] = []
    if real.status and simulated.status and real.status != simulated.status:
        evidence.append(f"real: {real.status}; simulated: {simulated.status}")
        flags.append(_status_flag(real, simulated))
    text_flag = _text_flag(_normal(real.text), _normal(simulated.text))
    if text_flag not in ("AGREES", "AGREES_BUT_LAYOUT"):
        evidence += _difference(_normal(real.text), _normal(simulated.text))
    if not flags or text_flag not in ("AGREES", "AGREES_BUT_LAYOUT"):
        flags.append(text_flag)
    ordered = tuple(sorted(set(flags), key=SEVERITY.index))
    return Verdict(ordered[0], ordered, tuple(evidence))


def backend_failure(side: str, why: str) -> Verdict:
    """The verdict where one side gave no observation."""
    return Verdict("BACKEND_FAILURE", ("BACKEND_FAILURE",), (f"{side}: {why}",))


def _status_flag(real: Seen, simulated: Seen) -> str:
    if real.failed and not simulated.failed:
        return "FALSE_SUCCESS"
    if simulated.failed and not real.failed:
        return "FALSE_FAILURE"
    return "WRONG_ERROR"


def _normal(text: str) -> str:
    """Without what the clock decides, and without space at the ends of lines."""
    masked = _DURATION.sub("(T sec)", text)
    return "\n".join(line.rstrip() for line in masked.rstrip().split("\n"))


def _text_flag(real: str, simulated: str) -> str:
    if real == simulated:
        return "AGREES"
    if real.split() == simulated.split():
        return "AGREES_BUT_LAYOUT"
    if not simulated:
        return "EMPTY"
    if not real:
        return "SPURIOUS"
    if real.startswith(simulated):
        return "TRUNCATED"
    left, right = (collections.Counter(text.split("\n")) for text in (real, simulated))
    if left == right:
        return "WRONG_ORDER"
    if not right - left:
        return "OMITTED"
    return "WRONG_VALUE" if left - right else "FABRICATED"


def _difference(real: str, simulated: str) -> list[str]:
    """The lines that only one side has."""
    lines = difflib.unified_diff(
        real.split("\n"), simulated.split("\n"), n=0, lineterm="", fromfile="", tofile=""
    )
    sides = {"-": "real", "+": "simulated"}
    changed = [
        f"only {sides[line[0]]}: {line[1:]}"
        for line in lines
        if line[0] in sides and line not in ("--- ", "+++ ") and line[1:].strip()
    ]
    cut = len(changed) - _MOST_EVIDENCE_LINES
    return changed[:_MOST_EVIDENCE_LINES] + ([f"... {cut} more lines differ"] if cut > 0 else [])
