"""Whatever is passed to the client, what comes back is one of ours, one sentence with the mend."""

from __future__ import annotations

import asyncio
import decimal
import math
import pickle
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.client.test_aio import Servicer, served, soon
from tests.client.test_fork import run as run_script

import plumb_client
from plumb_client import InvalidInput, InvalidType, RecordedTurn, aio, comparisons, requests
from plumb_client.journal import write_list_request, write_steps_request

Write = Callable[..., object]


def session(**options: Any) -> object:
    return requests.create_session("shell", "real", **options)


def simulated(**fields: Any) -> object:
    return session(simulator={"model": "m", **fields})


def turn(**fields: Any) -> object:
    return session(recordings=[[RecordedTurn(**{"action": "a", "text": "b", **fields})]])


def step(action: Any = "ls", timeout: Any = None) -> object:
    return requests.step("sessions/a", 1, action, timeout)


def program(argv: Any = ("ls",), **more: Any) -> object:
    usual = {"stdin": b"", "env": None, "cwd": "", "user": "", "timeout": None}
    return requests.execute("sessions/a", argv, **{**usual, **more})


def compare(actions: Any = ("ls",), replicas: Any = 3, timeout: Any = None, **options: Any) -> Any:
    return comparisons.write_request(
        "shell",
        actions,
        options,  # type: ignore[arg-type]
        replicas=replicas,
        timeout=timeout,
    )


ONE_TEXT = [
    (session, "init"), (program, "argv"), (compare, "actions"), (simulated, "teacher"),
    (session, "recordings"),
]  # fmt: skip


@pytest.mark.parametrize(("write", "name"), ONE_TEXT)
@pytest.mark.parametrize("text", ["echo hi", b"ls", bytearray(b"ls"), ""])
def test_one_text_is_no_sequence_of_texts(write: Write, name: str, text: object) -> None:
    with pytest.raises(InvalidType, match=rf"{name}\W* is one text, .*; give a list: "):
        write(**{name: text})


@pytest.mark.parametrize(
    ("write", "name"),
    [*ONE_TEXT, (session, "simulator"), (program, "env")],
)
@pytest.mark.parametrize("value", [7, 1.5, True, {"a"}, object()])
def test_what_is_no_sequence_or_mapping_is_refused(write: Write, name: str, value: object) -> None:
    with pytest.raises(InvalidType, match=rf"{name}\W* is .*; give a "):
        write(**{name: value})


TEXTS = [
    (session, "request_id"), (session, "image"), (session, "hostname"), (session, "observe"),
    (session, "task"), (session, "replay_from"), (simulated, "model"), (simulated, "strategy"),
    (step, "action"), (program, "cwd"), (program, "user"), (program, "stdin"), (turn, "action"),
    (turn, "text"),
]  # fmt: skip
FLAGS = [
    (session, "tolerate_init_failures"), (session, "dumb_terminal"), (simulated, "reason"),
    (simulated, "critic"), (turn, "timed_out"),
]  # fmt: skip
WHOLE = [
    (session, "max_text_bytes"),
    (simulated, "seed"),
    (turn, "exit_code"),
    (compare, "replicas"),
]
SECONDS = [
    (session, "init_timeout"), (session, "idle_timeout"), (step, "timeout"), (program, "timeout"),
    (compare, "timeout"),
]  # fmt: skip


@pytest.mark.parametrize(("write", "name"), TEXTS)
@pytest.mark.parametrize("value", [None, 7, ["a"], Path("/"), True])
def test_what_is_no_text_is_refused(write: Write, name: str, value: object) -> None:
    with pytest.raises(InvalidType, match=rf"{name}\W* is .*; give a str"):
        write(**{name: value})


@pytest.mark.parametrize(("write", "name"), TEXTS)
def test_half_a_character_is_refused_with_its_place(write: Write, name: str) -> None:
    with pytest.raises(InvalidInput, match=rf"{name}\W* has '\\ud800' at 2, which is no character"):
        write(**{name: "ab\ud800"})


@pytest.mark.parametrize(("write", "name"), FLAGS)
@pytest.mark.parametrize("value", [None, 1, "yes", "false"])
def test_what_is_no_truth_value_is_refused(write: Write, name: str, value: object) -> None:
    with pytest.raises(InvalidType, match=rf"{name}\W* is .*; give True or False"):
        write(**{name: value})


@pytest.mark.parametrize(("write", "name"), WHOLE)
@pytest.mark.parametrize("value", ["3", 3.0, True, decimal.Decimal(3), [3]])
def test_what_is_no_whole_number_is_refused(write: Write, name: str, value: object) -> None:
    with pytest.raises(InvalidType, match=rf"{name}\W* is .*; give a whole number"):
        write(**{name: value})


