"""What each verdict says of a simulator, in a sentence; docs/fidelity.md has more."""

from collections.abc import Mapping

from plumb_fidelity.verdict import AGREEING, UNSCORED

EXPLANATIONS: Mapping[str, str] = {
    "BACKEND_FAILURE": "One side gave no observation; that is in no rate.",
    "FORMAT_BREAK": "The simulator left the format: a fence, an echoed command, a prompt, "
    "a table that does not add up.",
    "CHARACTER_BREAK": "The simulator talked: it apologised, explained or announced.",
    "FALSE_SUCCESS": "The simulator succeeded where the real thing failed.",
    "DEFAULT_ERROR": "The simulator gave the commonest error where the real thing succeeded.",
    "FALSE_FAILURE": "The simulator failed where the real thing succeeded.",
    "WRONG_ERROR": "Both failed, but for different causes.",
    "EMPTY": "The simulator said nothing where there is something.",
    "SPURIOUS": "The simulator said something where there is nothing.",
    "OVERRUN": "The simulator went round in circles, or played the agent's next turn.",
    "TRUNCATED": "The simulator stopped early.",
    "FABRICATED": "The simulator has lines, rows or columns that are not there.",
    "OMITTED": "The simulator lacks lines, rows or columns that are there.",
    "WRONG_VALUE": "The right line or row, with a wrong value in it.",
    "WRONG_ORDER": "The same lines or rows in another order, where order counts.",
    "IMPLAUSIBLE_VOLATILE": "Something impossible where anything possible would do.",
    "INCONSISTENT": "The simulator contradicts itself, the action or its own past.",
    "UNSCORABLE": "Real runs differ too much here to judge anybody.",
    "UNKNOWABLE": "A difference in what no grounding tells.",
    "VOLATILE_ONLY": "A difference only in what may differ from run to run: right.",
    "AGREES_BUT_LAYOUT": "A difference only in layout, or in an error's wording: right.",
    "AGREES": "Right.",
}


def tone(verdict: str) -> str:
    """How a verdict is coloured: `right`, `open` or `wrong`."""
    if verdict in AGREEING:
        return "right"
    return "open" if verdict in UNSCORED else "wrong"
