"""Real Chromium on a real server: pages are looked at as people do.

What a page writes to the console, or raises, fails its test. With PLUMB_SCREENSHOTS the pictures of
`docs/pages/` are made.

A test that left a page goes on after `wait_for_url`, which waits for the next one's scripts too:
its address alone is there before anybody listens to a key, or to a choice.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, TypeAlias

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    expect,
    sync_playwright,
)
from tests.served import Site, eventually

import plumb_client

ROOT = Path(__file__).parents[2]
_CHROMIUMS = ("chromium", "chromium-browser", "google-chrome")
_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking",
          "--disable-component-update", "--disable-sync", "--no-first-run"]  # fmt: skip
_MS = 60_000
"""How long a page may take to show what it should; the machine may be busy."""

LEAVE_GRACE = "0.5"

Scheme: TypeAlias = Literal["light", "dark"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All of this needs Docker; and Chromium, without which it is skipped, with the mend."""
    here = Path(__file__).parent
    missing = pytest.mark.skip(reason="no Chromium is installed; containers/browser.sh installs it")
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.docker)
            if not _chromium():
                item.add_marker(missing)


def _chromium() -> str:
    found = (shutil.which(name) for name in (os.environ.get("PLUMB_CHROMIUM", ""), *_CHROMIUMS))
    return next(filter(None, found), "")


def open_site(folder: Path, **variables: str) -> Site:
    """A site with the project's scenarios, and a folder for runs of the bench."""
    shown = {
        "PLUMB_HTTP_LEAVE_GRACE": LEAVE_GRACE,
        "PLUMB_HTTP_SCENARIOS": str(ROOT / "scenarios"),
        "PLUMB_HTTP_RUNS": str(folder / "runs"),
    }
    return Site(folder, **shown | variables)


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One site for all tests here."""
    site = open_site(tmp_path_factory.mktemp("site"))
    yield site
    assert site.stop() == 0
    assert not site.complaints()


@pytest.fixture(scope="session")
def plumb(site: Site) -> Iterator[plumb_client.Plumb]:
    """The site's server, for what is not done with the browser."""
    with plumb_client.connect(site.address) as connected:
        yield connected


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, and no longer than it is wanted: Playwright's loop bars all others meanwhile."""
    expect.set_options(timeout=_MS)
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=_chromium(), args=_FLAGS)
        yield launched
        launched.close()


OpenPage = Callable[..., Page]


@pytest.fixture
def open_page(browser: Browser, site: Site) -> Iterator[OpenPage]:
    """Opens pages of the site, each in a browser of its own; none may complain on the console."""
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def notice(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            complaints.append(message.text)

    def open_page(
        path: str = "", *, width: int = 1280, scheme: Scheme = "light", url: str = ""
    ) -> Page:
        options: dict[str, Any] = {"viewport": {"width": width, "height": 900}}
        context = browser.new_context(**options, color_scheme=scheme, base_url=url or site.url)
        context.set_default_timeout(_MS)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", notice)
        page.goto(path)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not complaints


@pytest.fixture
def page(open_page: OpenPage) -> Page:
    """The list of sessions."""
    return open_page("/sessions")


class Kit:
    """What the tests of this folder need of this file: pytest imports no test folder by name."""

    open_site = staticmethod(open_site)

    @staticmethod
    def run(page: Page, action: str) -> None:
        """Types an action on a live page, once it is connected, and runs it."""
        expect(page.locator("#state")).to_have_text("ready")
        page.locator("#input").fill(action)
        page.keyboard.press("Enter")

    @classmethod
    def shows(cls, page: Page, row: str, number: str = "one") -> None:
        """Waits for a row of a screen: output, not the action that has the same words in it."""
        eventually(lambda: row in cls.screen(page, number).splitlines())

    @staticmethod
    def screen(page: Page, number: str = "one") -> str:
        """What a screen shows, line by line, without the space at their ends; it may be late."""
        rows = page.locator(f"#screen-{number} .xterm-rows > div").all_inner_texts()
        return "\n".join(row.replace("\xa0", " ").rstrip() for row in rows).rstrip()


@pytest.fixture(scope="session")
def kit() -> type[Kit]:
    """Helpers."""
    return Kit


@pytest.fixture(scope="session")
def twin(plumb: plumb_client.Plumb) -> Iterator[str]:
    """A paired session, by name: turn 2 has a planted divergence, turn 3 agrees, 4 is empty."""
    recorded = [
        plumb_client.RecordedTurn("pwd", "/root\n", 0),
        plumb_client.RecordedTurn("cat /srv/n", "a 1\nb 2\nc 4\n", 0),
        plumb_client.RecordedTurn("wc -l < /srv/n", "3\n", 0),
        plumb_client.RecordedTurn("ls /srv", "", 0),
    ]
    with plumb.session(
        "shell",
        "paired",
        recordings=[recorded],
        init=["mkdir -p /srv && printf 'a 1\\nb 2\\nc 3\\n' > /srv/n"],
        task="How many lines has /srv/n?",
    ) as session:
        for turn in recorded:
            session.step(turn.action)
        yield session.name


@pytest.fixture(scope="session")
def run_name(site: Site) -> str:
    """A run of the bench, by name: two scenarios, a recorded simulator and a baseline."""
    scenarios = site.folder / "scenarios.jsonl"
    lines = (ROOT / "scenarios/shell.jsonl").read_text().splitlines(keepends=True)
    scenarios.write_text("".join(lines[:2]))
    subprocess.run(
        [sys.executable, "-m", "plumb_cli", "bench", scenarios, "--server", site.address,
         "--simulator", f"transcripts:{ROOT}/transcripts/shell_naive.jsonl",
         "--simulator", "baseline:always_empty", "--out", site.folder / "runs" / "nightly"],
        check=True, capture_output=True,
    )  # fmt: skip
    return "nightly"
