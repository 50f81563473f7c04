"""One session: the order of its steps, and that whoever waits gets an answer."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from plumb_backends.environment import Ending, Program
from plumb_backends.errors import (
    InitFailed,
    InvalidInput,
    JournalUnavailable,
    SandboxUnavailable,
    SessionNotFound,
    StepInProgress,
    StepMismatch,
    StepOutOfOrder,
    Unsupported,
)
from plumb_server.journal import Journal, open_journal
from plumb_server.session import Session

if TYPE_CHECKING:
    from tests.server.conftest import Clock, FullEnvironment, Kit, MakeSession


async def test_steps_are_numbered_from_one(session: Session, kit: Kit) -> None:
    assert session.last_step_index == 0
    assert (await session.begin_step(1, kit.action(b"say a")).answer()).text == "a"
    assert (await session.begin_step(2, kit.action(b"say b")).answer()).text == "b"
    assert session.last_step_index == 2


async def test_the_same_index_again_returns_the_stored_observation_and_runs_nothing(
    session: Session, environment: FullEnvironment, kit: Kit
) -> None:
    first = await session.begin_step(1, kit.action(b"say a")).answer()
    assert await session.begin_step(1, kit.action(b"say a")).answer() is first
    assert environment.ran == [b"say a"]


async def test_the_same_index_while_it_runs_waits_for_the_same_answer(
    session: Session, environment: FullEnvironment, kit: Kit
) -> None:
    one = session.begin_step(1, kit.action(b"wait"))
    await kit.soon(environment.entered.wait())
    two = session.begin_step(1, kit.action(b"wait"))
    environment.release.set()
    assert await kit.soon(one.answer()) is await kit.soon(two.answer())
    assert environment.ran == [b"wait"]


async def test_the_same_index_with_another_action_is_a_mismatch(
    session: Session, environment: FullEnvironment, kit: Kit
) -> None:
    await session.begin_step(1, kit.action(b"say a")).answer()
    with pytest.raises(StepMismatch, match=r"step 1 .* use 2 for a new one"):
        session.begin_step(1, kit.action(b"say b"))
    assert environment.ran == [b"say a"]


@pytest.mark.parametrize("index", [-1, 0, 1, 4, 2**62])
async def test_a_gap_is_out_of_order_and_says_what_is_expected(
    session: Session, environment: FullEnvironment, kit: Kit, index: int
) -> None:
    for number in (1, 2):
        await session.begin_step(number, kit.action(b"say")).answer()
    with pytest.raises(StepOutOfOrder, match=f"step_index is {index};") as caught:
        session.begin_step(index, kit.action(b"say"))
    assert caught.value.metadata == {"expected": "3", "answer_within": "60"}
    assert len(environment.ran) == 2


@pytest.mark.parametrize("index", [-1, 0, 2])
async def test_the_first_step_is_number_one_and_no_other(
    session: Session, kit: Kit, index: int
) -> None:
    with pytest.raises(StepOutOfOrder) as caught:
        session.begin_step(index, kit.action(b"say"))
    assert caught.value.metadata == {"expected": "1", "answer_within": "60"}


async def test_the_next_step_while_one_runs_is_refused_and_its_index_stays_free(
    session: Session, environment: FullEnvironment, kit: Kit
) -> None:
    running = session.begin_step(1, kit.action(b"wait"))
    with pytest.raises(StepInProgress, match=r"step 1 .* wait for it or interrupt it"):
        session.begin_step(2, kit.action(b"say b"))
    await kit.soon(environment.entered.wait())
    environment.release.set()
    await kit.soon(running.answer())
    assert (await session.begin_step(2, kit.action(b"say c")).answer()).text == "c"


async def test_an_action_that_cannot_be_typed_leaves_its_index_free(
    session: Session, kit: Kit
) -> None:
    with pytest.raises(InvalidInput):
        await session.begin_step(1, kit.action(b"invalid")).answer()
    assert session.last_step_index == 0
    assert (await session.begin_step(1, kit.action(b"say a")).answer()).text == "a"
    with pytest.raises(InvalidInput):
        await session.begin_step(2, kit.action(b"invalid")).answer()
    assert (await session.begin_step(1, kit.action(b"say a")).answer()).text == "a"


async def test_an_action_that_cannot_be_typed_is_not_journaled(
    session: Session, journal: Journal, kit: Kit
) -> None:
    with pytest.raises(InvalidInput):
        await session.begin_step(1, kit.action(b"invalid")).answer()
    assert await journal.steps_of(session.name) == []


async def test_a_caller_that_goes_away_does_not_stop_the_step(
    session: Session, environment: FullEnvironment, journal: Journal, kit: Kit
) -> None:
    caller = asyncio.create_task(session.begin_step(1, kit.action(b"wait x")).answer())
    await kit.soon(environment.entered.wait())
    caller.cancel()
    await asyncio.wait({caller})
    environment.release.set()
    again = await kit.soon(session.begin_step(1, kit.action(b"wait x")).answer())
    assert again.text == "x"
    assert environment.ran == [b"wait x"]
    assert [step.step_index for step in await journal.steps_of(session.name)] == [1]


async def test_a_step_is_in_the_journal_before_it_is_answered(
    session: Session, journal: Journal, kit: Kit
) -> None:
    for index in range(1, 6):
        await session.begin_step(index, kit.action(b"say %d" % index)).answer()
        steps = await journal.steps_of(session.name)
        assert [step.action for step in steps] == [b"say %d" % n for n in range(1, index + 1)]


async def test_a_lost_sandbox_is_an_error_breaks_the_session_and_stays_its_answer(
    session: Session, environment: FullEnvironment, kit: Kit
) -> None:
    for _ in range(2):
        with pytest.raises(SandboxUnavailable):
            await session.begin_step(1, kit.action(b"gone")).answer()
        assert session.is_broken
    assert environment.ran == [b"gone"]


async def test_a_lost_sandbox_is_in_the_journal_as_an_error_and_not_as_an_observation(
    session: Session, journal: Journal, kit: Kit
) -> None:
    with pytest.raises(SandboxUnavailable):
        await session.begin_step(1, kit.action(b"gone")).answer()
    (step,) = await journal.steps_of(session.name)
    assert step.observation is None
    assert step.error is not None
    assert "the sandbox is gone" in step.error


async def test_a_broken_session_stays_broken_when_an_action_cannot_be_typed(
    session: Session, kit: Kit
) -> None:
    with pytest.raises(SandboxUnavailable):
        await session.begin_step(1, kit.action(b"gone")).answer()
    with pytest.raises(InvalidInput):
        await session.begin_step(2, kit.action(b"invalid")).answer()
    assert session.is_broken


async def test_a_reset_mends_a_broken_session_and_step_numbers_go_on(
    session: Session, environment: FullEnvironment, kit: Kit
) -> None:
    with pytest.raises(SandboxUnavailable):
        await session.begin_step(1, kit.action(b"gone")).answer()
    await session.reset()
    assert not session.is_broken
    assert environment.resets == 1
    assert (await session.begin_step(2, kit.action(b"say a")).answer()).text == "a"


async def test_a_reset_that_fails_leaves_the_session_broken(
    session: Session, environment: FullEnvironment, kit: Kit
) -> None:
    environment.reset_error = InitFailed("init script 1 failed")
    with pytest.raises(InitFailed):
        await session.reset()
    assert session.is_broken


async def test_a_reset_whose_caller_goes_away_leaves_a_session_that_says_it_is_broken(
    session: Session, environment: FullEnvironment, kit: Kit
) -> None:
    environment.waits_in_reset = True
    reset = asyncio.create_task(session.reset())
    await kit.soon(environment.entered.wait())
    reset.cancel()
    await asyncio.wait({reset})
    assert session.is_broken
    assert not session.is_busy


@pytest.mark.parametrize("what", ["step", "reset", "probe"])
async def test_reset_and_probe_are_refused_while_something_runs(
    session: Session, environment: FullEnvironment, kit: Kit, what: str
) -> None:
    environment.waits_in_reset = True
    calls: dict[str, Callable[[], Awaitable[object]]] = {
        "step": lambda: session.begin_step(1, kit.action(b"wait")).answer(),
        "reset": session.reset,
        "probe": lambda: session.probe("wait"),
    }
    task = asyncio.ensure_future(calls[what]())
    await kit.soon(environment.entered.wait())
    assert session.is_busy
    with pytest.raises(StepInProgress, match=what):
        await session.reset()
    with pytest.raises(StepInProgress, match=what):
        await session.probe("cwd")
    environment.release.set()
    await kit.soon(task)
    assert not session.is_busy


@pytest.mark.parametrize("what", ["reset", "probe"])
async def test_a_step_is_refused_while_a_reset_or_a_probe_runs(
    session: Session, environment: FullEnvironment, kit: Kit, what: str
) -> None:
    environment.waits_in_reset = True
    running = asyncio.ensure_future(session.reset() if what == "reset" else session.probe("wait"))
    await kit.soon(environment.entered.wait())
    with pytest.raises(StepInProgress, match=what):
        session.begin_step(1, kit.action(b"say"))
    environment.release.set()
    await kit.soon(running)
    assert environment.ran == []
    assert (await session.begin_step(1, kit.action(b"say a")).answer()).text == "a"


async def test_an_interrupt_goes_past_the_queue_and_the_step_answers(
    session: Session, environment: FullEnvironment, kit: Kit
) -> None:
    assert await session.interrupt() is None
    step = session.begin_step(1, kit.action(b"wait"))
    await kit.soon(environment.entered.wait())
    assert (await kit.soon(session.interrupt())) is step
    assert (await kit.soon(step.answer())).ending is Ending.INTERRUPTED


async def test_an_interrupt_returns_when_the_action_has_ended_and_the_next_step_may_be_taken(
    session: Session, environment: FullEnvironment, kit: Kit
) -> None:
    session.begin_step(1, kit.action(b"wait"))
    await kit.soon(environment.entered.wait())
    step = await kit.soon(session.interrupt())
    assert step is not None
    assert step.is_answered
    assert step.observation is step.message
    await session.begin_step(2, kit.action(b"say a")).answer()


async def test_an_interrupt_waits_no_longer_than_it_says(
    session: Session,
    environment: FullEnvironment,
    kit: Kit,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("plumb_server.session._INTERRUPT_WITHIN", 0.01)
    monkeypatch.setattr(environment, "interrupt", lambda: True)
    running = session.begin_step(1, kit.action(b"wait"))
    await kit.soon(environment.entered.wait())
    step = await kit.soon(session.interrupt())
    assert step is running
    assert not step.is_answered
    assert step.observation is None
    environment.release.set()
    await kit.soon(running.answer())


async def test_a_program_may_run_beside_a_step(
    session: Session, environment: FullEnvironment, kit: Kit
) -> None:
    step = session.begin_step(1, kit.action(b"wait"))
    await kit.soon(environment.entered.wait())
    assert (await kit.soon(session.execute(Program(["ls", "/"])))).stdout == b"ls /"
    environment.release.set()
    await kit.soon(step.answer())


async def test_what_the_environment_cannot_do_is_unsupported_and_says_so(
    make_session: MakeSession, journal: Journal, kit: Kit
) -> None:
    session = make_session(kit.FakeEnvironment(), journal)
    with pytest.raises(Unsupported, match="'real' of kind 'shell' cannot be interrupted"):
        await session.interrupt()
    with pytest.raises(Unsupported, match="'real' of kind 'shell' has no processes"):
        await session.execute(Program(["ls"]))


async def test_an_end_cuts_a_running_step_off_and_whoever_waits_is_told(
    session: Session, environment: FullEnvironment, kit: Kit
) -> None:
    step = session.begin_step(1, kit.action(b"wait"))
    waiting = asyncio.create_task(step.answer())
    await kit.soon(environment.entered.wait())
    await kit.soon(session.close())
    assert environment.closes == 1
    error = await kit.fails_soon(waiting)
    assert isinstance(error, SessionNotFound)
    assert "ended while step 1 ran" in str(error)


async def test_an_end_before_the_step_has_begun_leaves_nobody_waiting(
    session: Session, kit: Kit
) -> None:
    step = session.begin_step(1, kit.action(b"wait"))
    await session.close()  # the worker has not had its first turn yet
    assert isinstance(await kit.fails_soon(step.answer()), SessionNotFound)


async def test_a_fault_of_ours_reaches_whoever_waits(
    session: Session, journal: Journal, kit: Kit
) -> None:
    assert isinstance(
        await kit.fails_soon(session.begin_step(1, kit.action(b"fault")).answer()), RuntimeError
    )
    (step,) = await journal.steps_of(session.name)
    assert step.observation is None


async def test_what_cannot_be_journaled_is_not_answered_as_an_observation(
    tmp_path: Path, environment: FullEnvironment, make_session: MakeSession, kit: Kit
) -> None:
    async with open_journal(f"sqlite:///{tmp_path}/journal") as journal:
        session = make_session(environment, journal)
        with sqlite3.connect(tmp_path / "journal") as connection:
            connection.execute("DROP TABLE steps")
        connection.close()
        error = await kit.fails_soon(session.begin_step(1, kit.action(b"say a")).answer())
        assert "no such table" in str(error)


async def test_an_end_while_the_answer_is_being_written_leaves_nobody_waiting(
    tmp_path: Path, environment: FullEnvironment, make_session: MakeSession, kit: Kit
) -> None:
    async with open_journal(f"sqlite:///{tmp_path}/journal") as journal:
        session = make_session(environment, journal)
        lock = sqlite3.connect(tmp_path / "journal", isolation_level=None)
        lock.execute("BEGIN EXCLUSIVE")
        step = session.begin_step(1, kit.action(b"wait"))
        waiting = asyncio.create_task(step.answer())
        await kit.soon(environment.entered.wait())
        environment.release.set()
        while environment.release.is_set():  # noqa: ASYNC110 - until the environment has answered
            await asyncio.sleep(0)
        closing = asyncio.create_task(session.close())
        await asyncio.sleep(0)
        lock.execute("COMMIT")
        lock.close()
        await kit.soon(closing)
        done, _ = await asyncio.wait({waiting}, timeout=30)
        assert done, "the call hangs for ever"
        assert isinstance(waiting.exception(), SessionNotFound)


class Unwritable(NamedTuple):
    """A session whose journal cannot be written, and what mends it."""

    session: Session
    journal: Journal
    mend: Callable[[], None]


@pytest.fixture
async def unwritable(
    tmp_path: Path, environment: FullEnvironment, make_session: MakeSession
) -> AsyncIterator[Unwritable]:
    path = tmp_path / "journal"
    async with open_journal(f"sqlite:///{path}") as journal:
        rename(path, "steps", "elsewhere")
        session = make_session(environment, journal)
        yield Unwritable(session, journal, lambda: rename(path, "elsewhere", "steps"))
        await session.close()


def rename(path: Path, old: str, new: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"ALTER TABLE {old} RENAME TO {new}")


async def test_an_answer_that_could_not_be_written_is_given_once_it_can_and_nothing_runs_twice(
    unwritable: Unwritable, environment: FullEnvironment, kit: Kit
) -> None:
    for _ in range(2):
        error = await kit.fails_soon(
            unwritable.session.begin_step(1, kit.action(b"say a")).answer()
        )
        assert isinstance(error, JournalUnavailable)
        assert "step 1 of" in str(error)
        assert "no such table" in str(error)
    unwritable.mend()
    again = unwritable.session.begin_step(1, kit.action(b"say a"))
    assert (await kit.soon(again.answer())).text == "a"
    assert environment.ran == [b"say a"]
    (step,) = await unwritable.journal.steps_of(unwritable.session.name)
    assert step.observation == again.message.SerializeToString()


async def test_while_an_answer_cannot_be_written_no_other_step_begins(
    unwritable: Unwritable, environment: FullEnvironment, kit: Kit
) -> None:
    session = unwritable.session
    await kit.fails_soon(session.begin_step(1, kit.action(b"say a")).answer())
    for _ in range(2):
        error = await kit.fails_soon(session.begin_step(2, kit.action(b"say b")).answer())
        assert isinstance(error, JournalUnavailable)
        assert "step 2 of" in str(error)
        assert "not begun" in str(error)
        assert session.last_step_index == 1
    assert environment.ran == [b"say a"]
    unwritable.mend()
    assert (await kit.soon(session.begin_step(2, kit.action(b"say b")).answer())).text == "b"
    steps = await unwritable.journal.steps_of(session.name)
    assert [step.action for step in steps] == [b"say a", b"say b"]


async def test_a_reset_that_cannot_be_written_resets_nothing(
    unwritable: Unwritable, environment: FullEnvironment, tmp_path: Path
) -> None:
    rename(tmp_path / "journal", "resets", "resets_elsewhere")
    with pytest.raises(JournalUnavailable):
        await unwritable.session.reset()
    assert environment.resets == 0
    assert not unwritable.session.is_broken
    rename(tmp_path / "journal", "resets_elsewhere", "resets")
    await unwritable.session.reset()
    assert environment.resets == 1


async def test_an_answer_that_the_next_step_wrote_is_the_answer_where_that_step_cannot_be_typed(
    unwritable: Unwritable, kit: Kit
) -> None:
    session = unwritable.session
    await kit.fails_soon(session.begin_step(1, kit.action(b"say a")).answer())
    unwritable.mend()
    invalid = session.begin_step(2, kit.action(b"invalid"))
    assert isinstance(await kit.fails_soon(invalid.answer()), InvalidInput)
    assert (await kit.soon(session.begin_step(1, kit.action(b"say a")).answer())).text == "a"


async def test_an_end_writes_an_answer_that_was_held_back(unwritable: Unwritable, kit: Kit) -> None:
    session = unwritable.session
    await kit.fails_soon(session.begin_step(1, kit.action(b"say a")).answer())
    unwritable.mend()
    await kit.soon(session.close())
    assert [s.action for s in await unwritable.journal.steps_of(session.name)] == [b"say a"]


async def test_an_error_that_could_not_be_written_is_the_answer_once_it_can(
    unwritable: Unwritable, kit: Kit
) -> None:
    step = unwritable.session.begin_step(1, kit.action(b"gone"))
    assert isinstance(await kit.fails_soon(step.answer()), JournalUnavailable)
    unwritable.mend()
    step = unwritable.session.begin_step(1, kit.action(b"gone"))
    assert isinstance(await kit.fails_soon(step.answer()), SandboxUnavailable)


@pytest.mark.parametrize("hours", [-1000, 1000])
async def test_a_clock_that_is_set_changes_what_is_shown_and_nobody_s_end(
    clock: Clock, session: Session, hours: int
) -> None:
    before = session.idle_left, session.life_left
    clock.set_by = hours * 3600
    assert (session.idle_left, session.life_left) == before
    assert session.idle_expires == clock.time() + 100
    assert session.expires == clock.time() + 1000
    clock.now += 60
    assert session.idle_left == before[0] - 60
    assert session.life_left == before[1] - 60


async def test_idle_time_runs_from_the_last_call_and_stands_still_while_something_runs(
    clock: Clock, session: Session, environment: FullEnvironment, kit: Kit
) -> None:
    session.touch()
    started = clock.now
    assert session.idle_expires == started + 100
    clock.now += 50
    assert session.idle_expires == started + 100
    step = session.begin_step(1, kit.action(b"wait"))
    clock.now += 1000
    assert session.idle_expires == clock.now + 100
    await kit.soon(environment.entered.wait())
    environment.release.set()
    await kit.soon(step.answer())
    assert session.idle_expires == clock.now + 100
