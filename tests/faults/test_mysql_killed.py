"""A MySQL server that is killed under load: errors with a reason, and then everything anew."""

from __future__ import annotations

import asyncio
import socket
from contextlib import closing
from typing import TYPE_CHECKING

import docker
import pytest

import plumb_client
from plumb_backends.real.hardening import LABEL, OWNER_LABEL, SESSION_LABEL

if TYPE_CHECKING:
    from tests.faults.conftest import MakeWorld
    from tests.faults.world import World

pytestmark = pytest.mark.docker

SESSIONS, KILLS = 8, 3


def kill_mysql(world: World) -> None:
    of = f"{socket.gethostname()}/{world.server.process.pid}/"
    with closing(docker.from_env()) as engine:
        for found in engine.api.containers(
            filters={"label": [f"{SESSION_LABEL}=shared-mysql", LABEL]}
        ):
            if found["Labels"][OWNER_LABEL].startswith(of):
                engine.api.kill(found["Id"])


async def count_for_ever(db: plumb_client.aio.Session, lives: list[int]) -> None:
    """Inserts and counts; after each loss the session is reset, and the count begins anew."""
    expected = 0
    while len(lives) <= KILLS:
        try:
            seen = await db.step("INSERT INTO t VALUES (1); SELECT COUNT(*) FROM t")
        except plumb_client.SandboxUnavailable:
            await db.reset()
            expected = 0
            lives.append(0)
            continue
        expected += 1
        lives[-1] += 1
        assert seen.rows == ((expected,),)


async def test_every_session_hears_of_it_and_each_is_whole_again_after_a_reset(
    make_world: MakeWorld,
) -> None:
    async with make_world() as world, world.connect() as plumb:
        sessions = [
            await plumb.session("mysql", isolation="shared", init=["CREATE TABLE t (a INT)"])
            for _ in range(SESSIONS)
        ]
        lives: list[list[int]] = [[0] for _ in sessions]
        counting = [
            asyncio.create_task(count_for_ever(db, live))
            for db, live in zip(sessions, lives, strict=True)
        ]
        for kill in range(1, KILLS + 1):
            while any(len(live) < kill or live[-1] < 5 for live in lives):
                await asyncio.sleep(0.05)
                assert not any(task.done() for task in counting)
            await asyncio.to_thread(kill_mysql, world)
        await asyncio.wait_for(asyncio.gather(*counting), 120)
        assert [len(live) for live in lives] == [KILLS + 1] * SESSIONS
        for db in sessions:
            assert (await db.step("SELECT COUNT(*) FROM t")).rows == ((0,),)
            await db.close()
