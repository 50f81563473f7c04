"""Exports: everything as JSON lines, or conversations to train on."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import httpx2 as httpx
    from tests.gateway.conftest import Kit


async def exported(http: httpx.AsyncClient, form: str, **query: Any) -> list[Any]:
    answer = await http.get("/sessions/export", params={"format": form, **query})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert f"sessions.{form}.jsonl" in answer.headers["content-disposition"]
    return [json.loads(line) for line in answer.text.splitlines()]


@pytest.fixture
async def path(http: httpx.AsyncClient, kit: type[Kit]) -> str:
    """A session that was reset after its second step, and failed in its fourth."""
    path = await kit.create(http, task="Find it.", init=["echo 1"])
    await kit.step(http, path, "say one", "say größe")
    await http.post(f"{path}/reset")
    for index, action in ((3, "say new\nlines"), (4, "full"), (5, "differ real")):
        await http.post(f"{path}/steps", json={"step_index": index, "action": action})
    return path


async def test_json_lines_have_everything(http: httpx.AsyncClient, path: str) -> None:
    (session,) = await exported(http, "jsonl")
    turns = session.pop("turns")
    created = session.pop("created")
    assert created > 0
    assert session == {
        "session": path.removeprefix("/v1/"),
        "environment": "shell",
        "backend": "real",
        "simulator": {"model": "", "strategy": ""},
        "ended": None,
        "task": "Find it.",
        "init": ["echo 1"],
    }
    assert [turn["turn"] for turn in turns] == [1, 2, 3, 4, 5]
    assert turns[1] == {
        "turn": 2, "action": "say größe", "observation": "größe", "ending": "EXITED",
        "exit_code": 0,
    }  # fmt: skip
    assert turns[2]["after_reset"] is True
    assert turns[3] == {"turn": 4, "action": "full", "error": "no more; wait"}


async def test_of_a_pair_both_sides_and_the_verdict_are_there(
    http: httpx.AsyncClient, path: str
) -> None:
    (session,) = await exported(http, "jsonl")
    turn = session["turns"][-1]
    assert turn["observation"] == "real"
    assert turn["counterpart"]["observation"] == "made up\n"
    assert turn["verdict"] == "FABRICATED"
    assert turn["flags"] == ["FABRICATED", "WRONG_VALUE"]
    assert turn["evidence"] == ["a line too many: made up"]


async def test_sharegpt_has_the_last_episode_without_errors_and_without_signature(
    http: httpx.AsyncClient, path: str
) -> None:
    (conversation,) = await exported(http, "sharegpt")
    assert conversation == {
        "id": path.removeprefix("/v1/"),
        "conversations": [
            {"from": "human", "value": "Find it."},
            {"from": "gpt", "value": "say new\nlines"},
            {"from": "human", "value": "new\nlines"},
            {"from": "gpt", "value": "differ real"},
            {"from": "human", "value": "real"},
        ],
    }


async def test_without_a_task_a_conversation_begins_with_the_action(
    http: httpx.AsyncClient, kit: type[Kit]
) -> None:
    await kit.step(http, await kit.create(http), "say hi")
    (conversation,) = await exported(http, "sharegpt")
    assert conversation["conversations"][0] == {"from": "gpt", "value": "say hi"}


async def test_those_are_exported_that_are_picked_or_else_those_that_fit(
    http: httpx.AsyncClient, kit: type[Kit]
) -> None:
    paths = [await kit.create(http) for _ in range(3)]
    await kit.step(http, paths[0], "differ x")
    await http.delete(paths[1])

    async def names(**query: Any) -> set[str]:
        return {f"/v1/{one['session']}" for one in await exported(http, "jsonl", **query)}

    assert await names() == set(paths)
    assert await names(verdict="FABRICATED") == {paths[0]}
    assert await names(state="ended") == {paths[1]}
    assert await names(state="live") == {paths[0], paths[2]}
    picked = [path.rpartition("/")[2] for path in paths[:2]]
    assert await names(session=picked) == set(paths[:2])
    assert await names(kind="mysql") == set()


async def test_what_cannot_be_exported_has_a_status_of_its_own(http: httpx.AsyncClient) -> None:
    unknown = "00000000-0000-4000-8000-000000000000"
    answer = await http.get("/sessions/export", params={"session": unknown})
    assert (answer.status_code, answer.json()["reason"]) == (404, "SESSION_NOT_FOUND")


async def test_a_session_of_many_steps_is_exported_whole(
    http: httpx.AsyncClient, kit: type[Kit]
) -> None:
    path = await kit.create(http)
    await kit.step(http, path, *(f"say {number}" for number in range(401)))
    (session,) = await exported(http, "jsonl")
    assert [turn["turn"] for turn in session["turns"]] == list(range(1, 402))
