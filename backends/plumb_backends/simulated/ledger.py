"""The ledger: what a model notes of the state at each turn, and is told again at the next one.

A session that is longer than the model's context loses its oldest turns; what they did to the state
is in the ledger. It is part of each reply, written anew each time, and bounded.
"""

from plumb_backends.simulated.prompting import Prompt, shipped

FIELD = "ledger"
MOST_CHARACTERS = 6000
"""What a ledger may have; it is told with every turn."""

LEDGER = {
    "type": "string",
    "description": "all that the session has changed so far and that still holds, this action "
    "included: one line each for files, rows, variables, jobs, directory, open transaction; "
    f"written anew each time, at most {MOST_CHARACTERS} characters; nobody else sees it",
}


def keeps_ledger(strategy: Prompt) -> bool:
    """Whether a strategy wants one: it names `$ledger`."""
    return FIELD in strategy.fields


def told(ledger: str) -> str:
    """What the model is told of its ledger; nothing where there is none yet."""
    return shipped("ledger_so_far").fill(ledger=ledger) if ledger else ""
