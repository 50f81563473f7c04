"""The stage: an environment that is played by an actor (a model, a baseline, a recording).

Everything that played environments have in common is here: what can be typed, how a reply becomes
an observation, timeouts, caps. An actor only replies.
"""

import dataclasses
import time
from collections.abc import Mapping
from typing import Any, Protocol

from plumb_backends.capped import Capped
from plumb_backends.environment import (
    Action,
    Ending,
    Observation,
    OutputSink,
    ProbeResult,
    Provenance,
)
from plumb_backends.errors import SandboxUnavailable
from plumb_backends.kind import Kind, Reply
from plumb_fidelity.signature import render


@dataclasses.dataclass(frozen=True, slots=True)
class Acted:
    """What an actor gave, and where it comes from."""

    reply: Reply
    provenance: Provenance


class Actor(Protocol):
    """Plays one session."""

    async def act(self, action: Action) -> Acted:
        """Replies to an action. What it raises is the step's error, and nothing happened then."""
        ...

    async def answer(self, suite: str) -> Mapping[str, str]:
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
        self._before: Observation | None = None
        self._is_closed = False

    async def step(self, action: Action, *, on_output: OutputSink | None = None) -> Observation:
        """Has one action played; see `Environment.step`."""
        self._check_open()
        self._kind.part.check(action)
        started = time.monotonic()
        acted = await self._actor.act(action)
        seen = self._observe(acted, action, time.monotonic() - started)
        if on_output is not None and acted.reply.output:
            on_output(_to_bytes(acted.reply.output))
        self._before = seen
        return seen

    async def reset(self) -> None:
        """Goes back to the grounded state; see `Environment.reset`."""
        self._check_open()
        await self._actor.restart()
        self._before = None

    async def probe(self, suite: str) -> ProbeResult:
        """Asks the actor; see `Environment.probe`."""
        self._check_open()
        if suite not in self._kind.probe_suites:
            raise self._kind.unknown_suite(suite)
        return ProbeResult(suite, dict(sorted((await self._actor.answer(suite)).items())))

    async def close(self) -> None:
        """Ends it. Never raises; may be called again."""
        if not self._is_closed:
            self._is_closed = True
            await self._actor.close()

    def _check_open(self) -> None:
        if self._is_closed:
            raise SandboxUnavailable("the session has ended; make a new one")

    def _observe(self, acted: Acted, action: Action, run_duration: float) -> Observation:
        printed = _to_bytes(acted.reply.output)
        raw, text = Capped(self._options.max_text_bytes), Capped(self._options.max_text_bytes)
        raw.add(printed)
        text.add(self._kind.part.tidy(render(printed)).encode())
        runs_on = float(acted.reply.facts.get("seconds", 0.0)) > action.timeout
        seen = Observation(
            text=text.text(),
            raw=raw.content(),
            ending=Ending.TIMED_OUT if runs_on else Ending.EXITED,
            truncated=bool(raw.cut_bytes or text.cut_bytes),
            total_bytes=raw.total,
            run_duration=run_duration,
            provenance=acted.provenance,
        )
        return self._kind.part.complete(seen, acted.reply, self._before, self._options)


def _to_bytes(output: str) -> bytes:
    return output.encode(errors="replace")  # a lone surrogate, which JSON can hold
