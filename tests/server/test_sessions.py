"""All sessions of a server: made once, found, swept and ended, with nothing left behind."""

from __future__ import annotations

import asyncio
import dataclasses
import re
import sqlite3
import uuid
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from plumb_backends.errors import (
    InitFailed,
    InvalidInput,
    JournalUnavailable,
    LimitReached,
    SandboxUnavailable,
    ServerStopping,
    SessionNotFound,
    StepInProgress,
    StepMismatch,
)
from plumb_backends.real import owner
from plumb_server import creations as module
from plumb_server.journal import Journal, open_journal
from plumb_server.session import check_name
from plumb_server.sessions import SessionLimits, Sessions, open_sessions
from plumb_server.steps import AskedStep

if TYPE_CHECKING:
    from pathlib import Path

    from tests.server.conftest import Clock, FakeProvider, Kit

    from plumb_backends.registry import Backends


async def test_a_session_is_found_by_its_name(sessions: Sessions, kit: Kit) -> None:
    made = await sessions.create(kit.wish())
    assert await sessions.get(made.name) is made
    assert sessions.list() == [made]


async def test_a_session_is_in_the_journal_before_it_is_answered(
    sessions: Sessions, journal: Journal, kit: Kit
) -> None:
    made = await sessions.create(kit.wish())
    assert await journal.why_ended(made.name) is not None  # it is known


async def test_the_same_request_id_again_is_the_same_session(
    sessions: Sessions, provider: FakeProvider, kit: Kit
) -> None:
    first = await sessions.create(kit.wish("once"))
    assert await sessions.create(kit.wish("once")) is first
    assert await sessions.create(kit.wish("twice")) is not first
    assert provider.asked == 2


async def test_the_same_request_id_at_the_same_time_is_the_same_session(
    sessions: Sessions, provider: FakeProvider, kit: Kit
) -> None:
    provider.may_create.clear()
    calls = [asyncio.create_task(sessions.create(kit.wish("once"))) for _ in range(8)]
    await kit.soon(provider.creating.wait())
    provider.may_create.set()
    made = await kit.soon(asyncio.gather(*calls))
    assert len({id(session) for session in made}) == 1
    assert provider.asked == 1


async def test_without_a_request_id_every_creation_is_another_session(
    sessions: Sessions, kit: Kit
) -> None:
    assert await sessions.create(kit.wish()) is not await sessions.create(kit.wish())


async def test_a_creation_that_failed_may_be_tried_again_with_its_request_id(
    sessions: Sessions, provider: FakeProvider, kit: Kit
) -> None:
    provider.create_error = SandboxUnavailable("the engine does not answer")
    with pytest.raises(SandboxUnavailable):
        await sessions.create(kit.wish("once"))
    provider.create_error = None
    assert (await sessions.create(kit.wish("once"))).name


async def test_a_creation_that_failed_by_a_fault_of_ours_may_be_tried_again_too(
    sessions: Sessions, provider: FakeProvider, kit: Kit
) -> None:
    provider.create_error = RuntimeError("a fault")
    with pytest.raises(RuntimeError):
        await sessions.create(kit.wish("once"))
    provider.create_error = None
    assert (await sessions.create(kit.wish("once"))).name


async def test_after_its_end_a_request_id_makes_a_new_session(sessions: Sessions, kit: Kit) -> None:
    first = await sessions.create(kit.wish("once"))
    await sessions.delete(first.name)
    second = await sessions.create(kit.wish("once"))
    assert second is not first
    assert sessions.list() == [second]


async def test_a_creation_that_is_cancelled_without_a_request_id_leaves_nothing(
    sessions: Sessions, provider: FakeProvider, kit: Kit
) -> None:
    provider.may_create.clear()
    creation = asyncio.create_task(sessions.create(kit.wish()))
    await kit.soon(provider.creating.wait())
    creation.cancel()
    await asyncio.wait({creation})
    assert creation.cancelled()
    assert provider.made == []
    assert sessions.list() == []


async def test_a_creation_that_cannot_be_journaled_closes_its_environment(
    backends: Backends, provider: FakeProvider, tmp_path: Path, kit: Kit
) -> None:
    async with (
        open_journal(f"sqlite:///{tmp_path}/journal") as journal,
        open_sessions(backends, journal, SessionLimits(), sweep_interval=3600) as sessions,
    ):
        rename(tmp_path / "journal", "sessions", "elsewhere")
        for request_id in ("", "once"):
            error = await kit.fails_soon(sessions.create(kit.wish(request_id)))
            assert isinstance(error, JournalUnavailable)
        assert sessions.list() == []
        assert [environment.closes for environment in provider.made] == [1, 1]


