"""A soak: many players, a world that is struck at random, and the reckoning at the end."""

from __future__ import annotations

import asyncio
import dataclasses
import random
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path

from tests.faults.episode import Episode, Violation
from tests.faults.player import Player
from tests.faults.world import World


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Soak:
    """How long and how hard.

    Attributes:
        seed: Decides what every player does and what is done to the world. When all of it happens
            is the machine's to decide: the same seed strikes alike, but not at the same moments.
    """

    seed: str
    seconds: float
    players: int = 32

    async def run(self, world: World) -> list[Player]:
        """Plays until the time is over and every player has ended its session.

        Raises:
            Violation: An answer was not what it must be.
        """
        players = [Player(world, self.seed, number) for number in range(self.players)]
        tasks = [asyncio.create_task(player.play()) for player in players]
        faults = asyncio.create_task(self._strike(world))
        try:
            await asyncio.wait([*tasks, faults], return_when=asyncio.FIRST_EXCEPTION)
            for task in (*tasks, faults):
                if task.done():
                    await task
            await asyncio.gather(*tasks)
        finally:
            for task in (*tasks, faults):
                task.cancel()
            await asyncio.gather(*tasks, faults, return_exceptions=True)
        return players

    async def _strike(self, world: World) -> None:
        """Strikes until the time is over, and something has come of it on a slow machine, too."""
        chosen = random.Random(f"{self.seed}/faults")
        strikes: dict[str, Callable[[random.Random], Awaitable[None]]] = {
            "cut": world.cut,
            "kill": world.kill,
            "pause": world.pause,
            "fill": world.fill_disk,
            "sandbox": world.kill_sandbox,
        }
        loop = asyncio.get_running_loop()
        until = loop.time() + self.seconds
        needed = self.players  # steps before the server may be killed
        while (
            loop.time() < until
            or not world.kills
            or not world.counts.get("warm")
            or world.steps < needed
        ):
            (what,) = chosen.choices(list(strikes), weights=[10, 3, 2, 2, 3])
            if what == "kill":
                if world.steps < needed:
                    continue
                needed = world.steps + self.players
            await strikes[what](chosen)
            await asyncio.sleep(chosen.uniform(0, 2))
        world.over.set()


def check_journal(path: Path, players: list[Player]) -> None:
    """Checks that the journal has what was answered, and that every session ended in it.

    Raises:
        Violation: It does not.
    """
    episodes = {episode.name: episode for player in players for episode in player.episodes}
    steps: dict[str, dict[int, tuple[bytes, bytes | None]]] = {name: {} for name in episodes}
    with closing(sqlite3.connect(path)) as connection:
        for name, index, action, observation in connection.execute(
            "SELECT session, step_index, action, observation FROM steps"
        ):
            steps.setdefault(name, {})[index] = (action, observation)
        open_still = connection.execute("SELECT name FROM sessions WHERE ended_at IS NULL")
        left = [name for (name,) in open_still]
        (sound,) = connection.execute("PRAGMA integrity_check").fetchone()
    if left or sound != "ok":
        raise Violation(f"the journal is {sound}, and has as live: {left}")
    for name, journaled in steps.items():
        # A session of which its player never heard, because the server was killed, has no steps.
        (episodes.get(name) or Episode("", name=name)).check_journal(journaled)
