"""The pages on a real server, without a browser: what scenarios leave, and what a session saw."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.served import eventually

from plumb_gateway.pages.scenarios import read_folder

if TYPE_CHECKING:
    import httpx2 as httpx

SCENARIOS = read_folder(Path("scenarios"))[0]  # where the server finds them, too


@pytest.mark.parametrize("kind", ["shell", "mysql"])
def test_a_scenario_is_grounded_for_real_and_its_state_shown(http: httpx.Client, kind: str) -> None:
    scenario = next(one for one in SCENARIOS if one.environment == kind and one.init)
    answer = http.post(f"/scenarios/{scenario.id}/capture")
    assert answer.status_code == 200, answer.text
    assert answer.text.count("script ") == len(scenario.init)
    assert '<table class="list state">' in answer.text


def test_every_shipped_scenario_has_a_page(http: httpx.Client) -> None:
    listed = http.get("/scenarios").text
    for scenario in SCENARIOS:
        assert f'href="/scenarios/{scenario.id}"' in listed
        assert http.get(f"/scenarios/{scenario.id}").status_code == 200


def test_a_session_s_page_shows_what_it_saw_and_never_as_markup(
    http: httpx.Client, path: str
) -> None:
    action = r"printf '<script>alert(1)</script>\033[2J\342\200\256'; exit 3"
    http.post(f"{path}/steps", json={"step_index": 1, "action": f"({action})"})
    page = path.removeprefix("/v1")
    text = http.get(page).text
    assert "<script>alert" not in text
    assert "status <b>3</b>" in text
    assert "\\x1b" in http.get(f"{page}/turns/1/raw").text


def test_the_status_page_finds_everything_well(http: httpx.Client) -> None:
    def is_well(text: str) -> bool:
        return "SERVING" in text and 'class="chip wrong"' not in text

    eventually(lambda: is_well(http.get("/status").text))
