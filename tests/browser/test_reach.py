"""For everybody: by keyboard alone, at 400 px, light and dark, with what axe-core finds mended."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

import plumb_client

if TYPE_CHECKING:
    from tests.browser.conftest import Kit

OpenPage = Callable[..., Page]

PAGES = {
    "sessions": "/sessions",
    "new": "/sessions/new",
    "session": "/{twin}",
    "live": "/{twin}/live",
    "reports": "/reports",
    "run": "/runs/{run}",
    "scenarios": "/scenarios",
    "scenario": "/scenarios/shell-003",
    "status": "/status",
    "api": "/api",
    "login": "/login",
}


@pytest.fixture
def path_of(twin: str, run_name: str) -> Callable[[str], str]:
    """The path of a page, by name."""
    return lambda name: PAGES[name].format(twin=twin, run=run_name)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_nothing_serious(
    name: str, scheme: str, path_of: Callable[[str], str], open_page: OpenPage
) -> None:
    page = open_page(path_of(name), scheme=scheme)
    found = [
        (one["id"], one["help"], [node["target"] for node in one["nodes"]][:3])
        for one in Axe().run(page).response["violations"]
        if one["impact"] in ("serious", "critical")
    ]
    assert not found


@pytest.mark.parametrize("name", PAGES)
def test_nothing_is_out_of_reach_at_400_pixels(
    name: str, path_of: Callable[[str], str], open_page: OpenPage
) -> None:
    page = open_page(path_of(name), width=400)
    assert page.evaluate("document.documentElement.scrollWidth") <= 400


def test_one_finds_and_reads_a_session_by_keyboard_alone(twin: str, open_page: OpenPage) -> None:
    page = open_page("/sessions?backend=paired&verdict=WRONG_VALUE")
    keyboard = page.keyboard
    keyboard.press("j")
    expect(page.locator(":focus")).to_have_attribute("href", f"/{twin}")
    keyboard.press("Enter")
    page.wait_for_url(re.compile(twin))
    for key, focused in (("j", "turn-1"), ("w", "turn-2"), ("w", "turn-4"), ("k", "turn-3")):
        keyboard.press(key)
        expect(page.locator(":focus")).to_have_id(focused)
    keyboard.press("g")
    keyboard.press("r")
    page.wait_for_url(re.compile("/reports$"))
    keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()


def test_one_makes_a_session_and_types_in_it_by_keyboard_alone(
    plumb: plumb_client.Plumb, page: Page, kit: type[Kit]
) -> None:
    keyboard = page.keyboard
    page.locator("[name=state]").focus()
    keyboard.press("Escape")
    keyboard.press("n") if page.locator("[data-next]").count() == 0 else page.goto("/sessions/new")
    page.wait_for_url(re.compile("/sessions/new$"))
    for _ in range(20):
        keyboard.press("Tab")
        if page.evaluate("document.activeElement.name") == "kind":
            break
    keyboard.type("shell")
    for _ in range(20):
        keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent") == "Create":
            break
    keyboard.press("Enter")
    expect(page.locator("#state")).to_have_text("ready")
    keyboard.type("echo by hand")
    keyboard.press("Enter")
    kit.shows(page, "by hand")


def test_the_keys_of_the_page_leave_typing_alone(
    plumb: plumb_client.Plumb, open_page: OpenPage, kit: type[Kit]
) -> None:
    with plumb.session("shell") as shell:
        page = open_page(f"/{shell.name}/live")
        expect(page.locator("#state")).to_have_text("ready")
        page.keyboard.type("g s n j ? /")
        expect(page.locator("#input")).to_have_value("g s n j ? /")
        expect(page).to_have_url(re.compile("/live$"))


def test_pictures_of_every_page(
    path_of: Callable[[str], str],
    plumb: plumb_client.Plumb,
    open_page: OpenPage,
    kit: type[Kit],
    tmp_path: Path,
) -> None:
    folder = Path(os.environ.get("PLUMB_SCREENSHOTS") or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)
    for name in (name for name in PAGES if name != "live"):
        _take(open_page(path_of(name)), folder / f"{name}.png")
    turns = [
        plumb_client.RecordedTurn("cat /srv/n", "a 1\nb 2\nc 4\n", 0),
        plumb_client.RecordedTurn("ls /srv", "n\n", 0),
    ]
    init = ["mkdir -p /srv && printf 'a 1\\nb 2\\nc 3\\n' > /srv/n"]
    with plumb.session("shell", "paired", recordings=[turns], init=init) as pair:
        page = open_page(f"/{pair.name}/live")
        for number, turn in enumerate(turns, 1):
            kit.run(page, str(turn.action))
            expect(page.locator("#verdicts li")).to_have_count(number)
        _take(page, folder / "live.png")


def _take(page: Page, picture: Path) -> None:
    page.screenshot(path=picture)
    assert picture.read_bytes().startswith(b"\x89PNG")
