"""The strategy `tools`: the model calls an interpreter, is told what it prints, and answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.backends.simulated.conftest import Played
from tests.backends.simulated.test_model import reply, step, system
from tests.model_endpoint import Body, Endpoint, calls, fails, says, without_schemas

from plumb_backends.environment import Program, ProgramResult
from plumb_backends.errors import (
    CassetteMiss,
    ModelRequestRejected,
    ModelTimedOut,
    ModelUnusable,
    SandboxUnavailable,
)
from plumb_backends.simulated.settings import CassetteMode
from plumb_backends.simulated.tools import MOST_CALLS, MOST_SHOWN


class Ran:
    """Stands for the sandbox: notes the programs, and prints what it is told."""

    def __init__(self, stdout: bytes = b"42\n", **result: Any) -> None:
        self.programs: list[str] = []
        self._result = ProgramResult(stdout=stdout, **{"stderr": b"", "exit_code": 0, **result})

    async def __call__(self, program: Program) -> ProgramResult:
        self.programs.append(program.stdin.decode())
        return self._result


def tool_results(body: Body) -> list[str]:
    return [message["content"] for message in body["messages"] if message["role"] == "tool"]


async def test_a_call_is_run_told_and_answered(played: Played, endpoint: Endpoint) -> None:
    ran = Ran()
    endpoint.script(calls({"code": "print(6*7)"}), says(reply("42\n")))
    seen = await step(played.stage(strategy="tools", run_apart=ran))
    assert (seen.text, ran.programs) == ("42\n", ["print(6*7)"])
    came_from = seen.provenance
    assert (came_from.tool_calls, came_from.attempts) == (1, 1)
    assert (came_from.prompt_tokens, came_from.completion_tokens) == (200, 20)
    first, second = endpoint.requests
    assert first["tools"][0]["function"]["name"] == "python"
    assert first["tool_choice"] == "auto"
    assert "response_format" in first
    *_, called, told = second["messages"]
    assert called["tool_calls"][0]["function"]["arguments"] == '{"code": "print(6*7)"}'
    assert told == {"role": "tool", "content": "42", "tool_call_id": "call_0"}


async def test_calls_are_no_part_of_the_past(played: Played, endpoint: Endpoint) -> None:
    endpoint.script(calls({"code": "1"}), says(reply("42\n")), says(reply("x\n")))
    stage = played.stage(strategy="tools", run_apart=Ran())
    await step(stage)
    await step(stage)
    roles = [message["role"] for message in endpoint.requests[-1]["messages"]]
    assert roles == ["system", "user", "assistant", "user"]


async def test_several_calls_in_one_reply_are_each_answered_in_order(
    played: Played, endpoint: Endpoint
) -> None:
    endpoint.script(calls({"code": "a"}, {"code": "b"}), says(reply("")))
    ran = Ran()
    seen = await step(played.stage(strategy="tools", run_apart=ran))
    assert (ran.programs, seen.provenance.tool_calls) == (["a", "b"], 2)


async def test_a_model_that_calls_without_end_is_stopped_and_no_reply_of_it_taken(
    played: Played, endpoint: Endpoint
) -> None:
    endpoint.otherwise = calls({"code": "again"})
    ran = Ran()
    with pytest.raises(ModelUnusable, match=f"has had its {MOST_CALLS} calls") as caught:
        await step(played.stage(strategy="tools", run_apart=ran))
    assert len(ran.programs) == MOST_CALLS
    assert endpoint.requests[-1]["tool_choice"] == "none"
    assert len(endpoint.requests) == MOST_CALLS + 6
    assert caught.value.metadata["prompt_tokens"] == str(100 * len(endpoint.requests))


async def test_calls_beyond_the_bound_are_told_and_not_run(
    played: Played, endpoint: Endpoint
) -> None:
    endpoint.script(calls(*[{"code": str(n)} for n in range(MOST_CALLS + 3)]), says(reply("x\n")))
    ran = Ran()
    assert (await step(played.stage(strategy="tools", run_apart=ran))).text == "x\n"
    assert len(ran.programs) == MOST_CALLS
    told = tool_results(endpoint.requests[-1])
    assert [one.startswith("not run") for one in told] == [False] * MOST_CALLS + [True] * 3


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ("print(1)", "python"),
        ("", "python"),
        ("[1]", "python"),
        ('{"code": 3}', "python"),
        ('{"program": "print(1)"}', "python"),
        ("[" * 100_000, "python"),
        ('{"code": "print(1)"}', "bash"),
    ],
)
async def test_what_is_no_call_of_ours_is_told_to_the_model(
    played: Played, endpoint: Endpoint, arguments: str, name: str
) -> None:
    endpoint.script(calls(arguments, name=name), says(reply("x\n")))
    ran = Ran()
    assert (await step(played.stage(strategy="tools", run_apart=ran))).text == "x\n"
    assert not ran.programs
    assert tool_results(endpoint.requests[-1])[0].startswith("not run: use the tool python")


@pytest.mark.parametrize(
    ("ran", "says_it"),
    [
        (Ran(b"", stderr=b"NameError: x\n", exit_code=1), "NameError: x\n(exit status 1)"),
        (Ran(b"part\n", exit_code=137, timed_out=True), "part\n(stopped after 5 s)"),
        (Ran(b""), "(it printed nothing; use print)"),
        (Ran(b"\xff\n"), "\N{REPLACEMENT CHARACTER}"),
    ],
)
async def test_what_goes_wrong_with_the_code_is_told(
    played: Played, endpoint: Endpoint, ran: Ran, says_it: str
) -> None:
    endpoint.script(calls({"code": "x"}), says(reply("x\n")))
    await step(played.stage(strategy="tools", run_apart=ran))
    assert tool_results(endpoint.requests[-1]) == [says_it]


async def test_a_long_result_is_cut(played: Played, endpoint: Endpoint) -> None:
    endpoint.script(calls({"code": "x"}), says(reply("x\n")))
    await step(played.stage(strategy="tools", run_apart=Ran(b"y" * 10**6)))
    [told] = tool_results(endpoint.requests[-1])
    assert len(told) < MOST_SHOWN + 100
    assert "cut here: 1000000 characters" in told


async def test_a_sandbox_that_is_not_there_is_an_error(played: Played, endpoint: Endpoint) -> None:
    async def lost(_: Program) -> ProgramResult:
        raise SandboxUnavailable("no engine answers")

    endpoint.script(calls({"code": "x"}))
    with pytest.raises(SandboxUnavailable, match="no engine answers") as caught:
        await step(played.stage(strategy="tools", run_apart=lost))
    assert caught.value.metadata["prompt_tokens"] == "100"


async def test_a_call_is_ended_with_the_time_of_its_step(
    played: Played, endpoint: Endpoint
) -> None:
    import asyncio

    async def stuck(_: Program) -> ProgramResult:
        await asyncio.Event().wait()
        raise AssertionError

    endpoint.script(calls({"code": "x"}))
    stage = played.stage(strategy="tools", run_apart=stuck, settings={"step_seconds": 1.0})
    with pytest.raises(ModelTimedOut, match="PLUMB_SIMULATOR_STEP_SECONDS"):
        await step(stage)


async def test_results_stay_when_a_reply_is_rejected(played: Played, endpoint: Endpoint) -> None:
    endpoint.script(calls({"code": "1"}), says("broken"), says(reply("42\n")))
    ran = Ran()
    assert (await step(played.stage(strategy="tools", run_apart=ran))).text == "42\n"
    assert (len(ran.programs), tool_results(endpoint.requests[-1])) == (1, ["42"])


async def test_a_probe_may_call_and_the_critic_may_not(played: Played, endpoint: Endpoint) -> None:
    endpoint.script(
        says(reply("x\n")),
        says({"unreal": False, "why": ""}),
        calls({"code": "1"}),
        says({"entries": [{"key": "cwd", "value": "/root"}]}),
    )
    stage = played.stage(strategy="tools", critic=True, run_apart=Ran())
    await step(stage)
    assert (await stage.probe("cwd")).facts == {"cwd": "/root"}
    assert ["tools" in body for body in endpoint.requests] == [True, False, True, True]


async def test_a_model_without_schemas_may_call_too(played: Played, endpoint: Endpoint) -> None:
    async def answer(body: Body) -> Any:
        is_told = tool_results(body)
        return await (says("42") if is_told else calls({"code": "1"}))(body)

    endpoint.otherwise = without_schemas(answer)
    assert (await step(played.stage(strategy="tools", run_apart=Ran()))).text == "42\n"


async def test_schemas_that_are_refused_beside_tools_are_known_without_them(
    played: Played, endpoint: Endpoint
) -> None:
    async def answer(body: Body) -> Any:
        both = "tools" in body and "response_format" in body
        return await (fails(400, "no grammar beside tools") if both else says(reply("x")))(body)

    endpoint.otherwise = answer
    asked = played.asked()
    await step(played.stage(strategy="tools", run_apart=Ran(), on=asked))
    await step(played.stage(strategy="naive", on=asked))
    assert "response_format" not in endpoint.requests[-2]
    assert "response_format" in endpoint.requests[-1]


async def test_an_endpoint_that_takes_no_tools_is_told_with_the_mend(
    played: Played, endpoint: Endpoint
) -> None:
    async def answer(body: Body) -> Any:
        return await (fails(400, "no tools here") if "tools" in body else says(reply("")))(body)

    endpoint.otherwise = answer
    with pytest.raises(ModelRequestRejected, match="use a strategy without tools"):
        await step(played.stage(strategy="tools", run_apart=Ran()))


async def test_calls_and_results_are_replayed_from_a_cassette_without_a_sandbox(
    played: Played, endpoint: Endpoint, tmp_path: Path
) -> None:
    endpoint.script(calls({"code": "1"}, {"code": "1"}), says(reply("42\n")))
    cassette = tmp_path / "c.jsonl"

    def settings(mode: CassetteMode) -> dict[str, Any]:
        return {"cassette": cassette, "cassette_mode": mode}

    first = played.stage(strategy="tools", run_apart=Ran(), settings=settings(CassetteMode.AUTO))
    assert (await step(first)).provenance.tool_calls == 2
    replayed = played.stage(strategy="tools", settings=settings(CassetteMode.REPLAY))
    seen = await step(replayed)
    assert (seen.text, seen.provenance.cassette_hit) == ("42\n", True)
    assert seen.provenance.tool_calls == 2
    lines = cassette.read_text().splitlines()
    cassette.write_text("".join(f"{line}\n" for line in lines if '"made"' not in line))
    with pytest.raises(CassetteMiss):
        await step(played.stage(strategy="tools", settings=settings(CassetteMode.REPLAY)))


@pytest.mark.parametrize("strategy", ["naive", "few_shot", "grounded", "snapshot", "ledger"])
async def test_no_other_strategy_offers_tools_and_a_call_is_no_reply(
    played: Played, endpoint: Endpoint, strategy: str
) -> None:
    endpoint.script(calls({"code": "1"}), says(reply("x\n")))
    seen = await step(played.stage(strategy=strategy))
    assert seen.provenance.rejections == ("malformed: the reply is empty",)
    assert all("tools" not in body for body in endpoint.requests)
    assert "`python`" not in system(endpoint.requests[0])
