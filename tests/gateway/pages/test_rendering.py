"""The templates: each renders, and shows what came from elsewhere as text."""

from __future__ import annotations

import importlib.resources
import re
from typing import TYPE_CHECKING

import pytest

from plumb_gateway.pages.rendering import at_time, identifier, page, percent, short, took
from plumb_gateway.security import HEADERS

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx2 as httpx
    from tests.gateway.conftest import Kit

HOSTILE = "<script>alert(1)</script>\x1b[2J\u202e"


def test_times_sizes_and_names_are_written_for_people() -> None:
    assert at_time(0) == "1970-01-01 00:00:00"
    assert at_time(None) == percent(None) == "\u2013"
    assert (took(0.0123), took(2)) == ("12.3 ms", "2.0 s")
    assert percent(0.125) == "12.5 %"
    assert identifier("sessions/12345678-9") == "12345678-9"
    assert short("sessions/12345678-9") == "12345678"


async def test_what_a_page_was_not_given_is_an_error_and_no_gap() -> None:
    with pytest.raises(Exception, match="undefined"):
        await page("session.html")


async def pages_of(http: httpx.AsyncClient, session: str) -> dict[str, str]:
    """Every page that shows a session, by template."""
    paths = {
        "sessions.html": "/sessions", "new.html": "/sessions/new", "session.html": session,
        "turns.html": f"{session}/turns?first=1", "raw.html": f"{session}/turns/1/raw",
        "live.html": f"{session}/live", "status.html": "/status", "api.html": "/api",
        "login.html": "/login", "reports.html": "/reports", "scenarios.html": "/scenarios",
    }  # fmt: skip
    found = {}
    for template, path in paths.items():
        answer = await http.get(path)
        assert answer.status_code == 200, (path, answer.text)
        found[template] = answer.text
    error = await http.get("/sessions/x", headers={"accept": "text/html"})
    return found | {"error.html": error.text}


@pytest.fixture
async def shown(http: httpx.AsyncClient, kit: type[Kit]) -> dict[str, str]:
    """The pages about a session in which everything is hostile."""
    path = await kit.create(
        http,
        backend="paired",
        task=HOSTILE,
        init=[HOSTILE.replace("\x1b", "")],
        simulator={"model": "baseline:always_empty"},
    )
    await kit.step(http, path, f"say {HOSTILE}", f"differ {HOSTILE}", "full", f"gone {HOSTILE}")
    return await pages_of(http, path.removeprefix("/v1"))


def test_every_page_is_whole(shown: dict[str, str]) -> None:
    for template, text in shown.items():
        if template not in ("turns.html", "raw.html"):  # parts of pages
            assert text.rstrip().endswith("</html>"), template


def test_nothing_hostile_is_markup_or_steers(shown: dict[str, str]) -> None:
    for template, text in shown.items():
        assert "<script>" not in text, template
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202e]", text), template
    for template in ("session.html", "turns.html"):
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in shown[template]


def test_no_page_needs_what_its_policy_forbids(shown: dict[str, str]) -> None:
    assert "script-src 'self';" in HEADERS["Content-Security-Policy"]
    for template, text in shown.items():
        assert not re.search(r"<script(?![^>]* src=\"/static/)", text), template
        assert not re.search(r"<[^>]+ (style|on\w+)=", text), template
        assert "<style" not in text, template
        assert not re.search(r"(?:src|href)=\"https?:", text), template


def test_every_page_file_that_is_named_is_there(shown: dict[str, str]) -> None:
    static = importlib.resources.files("plumb_gateway") / "static"
    named = set(re.findall(r"(?:src|href)=\"/static/([^\"]+)\"", "".join(shown.values())))
    assert named
    assert all(static.joinpath(name).is_file() for name in named)


def test_the_status_page_shows_every_finding_with_its_mend(shown: dict[str, str]) -> None:
    for state in ("works", "not there", "broken"):
        assert state in shown["status.html"]
    assert "mend it" in shown["status.html"]


def test_the_api_page_has_every_call_with_an_example(shown: dict[str, str]) -> None:
    assert "curl http://127.0.0.1:8080/v1/sessions \\" in shown["api.html"]
    assert "Authorization" not in shown["api.html"]


def test_raw_bytes_are_shown_of_both_sides(shown: dict[str, str]) -> None:
    assert "\\x1b[0m" in shown["raw.html"]


TEMPLATES = {
    one.name
    for one in importlib.resources.files("plumb_gateway").joinpath("templates").iterdir()
}  # fmt: skip
IN_OTHER_TESTS = {
    "base.html", "macros.html", "leaderboard.html",  # in others
    "run.html", "report.html", "scenario.html",  # test_reports, test_scenarios
    "captured.html",  # tests/integration/gateway/test_pages
}  # fmt: skip


def test_every_template_is_rendered_here_or_in_the_tests_beside(shown: dict[str, str]) -> None:
    assert set(shown) | IN_OTHER_TESTS == TEMPLATES


async def test_deep_links_lead_to_the_page_that_has_the_turn(
    http: httpx.AsyncClient, kit: type[Kit]
) -> None:
    path = await kit.create(http)
    await kit.step(http, path, *(f"say {number}" for number in range(120)))
    session = path.removeprefix("/v1")

    async def turns(query: str) -> list[int]:
        text = (await http.get(f"{session}{query}")).text
        return [int(number) for number in re.findall(r'id="turn-(\d+)"', text)]

    assert await turns("") == await turns("?turn=100") == list(range(1, 101))
    assert await turns("?turn=101") == await turns("?turn=120") == list(range(101, 121))
    assert await turns("?turn=0") == list(range(1, 101))


async def test_the_whole_text_is_one_click_away_as_plain_text(
    http: httpx.AsyncClient, kit: type[Kit]
) -> None:
    path = await kit.create(http)
    await kit.step(http, path, f"say {'<b>' * 10_000}", f"differ {HOSTILE}")
    session = path.removeprefix("/v1")
    whole = await http.get(f"{session}/turns/1/text")
    assert whole.headers["content-type"] == "text/plain; charset=utf-8"
    assert whole.text == "<b>" * 10_000
    assert f"{session}/turns/1/text" in (await http.get(session)).text
    other = await http.get(f"{session}/turns/2/text?side=counterpart")
    assert other.text == "made up\n"
    missing = await http.get(f"{session}/turns/9/text")
    assert (missing.status_code, missing.json()["detail"][-10:]) == (404, session[-10:])


def each_chip(text: str) -> Iterator[str]:
    yield from re.findall(r'class="chip (\w+)', text)


def test_the_list_says_how_many_turns_are_wrong_and_links_the_first(
    shown: dict[str, str],
) -> None:
    assert "1 wrong, first at 2" in shown["sessions.html"]
    assert "?turn=2#turn-2" in shown["sessions.html"]
    assert "wrong" in set(each_chip(shown["session.html"]))
