"""What the agent sees of a reply: how the action ended, and what was printed until then.

A model says what would be printed, by when, and how it would end. Here the action's timeout is held
against that, as the real side does with its own clock. Pure.
"""

import dataclasses

from plumb_backends.environment import Ending
from plumb_backends.kind import Part, Reply

_NOT_BY_TIME = (Ending.TIMED_OUT, Ending.AWAITS_INPUT, Ending.OUTPUT_LIMIT, Ending.INTERRUPTED)
"""Endings that do not wait for the action's own end: however long that is, they came before."""


def settled(reply: Reply, part: Part, *, timeout: float) -> Reply:
    """A model's reply as the agent sees it.

    Args:
        reply: What the model said.
        part: The kind's.
        timeout: When the action is stopped, in seconds.
    """
    said = ending_of(reply)
    seconds = float(reply.facts.get("seconds", 0.0))
    if said not in _NOT_BY_TIME and seconds > timeout:
        said = Ending.TIMED_OUT
    if said is Ending.TIMED_OUT:
        reply = _cut(reply, timeout)
        seconds = timeout
    facts = dict(part.settle(said, reply.facts))
    if "seconds" in facts:
        facts["seconds"] = max(0.0, min(seconds, timeout))
    return dataclasses.replace(reply, facts=facts)


def ending_of(reply: Reply) -> Ending:
    """How a reply says that the action ended; by itself where it says nothing."""
    return Ending(reply.facts.get("ending", Ending.EXITED.value))


def _cut(reply: Reply, timeout: float) -> Reply:
    """A reply without what is printed after a time; all of it where no time is said."""
    if not reply.printed:
        return reply
    kept = tuple(one for one in reply.printed if one.seconds <= timeout)
    lines = max((one.lines for one in kept), default=0)
    return dataclasses.replace(reply, output=_first_lines(reply.output, lines), printed=kept)


def _first_lines(text: str, count: int) -> str:
    end = 0
    for _ in range(count):
        found = text.find("\n", end)
        if found < 0:
            return text
        end = found + 1
    return text[:end]
