"""A stored answer goes to the call that its step was begun with, and to nobody else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from plumb.v1 import environment_pb2 as wire
from plumb_backends.errors import (
    InvalidInput,
    SessionNotFound,
    StepInProgress,
    StepMismatch,
    StepOutOfOrder,
)
from plumb_server.convert import step_from_wire
from plumb_server.session import Session
from plumb_server.sessions import Sessions
from plumb_server.steps import AskedStep

if TYPE_CHECKING:
    from tests.server.conftest import FullEnvironment, Kit


async def test_the_same_nonce_gets_the_stored_answer(
    session: Session, environment: FullEnvironment, kit: Kit
) -> None:
    first = await session.begin_step(1, kit.action(b"say a"), "n").answer()
    assert await session.begin_step(1, kit.action(b"say a"), "n").answer() is first
    assert environment.ran == [b"say a"]


@pytest.mark.parametrize(("begun", "asked"), [("a", "b"), ("a", ""), ("", "b")])
@pytest.mark.parametrize("text", [b"say a", b"say b"])
async def test_another_nonce_is_out_of_order_and_nothing_runs(
    session: Session, environment: FullEnvironment, kit: Kit, begun: str, asked: str, text: bytes
) -> None:
    await session.begin_step(1, kit.action(b"say a"), begun).answer()
    with pytest.raises(StepOutOfOrder, match="another nonce; use 2 for a new step") as told:
        session.begin_step(1, kit.action(text), asked)
    assert told.value.metadata == {"expected": "2", "answer_within": "60"}
    assert environment.ran == [b"say a"]


async def test_the_same_nonce_with_another_action_is_a_mismatch(session: Session, kit: Kit) -> None:
    await session.begin_step(1, kit.action(b"say a"), "n").answer()
    with pytest.raises(StepMismatch):
        session.begin_step(1, kit.action(b"say b"), "n")


@pytest.mark.parametrize("index", [1, 2])
async def test_while_a_step_runs_another_nonce_hears_that_it_does(
    session: Session, environment: FullEnvironment, kit: Kit, index: int
) -> None:
    running = session.begin_step(1, kit.action(b"wait"), "n")
    await kit.soon(environment.entered.wait())
    with pytest.raises(StepInProgress, match="wait for it or interrupt it") as told:
        session.begin_step(index, kit.action(b"wait"), "other")
    assert told.value.metadata == {"expected": "2"}
    environment.release.set()
    await kit.soon(running.answer())


async def test_two_callers_that_step_in_turn_each_run_what_they_asked_for(
    session: Session, environment: FullEnvironment, kit: Kit
) -> None:
    """The second caller's stale index must not give it the first one's answer."""
    await session.begin_step(1, kit.action(b"say"), "operator").answer()
    with pytest.raises(StepOutOfOrder) as told:
        session.begin_step(1, kit.action(b"say"), "agent")
    expected = int(told.value.metadata["expected"])
    await session.begin_step(expected, kit.action(b"say"), "agent").answer()
    assert environment.ran == [b"say", b"say"]


async def test_nonces_hold_after_the_end_of_the_session(sessions: Sessions, kit: Kit) -> None:
    made = await sessions.create(kit.wish())
    mine = AskedStep(made.name, 1, kit.action(b"say a"), "mine")
    await (await sessions.begin_step(mine)).answer()
    await sessions.delete(made.name)
    assert (await sessions.begin_step(mine)).message.text == "a"
    with pytest.raises(SessionNotFound, match="another nonce"):
        await sessions.begin_step(AskedStep(made.name, 1, kit.action(b"say a"), "theirs"))


@pytest.mark.parametrize("nonce", ["x" * 129, "a\n", "\x1b[31m", "\u00e4", "\0", "x" * 1_000_000])
def test_what_is_no_nonce_is_refused_with_one_short_sentence(nonce: str) -> None:
    with pytest.raises(InvalidInput, match=r"nonce is .*printable ASCII") as told:
        step_from_wire(wire.StepRequest(nonce=nonce))
    assert str(told.value).isprintable()
    assert len(str(told.value)) < 500
