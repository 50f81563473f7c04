"""What models and critics are told: which system it is, the rules, and examples that help."""

from __future__ import annotations

import pytest
from tests.backends.simulated.conftest import Played
from tests.backends.simulated.test_model import reply, said, sql, step, system
from tests.model_endpoint import Endpoint, says

from plumb_backends.kind import Reply
from plumb_backends.registry import all_kinds
from plumb_backends.simulated.examples import Example
from plumb_backends.simulated.world import World

CARD = "system: Slackware 15 on x86_64\nversion: 9.7.4"
COMMANDS = (
    Example("git log", Reply("commit 1\n", {"exit_code": 0})),
    Example("tar tf a", Reply("a/b\n", {"exit_code": 0})),
)


@pytest.mark.parametrize(
    ("strategy", "is_told"),
    [("naive", False), ("few_shot", False), ("grounded", True), ("snapshot", True)],
)
@pytest.mark.parametrize(
    ("kind", "names"), [("shell", "a minimal Slackware 15"), ("mysql", "version 9.7.4 ")]
)
async def test_the_role_names_the_system_where_the_card_is_told(
    played: Played, endpoint: Endpoint, kind: str, names: str, strategy: str, is_told: bool
) -> None:
    endpoint.script(says(reply() if kind == "shell" else sql("x")))
    await step(played.stage(kind, strategy=strategy, world=World(card=CARD)))
    told = system(endpoint.requests[0])
    assert (names in told) is is_told
    assert "Ubuntu" not in told
    assert "Debian" not in told


def test_the_mysql_role_says_what_stands_between_results_and_what_follows_an_error() -> None:
    kind = all_kinds()["mysql"]
    told = kind.part.role(kind.options_type())
    assert "none behind an error or `Database changed`" in told
    assert "does not stop those behind it" in told


async def test_the_critic_is_told_the_rules_and_what_each_fact_means(
    played: Played, endpoint: Endpoint
) -> None:
    endpoint.script(says(reply()), says({"unreal": False, "why": ""}))
    await step(played.stage(critic=True))
    told = system(endpoint.requests[1])
    assert "Decide first whether the action succeeds" in told
    for name, fact in all_kinds()["shell"].part.facts.items():
        assert f"`{name}`: {fact['description']}" in told


async def test_an_action_is_shown_examples_of_its_own_commands_and_only_then(
    played: Played, endpoint: Endpoint
) -> None:
    endpoint.otherwise = says(reply())
    stage = played.stage(strategy="few_shot", world=World(command_examples=COMMANDS))
    for action in ("git status", "ls", "cd a; tar xf b"):
        await step(stage, action)
    told = [system(body) for body in endpoint.requests]
    assert ["Action: git log" in one for one in told] == [True, False, False]
    assert ["Action: tar tf a" in one for one in told] == [False, False, True]
    before = told[1].partition("The clock of your world")[0].strip()
    assert all(one.startswith(before) for one in told)  # an endpoint's cache finds the beginning
    assert said(endpoint.requests[2])[-1] == "cd a; tar xf b"


async def test_a_strategy_without_examples_is_shown_none_for_commands_either(
    played: Played, endpoint: Endpoint
) -> None:
    endpoint.script(says(reply()))
    await step(played.stage(world=World(command_examples=COMMANDS)), "git status")
    assert "git log" not in system(endpoint.requests[0])


async def test_neither_a_probe_nor_a_critic_is_shown_examples_for_commands(
    played: Played, endpoint: Endpoint
) -> None:
    endpoint.script(
        says(reply()),
        says({"unreal": False, "why": ""}),
        says({"entries": [{"key": "cwd", "value": "/"}]}),
    )
    world = World(command_examples=COMMANDS)
    stage = played.stage(strategy="few_shot", critic=True, world=world)
    await step(stage, "git status")
    await stage.probe("cwd")
    shown = ["Action: git log" in system(body) for body in endpoint.requests]
    assert shown == [True, False, False]
