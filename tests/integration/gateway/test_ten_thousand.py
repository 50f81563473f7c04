"""10,000 sessions with 100,000 steps: pages are short, complete, and lead to the end."""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING, Any

import pytest

from full_journal import write_journal

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx2 as httpx
    from tests.integration.gateway.conftest import Running

SESSIONS, STEPS = 10_000, 10
PAIRED = SESSIONS // 4


@pytest.fixture(scope="module")
def http(tmp_path_factory: pytest.TempPathFactory, kit: object) -> Iterator[httpx.Client]:
    """A program that calls a server with a full journal."""
    folder = tmp_path_factory.mktemp("full")
    journal = f"sqlite:///{folder}/journal.sqlite"
    write_journal(journal, SESSIONS, STEPS)
    where = ["serve", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"]
    running: Running = kit.Running(folder, where, 2, {"PLUMB_JOURNAL": journal})  # type: ignore[attr-defined]
    with contextlib.closing(running.http()) as client:
        yield client
    running.stop_cleanly()


def rows(text: str) -> list[str]:
    return re.findall(r'<a data-row href="/sessions/([^"?]+)"', text)


def older(text: str) -> str:
    found = re.search(r'href="([^"]+)" data-next', text)
    return found[1].replace("&amp;", "&") if found else ""


def test_the_page_shows_fifty_and_says_how_many_there_are(http: httpx.Client) -> None:
    text = http.get("/sessions").text
    assert len(rows(text)) == 50
    assert f">{SESSIONS:,} sessions<" in text
    assert len(text) < 100_000


def test_older_ones_follow_without_a_gap(http: httpx.Client) -> None:
    path, seen = "/sessions", list[str]()
    for _ in range(20):
        text = http.get(path).text
        seen += rows(text)
        path = older(text)
    whole = http.get("/v1/journal/sessions?page_size=1000").json()["sessions"]
    assert seen == [one["name"].removeprefix("sessions/") for one in whole]


def test_pages_lead_to_the_end_and_have_every_session_once(http: httpx.Client) -> None:
    token, names = "", list[str]()
    while True:
        query: dict[str, Any] = {"page_size": 1000, "page_token": token}
        page = http.get("/v1/journal/sessions", params=query).json()
        names += [one["name"] for one in page["sessions"]]
        assert page["total_size"] == SESSIONS
        if not (token := page["next_page_token"]):
            break
    assert len(names) == len(set(names)) == SESSIONS


def test_the_last_page_has_no_older_one(http: httpx.Client) -> None:
    query: dict[str, Any] = {"page_size": 1000, "page_token": ""}
    for _ in range(9):
        query["page_token"] = http.get("/v1/journal/sessions", params=query).json()[
            "next_page_token"
        ]
    last = http.get("/v1/journal/sessions", params=query | {"page_size": 950}).json()
    text = http.get("/sessions", params={"page_token": last["next_page_token"]}).text
    assert (len(rows(text)), older(text)) == (50, "")


@pytest.mark.parametrize(
    ("query", "fits"),
    [
        ("backend=paired", PAIRED),
        ("verdict=FABRICATED", PAIRED),
        ("kind=mysql", 0),
        ("state=live", 0),
        ("state=ended&backend=real", SESSIONS - PAIRED),
    ],
)
def test_a_filter_tells_how_many_fit(http: httpx.Client, query: str, fits: int) -> None:
    text = http.get(f"/sessions?{query}").text
    assert f">{fits:,} sessions<" in text
    assert len(rows(text)) == min(50, fits)


def test_any_of_them_opens_at_any_turn(http: httpx.Client) -> None:
    for name in rows(http.get("/sessions?backend=paired").text)[:3]:
        text = http.get(f"/sessions/{name}?turn={STEPS}").text
        assert re.findall(r'id="turn-(\d+)"', text) == [str(n) for n in range(1, STEPS + 1)]
