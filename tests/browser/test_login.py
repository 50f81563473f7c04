"""A server with a token: people sign in once, and see nothing before."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Page, expect

import plumb_client

if TYPE_CHECKING:
    from tests.browser.conftest import Kit
    from tests.served import Site

OpenPage = Callable[..., Page]

TOKEN = "a-token-of-32-characters-or-more"


@pytest.fixture(scope="module")
def guarded(kit: type[Kit], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site that wants a token."""
    site = kit.open_site(tmp_path_factory.mktemp("guarded"), PLUMB_TOKEN=TOKEN)
    yield site
    assert site.stop() == 0


def test_one_signs_in_and_is_where_one_wanted_to_be(
    guarded: Site, open_page: OpenPage, kit: type[Kit]
) -> None:
    with (
        plumb_client.connect(guarded.address, token=TOKEN) as plumb,
        plumb.session("shell") as shell,
    ):
        page = open_page(f"/{shell.name}/live", url=guarded.url)
        expect(page).to_have_url(re.compile("/login"))
        page.get_by_label("Token").fill(TOKEN)
        page.keyboard.press("Enter")
        kit.run(page, "echo inside")
        kit.shows(page, "inside")
        assert TOKEN not in page.content()
        assert page.evaluate("document.cookie") == ""  # no script can read it


@pytest.mark.parametrize(
    "path", ["/sessions", "/reports", "/scenarios", "/status", "/api", "/runs/x"]
)
def test_nothing_is_shown_before(guarded: Site, open_page: OpenPage, path: str) -> None:
    page = open_page(path, url=guarded.url)
    expect(page).to_have_url(re.compile("/login"))


def test_a_link_from_elsewhere_cannot_lead_away_after_signing_in(
    guarded: Site, open_page: OpenPage
) -> None:
    page = open_page("/login?to=https://elsewhere.example/", url=guarded.url)
    page.get_by_label("Token").fill(TOKEN)
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{guarded.url}/sessions")