@pytest.mark.parametrize(("write", "name"), WHOLE)
@pytest.mark.parametrize("value", [2**63, -(2**64), 10**400])
def test_a_number_that_the_wire_cannot_hold_is_refused(
    write: Write, name: str, value: object
) -> None:
    with pytest.raises(InvalidInput, match=rf"{name}\W* is .*; give at most \d+"):
        write(**{name: value})


@pytest.mark.parametrize(("write", "name"), SECONDS)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -1, 0, 1e300])
def test_seconds_that_cannot_be_are_refused(write: Write, name: str, value: object) -> None:
    with pytest.raises(InvalidInput, match=rf"{name} is .*; give a number of seconds"):
        write(**{name: value})


@pytest.mark.parametrize(("write", "name"), SECONDS)
@pytest.mark.parametrize("value", ["5", True, [5], "5s"])
def test_what_is_no_number_of_seconds_is_refused(write: Write, name: str, value: object) -> None:
    with pytest.raises(InvalidType, match=rf"{name} is .*; give a number of seconds"):
        write(**{name: value})


@pytest.mark.parametrize("write", [session, simulated, compare, write_list_request])
def test_a_name_that_is_not_there_is_told_with_those_that_are(write: Write) -> None:
    with pytest.raises(InvalidType, match=r"there is no .* 'stratgy'; use .+, .+"):
        write(**{"stratgy": "naive"})


def test_an_option_of_another_kind_is_named_as_it_was_given() -> None:
    with pytest.raises(InvalidInput, match="database is an option of kind 'mysql', and this"):
        session(database="shop")
    with pytest.raises(InvalidInput, match="image is an option of kind 'shell', and this"):
        requests.create_session("mysql", "real", image="i")


def test_what_a_comparison_would_leave_out_is_refused() -> None:
    with pytest.raises(InvalidInput, match="no option of compare 'idle_timeout'"):
        compare(idle_timeout=5)


def test_what_comes_from_the_journal_is_not_given_beside_it() -> None:
    with pytest.raises(InvalidInput, match="takes init from the journal; leave init out"):
        session(replay_from="sessions/a", init=["true"])
    with pytest.raises(InvalidInput, match="give replay_from, too"):
        session(replay_until=3)


def test_numbers_of_other_libraries_are_numbers() -> None:
    sent = requests.step("sessions/a", 1, "ls", np.float32(1.5))  # type: ignore[arg-type]
    assert sent.timeout.ToNanoseconds() == 1_500_000_000
    assert write_steps_request("sessions/a", np.int64(3), 0).first_step_index == 3  # type: ignore[arg-type]


def test_tuples_and_generators_of_texts_are_sequences() -> None:
    request = requests.create_session("shell", "real", init=(f"echo {n}" for n in range(2)))  # type: ignore[arg-type]
    assert list(request.init) == [b"echo 0", b"echo 1"]


_ANYTHING = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()
    | st.lists(st.none() | st.text() | st.integers()) | st.dictionaries(st.text(), st.integers())
    | st.just(object())
)  # fmt: skip
_PLACES = sorted(
    {*ONE_TEXT, *TEXTS, *FLAGS, *WHOLE, *SECONDS, (session, "simulator"), (program, "env")},
    key=lambda place: (place[0].__name__, place[1]),
)


@given(st.sampled_from(_PLACES), _ANYTHING)
def test_anything_anywhere_is_written_or_refused_by_us(
    place: tuple[Write, str], value: object
) -> None:
    write, name = place
    refusal = ""
    try:
        write(**{name: value})
    except InvalidInput as error:
        refusal = str(error)
    assert "\n" not in refusal
    assert len(refusal) < 600


@pytest.mark.parametrize(
    "address", [None, 50051, b"a:1", "", "http://127.0.0.1:50051", "https://x", "a b:1", "a\n:1"]
)
def test_what_is_no_address_is_refused(address: Any) -> None:
    for connect in (plumb_client.connect, aio.connect):
        with pytest.raises(InvalidInput, match="address is"):
            connect(address)


@pytest.mark.parametrize("options", [{"token": b"t" * 20}, {"token": 7}, {"tls": True}])
def test_what_is_no_token_or_tls_is_refused(options: Any) -> None:
    with pytest.raises(InvalidType):
        plumb_client.connect(**options)


