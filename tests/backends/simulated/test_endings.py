"""How played actions end: by the action's own timeout, and in every way that real ones do."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from tests.backends.simulated.conftest import Played
from tests.model_endpoint import Body, Endpoint, says

from plumb_backends.environment import Action, Ending, Observation
from plumb_backends.registry import all_kinds
from plumb_backends.simulated.options import RecordedTurn, ReplayOptions
from plumb_backends.simulated.replay import Replay
from plumb_backends.simulated.settings import ReplyFormat
from plumb_backends.simulated.stage import Stage

FOREVER = 999999
TICKS = "tick\n" * 6


def reply(output: str = "", **facts: Any) -> dict[str, Any]:
    return {"output": output, "exit_code": 0, "cwd": "/root", "seconds": 0, "ending": "exited",
            "printed": [], **facts}  # fmt: skip


def by(*entries: tuple[float, int]) -> list[dict[str, float]]:
    return [{"seconds": seconds, "lines": lines} for seconds, lines in entries]


async def step(stage: Stage, text: str = "x", timeout: float = 30.0) -> Observation:
    return await asyncio.wait_for(stage.step(Action(text.encode(), timeout=timeout)), 20)


def system(body: Body) -> str:
    return str(body["messages"][0]["content"])


def past(body: Body) -> list[dict[str, Any]]:
    """What the model is told that it has answered."""
    return [json.loads(one["content"]) for one in body["messages"] if one["role"] == "assistant"]


# The timeout.


async def test_the_model_is_told_the_timeout_of_each_action(
    played: Played, endpoint: Endpoint
) -> None:
    endpoint.otherwise = says(reply())
    stage = played.stage()
    for timeout in (3.5, 30):
        await step(stage, "make", timeout=timeout)
        assert f"Its time is up {timeout:g} s later" in system(endpoint.requests[-1])
    assert "3.5 s later" not in system(endpoint.requests[-1])


@pytest.mark.parametrize(
    ("printed", "timeout", "lines"),
    [
        (by((0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (5, 6)), 3.5, 4),
        (by((0, 1), (1, 2), (2, 3), (3, 4)), 3.5, 4),  # what it leaves out comes at the end
        (by((2, 3), (0, 1), (4, 6)), 3.5, 3),
        (by((5, 6)), 3.5, 0),
        ([], 3.5, 6),  # all is printed at once, and then it waits
        (by((0, 99)), 3.5, 6),
        (by((0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (5, 6)), 10, 6),
    ],
)
async def test_what_is_printed_after_the_timeout_is_cut(
    played: Played, endpoint: Endpoint, printed: list[dict[str, float]], timeout: float, lines: int
) -> None:
    endpoint.otherwise = says(reply(TICKS, seconds=6, printed=printed))
    stage = played.stage()
    seen = await step(stage, "for i in 1 2 3 4 5 6; do echo tick; sleep 1; done", timeout=timeout)
    assert seen.text == "tick\n" * lines
    stopped = timeout < 6
    assert seen.ending is (Ending.TIMED_OUT if stopped else Ending.EXITED)
    assert seen.exit_code == (130 if stopped else 0)
    await step(stage, "echo $?")
    (told,) = past(endpoint.requests[-1])
    assert told["output"] == seen.text
    assert told["exit_code"] == seen.exit_code
    assert told["ending"] == seen.ending.value
    assert told["seconds"] == min(timeout, 6)


async def test_a_statement_is_stopped_at_its_timeout_too(
    played: Played, endpoint: Endpoint
) -> None:
    table = "+---+\n| n |\n+---+\n| 1 |\n+---+\n1 row in set (0.00 sec)\n"
    sql = {"output": f"{table}\n{table}", "errno": 0, "seconds": 9, "printed": by((0, 7), (9, 13))}
    endpoint.otherwise = says(sql)
    stage = played.stage("mysql")
    seen = await step(stage, "SELECT 1 AS n; SELECT SLEEP(9) AS n", timeout=1)
    assert (seen.ending, seen.text) == (Ending.TIMED_OUT, table.rstrip())
    await step(stage, "SELECT 1")
    assert past(endpoint.requests[-1])[0]["ending"] == "timed_out"


# Every ending.


@pytest.mark.parametrize(
    ("facts", "ending", "status", "signal"),
    [
        ({"exit_code": 1}, Ending.EXITED, 1, None),
        ({"exit_code": 137}, Ending.SIGNALED, 137, 9),  # bash cannot tell it from `exit 137`
        ({"exit_code": 139, "ending": "signaled"}, Ending.SIGNALED, 139, 11),
        ({"exit_code": 2, "ending": "signaled"}, Ending.EXITED, 2, None),
        ({"exit_code": 255}, Ending.EXITED, 255, None),
        ({"exit_code": 137, "ending": "out_of_memory"}, Ending.OUT_OF_MEMORY, 137, 9),
        ({"ending": "timed_out"}, Ending.TIMED_OUT, 130, None),
        ({"seconds": FOREVER}, Ending.TIMED_OUT, 130, None),
        ({"seconds": FOREVER, "ending": "shell_exited"}, Ending.TIMED_OUT, 130, None),
        ({"seconds": FOREVER, "ending": "output_limit"}, Ending.OUTPUT_LIMIT, 130, None),
        ({"seconds": FOREVER, "ending": "awaits_input"}, Ending.AWAITS_INPUT, 130, None),
        ({"exit_code": 4, "ending": "shell_exited"}, Ending.SHELL_EXITED, 4, None),
        ({"exit_code": 137, "ending": "shell_exited"}, Ending.SHELL_EXITED, 137, None),
    ],
)
async def test_a_shell_gives_every_ending_that_a_real_one_gives(
    played: Played, endpoint: Endpoint, facts: dict[str, Any], ending: Ending, status: int,
    signal: int | None,
) -> None:  # fmt: skip
    endpoint.script(says(reply("x\n", **facts)), says(reply()))
    stage = played.stage()
    seen = await step(stage)
    assert (seen.ending, seen.exit_code, seen.signal) == (ending, status, signal)
    assert seen.shell is not None
    assert seen.shell.restarted == (ending is Ending.SHELL_EXITED)
    await step(stage, "echo $?")
    (told,) = past(endpoint.requests[-1])
    assert (told["ending"], told["exit_code"]) == (ending.value, status)


async def test_the_model_is_told_how_earlier_actions_ended_and_what_follows(
    played: Played, endpoint: Endpoint
) -> None:
    endpoint.script(says(reply("exit\n", exit_code=4, ending="shell_exited")), says(reply("0\n")))
    stage = played.stage()
    await step(stage, "exit 4")
    await step(stage, "echo $?")
    told = system(endpoint.requests[-1])
    assert "it ended the shell, and a new one took its place" in told
    assert "variables, functions, options and jobs are gone, and `$?` is 0" in told


async def test_a_line_without_anything_has_the_status_that_is_due(
    played: Played, endpoint: Endpoint
) -> None:
    for facts, status in (
        ({"exit_code": 4, "ending": "shell_exited"}, 0),  # a new shell
        ({"exit_code": 137}, 137),
        ({"seconds": FOREVER}, 130),
    ):
        endpoint.script(says(reply("", **facts)))
        stage = played.stage()
        await step(stage)
        seen = await step(stage, " ")
        assert (seen.exit_code, seen.ending) == (status, Ending.EXITED)
    endpoint.script(says({"output": "ERROR 1064 (42000): no", "errno": 1064, "seconds": 0}))
    stage = played.stage("mysql")
    await step(stage)
    rest = await step(stage, "")
    assert rest.sql is not None
    assert rest.sql.errno == 0


async def test_endings_are_told_and_given_in_text_too(played: Played, endpoint: Endpoint) -> None:
    endpoint.script(
        says('exit\n<end exit_code="4" cwd="/srv" seconds="0" ending="shell_exited"/>'),
        says('a\n<end exit_code="0" cwd="/srv" seconds="60" ending="exited"/>'),
        says("b\n"),
    )
    stage = played.stage(settings={"reply_format": ReplyFormat.TEXT})
    seen = await step(stage, "cd /srv; exit 4")
    assert (seen.text, seen.ending, seen.exit_code) == ("exit\n", Ending.SHELL_EXITED, 4)
    assert seen.shell is not None
    assert seen.shell.cwd == "/srv"
    seen = await step(stage, "echo a; sleep 60", timeout=2)
    assert (seen.text, seen.ending, seen.exit_code) == ("a\n", Ending.TIMED_OUT, 130)
    seen = await step(stage, "cd /; echo b")
    assert seen.shell is not None
    assert (seen.shell.cwd, seen.exit_code) == ("", None)  # it did not say, and `cd` may have moved
    for _ in range(2):
        seen = await step(stage, "")
        assert seen.shell is not None
        assert (seen.shell.cwd, seen.exit_code) == ("", None)
    assert '<end exit_code="130" cwd="/srv" seconds="2" ending="timed_out"/>' in str(
        endpoint.requests[-1]["messages"]
    )


@pytest.mark.parametrize(
    ("output", "text", "raw"),
    [
        ("> ", "> ", b"\x1b[?2004h> ^C\x1b[?2004l\r"),
        ("> \n", "> ", b"\x1b[?2004h> ^C\x1b[?2004l\r"),
        ("a\nb\n> \n", "a\nb\n> ", b"\x1b[?2004l\ra\r\nb\r\n\x1b[?2004h> ^C"),
        ("more: ", "more: ", b"\x1b[?2004hmore: ^C"),
        ("a\n", "a\n", b"a\r\n"),
        ("a> \n", "a> \n", b"a> \r\n"),
        ("", "", b"^C"),
    ],
)
async def test_unfinished_input_stands_behind_the_prompt_for_more_as_on_a_real_terminal(
    played: Played, endpoint: Endpoint, output: str, text: str, raw: bytes
) -> None:
    endpoint.script(says(reply(output, exit_code=130, ending="awaits_input")))
    seen = await step(played.stage(), "echo 'open")
    assert (seen.text, seen.ending) == (text, Ending.AWAITS_INPUT)
    assert raw in seen.raw


# Recordings and teachers.


@pytest.mark.parametrize("ending", [one for one in Ending if one is not Ending.EXITED])
async def test_recordings_carry_every_ending(ending: Ending) -> None:
    kind = all_kinds()["shell"]
    status = 137 if ending in (Ending.SIGNALED, Ending.OUT_OF_MEMORY) else 130
    turn = RecordedTurn(b"x", "a\n", status, ending=ending, cwd="/srv")
    stage = Stage(kind, kind.options_type(), Replay(ReplayOptions(((turn,),))))
    seen = await step(stage)
    assert (seen.ending, seen.exit_code, seen.text) == (ending, status, "a\n")
    assert seen.signal == (9 if status == 137 else None)
    assert seen.shell is not None
    assert (seen.shell.cwd, seen.shell.restarted) == ("/srv", ending is Ending.SHELL_EXITED)


async def test_a_teacher_s_turns_have_all_that_the_schema_demands(
    played: Played, endpoint: Endpoint
) -> None:
    endpoint.otherwise = says(reply("mine\n"))
    taught = (
        RecordedTurn(b"sleep 9", "", 130, timed_out=True, cwd="/root"),
        RecordedTurn(b"exit 4", "exit\n", 4, ending=Ending.SHELL_EXITED, cwd="/srv"),
        RecordedTurn(b"ls", "a\n", 0, cwd="/srv"),
    )
    stage = played.stage(teacher=taught)
    for turn in (*taught, RecordedTurn(b"pwd", "")):
        await step(stage, turn.action.decode(), timeout=5)
    schema = endpoint.requests[-1]["response_format"]["json_schema"]["schema"]
    told = past(endpoint.requests[-1])
    assert [sorted(one) for one in told] == [sorted(schema["required"])] * 3
    assert [one["ending"] for one in told] == ["timed_out", "shell_exited", "exited"]
    assert [one["seconds"] for one in told] == [5, 0, 0]


@pytest.mark.parametrize(
    ("text", "given", "errno"),
    [
        ("ERROR 1146 (42S02): Table 'a.b' doesn't exist", None, 1146),
        ("Query OK, 0 rows affected (0.00 sec)", None, 0),
        ("", 1064, 1064),
    ],
)
async def test_a_teacher_of_statements_has_errors_and_seconds(
    played: Played, endpoint: Endpoint, text: str, given: int | None, errno: int
) -> None:
    endpoint.otherwise = says({"output": "", "errno": 0, "seconds": 0})
    stage = played.stage("mysql", teacher=(RecordedTurn(b"a", text, errno=given),))
    await step(stage, "a")
    await step(stage, "b")
    assert past(endpoint.requests[-1]) == [
        {"output": text, "errno": errno, "seconds": 0, "ending": "exited", "printed": []}
    ]
