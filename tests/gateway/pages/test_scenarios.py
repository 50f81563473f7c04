"""The pages of scenarios: what they ask for, and what is wrong with files that are none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from plumb_gateway.pages.scenarios import read_folder

if TYPE_CHECKING:
    import httpx2 as httpx

    from plumb_gateway.settings import GatewaySettings

SHIPPED = Path("scenarios")
ONE: dict[str, Any] = json.loads((SHIPPED / "shell.jsonl").read_text().splitlines()[0])


@pytest.fixture
def folder(settings: GatewaySettings) -> Path:
    settings.scenarios.mkdir()
    return settings.scenarios


def write(folder: Path, name: str, *scenarios: dict[str, Any]) -> None:
    (folder / name).write_text("".join(json.dumps(one) + "\n" for one in scenarios))


def test_those_that_are_shipped_are_read() -> None:
    found, wrong = read_folder(SHIPPED)
    assert wrong == []
    assert {one.environment for one in found} == {"shell", "mysql"}


def test_a_file_that_is_wrong_is_told_and_hides_no_other(folder: Path) -> None:
    write(folder, "good.jsonl", ONE)
    (folder / "bad.jsonl").write_text("{")
    (folder / "bytes.jsonl").write_bytes(b"\xff\n")
    (folder / "folder.jsonl").mkdir()
    found, wrong = read_folder(folder)
    assert [one.id for one in found] == [ONE["id"]]
    assert len(wrong) == 3
    assert any("bad.jsonl, line 1: this is not JSON" in sentence for sentence in wrong)


async def test_the_list_filters_by_text_whatever_its_case(
    http: httpx.AsyncClient, folder: Path
) -> None:
    write(folder, "all.jsonl", ONE, {**ONE, "id": "other", "task": "Find the NEEDLE."})
    text = (await http.get("/scenarios?text=needle")).text
    assert "/scenarios/other" in text
    assert f"/scenarios/{ONE['id']}" not in text
    assert ">1 scenario<" in text


async def test_without_any_it_says_what_to_set(http: httpx.AsyncClient) -> None:
    assert "set <code>PLUMB_HTTP_SCENARIOS</code>" in (await http.get("/scenarios")).text


async def test_a_scenario_s_page_has_task_grounding_and_actions_as_text(
    http: httpx.AsyncClient, folder: Path
) -> None:
    hostile = "<b>\u202e"
    write(folder, "one.jsonl", {**ONE, "task": hostile, "init": [hostile], "actions": [hostile]})
    text = (await http.get(f"/scenarios/{ONE['id']}")).text
    assert text.count('&lt;b&gt;<span class="control">U+202E</span>') == 3


async def test_one_that_is_not_there_is_not_found(http: httpx.AsyncClient) -> None:
    assert (await http.get("/scenarios/none")).status_code == 404
    assert (await http.post("/scenarios/none/capture")).status_code == 404
