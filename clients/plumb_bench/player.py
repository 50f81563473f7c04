"""Plays scenarios on a server: each in a session of its own, several at once."""

import asyncio
import dataclasses
import time
from collections.abc import Callable, Sequence

from plumb_bench.scenario import Scenario
from plumb_client import aio
from plumb_client.errors import PlumbError
from plumb_client.options import SessionOptions
from plumb_client.values import Observation


@dataclasses.dataclass(frozen=True, slots=True)
class Turn:
    """One played action: what was seen, and how many seconds the call took."""

    action: str
    observation: Observation
    seconds: float


@dataclasses.dataclass(frozen=True, slots=True)
class Played:
    """One played scenario.

    Attributes:
        turns: As many as were played.
        creation_seconds: How long the session took to make, grounding included.
        error: Why it could not be played to its end; empty if it was.
    """

    scenario: Scenario
    turns: tuple[Turn, ...]
    creation_seconds: float
    error: str = ""

    @property
    def failures(self) -> int:
        """How many actions failed inside the environment, which is nothing wrong with plumb."""
        return sum(
            bool(turn.observation.exit_code or turn.observation.errno) for turn in self.turns
        )


async def play(
    plumb: aio.Plumb, scenario: Scenario, *, backend: str = "real", timeout: float = 10.0
) -> Played:
    """Grounds one scenario and plays its actions.

    Args:
        plumb: The connection.
        scenario: What to play.
        backend: What stands behind the session.
        timeout: Seconds that each action may run.
    """
    turns: list[Turn] = []
    started = time.perf_counter()
    created = 0.0
    options: SessionOptions = {"init": scenario.init}
    if scenario.database:
        options["database"] = scenario.database
    try:
        async with plumb.session(scenario.environment, backend, **options) as session:
            created = time.perf_counter() - started
            for action in scenario.actions:
                began = time.perf_counter()
                observation = await session.step(action, timeout=timeout)
                turns.append(Turn(action, observation, time.perf_counter() - began))
    except PlumbError as error:
        return Played(scenario, tuple(turns), created, str(error))
    return Played(scenario, tuple(turns), created)


async def play_all(
    plumb: aio.Plumb,
    scenarios: Sequence[Scenario],
    *,
    backend: str = "real",
    timeout: float = 10.0,
    parallel: int = 4,
    on_turns: Callable[[int], None] = lambda _: None,
) -> list[Played]:
    """Plays many scenarios, so many at once, and returns them in their order.

    Args:
        plumb: The connection.
        scenarios: What to play.
        backend: What stands behind the sessions.
        timeout: Seconds that each action may run.
        parallel: How many at once.
        on_turns: Is told how many actions each ended scenario had.
    """
    places = asyncio.Semaphore(parallel)

    async def one(scenario: Scenario) -> Played:
        async with places:
            played = await play(plumb, scenario, backend=backend, timeout=timeout)
        on_turns(len(scenario.actions))
        return played

    return await asyncio.gather(*map(one, scenarios))
