"""What a replay takes again: the steps since the last reset, as far as they were seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from plumb.v1 import environment_pb2 as wire
from plumb_backends.errors import InvalidInput
from plumb_server.journal import Journal
from plumb_server.replaying import plan_replay
from plumb_server.sessions import Sessions

if TYPE_CHECKING:
    from tests.server.conftest import FakeProvider, Kit


async def recorded(sessions: Sessions, kit: Kit) -> str:
    """A session of six steps, reset after the second, whose last one was lost."""
    made = await sessions.create(kit.wish())
    for index in (1, 2):
        await made.begin_step(index, kit.action(b"say %d" % index)).answer()
    await made.reset()
    for index in (3, 4, 5):
        await made.begin_step(index, kit.action(b"say %d" % index)).answer()
    await kit.fails_soon(made.begin_step(6, kit.action(b"gone")).answer())
    await sessions.delete(made.name)
    return made.name


@pytest.mark.parametrize(
    ("until", "indices"), [(0, [3, 4, 5]), (5, [3, 4, 5]), (3, [3]), (2, [1, 2]), (1, [1])]
)
async def test_steps_since_the_last_reset_are_planned_with_their_numbers(
    sessions: Sessions, journal: Journal, kit: Kit, until: int, indices: list[int]
) -> None:
    plan = await plan_replay(journal, await recorded(sessions, kit), until)
    assert [step.step_index for step in plan.steps] == indices
    assert plan.after == indices[0] - 1


async def test_a_step_that_is_not_there_is_named(
    sessions: Sessions, journal: Journal, kit: Kit
) -> None:
    with pytest.raises(InvalidInput, match="until_step is 9"):
        await plan_replay(journal, await recorded(sessions, kit), 9)


async def test_a_session_that_lives_is_not_taken_again(sessions: Sessions, kit: Kit) -> None:
    made = await sessions.create(kit.wish())
    request = wire.CreateSessionRequest(replay_from=wire.ReplayFrom(session=made.name))
    with pytest.raises(InvalidInput, match="has not ended"):
        await sessions.replays.read(request)


async def test_a_replayed_session_goes_on_with_the_next_number_and_tells_what_differs(
    sessions: Sessions, journal: Journal, kit: Kit, provider: FakeProvider
) -> None:
    plan = await plan_replay(journal, await recorded(sessions, kit), 0)
    wish = kit.wish()
    made = await sessions.create(type(wish)(spec=wish.spec, plan=plan))
    assert provider.made[-1].ran == [b"say 3", b"say 4", b"say 5"]
    assert made.last_step_index == 5
    assert made.replayed is not None
    assert (made.replayed.steps, made.replayed.differing) == (3, [])
    assert (await made.begin_step(6, kit.action(b"say 6")).answer()).text == "6"
    steps = await journal.steps_of(made.name)
    assert [step.step_index for step in steps] == [3, 4, 5, 6]


async def test_numbers_go_on_also_where_nothing_was_done_since_the_reset(
    sessions: Sessions, journal: Journal, kit: Kit
) -> None:
    made = await sessions.create(kit.wish())
    await made.begin_step(1, kit.action(b"say 1")).answer()
    await made.reset()
    await sessions.delete(made.name)
    plan = await plan_replay(journal, made.name, 0)
    assert (plan.after, plan.steps) == (1, [])
