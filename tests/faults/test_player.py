"""What excuses the end of a session: a kill or a strike after it was made, or after its reset."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.faults.episode import Episode
from tests.faults.player import Ended, Player
from tests.faults.way import Way
from tests.faults.world import World

import plumb_client


class Session:
    """One that is found by nobody; what happens to the world while something is asked of it."""

    name = "sessions/one"
    last_step_index = 0

    def __init__(self, meanwhile: Callable[[], object] = lambda: None) -> None:
        self.meanwhile = meanwhile

    async def session(self, *_: object, **__: object) -> Session:
        self.meanwhile()
        return self

    async def reset(self) -> None:
        self.meanwhile()

    async def info(self) -> Session:
        return self

    async def step(self) -> None:
        raise plumb_client.SessionNotFound("it is gone")

    async def exec(self, _: object) -> None:
        raise plumb_client.SandboxUnavailable("the sandbox is gone")


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path, [Way()], {})
    begin_life(world)
    return world


def begin_life(world: World) -> None:
    server: Any = object()
    world.servers.append(server)


def strike(world: World) -> None:
    world.strikes["one"] += 1


async def created(world: World, meanwhile: Callable[[], object]) -> tuple[Player, Episode]:
    player, episode = Player(world, "seed", 0), Episode("shell", world.lives)
    plumb: Any = Session(meanwhile)
    await player._create(plumb, episode)
    return player, episode


async def is_excused(player: Player, episode: Episode) -> bool:
    with pytest.raises((Ended, plumb_client.SessionNotFound)) as raised:
        await player._insist(Session().step, episode)
    return raised.type is Ended


async def test_a_kill_while_a_session_is_made_excuses_nothing_and_one_after_it_does(
    world: World,
) -> None:
    player, episode = await created(world, lambda: begin_life(world))
    assert not await is_excused(player, episode)
    begin_life(world)
    assert await is_excused(player, episode)


async def test_a_strike_is_an_excuse_until_a_reset_that_began_after_it(world: World) -> None:
    player, episode = await created(world, lambda: None)
    assert not await is_excused(player, episode)
    strike(world)
    assert await is_excused(player, episode)
    during: Any = Session(lambda: strike(world))
    await player._reset(during, episode)
    assert await is_excused(player, episode)
    after: Any = Session()
    await player._reset(after, episode)
    assert not await is_excused(player, episode)


async def test_what_cannot_be_looked_at_is_excused_only_where_it_was_struck(world: World) -> None:
    player, episode = await created(world, lambda: None)
    session: Any = Session()
    with pytest.raises(plumb_client.SandboxUnavailable):
        await player._check_state(session, episode)
    strike(world)
    await player._check_state(session, episode)
