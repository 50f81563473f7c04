"""The stage: an environment that is played by an actor (a model, a baseline, a recording).

Everything that played environments have in common is here: what can be typed, how a reply becomes
an observation, timeouts, caps. An actor only replies.
"""

import dataclasses
import math
import random
import uuid
from collections.abc import Callable
from typing import Any, Protocol

from plumb_backends.capped import Capped
from plumb_backends.environment import (
    Action,
    Observation,
    OutputSink,
    ProbeResult,
    Provenance,
)
from plumb_backends.errors import SandboxUnavailable
from plumb_backends.kind import Kind, Reply
from plumb_backends.rendering import render_bounded
from plumb_backends.simulated.outcome import ending_of

_RENDER_WITHIN = 5.0
_LEAST_SECONDS, _USUAL_SECONDS = 0.0006, 0.0014


def _nothing(_: Observation) -> None:
    """For actors without a past."""


@dataclasses.dataclass(frozen=True, slots=True)
class Acted:
    """What an actor gave, and where it comes from.

    Attributes:
        reply: The reply, as the agent is to see it: its `ending` is how the action ended.
        provenance: Where it comes from.
        keep: Takes the turn into the actor's past; called with the observation, once it is made.
    """

    reply: Reply
    provenance: Provenance
    keep: Callable[[Observation], None] = _nothing


class Actor(Protocol):
    """Plays one session."""

    async def act(self, action: Action) -> Acted:
        """Replies to an action. What it raises is the step's error, and nothing happened then."""
        ...

    async def answer(self, suite: str) -> ProbeResult:
        """Answers a probe suite of the kind, off the record."""
        ...

    async def restart(self) -> None:
        """Goes back to the beginning."""
        ...

    async def close(self) -> None:
        """Lets go of all that it has. Never raises."""
        ...


class Stage:
    """One session that an actor plays.

    Args:
        kind: What is played.
        options: The kind's options.
        actor: Who plays.
    """

    def __init__(self, kind: Kind, options: Any, actor: Actor) -> None:
        self._kind = kind
        self._options = options
        self._actor = actor
        self._owner = f"stage {uuid.uuid4()}"
        self._is_closed = False

    async def step(self, action: Action, *, on_output: OutputSink | None = None) -> Observation:
        """Has one action played; see `Environment.step`."""
        self._check_open()
        self._kind.part.check(action)
        acted = await self._actor.act(action)
        printed = self._kind.part.printed(
            _to_bytes(acted.reply.output), ending_of(acted.reply), self._options
        )
        seen = await self._observe(acted, action, printed)
        acted.keep(seen)
        if on_output is not None and printed:
            on_output(printed)
        return seen

    async def reset(self) -> None:
        """Goes back to the grounded state; see `Environment.reset`."""
        self._check_open()
        await self._actor.restart()

    async def probe(self, suite: str) -> ProbeResult:
        """Asks the actor; see `Environment.probe`."""
        self._check_open()
        if suite not in self._kind.probe_suites:
            raise self._kind.unknown_suite(suite)
        found = await self._actor.answer(suite)
        return dataclasses.replace(found, facts=dict(sorted(found.facts.items())))

    async def close(self) -> None:
        """Ends it. Never raises; may be called again."""
        if not self._is_closed:
            self._is_closed = True
            await self._actor.close()

    def _check_open(self) -> None:
        if self._is_closed:
            raise SandboxUnavailable("the session has ended; make a new one")

    async def _observe(self, acted: Acted, action: Action, printed: bytes) -> Observation:
        part, options = self._kind.part, self._options
        text = await render_bounded(
            printed,
            max_bytes=options.max_text_bytes,
            seconds=max(action.timeout, _RENDER_WITHIN),
            owner=self._owner,
        )
        seconds = float(acted.reply.facts.get("seconds", 0.0))
        ending = ending_of(acted.reply)
        seen = Observation(
            text=part.tidy(text.text(), ending),
            ending=ending,
            total_bytes=len(printed),
            run_duration=max(0.0, min(seconds, action.timeout)) + _overhead(),
            provenance=acted.provenance,
        )
        seen = part.complete(seen, acted.reply, options)
        raw = Capped(options.max_text_bytes)
        raw.add(part.on_terminal(printed, action, seen, options))
        truncated = bool(raw.cut_bytes or text.cut_bytes)
        return dataclasses.replace(seen, raw=raw.content(), truncated=truncated)


def _overhead() -> float:
    """Seconds that a real environment takes for next to nothing: about 2 ms, never the same."""
    return _LEAST_SECONDS + random.lognormvariate(math.log(_USUAL_SECONDS), 0.5)


def _to_bytes(output: str) -> bytes:
    return output.encode(errors="replace")  # a lone surrogate, which JSON can hold