@pytest.fixture
def calls() -> dict[str, Callable[[aio.Plumb, aio.Session], Awaitable[object]]]:
    async def all_of(events: Any) -> list[object]:
        return [event async for event in events]

    return {
        "sessions": lambda plumb, _: plumb.sessions(),
        "session": lambda plumb, _: _opened(plumb),
        "attach": lambda plumb, _: plumb.attach("sessions/0"),
        "compare": lambda plumb, _: all_of(plumb.compare("shell", ["ls"])),
        "step": lambda _, session: session.step("echo b"),
        "stream": lambda _, session: all_of(session.stream("seq 9")),
        "exec": lambda _, session: session.exec(["ls"]),
        "info": lambda _, session: session.info(),
        "interrupt": lambda _, session: session.interrupt(),
        "close": lambda _, session: session.close(),
    }


async def _opened(plumb: aio.Plumb) -> object:
    return await plumb.session("shell")


async def test_after_close_every_call_says_so(
    calls: dict[str, Callable[[aio.Plumb, aio.Session], Awaitable[object]]],
) -> None:
    async with served(Servicer()) as address:  # type: ignore[abstract]
        plumb = aio.connect(address)
        session = await plumb.session("shell")
        await session.step("echo a")
        await plumb.close()
        await plumb.close()
        for call in calls.values():
            with pytest.raises(plumb_client.ConnectionClosed, match="is closed; make another"):
                await soon(call(plumb, session))


async def test_a_call_that_runs_while_the_connection_is_closed_is_told_so() -> None:
    servicer = Servicer()  # type: ignore[abstract]
    servicer.gates[b"wait"] = asyncio.Event()
    async with served(servicer) as address:
        plumb = aio.connect(address)
        session = await plumb.session("shell")
        step = asyncio.create_task(session.step("wait"))
        await soon(servicer.began.wait())
        await plumb.close()
        with pytest.raises(plumb_client.ConnectionClosed):
            await soon(step)
        servicer.gates[b"wait"].set()


async def test_on_another_event_loop_every_call_says_so(
    calls: dict[str, Callable[[aio.Plumb, aio.Session], Awaitable[object]]],
) -> None:
    async with served(Servicer()) as address, aio.connect(address) as plumb:  # type: ignore[abstract]
        session = await plumb.session("shell")
        await session.step("echo a")

        def elsewhere(call: Callable[[aio.Plumb, aio.Session], Awaitable[object]]) -> None:
            async def run() -> None:
                with pytest.raises(plumb_client.WrongEventLoop, match="another event loop"):
                    await call(plumb, session)

            asyncio.run(run())

        for call in calls.values():
            await soon(asyncio.to_thread(elsewhere, call))
        assert (await soon(session.step("echo b"))).text == "echo b"


def test_without_an_event_loop_the_asynchronous_client_names_the_other_one() -> None:
    with pytest.raises(plumb_client.WrongEventLoop, match=r"use plumb_client\.connect"):
        aio.connect()


async def test_after_close_the_synchronous_client_says_so() -> None:
    lines = await run_script("""
        other = plumb_client.connect(ADDRESS)
        plumb = plumb_client.connect(ADDRESS)
        shell = plumb.session("shell")
        streams = [shell.stream("seq 9"), shell.stream("seq 9")]
        plumb.close()
        for end in (lambda: None, other.close):
            end()
            for call in (
                plumb.sessions, plumb.kinds, shell.info, shell.close, shell.interrupt,
                lambda: list(streams.pop()), lambda: shell.step("a"), lambda: shell.exec(["a"]),
                lambda: plumb.session("shell"), lambda: list(plumb.compare("shell", ["a"])),
            ):
                print(tell(call))
    """)
    assert len(lines) == 20
    assert [line for line in lines if not line.startswith("ConnectionClosed: the conn")] == []


async def test_reprs_say_what_it_is() -> None:
    lines = await run_script("""
        with plumb_client.connect(ADDRESS) as plumb, plumb.session("shell") as shell:
            seen = shell.step("echo a" * 100)
            print(plumb, shell, plumb.agent_session("sessions/7"), shell.stream("ls"), sep="\\n")
            print(seen)
    """)
    assert re.fullmatch(r"<Plumb 127\.0\.0\.1:\d+>", lines[0])
    assert lines[1:4] == [
        "<Session sessions/0, shell , 1 steps>", "<AgentSession sessions/7, 0 steps>",
        "<Stream of 'ls', not begun>",
    ]  # fmt: skip
    assert re.fullmatch(r"<Observation of step 1: '(echo a)+ec…', EXITED>", lines[4])


def test_errors_survive_being_pickled_and_say_what_they_know() -> None:
    error = plumb_client.LimitReached(
        "no place", reason="LIMIT_REACHED", metadata={"limit": "X"}, retry_after=2.5
    )
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.reason, again.limit, again.retry_after) == (
        "no place", "LIMIT_REACHED", "X", 2.5,
    )  # fmt: skip
    assert repr(again) == (
        "LimitReached('no place', reason='LIMIT_REACHED', retry_after=2.5, metadata={'limit': 'X'})"
    )
