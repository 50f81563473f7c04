"""Replicas of a pair's real side: they take every action, too, off the agent's path.

What real runs differ in is told apart from errors by several of them. An agent does not wait for
that: each replica goes at its own pace, in order, and gives what it has by the time that both
sides of the pair have answered, and as long again at most. What comes later is left out of that
step's comparison. A replica that fails is left out until the next reset.
"""

import asyncio
from collections.abc import Sequence

import structlog

from plumb_backends.environment import Action, Environment, Interruptible, Observation
from plumb_backends.errors import PlumbError

_log = structlog.get_logger(__name__)
_LONGEST_WAIT = 5.0


class Replica:
    """One more real sandbox. Its steps follow each other, whoever waits for them."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._steps: dict[asyncio.Task[Observation | None], None] = {}  # under way, in order
        self._has_failed = False

    def begin(self, action: Action) -> "asyncio.Task[Observation | None]":
        """Takes a step after those before; the task gives None where it failed."""
        step = asyncio.create_task(self._step(action, list(self._steps)))
        self._steps[step] = None
        step.add_done_callback(self._steps.pop)
        return step

    async def _step(
        self, action: Action, before: "Sequence[asyncio.Task[Observation | None]]"
    ) -> Observation | None:
        if before:
            await asyncio.wait(before)
        if self._has_failed:
            return None
        try:
            return await self._environment.step(action)
        except PlumbError as error:
            self._has_failed = True
            _log.warning("a replica of a pair failed", error=str(error))
            return None

    async def reset(self) -> None:
        """Goes back to the grounded state; one that cannot is left out."""
        await self._stop()
        try:
            await self._environment.reset()
            self._has_failed = False
        except PlumbError as error:
            self._has_failed = True
            _log.warning("a replica of a pair was not reset", error=str(error))

    async def close(self) -> None:
        """Ends it. Never raises; may be called again."""
        await self._stop()
        await self._environment.close()

    def interrupt(self) -> None:
        """Asks for its action to be stopped."""
        if isinstance(self._environment, Interruptible):
            self._environment.interrupt()

    async def _stop(self) -> None:
        """Ends the steps under way."""
        steps = list(self._steps)
        for step in reversed(steps):  # none begins because the one before it has ended
            step.cancel()
        if steps:
            await asyncio.wait(steps)


class Replicas:
    """All replicas of a pair."""

    def __init__(self, environments: Sequence[Environment] = ()) -> None:
        self._replicas = [Replica(environment) for environment in environments]

    def __len__(self) -> int:
        return len(self._replicas)

    def begin(self, action: Action) -> "list[asyncio.Task[Observation | None]]":
        """Begins a step on all of them."""
        return [replica.begin(action) for replica in self._replicas]

    async def reset(self) -> None:
        """Resets all of them."""
        await asyncio.gather(*(replica.reset() for replica in self._replicas))

    async def close(self) -> None:
        """Ends all of them. Never raises; may be called again."""
        await asyncio.gather(*(replica.close() for replica in self._replicas))

    def interrupt(self) -> None:
        """Asks for their actions to be stopped."""
        for replica in self._replicas:
            replica.interrupt()


async def in_time(
    steps: "Sequence[asyncio.Task[Observation | None]]", seconds: float
) -> list[Observation]:
    """What replicas have observed within some seconds, at most five."""
    if not steps:
        return []
    done, _ = await asyncio.wait(steps, timeout=min(max(seconds, 0.0), _LONGEST_WAIT))
    answers = [step.result() for step in steps if step in done and not step.cancelled()]
    return [answer for answer in answers if answer is not None]