async def test_a_session_whose_caller_went_away_is_there_when_it_asks_again(
    sessions: Sessions, provider: FakeProvider, kit: Kit
) -> None:
    provider.may_create.clear()
    creation = asyncio.create_task(sessions.create(kit.wish("once")))
    await kit.soon(provider.creating.wait())
    creation.cancel()
    await asyncio.wait({creation})
    again = asyncio.create_task(sessions.create(kit.wish("once")))
    provider.may_create.set()
    assert [await kit.soon(again)] == sessions.list()
    assert provider.asked == 1


async def test_a_session_that_nobody_claims_is_ended(
    sessions: Sessions,
    provider: FakeProvider,
    journal: Journal,
    kit: Kit,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_UNCLAIMED_FOR", 0.01)
    provider.may_create.clear()
    creation = asyncio.create_task(sessions.create(kit.wish("once")))
    await kit.soon(provider.creating.wait())
    provider.may_create.set()  # it will be made, and its caller goes away before it is told
    creation.cancel()
    await asyncio.wait({creation})
    while not provider.made:  # noqa: ASYNC110
        await asyncio.sleep(0)
    await kit.soon(provider.made[0].closed.wait())
    assert sessions.list() == []


async def test_a_creation_that_nobody_waits_for_any_more_is_stopped(
    sessions: Sessions, provider: FakeProvider, kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_UNCLAIMED_FOR", 0.0)
    provider.may_create.clear()
    creation = asyncio.create_task(sessions.create(kit.wish("once")))
    await kit.soon(provider.creating.wait())
    creation.cancel()
    await asyncio.wait({creation})
    for _ in range(5):
        await asyncio.sleep(0)
    provider.may_create.set()
    made = await kit.soon(sessions.create(kit.wish("once")))
    assert sessions.list() == [made]
    assert provider.asked == 2  # the first was given up


async def test_a_claimed_session_is_not_ended_by_a_caller_that_went_away(
    sessions: Sessions, provider: FakeProvider, kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_UNCLAIMED_FOR", 0.0)
    provider.may_create.clear()
    gone = asyncio.create_task(sessions.create(kit.wish("once")))
    stays = asyncio.create_task(sessions.create(kit.wish("once")))
    await kit.soon(provider.creating.wait())
    gone.cancel()
    await asyncio.wait({gone})
    provider.may_create.set()
    made = await kit.soon(stays)
    await asyncio.sleep(0)
    assert sessions.list() == [made]
    assert provider.made[0].closes == 0


async def test_a_limit_that_is_reached_is_named_and_tells_when_to_retry(
    backends: Backends, journal: Journal, kit: Kit
) -> None:
    async with open_sessions(
        backends, journal, SessionLimits(most=2), sweep_interval=3600
    ) as sessions:
        first = await sessions.create(kit.wish())
        await sessions.create(kit.wish())
        with pytest.raises(LimitReached, match=r"has 2 sessions.*PLUMB_MAX_SESSIONS") as caught:
            await sessions.create(kit.wish())
        assert caught.value.metadata == {"limit": "PLUMB_MAX_SESSIONS"}
        assert caught.value.retry_after > 0
        await sessions.delete(first.name)
        await sessions.create(kit.wish())


async def test_sessions_in_creation_count_for_the_limit(
    backends: Backends, provider: FakeProvider, journal: Journal, kit: Kit
) -> None:
    async with open_sessions(
        backends, journal, SessionLimits(most=1), sweep_interval=3600
    ) as sessions:
        provider.may_create.clear()
        creation = asyncio.create_task(sessions.create(kit.wish()))
        await kit.soon(provider.creating.wait())
        with pytest.raises(LimitReached):
            await sessions.create(kit.wish())
        creation.cancel()
        await asyncio.wait({creation})
        provider.may_create.set()
        await sessions.create(kit.wish())  # a creation that failed gives its place back


async def test_a_creation_that_is_given_up_has_its_place_until_nothing_is_left(
    backends: Backends,
    journal: Journal,
    provider: FakeProvider,
    kit: Kit,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    is_written = asyncio.Event()

    async def wait_for_ever(*_: object) -> None:
        is_written.set()
        await asyncio.Event().wait()

    limits = SessionLimits(most=1)
    async with open_sessions(backends, journal, limits, sweep_interval=3600) as sessions:
        with monkeypatch.context() as patch:
            patch.setattr(journal, "session_created", wait_for_ever)
            creation = asyncio.create_task(sessions.create(kit.wish()))
            await kit.soon(is_written.wait())
        (environment,) = provider.made
        environment.waits_in_close = True
        creation.cancel()
        await kit.soon(environment.entered.wait())
        creation.cancel()  # and nobody waits for its removal either
        await asyncio.wait({creation})
        with pytest.raises(LimitReached):
            await sessions.create(kit.wish())
        environment.release.set()
        await kit.soon(environment.closed.wait())
        await sessions.sweep()
        await sessions.create(kit.wish())


async def test_whoever_waited_longer_for_a_failed_creation_does_not_forget_the_next(
    sessions: Sessions, provider: FakeProvider, kit: Kit
) -> None:
    provider.may_create.clear()
    provider.create_error = SandboxUnavailable("x")

    async def try_again() -> object:
        with pytest.raises(SandboxUnavailable):
            await sessions.create(kit.wish("once"))
        provider.create_error = None
        return await sessions.create(kit.wish("once"))

    trying = asyncio.create_task(try_again())
    waiting = asyncio.create_task(sessions.create(kit.wish("once")))
    await kit.soon(provider.creating.wait())
    provider.may_create.set()
    made = await kit.soon(trying)
    await asyncio.wait({waiting})
    assert isinstance(waiting.exception(), SandboxUnavailable)
    assert await sessions.create(kit.wish("once")) is made


async def test_an_idle_session_is_swept_and_the_journal_says_why(
    clock: Clock, sessions: Sessions, kit: Kit
) -> None:
    made = await sessions.create(kit.wish(idle_timeout=60))
    clock.now += 59
    await sessions.sweep()
    assert sessions.list() == [made]
    clock.now += 2
    await sessions.sweep()
    assert sessions.list() == []
    with pytest.raises(SessionNotFound, match=f"{made.name} has ended: it was idle too long"):
        await sessions.get(made.name)


async def test_every_call_postpones_the_idle_end(
    clock: Clock, sessions: Sessions, kit: Kit
) -> None:
    made = await sessions.create(kit.wish(idle_timeout=60))
    for _ in range(5):
        clock.now += 59
        await sessions.get(made.name)
        await sessions.sweep()
    assert sessions.list() == [made]


async def test_a_session_that_runs_something_is_not_idle(
    clock: Clock, sessions: Sessions, provider: FakeProvider, kit: Kit
) -> None:
    made = await sessions.create(kit.wish(idle_timeout=60))
    step = made.begin_step(1, kit.action(b"wait"))
    await kit.soon(provider.made[0].entered.wait())
    clock.now += 1000
    await sessions.sweep()
    assert sessions.list() == [made]
    provider.made[0].release.set()
    await kit.soon(step.answer())


async def test_a_session_at_its_longest_life_is_swept_whatever_it_does(
    clock: Clock, backends: Backends, provider: FakeProvider, journal: Journal, kit: Kit
) -> None:
    limits = SessionLimits(max_life=3600)
    async with open_sessions(backends, journal, limits, sweep_interval=36000) as sessions:
        made = await sessions.create(kit.wish(idle_timeout=7200))
        step = made.begin_step(1, kit.action(b"wait"))
        await kit.soon(provider.made[0].entered.wait())
        clock.now += 3601
        await kit.soon(sessions.sweep())
        assert sessions.list() == []
        assert isinstance(await kit.fails_soon(step.answer()), SessionNotFound)
        assert await journal.why_ended(made.name) == "it reached its longest life"


async def test_the_sweep_goes_on_where_the_engine_does_not_answer(
    sessions: Sessions, provider: FakeProvider
) -> None:
    provider.sweep_error = SandboxUnavailable("the engine does not answer")
    before = provider.sweeps
    await sessions.sweep()
    assert provider.sweeps == before + 1


async def test_what_outlived_others_is_swept_at_the_start_and_from_time_to_time(
    backends: Backends, provider: FakeProvider, journal: Journal, kit: Kit
) -> None:
    async with open_sessions(backends, journal, SessionLimits(), sweep_interval=0.001):
        assert provider.sweeps >= 1
        provider.sweep_error = RuntimeError("a fault")  # which does not end the sweeping

        async def swept() -> None:
            wanted = provider.sweeps + 3
            while provider.sweeps < wanted:  # noqa: ASYNC110
                await asyncio.sleep(0.001)

        await kit.soon(swept())


async def test_an_end_is_idempotent_and_closes_the_environment_once(
    sessions: Sessions, provider: FakeProvider, kit: Kit
) -> None:
    made = await sessions.create(kit.wish())
    await asyncio.gather(sessions.delete(made.name), sessions.delete(made.name))
    await sessions.delete(made.name)
    await sessions.delete(f"sessions/{uuid.uuid4()}")
    assert provider.made[0].closes == 1
    with pytest.raises(SessionNotFound, match="it was deleted"):
        await sessions.get(made.name)


async def test_a_session_that_is_being_removed_says_already_why(
    sessions: Sessions, provider: FakeProvider, kit: Kit
) -> None:
    made = await sessions.create(kit.wish())
    environment = provider.made[0]
    environment.waits_in_close = True
    end = asyncio.create_task(sessions.delete(made.name, "it was idle too long"))
    await kit.soon(environment.entered.wait())
    with pytest.raises(SessionNotFound, match="has ended: it was idle too long"):
        await sessions.get(made.name)
    environment.release.set()
    await kit.soon(end)


async def test_a_session_that_is_being_removed_has_its_place_until_nothing_is_left(
    backends: Backends, journal: Journal, provider: FakeProvider, kit: Kit
) -> None:
    async with open_sessions(
        backends, journal, SessionLimits(most=1), sweep_interval=3600
    ) as sessions:
        made = await sessions.create(kit.wish())
        environment = provider.made[0]
        environment.waits_in_close = True
        end = asyncio.create_task(sessions.delete(made.name))
        await kit.soon(environment.entered.wait())
        with pytest.raises(LimitReached):
            await sessions.create(kit.wish())
        environment.release.set()
        await kit.soon(end)
        await sessions.create(kit.wish())


async def test_an_end_goes_on_when_its_caller_is_gone_and_can_be_waited_for_again(
    sessions: Sessions, provider: FakeProvider, kit: Kit
) -> None:
    made = await sessions.create(kit.wish())
    environment = provider.made[0]
    environment.waits_in_close = True
    end = asyncio.create_task(sessions.delete(made.name))
    await kit.soon(environment.entered.wait())
    end.cancel()
    await asyncio.wait({end})
    again = asyncio.create_task(sessions.delete(made.name))
    await asyncio.sleep(0)
    assert not again.done()
    environment.release.set()
    await kit.soon(again)
    assert environment.closed.is_set()
    assert environment.closes == 1


async def test_an_end_that_cannot_be_written_is_one_and_a_later_sweep_writes_it(
    backends: Backends, provider: FakeProvider, tmp_path: Path, kit: Kit
) -> None:
    async with (
        open_journal(f"sqlite:///{tmp_path}/journal") as journal,
        open_sessions(backends, journal, SessionLimits(), sweep_interval=3600) as sessions,
    ):
        made = await sessions.create(kit.wish())
        rename(tmp_path / "journal", "sessions", "elsewhere")
        await kit.soon(sessions.delete(made.name, "it was idle too long"))
        await kit.soon(sessions.sweep())
        assert provider.made[0].closes == 1
        rename(tmp_path / "journal", "elsewhere", "sessions")
        with pytest.raises(SessionNotFound, match="it was idle too long"):
            await sessions.get(made.name)
        await kit.soon(sessions.sweep())
        assert await journal.why_ended(made.name) == "it was idle too long"


def rename(path: Path, old: str, new: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"ALTER TABLE {old} RENAME TO {new}")


async def test_a_step_that_was_answered_is_answered_again_after_its_session_has_ended(
    sessions: Sessions, provider: FakeProvider, kit: Kit
) -> None:
    made = await sessions.create(kit.wish())
    live = await sessions.begin_step(AskedStep(made.name, 1, kit.action(b"say 1")))
    await kit.soon(live.answer())
    await sessions.delete(made.name)
    again = await sessions.begin_step(AskedStep(made.name, 1, kit.action(b"say 1")))
    await kit.soon(again.answer())
    assert again.message == live.message
    assert again.index == 1
    assert await kit.soon(again.output.next(0)) is None
    assert provider.made[0].ran == [b"say 1"]


async def test_a_step_of_an_ended_session_that_was_not_answered_so_is_refused_and_says_why(
    sessions: Sessions, provider: FakeProvider, kit: Kit
) -> None:
    made = await sessions.create(kit.wish())
    await made.begin_step(1, kit.action(b"say a")).answer()
    await kit.fails_soon(made.begin_step(2, kit.action(b"gone")).answer())
    await sessions.delete(made.name)
    with pytest.raises(StepMismatch, match="was another action, and the session has ended"):
        await sessions.begin_step(AskedStep(made.name, 1, kit.action(b"say b")))
    with pytest.raises(SessionNotFound, match=r"step 2 was answered .* the sandbox is gone"):
        await sessions.begin_step(AskedStep(made.name, 2, kit.action(b"gone")))
    with pytest.raises(SessionNotFound, match="has ended: it was deleted"):
        await sessions.begin_step(AskedStep(made.name, 3, kit.action(b"say c")))
    with pytest.raises(SessionNotFound, match="never created here"):
        await sessions.begin_step(AskedStep(f"sessions/{uuid.uuid4()}", 1, kit.action(b"say a")))
    assert provider.made[0].ran == [b"say a", b"gone"]


async def test_at_the_start_the_sessions_of_a_server_that_is_gone_end_in_the_journal(
    backends: Backends, journal: Journal, kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_sessions(backends, journal, SessionLimits()) as first:
        made = await first.create(kit.wish())
        async with open_sessions(backends, journal, SessionLimits()):
            assert ended(journal) == []  # both are this process, which lives
        monkeypatch.setattr(owner, "is_over", lambda *_: True)
        async with open_sessions(backends, journal, SessionLimits()):
            assert ended(journal) == [made.name]


def ended(journal: Journal) -> list[str]:
    query = "SELECT name FROM sessions WHERE ended_because LIKE '%without a word'"
    with journal._engine.connect() as connection:
        return [row.name for row in connection.exec_driver_sql(query)]


async def test_an_end_cuts_a_running_step_off(
    sessions: Sessions, provider: FakeProvider, kit: Kit
) -> None:
    made = await sessions.create(kit.wish())
    step = made.begin_step(1, kit.action(b"wait"))
    await kit.soon(provider.made[0].entered.wait())
    await kit.soon(sessions.delete(made.name))
    assert isinstance(await kit.fails_soon(step.answer()), SessionNotFound)
    assert provider.made[0].closes == 1


async def test_a_session_that_never_was_is_not_found_and_says_so(sessions: Sessions) -> None:
    name = f"sessions/{uuid.uuid4()}"
    with pytest.raises(SessionNotFound, match=f"{name} was never created here; create a new"):
        await sessions.get(name)


@pytest.mark.parametrize(
    "name",
    ["", "sessions/", "sessions/1", "x", "sessions/" + "0" * 32, f"Sessions/{uuid.UUID(int=1)}",
     f"sessions/{uuid.UUID(int=1)}/", f"sessions/{str(uuid.UUID(int=0xA)).upper()}A"],
)  # fmt: skip
async def test_what_is_no_session_name_is_invalid_and_named(sessions: Sessions, name: str) -> None:
    sentence = f"{re.escape(repr(name))} is not a session name; use sessions/UUID"
    with pytest.raises(InvalidInput, match=sentence):
        check_name(name)
    with pytest.raises(InvalidInput):
        await sessions.get(name)
    with pytest.raises(InvalidInput):
        await sessions.delete(name)


async def test_a_session_whose_reset_finds_too_many_creations_may_be_reset_again(
    sessions: Sessions, provider: FakeProvider, kit: Kit
) -> None:
    made = await sessions.create(kit.wish())
    provider.made[0].reset_error = LimitReached("too many", limit="PLUMB_MAX_CREATIONS")
    with pytest.raises(LimitReached):
        await sessions.reset(made.name)
    assert made.is_broken
    provider.made[0].reset_error = None
    assert await sessions.reset(made.name) is made
    assert not made.is_broken


async def test_a_reset_that_cannot_ground_again_ends_the_session_and_says_why(
    sessions: Sessions, provider: FakeProvider, kit: Kit
) -> None:
    made = await sessions.create(kit.wish())
    provider.made[0].reset_error = InitFailed("init script 1 (false) ended with exit status 1")
    with pytest.raises(InitFailed):
        await sessions.reset(made.name)
    assert sessions.list() == []
    assert provider.made[0].closes == 1
    with pytest.raises(SessionNotFound, match="its reset failed: init script 1"):
        await sessions.get(made.name)


async def test_a_reset_that_cannot_be_written_does_not_end_the_session(
    backends: Backends, provider: FakeProvider, tmp_path: Path, kit: Kit
) -> None:
    async with (
        open_journal(f"sqlite:///{tmp_path}/journal") as journal,
        open_sessions(backends, journal, SessionLimits(), sweep_interval=3600) as sessions,
    ):
        made = await sessions.create(kit.wish())
        rename(tmp_path / "journal", "resets", "elsewhere")
        assert isinstance(await kit.fails_soon(sessions.reset(made.name)), JournalUnavailable)
        rename(tmp_path / "journal", "elsewhere", "resets")
        assert await sessions.reset(made.name) is made
        assert provider.made[0].resets == 1


async def test_a_reset_while_something_runs_is_refused_and_the_session_lives(
    sessions: Sessions, provider: FakeProvider, kit: Kit
) -> None:
    made = await sessions.create(kit.wish())
    step = made.begin_step(1, kit.action(b"wait"))
    await kit.soon(provider.made[0].entered.wait())
    with pytest.raises(StepInProgress):
        await sessions.reset(made.name)
    provider.made[0].release.set()
    await kit.soon(step.answer())
    assert sessions.list() == [made]


async def test_a_server_that_goes_down_makes_no_more_sessions(sessions: Sessions, kit: Kit) -> None:
    await sessions.drain(0)
    with pytest.raises(ServerStopping, match="try again"):
        await sessions.create(kit.wish())


async def test_a_server_that_goes_down_lets_running_steps_finish(
    sessions: Sessions, provider: FakeProvider, kit: Kit
) -> None:
    made = await sessions.create(kit.wish())
    step = made.begin_step(1, kit.action(b"wait x"))
    await kit.soon(provider.made[0].entered.wait())
    draining = asyncio.create_task(sessions.drain(60))
    await asyncio.sleep(0)
    assert not draining.done()
    provider.made[0].release.set()
    assert (await kit.soon(step.answer())).text == "x"
    await kit.soon(draining)


async def test_a_server_that_goes_down_waits_no_longer_than_its_grace(
    sessions: Sessions, provider: FakeProvider, kit: Kit
) -> None:
    made = await sessions.create(kit.wish())
    step = made.begin_step(1, kit.action(b"wait"))
    await kit.soon(provider.made[0].entered.wait())
    await kit.soon(sessions.drain(0.01))
    await kit.soon(sessions.stop())
    assert isinstance(await kit.fails_soon(step.answer()), SessionNotFound)


async def test_all_sessions_end_with_the_server_and_the_journal_says_why(
    backends: Backends, provider: FakeProvider, journal: Journal, kit: Kit
) -> None:
    async with open_sessions(backends, journal, SessionLimits(), sweep_interval=3600) as sessions:
        made = [await sessions.create(kit.wish()) for _ in range(3)]
    assert [environment.closes for environment in provider.made] == [1, 1, 1]
    for session in made:
        assert await journal.why_ended(session.name) == "the server went down"


async def test_a_creation_under_way_ends_with_the_server(
    backends: Backends, provider: FakeProvider, journal: Journal, kit: Kit
) -> None:
    async with open_sessions(backends, journal, SessionLimits(), sweep_interval=3600) as sessions:
        provider.may_create.clear()
        creation = asyncio.create_task(sessions.create(kit.wish("once")))
        await kit.soon(provider.creating.wait())
    await kit.fails_soon(creation)
    assert provider.made == []


def test_the_limits_are_plain_values() -> None:
    assert dataclasses.asdict(SessionLimits()) == {
        "most": 512,
        "idle_timeout": 1800.0,
        "max_life": 86400.0,
        "journal_bytes": 256 * 1024**2,
        "close_within": 30.0,
        "answer_within": 60.0,
    }
