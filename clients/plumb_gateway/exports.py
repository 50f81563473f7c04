"""Sessions as files: JSON lines with everything, or ShareGPT conversations to train on."""

import json
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any, Literal, TypeAlias

from plumb_client import JournaledRequest, JournaledSession, JournaledStep, Observation, aio

Format: TypeAlias = Literal["jsonl", "sharegpt"]

_PAGE = 200


async def export(plumb: aio.Plumb, names: AsyncIterator[str], form: Format) -> AsyncIterator[bytes]:
    """Writes sessions, one line each.

    Args:
        plumb: Where they are.
        names: Which, `sessions/{uuid}`.
        form: `jsonl`, or `sharegpt`: turns of `human` (the task, and what was observed, with the
            terminal signature stripped) and `gpt` (what was typed).
    """
    write = _WRITERS[form]
    async for name in names:
        session, request = await plumb.journaled_session(name)
        steps = [step async for step in all_steps(plumb, name)]
        yield json.dumps(write(session, request, steps), ensure_ascii=False).encode() + b"\n"


async def all_steps(plumb: aio.Plumb, name: str) -> AsyncIterator[JournaledStep]:
    """Every answered step of a session."""
    first = 1
    while first:
        page = await plumb.journaled_steps(name, first=first, page_size=_PAGE)
        for step in page.steps:
            yield step
        first = page.next_step_index


def _write_lines(
    session: JournaledSession, request: JournaledRequest, steps: Iterable[JournaledStep]
) -> dict[str, Any]:
    return {
        "session": session.name,
        "environment": session.kind,
        "backend": session.backend,
        "simulator": {"model": session.model, "strategy": session.strategy},
        "created": session.create_time,
        "ended": session.end_time,
        "task": request.task,
        "init": list(request.init),
        "turns": [_turn(step) for step in steps],
    }


def _turn(step: JournaledStep) -> dict[str, Any]:
    turn: dict[str, Any] = {"turn": step.step_index, "action": step.action}
    if step.after_reset:
        turn["after_reset"] = True
    if step.observation is None:
        return turn | {"error": step.error}
    turn |= _side(step.observation)
    if step.observation.counterpart is not None:
        turn["counterpart"] = _side(step.observation.counterpart)
    verdict = step.observation.verdict
    if verdict is not None:
        turn |= {"verdict": verdict.verdict, "flags": list(verdict.flags)}
        turn["evidence"] = list(verdict.evidence)
    return turn


def _side(seen: Observation) -> dict[str, Any]:
    side: dict[str, Any] = {"observation": seen.text, "ending": seen.ending.name}
    if seen.exit_code is not None:
        side["exit_code"] = seen.exit_code
    if seen.errno:
        side |= {"errno": seen.errno, "sqlstate": seen.sqlstate}
    return side


def _write_sharegpt(
    session: JournaledSession, request: JournaledRequest, steps: Iterable[JournaledStep]
) -> dict[str, Any]:
    """A conversation. Steps that failed are no part of the episode, nor are those before a reset.

    An agent that was reset began anew: only its last episode is one whole conversation.
    """
    turns: list[dict[str, str]] = [{"from": "human", "value": request.task}] if request.task else []
    begun = len(turns)
    for step in steps:
        if step.after_reset:
            del turns[begun:]
        if step.observation is not None:
            turns.append({"from": "gpt", "value": step.action})
            turns.append({"from": "human", "value": step.observation.text})
    return {"id": session.name, "conversations": turns}


_Writer: TypeAlias = Callable[
    [JournaledSession, JournaledRequest, Iterable[JournaledStep]], dict[str, Any]
]
_WRITERS: dict[Format, _Writer] = {"jsonl": _write_lines, "sharegpt": _write_sharegpt}
