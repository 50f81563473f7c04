"""Steps that are cancelled, streams that are left, and waiting for a place."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import AsyncIterator

import pytest
from tests.client.test_aio import Servicer, served, soon
from tests.client.test_fork import run as run_script

import plumb_client
from plumb_client import Ending, aio


@dataclasses.dataclass
class Scene:
    """A session on a scripted server, with an action `wait` that runs until it is interrupted."""

    servicer: Servicer
    plumb: aio.Plumb
    session: aio.Session


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    servicer = Servicer()  # type: ignore[abstract]
    servicer.gates[b"wait"] = asyncio.Event()
    async with served(servicer) as address, aio.connect(address) as plumb:
        yield Scene(servicer, plumb, await plumb.session("shell"))
        servicer.gates[b"wait"].set()


async def test_each_step_has_a_nonce_of_its_own_and_a_repeated_one_the_same(scene: Scene) -> None:
    await soon(scene.session.step("echo a"))
    await soon(scene.session.step("echo a"))
    scene.servicer.lost_answers = {"Converse": 1, "Step": 1}
    await soon(scene.session.step("echo a"))
    assert len(set(scene.servicer.nonces)) == len(scene.servicer.ran) == 3
    assert all(nonce.isascii() and 16 <= len(nonce) <= 128 for nonce in scene.servicer.nonces)


async def test_two_callers_that_take_turns_never_get_each_other_s_answers(scene: Scene) -> None:
    other = scene.plumb.agent_session(scene.session.name)
    await soon(scene.session.step("count"))
    assert (await soon(other.step("count"))).step_index == 2
    with pytest.raises(plumb_client.OutOfOrder):
        await soon(scene.session.step("count"))
    assert (await soon(scene.session.step("count"))).step_index == 3
    assert scene.servicer.ran == [b"count"] * 3


async def test_the_same_action_after_a_cancelled_one_is_another_step(scene: Scene) -> None:
    scene.servicer.gates[b"again"] = asyncio.Event()
    step = asyncio.create_task(scene.session.step("again"))
    await soon(scene.servicer.began.wait())
    step.cancel()
    await asyncio.wait({step})
    scene.servicer.gates[b"again"].set()
    assert (await soon(scene.session.step("again"))).step_index == 2
    assert scene.servicer.ran == [b"again"] * 2


async def test_a_stream_that_is_left_interrupts_its_action_and_has_its_observation(
    scene: Scene,
) -> None:
    stream = scene.session.stream("wait")
    async for piece in stream:
        assert piece == b"began"
        break
    await soon(stream.close())
    assert scene.servicer.calls.count("Interrupt") == 1
    assert stream.observation.step_index == 1
    assert (await soon(scene.session.step("echo b"))).step_index == 2
    assert scene.servicer.ran == [b"wait", b"echo b"]


async def test_a_stream_that_nobody_keeps_is_ended_before_the_next_step(scene: Scene) -> None:
    async for _ in scene.session.stream("wait"):
        break
    assert (await soon(scene.session.step("echo b"))).step_index == 2


async def test_a_stream_s_block_interrupts_at_its_end(scene: Scene) -> None:
    stream = scene.session.stream("wait")

    async def fail() -> None:
        async with stream:
            async for _ in stream:
                raise KeyError

    with pytest.raises(KeyError):
        await soon(fail())
    assert stream.observation.ending is Ending.EXITED
    assert (await soon(scene.session.step("echo b"))).step_index == 2


async def test_a_stream_whose_reader_is_cancelled_interrupts(scene: Scene) -> None:
    stream = scene.session.stream("wait")
    seen = asyncio.Event()

    async def read() -> None:
        async for _ in stream:
            seen.set()

    reader = asyncio.create_task(read())
    await soon(seen.wait())
    reader.cancel()
    await asyncio.wait({reader})
    assert reader.cancelled()
    assert stream.observation.step_index == 1


async def test_a_stream_is_closed_from_another_task_and_read_to_its_end(scene: Scene) -> None:
    stream = scene.session.stream("wait")
    reader = asyncio.create_task(_read(stream))
    await soon(scene.servicer.began.wait())
    await soon(stream.close())
    assert await soon(reader) == b"began"
    assert stream.observation.step_index == 1


async def _read(stream: aio.Stream) -> bytes:
    return b"".join([piece async for piece in stream])


@pytest.mark.parametrize("reason", ["UNSUPPORTED", "PERMISSION_DENIED"])
async def test_where_nothing_can_be_interrupted_the_action_runs_on_and_the_next_step_says_so(
    scene: Scene, reason: str
) -> None:
    scene.servicer.refuse_interrupts = reason
    async with scene.session.stream("wait") as stream:
        async for _ in stream:
            break
    with pytest.raises(plumb_client.StepInProgress, match="has not ended"):
        _ = stream.observation
    with pytest.raises(plumb_client.StepInProgress):
        await soon(scene.session.step("echo b"))


async def test_a_stream_is_read_once(scene: Scene) -> None:
    stream = scene.session.stream("seq 9")
    assert await soon(_read(stream))
    await soon(stream.close())
    for one in (stream, scene.session.stream("seq 9")):
        await soon(one.close())
        with pytest.raises(plumb_client.InvalidInput, match="is read once"):
            aiter(one)
    assert scene.servicer.ran == [b"seq 9"]
    assert "Interrupt" not in scene.servicer.calls


async def test_a_session_waits_for_a_place_as_long_as_it_is_told(scene: Scene) -> None:
    scene.servicer.full_for = 3
    session = await soon(scene.plumb.session("shell", wait=60))
    assert session.kind == "shell"
    assert scene.servicer.calls.count("CreateSession") == 1 + 4


async def test_without_waiting_the_limit_and_when_to_try_again_are_told(scene: Scene) -> None:
    scene.servicer.full_for, scene.servicer.retry_after = 1, 2.5
    with pytest.raises(plumb_client.LimitReached) as caught:
        await soon(scene.plumb.session("shell"))
    assert (caught.value.limit, caught.value.retry_after) == ("X", 2.5)


async def test_waiting_ends_in_time_with_the_last_refusal(scene: Scene) -> None:
    scene.servicer.full_for, scene.servicer.retry_after = 1000, 600
    with pytest.raises(plumb_client.LimitReached):
        await soon(scene.plumb.session("shell", wait=0.2))
    assert scene.servicer.calls.count("CreateSession") == 1 + 2


async def test_a_limit_that_no_waiting_helps_is_raised_at_once(scene: Scene) -> None:
    scene.servicer.full_for, scene.servicer.retry_after = 1, 0
    with pytest.raises(plumb_client.LimitReached):
        await soon(scene.plumb.session("shell", wait=600))


async def test_waiting_can_be_cancelled(scene: Scene) -> None:
    scene.servicer.full_for, scene.servicer.retry_after = 1000, 600
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(_opened(scene.plumb), 0.5)
    assert scene.servicer.created.keys()


async def _opened(plumb: aio.Plumb) -> aio.Session:
    return await plumb.session("shell", wait=600)


async def test_ctrl_c_in_a_synchronous_stream_interrupts_the_action_and_gives_its_observation() -> (
    None
):
    lines = await run_script("""
        with plumb_client.connect(ADDRESS) as plumb, plumb.session("shell") as shell:
            stream = shell.stream("wait")
            try:
                for piece in stream:
                    print(piece)
                    raise KeyboardInterrupt
            except KeyboardInterrupt:
                print(stream.observation.text)
            with shell.stream("seq 9") as stream:
                for piece in stream:
                    break
            print(shell.step("echo b").text)
    """, gates=[b"wait"])  # fmt: skip
    assert lines == ["b'began'", "wait", "echo b"]


async def test_the_synchronous_client_waits_for_a_place_too() -> None:
    started = time.monotonic()
    lines = await run_script("""
        with plumb_client.connect(ADDRESS) as plumb:
            print(plumb.session("shell", wait=60).name)
    """, full_for=2)  # fmt: skip
    assert lines == ["sessions/0"]
    assert time.monotonic() - started < 60
