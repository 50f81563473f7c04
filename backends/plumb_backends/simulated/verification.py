"""Verifies a generated grounding for real: its check, its actions, and what they reach.

A check proves something only where it can fail: so it has to fail in a sandbox in which no script
has run. Whether the actions reach the task is told by a second check, which fails before them and
passes behind them, or by an answer that the last of them prints.
"""

import dataclasses
import re
from collections.abc import Sequence

from plumb_backends.environment import (
    Action,
    Environment,
    Executes,
    Observation,
    Program,
    SqlCell,
    SqlResult,
)
from plumb_backends.grounding import GroundingCheck
from plumb_backends.simulated.reply_format import Fields, Malformed, read_object

_SECONDS = 30.0
_MOST_OUTPUT = 2000
CHECK_FIELDS: Fields = {
    "check": {"type": "string", "description": "the command: is all there that the task needs?"},
    "done": {"type": "string", "description": "the command: is the task done? or an empty text"},
    "answer": {"type": "string", "description": "what the last action prints, or an empty text"},
}


class ProvesNothing(Exception):
    """A check says the same whatever is there; the message says where."""


@dataclasses.dataclass(frozen=True, slots=True)
class Checks:
    """How a model tells that a task can be begun, and that it is done.

    Attributes:
        ready: Passes if all is there that the task needs.
        done: Passes once the task is done; empty where the task only asks for something.
        answer: What the last action prints then; empty where there is `done`.
    """

    ready: str
    done: str
    answer: str


def read_checks(content: str | None) -> Checks:
    """Reads what the model wrote.

    Raises:
        Malformed: It is not as asked for.
    """
    data = read_object(content, CHECK_FIELDS)
    checks = Checks(*(str(data[name]).strip() for name in CHECK_FIELDS))
    if not checks.ready:
        raise Malformed("`check` is empty")
    if not (checks.done or checks.answer):
        raise Malformed("`done` and `answer` are both empty; nobody could tell that it is done")
    return checks


async def check_first_state(
    checks: Checks, grounded: Environment, bare: Environment
) -> GroundingCheck:
    """Checks that all is there that the task needs, and that nothing of it is done.

    Args:
        checks: How to tell.
        grounded: A sandbox in which the scripts have run, and nothing else.
        bare: One in which nothing has run.

    Raises:
        ProvesNothing: A check passes where it must not.
    """
    ready = await _run(grounded, checks.ready)
    if not ready.passed:
        return ready
    without = await _run(bare, checks.ready)
    if without.passed:
        raise ProvesNothing(
            f"the check passes on a fresh machine, on which no script has run:\n{checks.ready}\n"
            f"It printed:\n{without.output or '(nothing)'}"
        )
    if checks.done and (before := await _run(grounded, checks.done)).passed:
        raise ProvesNothing(
            f"`done` passes before any action:\n{checks.done}\n"
            f"It printed:\n{before.output or '(nothing)'}"
        )
    return ready


async def play(checks: Checks, grounded: Environment, actions: Sequence[str]) -> str:
    """Plays the actions, and says why they do not reach the task; empty where they do.

    Raises:
        InvalidInput: An action cannot be typed.
        SandboxUnavailable: The sandbox did not survive them.
    """
    last = ""
    for action in actions:
        last = (await grounded.step(Action(action.encode(), timeout=_SECONDS))).text
    printed = f"The last action was:\n{actions[-1]}\nIt printed:\n{_cut(last) or '(nothing)'}"
    if not checks.done:
        # As a word: 3 is not the answer of what prints 13.
        if re.search(rf"(?<!\w){re.escape(checks.answer)}(?!\w)", last):
            return ""
        return f"the last action does not print the answer {checks.answer!r}. {printed}"
    done = await _run(grounded, checks.done)
    if done.passed:
        return ""
    return (
        f"the actions do not complete the task. This still fails after them:\n{checks.done}\n"
        f"It printed:\n{done.output or '(nothing)'}\n{printed}"
    )


async def _run(environment: Environment, command: str) -> GroundingCheck:
    if isinstance(environment, Executes):
        result = await environment.execute(Program(["bash", "-c", command], timeout=_SECONDS))
        output = (result.stdout + result.stderr).decode(errors="replace")
        passed = result.exit_code == 0 and not result.timed_out
    else:
        seen = await environment.step(Action(command.encode(), timeout=_SECONDS))
        output, passed = seen.text, _is_true(seen)
    return GroundingCheck(command=command, passed=passed, output=_cut(output))


def _is_true(seen: Observation) -> bool:
    """Whether a query gave values, and nothing but true ones: a row that says 0 is no yes."""
    if seen.sql is None or seen.sql.errno:
        return False
    return bool(seen.sql.results) and all(map(_holds_truth, seen.sql.results))


def _holds_truth(result: SqlResult) -> bool:
    return bool(result.rows) and all(_is_true_cell(cell) for row in result.rows for cell in row)


def _is_true_cell(cell: SqlCell) -> bool:
    if isinstance(cell, bytes):  # BIT, and what is binary
        return any(cell)
    if isinstance(cell, str):
        return cell.strip() not in {"", "0"}
    return bool(cell)


def _cut(text: str) -> str:
    return text[:_MOST_OUTPUT]
