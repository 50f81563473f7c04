"""A client whose call was cut, or whose server crashed, gets the answer that it lost."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import sqlite3
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.faults.way import Loss
from tests.faults.world import World

import plumb_client

if TYPE_CHECKING:
    from tests.faults.conftest import MakeWorld

pytestmark = pytest.mark.docker

KEEPS_COUNT = "echo x >> ~/log; wc -l < ~/log"


@pytest.fixture
async def world(make_world: MakeWorld) -> AsyncIterator[World]:
    async with make_world() as world:
        yield world


@pytest.fixture
async def shell(world: World) -> AsyncIterator[plumb_client.aio.Session]:
    """A shell that is reached by the first way."""
    async with world.connect() as plumb:
        yield await plumb.session("shell")


def answered(world: World) -> int:
    """How many steps the journal has."""
    with closing(sqlite3.connect(world.server.journal)) as connection:
        (count,) = connection.execute("SELECT count(*) FROM steps").fetchone()
        return int(count)


async def until_answered(world: World, count: int) -> None:
    while await asyncio.to_thread(answered, world) < count:  # noqa: ASYNC110 - in another process
        await asyncio.sleep(0.02)


async def insisted(shell: plumb_client.aio.Session, action: str) -> plumb_client.Observation:
    """Asks until the server is found again."""
    async with asyncio.timeout(30):
        while True:
            with contextlib.suppress(plumb_client.ServerUnavailable):
                return await shell.step(action)


@pytest.mark.parametrize("losing", Loss)
async def test_a_connection_that_is_cut_in_mid_step_costs_nothing_and_runs_nothing_twice(
    world: World, shell: plumb_client.aio.Session, losing: Loss
) -> None:
    for count in range(1, 6):
        world.ways[0].losing = losing
        step = asyncio.create_task(shell.step(KEEPS_COUNT))
        if losing is Loss.REPLIES:
            await until_answered(world, count)
        else:
            await asyncio.sleep(0.01 * count)  # at another moment of the call each time
        world.ways[0].cut()
        seen = await asyncio.wait_for(step, 30)
        assert (seen.text.strip(), seen.step_index) == (str(count), count)


async def test_after_a_crash_the_answer_that_was_lost_is_given_and_the_next_step_is_refused(
    world: World, shell: plumb_client.aio.Session
) -> None:
    world.ways[0].losing = Loss.REPLIES
    lost = asyncio.create_task(shell.step(f"{KEEPS_COUNT}; echo $RANDOM"))
    await until_answered(world, 1)
    (was,) = journaled(world)
    await asyncio.to_thread(world.server.kill)
    world.ways[0].cut()
    assert isinstance((await asyncio.gather(lost, return_exceptions=True))[0], ConnectionError)
    await world.start()
    seen = await insisted(shell, f"{KEEPS_COUNT}; echo $RANDOM")
    assert seen.step_index == 1
    assert seen.text.encode() in was
    with pytest.raises(plumb_client.SessionNotFound, match="ended without a word"):
        await shell.step("echo hi")


def journaled(world: World) -> list[bytes]:
    with closing(sqlite3.connect(world.server.journal)) as connection:
        return [row[0] for row in connection.execute("SELECT observation FROM steps")]


async def test_a_server_whose_disk_is_full_refuses_steps_and_goes_on_when_there_is_space(
    world: World, shell: plumb_client.aio.Session
) -> None:
    assert (await shell.step(KEEPS_COUNT)).text.strip() == "1"
    limit_files(world, 1024)
    for _ in range(2):
        with pytest.raises(plumb_client.ServerUnavailable, match="journal cannot be written") as e:
            await shell.step(KEEPS_COUNT)
        assert e.value.reason == "JOURNAL_UNAVAILABLE"
    limit_files(world, resource.RLIM_INFINITY)
    seen = [await shell.step(KEEPS_COUNT) for _ in range(2)]
    assert [(one.text.strip(), one.step_index) for one in seen] == [("2", 2), ("3", 3)]


async def test_a_server_whose_disk_is_full_ends_as_it_should_and_its_sessions_with_it(
    world: World, shell: plumb_client.aio.Session
) -> None:
    await shell.step("true")
    limit_files(world, 1024)
    assert await asyncio.to_thread(world.server.stop) == 0
    await world.start()
    with pytest.raises(plumb_client.SessionNotFound, match="ended without a word"):
        await insisted(shell, "echo hi")


def limit_files(world: World, size: int) -> None:
    hard = resource.prlimit(world.server.process.pid, resource.RLIMIT_FSIZE)[1]
    resource.prlimit(world.server.process.pid, resource.RLIMIT_FSIZE, (size, hard))


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A file system of 1 MiB of the test's own."""
    if os.geteuid() != 0:
        pytest.fail("a file system of one's own needs root: run this test as root", pytrace=False)
    folder = Path(tempfile.mkdtemp(prefix="plumb-"))
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "plumb-test", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)
        folder.rmdir()


async def test_a_file_system_that_is_full_is_told_and_what_ran_is_answered_when_it_is_not(
    make_world: MakeWorld, small_disk: Path
) -> None:
    async with (
        make_world(
            PLUMB_JOURNAL=f"sqlite:///{small_disk}/journal", PLUMB_JOURNAL_RESERVE_BYTES="0"
        ) as world,
        world.connect() as plumb,
    ):
        shell = await plumb.session("shell")
        await shell.step(KEEPS_COUNT)
        ballast = small_disk / "ballast"
        with pytest.raises(OSError, match="No space left"):
            ballast.write_bytes(b"x" * 2 * 1024**2)
        for _ in range(3):
            with pytest.raises(plumb_client.ServerUnavailable, match="database or disk is full"):
                await shell.step(f"{KEEPS_COUNT}; seq 3000")
        with pytest.raises(plumb_client.ServerUnavailable, match="journal cannot be written"):
            await plumb.session("shell")
        ballast.unlink()
        assert (await shell.step(f"{KEEPS_COUNT}; seq 3000")).text.startswith("2\n1\n2\n3\n")
        assert (await shell.step(KEEPS_COUNT)).text.strip() == "3"
        await shell.close()
