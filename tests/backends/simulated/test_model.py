"""A model that plays: what it is told, what is taken of it, and what never becomes output."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from tests.backends.simulated.conftest import Played
from tests.model_endpoint import Body, Endpoint, fails, says, without_schemas

from plumb_backends.environment import Action, Ending, Observation
from plumb_backends.errors import (
    BudgetSpent,
    CassetteMiss,
    ContextFull,
    InvalidInput,
    ModelError,
    ModelRefused,
    ModelReplyCut,
    ModelRequestRejected,
    ModelTimedOut,
    ModelUnusable,
)
from plumb_backends.kind import Reply
from plumb_backends.kinds.mysql import MysqlOptions
from plumb_backends.kinds.shell import ShellOptions
from plumb_backends.simulated.examples import Example
from plumb_backends.simulated.options import RecordedTurn, SimulatorOptions
from plumb_backends.simulated.settings import BudgetLimits, CassetteMode, Price, ReplyFormat
from plumb_backends.simulated.stage import Stage
from plumb_backends.simulated.world import World


def reply(output: str = "x\n", **facts: Any) -> dict[str, Any]:
    return {"output": output, "exit_code": 0, "cwd": "/root", "seconds": 0, **facts}


def sql(output: str, errno: int = 0) -> dict[str, Any]:
    return {"output": output, "errno": errno, "seconds": 0}


def told_again(made: dict[str, Any]) -> str:
    """How a reply stands in the history: with all that its schema asks for."""
    return json.dumps({**made, "seconds": 0.0, "ending": "exited", "printed": []})


async def step(stage: Stage, text: str = "ls", timeout: float = 30.0) -> Observation:
    return await asyncio.wait_for(stage.step(Action(text.encode(), timeout=timeout)), 20)


def system(body: Body) -> str:
    assert body["messages"][0]["role"] == "system"
    return str(body["messages"][0]["content"])


def said(body: Body) -> list[str]:
    """What the model is told behind the system message."""
    return [message["content"] for message in body["messages"][1:]]


# From a reply to an observation.


async def test_a_reply_becomes_an_observation_of_the_kind(
    played: Played, endpoint: Endpoint
) -> None:
    endpoint.script(says(reply("no\n", exit_code=2, cwd="/srv")))
    seen = await step(played.stage())
    assert (seen.text, seen.exit_code, seen.ending) == ("no\n", 2, Ending.EXITED)
    assert seen.shell is not None
    assert (seen.shell.cwd, seen.shell.user, seen.shell.host) == ("/srv", "root", "sandbox")
    assert seen.run_duration > 0


async def test_a_sql_reply_has_typed_rows(played: Played, endpoint: Endpoint) -> None:
    table = "+----+------+\n| n  | name |\n+----+------+\n|  1 | NULL |\n+----+------+\n"
    endpoint.script(says(sql(table + "1 row in set (0.00 sec)")))
    seen = await step(played.stage("mysql"), "SELECT 1")
    assert seen.sql is not None
    assert seen.sql.results[0].columns == ("n", "name")
    assert seen.sql.results[0].rows == ((1, None),)
    endpoint.script(says(sql("ERROR 1146 (42S02): Table 'a.b' doesn't exist", errno=1064)))
    seen = await step(played.stage("mysql"), "SELECT 1")
    assert seen.sql is not None
    assert (seen.sql.errno, seen.sql.sqlstate) == (1146, "42S02")  # what the agent reads counts


async def test_what_runs_longer_than_its_timeout_has_timed_out(
    played: Played, endpoint: Endpoint
) -> None:
    endpoint.otherwise = says(reply("begun\n", seconds=5))
    stage = played.stage()
    seen = await step(stage, "echo begun; sleep 5", timeout=2)
    assert (seen.ending, seen.exit_code, seen.text) == (Ending.TIMED_OUT, 130, "begun\n")
    assert (await step(stage, "echo begun; sleep 5", timeout=10)).ending is Ending.EXITED


async def test_escape_sequences_are_rendered_and_the_last_line_ends_as_a_real_one_does(
    played: Played, endpoint: Endpoint
) -> None:
    endpoint.script(says(reply("\x1b[31mred\x1b[0m\r\n50%\r100%")))
    seen = await step(played.stage())
    assert seen.text == "red\n100%\n"
    assert b"\x1b[31mred\x1b[0m\r\n50%\r100%\r\n" in seen.raw


# What tells a played environment from a real one: nothing.


async def typed(
    played: Played, endpoint: Endpoint, action: str, output: str, **facts: Any
) -> bytes:
    endpoint.script(says(reply(output, **facts)))
    return (await step(played.stage(), action)).raw


PROMPT = b"\x1b[?2004h\x1b]0;root@sandbox: ~\x07root@sandbox:~# "


@pytest.mark.parametrize(
    ("action", "output", "raw"),
    [  # as a real session sends it
        ("echo hi", "hi\n", b"echo hi\r\n\x1b[?2004l\rhi\r\n" + PROMPT),
        ("true", "", b"true\r\n\x1b[?2004l\r" + PROMPT),
        (
            "echo a\necho b",
            "a\nb\n",
            b"echo a\r\n\recho b\r\n\x1b[?2004l\ra\r\nb\r\n" + PROMPT,
        ),
        ("echo a\tb", "a b\n", b"echo a  b\r\n\x1b[?2004l\ra b\r\n" + PROMPT),
    ],
)
async def test_raw_is_what_a_real_terminal_sends(
    played: Played, endpoint: Endpoint, action: str, output: str, raw: bytes
) -> None:
    assert await typed(played, endpoint, action, output) == raw


async def test_the_prompt_in_raw_names_the_new_working_directory(
    played: Played, endpoint: Endpoint
) -> None:
    ends = {"/tmp": b": /tmp\x07root@sandbox:/tmp# ", "/root/a": b": ~/a\x07root@sandbox:~/a# "}
    for cwd, end in {**ends, "/rooted": b": /rooted\x07root@sandbox:/rooted# "}.items():
        assert (await typed(played, endpoint, "cd x", "", cwd=cwd)).endswith(end)


async def test_a_dumb_terminal_has_neither_titles_nor_pastes(
    played: Played, endpoint: Endpoint
) -> None:
    endpoint.script(says(reply("a\nb\n")))
    stage = played.stage(kind_options=ShellOptions(dumb_terminal=True))
    seen = await step(stage, "echo a\necho b")
    assert seen.raw == b"echo a^Jecho b\r\na\r\nb\r\nroot@sandbox:~# "


async def test_an_action_takes_as_long_as_the_model_says_and_never_next_to_nothing(
    played: Played, endpoint: Endpoint
) -> None:
    took = []
    for seconds in (0, 0, 2, 700):
        endpoint.script(says(reply("", seconds=seconds)))
        took.append((await step(played.stage(), "sleep", timeout=60)).run_duration)
    assert all(0.0005 < one < 0.1 for one in took[:2])
    assert took[0] != took[1]
    assert 2 < took[2] < 2.1
    assert 60 < took[3] < 60.1


async def test_what_sql_prints_ends_as_the_client_ends_it(
    played: Played, endpoint: Endpoint
) -> None:
    for output, end in {
        "Query OK, 0 rows affected (0.00 sec)": "\n\n",
        "ERROR 1146 (42S02): Table 'a.b' doesn't exist": "\n",
        "Database changed\n\n": "\n",
    }.items():
        endpoint.script(says(sql(output)))
        seen = await step(played.stage("mysql"), "SELECT 1")
        assert seen.raw == (output.strip() + end).encode()


# Replies that nobody would make, and somebody will.


def written(
    *, output: str = "", code: str = "0", cwd: str = "/", seconds: str = "0", extra: str = "0"
) -> str:
    """A reply of parts that need be no JSON."""
    return (
        f'{{"output": "{output}", "exit_code": {code}, "cwd": "{cwd}", "seconds": {seconds}, '
        f'"extra": {extra}}}'
    )


HOSTILE_REPLIES = {
    "seconds of 400 digits": written(seconds="1" + "0" * 400),
    "a float beyond all": written(seconds="1e999"),
    "not a number": written(seconds="NaN"),
    "infinity": written(seconds="-Infinity"),
    "a status of 10,000 digits": written(code="9" * 10_000),
    "a status of 4,000 digits": written(code="9" * 4000),
    "a nested status": written(code="[" * 500 + "]" * 500),
    "a nested reply": "[" * 100_000,
    "a directory with escapes": written(cwd="/\\u001b[2J"),
    "a directory of lines": written(cwd="/a\\nb"),
    "a long directory": written(cwd="/" + "a" * 9000),
}


@pytest.mark.parametrize("name", HOSTILE_REPLIES)
async def test_an_impossible_reply_is_rejected_and_never_in_the_past(
    played: Played, endpoint: Endpoint, name: str
) -> None:
    stage = played.stage()
    endpoint.script(says(HOSTILE_REPLIES[name]), says(reply("fine\n")))
    seen = await step(stage, "one")
    assert seen.text == "fine\n"
    assert len(seen.provenance.rejections) == 1
    assert len(seen.provenance.rejections[0]) < 300
    endpoint.otherwise = says(HOSTILE_REPLIES[name])
    with pytest.raises(ModelUnusable):
        await step(stage, "two")
    endpoint.otherwise = says(reply("again\n"))
    await step(stage, "three")
    assert said(endpoint.requests[-1])[::2] == ["one", "three"]


async def test_what_nobody_asked_for_may_be_anything(played: Played, endpoint: Endpoint) -> None:
    text = written(output="\\ud800x\\n", extra="[" * 500 + "]" * 500)
    stage = played.stage()
    endpoint.script(says(text), says(reply("")))
    assert (await step(stage, "a")).text == "?x\n"
    assert (await step(stage, "b")).text == ""


async def test_numbers_in_a_table_that_cannot_be_are_texts(
    played: Played, endpoint: Endpoint
) -> None:
    for number in ("9" * 5000, "1e999999999", "9" * 5000 + ".5"):
        line = "+" + "-" * (len(number) + 2) + "+"
        table = f"{line}\n| {'n'.ljust(len(number))} |\n{line}\n| {number} |\n{line}\n"
        endpoint.script(says(sql(table + "1 row in set (0.00 sec)")))
        seen = await step(played.stage("mysql"), "SELECT n")
        assert seen.sql is not None


async def test_nothing_typed_asks_nobody_and_shows_nothing(
    played: Played, endpoint: Endpoint
) -> None:
    endpoint.script(says(reply("x", exit_code=3, cwd="/tmp")))
    stage = played.stage()
    await step(stage)
    seen = await step(stage, "  \n")
    assert (seen.text, seen.exit_code) == ("", 3)
    assert seen.shell is not None
    assert seen.shell.cwd == "/tmp"
    assert seen.provenance.attempts == 0
    assert len(endpoint.requests) == 1


async def test_what_cannot_be_typed_is_refused_as_the_real_shell_does(
    played: Played, endpoint: Endpoint
) -> None:
    with pytest.raises(InvalidInput, match="control character 0x03"):
        await step(played.stage(), "a\x03")
    assert endpoint.requests == []


# What the model is told.

WORLD = World(
    task="Count the words.",
    examples=[Example("echo example", Reply("example\n", {"exit_code": 0}))],
    card="shell: bash 5.9",
    scripts=["touch /srv/script"],
    state="/srv/script: added",
)


@pytest.mark.parametrize(
    ("strategy", "told"),
    [
        ("naive", {"Count the words."}),
        ("few_shot", {"Count the words.", "echo example"}),
        ("grounded", {"Count the words.", "echo example", "bash 5.9", "touch /srv/script"}),
        ("snapshot", {"Count the words.", "echo example", "bash 5.9", "touch /srv/script",
                      "/srv/script: added"}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("reason", [False, True])
@pytest.mark.parametrize("critic", [False, True])
async def test_a_strategy_tells_what_it_should_and_no_more(
    played: Played, endpoint: Endpoint, strategy: str, told: set[str], reason: bool, critic: bool
) -> None:
    thought = {"thought": "hm"} if reason else {}
    endpoint.script(says({**thought, **reply()}), says({"unreal": False, "why": ""}))
    stage = played.stage(world=WORLD, strategy=strategy, reason=reason, critic=critic)
    seen = await step(stage)
    everything = {
        *("Count the words.", "echo example", "bash 5.9"),
        *("touch /srv/script", "/srv/script: added"),
    }
    asked = endpoint.requests[0]
    assert {text for text in everything if text in system(asked)} == told
    assert "interactive bash" in system(asked)
    for body in endpoint.requests:  # the critic, too
        assert all(text in told or text not in json.dumps(body) for text in everything)
    assert len(endpoint.requests) == 1 + critic
    assert seen.provenance.strategy == strategy + "+reason" * reason + "+critic" * critic
    assert seen.provenance.thought == "hm" * reason


async def test_the_kind_s_options_are_told(played: Played, endpoint: Endpoint) -> None:
    endpoint.otherwise = says(reply())
    await step(played.stage(kind_options=ShellOptions(hostname="web-1")))
    assert "web-1" in system(endpoint.requests[0])
    endpoint.otherwise = says(sql(""))
    await step(played.stage("mysql", kind_options=MysqlOptions(database="shop")))
    assert "`shop`" in system(endpoint.requests[1])


async def test_the_history_is_told_as_turns_and_a_reset_forgets_it(
    played: Played, endpoint: Endpoint
) -> None:
    first, second = reply("1"), reply("2")
    endpoint.script(says(first), says(second), says(reply("3")))
    stage = played.stage()
    await step(stage, "one")
    await step(stage, "two")
    assert said(endpoint.requests[1]) == ["one", told_again(first), "two"]
    await stage.reset()
    await step(stage, "three")
    assert said(endpoint.requests[2]) == ["three"]


async def test_bytes_that_are_no_text_are_told_as_escapes(
    played: Played, endpoint: Endpoint
) -> None:
    endpoint.script(says(reply()))
    await played.stage().step(Action(b"echo \xff"))
    assert said(endpoint.requests[0]) == ["echo \\xff"]


# Long conversations.


async def test_when_the_context_is_full_the_oldest_turns_go_and_the_provenance_says_so(
    played: Played, endpoint: Endpoint
) -> None:
    endpoint.otherwise = says(reply("y" * 900))
    settings = {"context_tokens": 4096, "max_reply_tokens": 1024}
    stage = played.stage(world=WORLD, strategy="grounded", settings=settings)
    dropped = [(await step(stage, f"cat {n} {'x' * 300}")).provenance.dropped_turns
               for n in range(12)]  # fmt: skip
    assert dropped[0] == 0
    assert dropped[-1] > 0
    assert dropped == sorted(dropped)
    last = endpoint.requests[-1]
    assert "touch /srv/script" in system(last)
    assert f"cat {dropped[-1]} " in said(last)[0]  # the oldest that is left
    assert len(said(last)) == 2 * (11 - dropped[-1]) + 1


async def test_when_the_endpoint_itself_has_no_room_half_of_the_turns_go(
    played: Played, endpoint: Endpoint
) -> None:
    endpoint.otherwise = says(reply())
    stage = played.stage()
    for number in range(4):
        await step(stage, f"cat {number}")
    endpoint.script(fails(400, "too long", code="context_length_exceeded"), says(reply()))
    seen = await step(stage, "now")
    assert seen.provenance.dropped_turns == 2
    assert said(endpoint.requests[-1])[0] == "cat 2"
    endpoint.otherwise = fails(400, "too long", code="context_length_exceeded")
    with pytest.raises(ContextFull, match="shorten"):
        await step(stage, "even later")
    assert said(endpoint.requests[-1]) == ["even later"]


# Sampling again.


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ("no JSON", "malformed: the reply is not JSON"),
        (None, "malformed: the reply is empty"),
        ("", "malformed: the reply is empty"),
        (reply(exit_code=999), "malformed: exit_code is 999"),
        (reply("```\nx\n```"), "fence: ```"),
        (reply("I'm sorry, I cannot do that."), "apology: I'm sorry"),
        (reply("Here is the output of the command:\nx"), "narration: Here is the output"),
        (reply("ls -la /srv\nx"), "echo: ls -la /srv"),
        (reply("x\nroot@sandbox:~# "), "prompt: root@sandbox"),
        (reply("x\nroot@sandbox:~# rm -rf /"), "next_command: root@sandbox"),
    ],
)
async def test_a_reply_that_breaks_format_or_character_is_sampled_again_and_counted(
    played: Played, endpoint: Endpoint, bad: Any, why: str
) -> None:
    endpoint.script(says(bad), says(reply("good\n")))
    stage = played.stage()
    seen = await step(stage, "ls -la /srv")
    assert seen.text == "good\n"
    assert seen.provenance.attempts == 2
    assert len(seen.provenance.rejections) == 1
    assert seen.provenance.rejections[0].startswith(why)
    assert (seen.provenance.prompt_tokens, seen.provenance.completion_tokens) == (200, 20)
    endpoint.script(says(reply()))
    await step(stage, "next")
    assert "good" in said(endpoint.requests[-1])[1]  # the broken one is not part of the past
    assert len(said(endpoint.requests[-1])) == 3


async def test_a_table_that_does_not_add_up_is_sampled_again(
    played: Played, endpoint: Endpoint
) -> None:
    table = "+---+\n| n |\n+---+\n| 1 |\n+---+\n{} in set (0.00 sec)"
    endpoint.script(says(sql(table.format("2 rows"))), says(sql(table.format("1 row"))))
    seen = await step(played.stage("mysql"), "SELECT n FROM t")
    assert seen.provenance.rejections == ("table: it says 2 rows in set under 1 rows",)


async def test_after_five_more_samples_a_reply_without_text_is_an_error_with_every_reason(
    played: Played, endpoint: Endpoint
) -> None:
    endpoint.otherwise = says('{"output": ')
    stage = played.stage()
    with pytest.raises(ModelUnusable, match="6 replies of 'm'") as caught:
        await step(stage)
    assert len(endpoint.requests) == 6
    assert caught.value.metadata["attempts"].count("malformed: ") == 6
    endpoint.otherwise = says(reply("good"))
    await step(stage, "again")
    assert said(endpoint.requests[-1]) == ["again"]  # what failed is not part of the episode


@pytest.mark.parametrize(
    ("answer", "text", "flag", "status"),
    [
        (reply("I'm sorry, I cannot do that."), "I'm sorry, I cannot do that.\n", "apology: ", 0),
        (reply("```\nx\n```"), "```\nx\n```\n", "fence: ", 0),
        (reply("x\n", exit_code=999), "x\n", "malformed: exit_code is 999", None),
        ("bash: ls: not found", "bash: ls: not found\n", "malformed: the reply is not JSON", None),
    ],
)
async def test_after_five_more_samples_the_last_text_is_taken_and_flagged(
    played: Played, endpoint: Endpoint, answer: Any, text: str, flag: str, status: int | None
) -> None:
    endpoint.otherwise = says(answer)
    stage = played.stage()
    seen = await step(stage)
    assert (seen.text, seen.exit_code) == (text, status)
    assert seen.provenance.attempts == 6
    assert len(seen.provenance.flags) == 1
    assert seen.provenance.flags[0].startswith(flag)
    endpoint.otherwise = says(reply("good"))
    assert (await step(stage, "next")).provenance.flags == ()
    assert json.loads(said(endpoint.requests[-1])[1])["output"] in text  # the agent has read it


async def test_a_reply_without_text_does_not_take_the_place_of_one_with(
    played: Played, endpoint: Endpoint
) -> None:
    endpoint.otherwise = says("")
    endpoint.script(says(reply("```\nx\n```")))
    seen = await step(played.stage())
    assert (seen.text, seen.provenance.flags) == ("```\nx\n```\n", ("fence: ```",))


async def test_who_is_asked_again_is_told_why_so_that_no_two_requests_are_the_same(
    played: Played, endpoint: Endpoint
) -> None:
    bad = reply("```\nx\n```")
    endpoint.script(says(bad), says(""), says(reply("good\n")))
    await step(played.stage(temperature=0.0), "ls")
    first, second, third = endpoint.requests
    assert said(first) == ["ls"]
    assert said(second)[:2] == ["ls", json.dumps(bad)]
    assert "was not taken: fence: ```" in said(second)[2]
    assert "was not taken: malformed: the reply is empty" in said(third)[2]
    assert all(message["content"] for message in third["messages"])  # or endpoints refuse it


async def test_a_seed_changes_with_each_attempt_or_nothing_else_would(
    played: Played, endpoint: Endpoint
) -> None:
    endpoint.script(says("bad"), says(reply()))
    await step(played.stage(seed=40, temperature=0.0))
    assert [body["seed"] for body in endpoint.requests] == [40, 41]
    assert [body["temperature"] for body in endpoint.requests] == [0.0, 0.0]


# The critic.


async def test_a_critic_sends_a_reply_back_with_what_it_found(
    played: Played, endpoint: Endpoint
) -> None:
    endpoint.script(
        says(reply("fake\n")),
        says({"unreal": True, "why": "there is no such file"}),
        says(reply("real\n")),
        says({"unreal": False, "why": ""}),
    )
    stage = played.stage(critic=True)
    seen = await step(stage, "cat f")
    assert seen.text == "real\n"
    assert seen.provenance.attempts == 2
    assert seen.provenance.rejections == ("critic: there is no such file",)
    assert seen.provenance.prompt_tokens == 400  # the critic is paid for, too
    first, critic, second, _ = endpoint.requests
    assert said(first) == ["cat f"]
    assert "Hunt for whatever betrays" in system(critic)
    assert "fake" in said(critic)[-1]
    assert "there is no such file" in said(second)[-1]
    endpoint.script(says(reply()), says({"unreal": False, "why": ""}))
    await step(stage, "next")
    assert said(endpoint.requests[4]) == ["cat f", told_again(reply("real\n")), "next"]


async def test_a_critic_sends_back_at_most_twice(played: Played, endpoint: Endpoint) -> None:
    unreal = says({"unreal": True, "why": "no"})
    endpoint.script(says(reply("1")), unreal, says(reply("2")), unreal, says(reply("3")))
    seen = await step(played.stage(critic=True))
    assert seen.text == "3\n"
    assert len(endpoint.requests) == 5


async def test_a_critic_that_says_nothing_of_use_is_no_objection_and_is_noted(
    played: Played, endpoint: Endpoint
) -> None:
    endpoint.script(says(reply("x")), says("well..."))
    seen = await step(played.stage(critic=True))
    assert (seen.text, seen.provenance.rejections) == ("x\n", ("critic: it gave no judgement",))


# Endpoints without schemas.


async def test_an_endpoint_without_schemas_is_asked_for_text_from_then_on(
    played: Played, endpoint: Endpoint
) -> None:
    endpoint.otherwise = without_schemas(says("plain\n"))
    asked = played.asked()
    stage = played.stage(on=asked)
    seen = await step(stage, "cat f")
    assert (seen.text, seen.exit_code) == ("plain\n", None)
    assert seen.shell is not None
    assert seen.shell.cwd == ""  # which is not known in such a reply
    assert "<silent/>" in system(endpoint.requests[-1])
    assert len(endpoint.requests) == 4  # the action's, ours with a schema and without, the action's
    assert all("cat f" not in str(request) for request in endpoint.requests[1:3])
    endpoint.script(says("<silent/>"))
    assert (await step(stage, "true")).text == ""
    assert (await step(played.stage(on=asked), "cat g")).text == "plain\n"  # another session
    assert len(endpoint.requests) == 6


async def test_an_endpoint_that_names_the_parameter_is_believed(
    played: Played, endpoint: Endpoint
) -> None:
    endpoint.script(fails(400, "no", param="response_format"), says("plain\n"))
    assert (await step(played.stage(), "cat f")).text == "plain\n"


@pytest.mark.parametrize("quoted", ["guided", "response_format json_schema is not supported"])
async def test_what_an_endpoint_quotes_of_an_action_changes_nothing_for_others(
    played: Played, endpoint: Endpoint, quoted: str
) -> None:
    async def quoting(body: dict[str, Any]) -> Any:
        if "evil" in str(body["messages"][-1]):
            return await fails(400, f"something {quoted}: {body['messages'][-1]['content']}")(body)
        return await says(reply("fine"))(body)

    endpoint.otherwise = quoting
    asked = played.asked()
    attacker, neighbour = played.stage(on=asked), played.stage(on=asked)
    for _ in range(3):
        with pytest.raises(ModelRequestRejected):
            await step(attacker, f"echo evil {quoted}")
    for stage in (attacker, neighbour):
        assert (await step(stage, "ls")).text == "fine\n"
        assert "response_format" in endpoint.requests[-1]
    assert len(endpoint.requests) == 6  # one question of ours, and no more


async def test_a_session_that_fell_back_to_text_is_replayed_too(
    played: Played, endpoint: Endpoint, tmp_path: Path
) -> None:
    cassette = tmp_path / "cassette.jsonl"
    endpoint.otherwise = without_schemas(says("plain\n"))
    asked = played.asked(cassette=cassette, cassette_mode=CassetteMode.AUTO)
    await step(played.stage(on=asked), "cat f")
    endpoint.otherwise = without_schemas(says("other\n"))
    await step(played.stage(on=asked), "cat g")
    replaying = played.asked(cassette=cassette, cassette_mode=CassetteMode.REPLAY, base_url="")
    for action, text in (("cat g", "other\n"), ("cat f", "plain\n")):  # in any order
        assert (await step(played.stage(on=replaying), action)).text == text
    assert len(endpoint.requests) == 5


async def test_a_thought_in_text_is_kept_and_not_shown(played: Played, endpoint: Endpoint) -> None:
    endpoint.script(says("<thought>it is there</thought>\nplain\n"))
    stage = played.stage(reason=True, settings={"reply_format": ReplyFormat.TEXT})
    seen = await step(stage, "cat f")
    assert (seen.text, seen.provenance.thought) == ("plain\n", "it is there")


async def test_with_json_demanded_an_endpoint_without_schemas_is_an_error(
    played: Played, endpoint: Endpoint
) -> None:
    endpoint.otherwise = without_schemas(says("plain"))
    with pytest.raises(ModelUnusable, match="PLUMB_SIMULATOR_REPLY_FORMAT=auto"):
        await step(played.stage(settings={"reply_format": ReplyFormat.JSON}))


# What never becomes output.


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (says(None, refusal="I will not"), ModelRefused),
        (says("x", finish_reason="content_filter"), ModelRefused),
        (says('{"output": "x', finish_reason="length"), ModelReplyCut),
        (fails(401), ModelError),
        (fails(404), ModelError),
        (fails(500), ModelError),
        (fails(429, retry_after=0), ModelError),
    ],
)
async def test_a_failed_call_is_an_error_and_the_step_may_be_tried_again(
    played: Played, endpoint: Endpoint, answer: Any, error: type[ModelError]
) -> None:
    stage = played.stage(settings={"max_retries": 0})
    endpoint.script(says(reply("1")), answer, says(reply("2")))
    await step(stage, "one")
    with pytest.raises(error):
        await step(stage, "two")
    assert (await step(stage, "two")).text == "2\n"
    assert said(endpoint.requests[-1])[0::2] == ["one", "two"]


async def test_a_step_ends_at_its_time(played: Played, endpoint: Endpoint) -> None:
    endpoint.otherwise, _ = endpoint.held()
    with pytest.raises(ModelTimedOut, match="PLUMB_SIMULATOR_STEP_SECONDS"):
        await step(played.stage(settings={"step_seconds": 0.2}))


async def test_a_cancelled_step_leaves_the_conversation_as_it_was(
    played: Played, endpoint: Endpoint
) -> None:
    held, _ = endpoint.held()
    endpoint.script(held, says(reply("good")))
    stage = played.stage()
    stepping = asyncio.create_task(step(stage, "gone"))
    await asyncio.wait_for(endpoint.arrived.wait(), 10)
    stepping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stepping
    await asyncio.wait_for(endpoint.cut_off.wait(), 10)
    await step(stage, "here")
    assert said(endpoint.requests[-1]) == ["here"]


# What it costs.


async def test_usage_and_cost_are_in_the_provenance_and_counted(
    played: Played, endpoint: Endpoint
) -> None:
    endpoint.script(says("bad"), says(reply()))
    seen = await step(played.stage(settings={"prices": {"m": Price(10, 100)}}))
    assert (seen.provenance.prompt_tokens, seen.provenance.completion_tokens) == (200, 20)
    assert seen.provenance.cost_usd == pytest.approx(2 * (100 * 10 + 10 * 100) / 1e6)
    assert [call.outcome for call in played.calls] == ["replied", "replied"]
    assert sum(call.prompt_tokens for call in played.calls) == 200
    assert all(call.seconds > 0 for call in played.calls)


async def test_failed_calls_are_counted_by_their_error(played: Played, endpoint: Endpoint) -> None:
    endpoint.script(fails(401))
    with pytest.raises(ModelError):
        await step(played.stage())
    assert [call.outcome for call in played.calls] == ["ModelUnauthorized"]


async def test_a_session_stops_at_its_budget_and_others_go_on(
    played: Played, endpoint: Endpoint
) -> None:
    endpoint.otherwise = says(reply())
    asked = played.asked(session_budget=BudgetLimits(tokens=200))
    stage = played.stage(on=asked)
    await step(stage)
    await step(stage)  # 220 tokens now
    with pytest.raises(BudgetSpent, match="PLUMB_SIMULATOR_SESSION_TOKENS"):
        await step(stage)
    await step(played.stage(on=asked))
    assert len(endpoint.requests) == 3


async def test_the_server_s_budget_is_everybody_s(played: Played, endpoint: Endpoint) -> None:
    endpoint.otherwise = says(reply())
    asked = played.asked(server_budget=BudgetLimits(tokens=200))
    for _ in range(2):
        await step(played.stage(on=asked))
    with pytest.raises(BudgetSpent, match="PLUMB_SIMULATOR_SERVER_TOKENS"):
        await step(played.stage(on=asked))


async def test_rejected_and_refused_replies_are_paid_for(
    played: Played, endpoint: Endpoint
) -> None:
    endpoint.script(says("bad"), says(None, refusal="no"))
    asked = played.asked()
    with pytest.raises(ModelRefused):
        await step(played.stage(on=asked))
    assert asked.budget.tokens == 220


# Cassettes.


async def test_a_recorded_episode_is_replayed_without_an_endpoint(
    played: Played, endpoint: Endpoint, tmp_path: Path
) -> None:
    cassette = tmp_path / "cassette.jsonl"
    endpoint.script(says("bad"), says(reply("1")), says(reply("2")))
    recorded = played.stage(settings={"cassette": cassette, "cassette_mode": CassetteMode.AUTO})
    first = [await step(recorded, text) for text in ("one", "two")]
    settings = {"cassette": cassette, "cassette_mode": CassetteMode.REPLAY, "base_url": ""}
    asked = played.asked(**settings)
    asked.check_configured()
    replayed = played.stage(on=asked)
    again = [await step(replayed, text) for text in ("one", "two")]
    assert [seen.text for seen in again] == [seen.text for seen in first]
    assert len(endpoint.requests) == 3
    assert [seen.provenance.cassette_hit for seen in (*first, *again)] == [False, False, True, True]
    assert [seen.provenance.attempts for seen in again] == [2, 1]  # the bad one is recorded, too
    assert asked.budget.tokens == 0
    assert played.calls[-1].outcome == "cassette"
    with pytest.raises(CassetteMiss, match="has no reply to this request"):
        await step(replayed, "three")


@pytest.mark.parametrize(
    "change",
    [
        {"model": "other"},
        {"strategy": "few_shot"},
        {"reason": True},
        {"critic": True},
        {"temperature": 0.1},
        {"seed": 3},
        {"world": World(task="another task")},
        {"world": World(task="the task", scripts=["touch /x"])},  # though it is not told
        {"kind_options": ShellOptions(hostname="other")},
    ],
    ids=str,
)
async def test_whatever_shapes_a_reply_misses_when_it_changes(
    played: Played, endpoint: Endpoint, tmp_path: Path, change: dict[str, Any]
) -> None:
    cassette = tmp_path / "cassette.jsonl"
    endpoint.script(says(reply()))
    await step(played.stage(settings={"cassette": cassette, "cassette_mode": CassetteMode.AUTO}))
    settings = {"cassette": cassette, "cassette_mode": CassetteMode.REPLAY}
    await step(played.stage(settings=settings))
    with pytest.raises(CassetteMiss):
        await step(played.stage(settings=settings, **change))


async def test_another_history_misses(played: Played, endpoint: Endpoint, tmp_path: Path) -> None:
    cassette = tmp_path / "cassette.jsonl"
    endpoint.script(says(reply("1")), says(reply("2")))
    recorded = played.stage(settings={"cassette": cassette, "cassette_mode": CassetteMode.AUTO})
    await step(recorded, "one")
    await step(recorded, "two")
    settings = {"cassette": cassette, "cassette_mode": CassetteMode.REPLAY}
    with pytest.raises(CassetteMiss):
        await step(played.stage(settings=settings), "two")


async def test_record_asks_always_and_off_knows_no_cassette(
    played: Played, endpoint: Endpoint, tmp_path: Path
) -> None:
    cassette = tmp_path / "cassette.jsonl"
    endpoint.script(says(reply("1")), says(reply("2")), says(reply("3")))
    seen = []
    for mode in (CassetteMode.AUTO, CassetteMode.RECORD, CassetteMode.OFF, CassetteMode.REPLAY):
        stage = played.stage(settings={"cassette": cassette, "cassette_mode": mode})
        seen.append((await step(stage)).text)
    assert seen == ["1\n", "2\n", "3\n", "2\n"]


# Probes.


async def test_a_probe_is_asked_on_a_copy_of_the_context_and_leaves_no_trace(
    played: Played, endpoint: Endpoint
) -> None:
    endpoint.script(says(reply("1", cwd="/tmp")))
    stage = played.stage()
    await step(stage, "cd /tmp")
    endpoint.script(says({"entries": [{"key": "cwd", "value": "/tmp"}]}), says(reply("2")))
    result = await stage.probe("cwd")
    assert dict(result.facts) == {"cwd": "/tmp"}
    assert said(endpoint.requests[1])[0] == "cd /tmp"
    assert "working directory" in said(endpoint.requests[1])[-1]
    await step(stage, "pwd")
    assert said(endpoint.requests[2])[0::2] == ["cd /tmp", "pwd"]


async def test_a_probe_that_is_not_answered_as_asked_is_asked_again_and_then_an_error(
    played: Played, endpoint: Endpoint
) -> None:
    endpoint.script(says("no"), says({"entries": [{"key": 1}]}), says({"entries": []}))
    stage = played.stage()
    assert dict((await stage.probe("files")).facts) == {}
    assert "was not taken: the reply is not JSON" in said(endpoint.requests[1])[-1]
    endpoint.otherwise = says("no")
    with pytest.raises(ModelUnusable, match="probe"):
        await stage.probe("files")


async def test_the_prompts_hash_is_the_same_for_the_same_prompts_only(
    played: Played, endpoint: Endpoint
) -> None:
    endpoint.otherwise = says({"thought": "", **reply()})
    hashes = [
        (await step(played.stage(**options))).provenance.prompt_hash
        for options in ({}, {}, {"strategy": "few_shot"}, {"reason": True})
    ]
    assert hashes[0] == hashes[1]
    assert len(set(hashes)) == 3


# Teacher forcing.


async def test_a_teacher_is_the_past_whatever_the_model_answered(
    played: Played, endpoint: Endpoint
) -> None:
    endpoint.otherwise = says(reply("mine\n", exit_code=1, cwd="/tmp"))
    stage = played.stage(teacher=(RecordedTurn(b"a", "real\n", 0), RecordedTurn(b"b", "", 2)))
    assert (await step(stage, "a")).text == "mine\n"
    await step(stage, "b")
    await step(stage, "c")  # behind the last turn it runs free
    await step(stage, "d")
    past = said(endpoint.requests[-1])
    assert [json.loads(turn)["output"] for turn in past[1::2]] == ["real\n", "", "mine\n"]
    assert [json.loads(turn)["exit_code"] for turn in past[1::2]] == [0, 2, 1]
    await stage.reset()
    await step(stage, "a")
    await step(stage, "b")
    assert "real" in said(endpoint.requests[-1])[1]


async def test_a_turn_that_the_model_could_not_answer_was_taken_all_the_same(
    played: Played, endpoint: Endpoint
) -> None:
    endpoint.script(fails(401), says(reply("x")))
    stage = played.stage(teacher=(RecordedTurn(b"a", "real\n", 0), RecordedTurn(b"b", "", 2)))
    with pytest.raises(ModelError):
        await step(stage, "a")
    await step(stage, "b")
    assert json.loads(said(endpoint.requests[-1])[1])["output"] == "real\n"


async def test_a_teacher_of_other_actions_is_refused_before_anybody_is_asked(
    played: Played, endpoint: Endpoint
) -> None:
    stage = played.stage(teacher=(RecordedTurn(b"a", "real\n"),))
    with pytest.raises(InvalidInput, match=r"turn 1 is b'x', and simulator.teacher has b'a'"):
        await step(stage, "x")
    assert not endpoint.requests


def test_a_baseline_takes_no_teacher() -> None:
    with pytest.raises(InvalidInput, match="has no past; leave it out"):
        SimulatorOptions(model="baseline:always_empty", teacher=(RecordedTurn(b"a", ""),))
