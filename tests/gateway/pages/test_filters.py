"""Filters: which sessions a page or an export is about."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, get_args

import pytest

from plumb_client import JournalPage
from plumb_gateway.pages.filters import State, every_name, journal_filter

if TYPE_CHECKING:
    import httpx2 as httpx
    from tests.gateway.conftest import Kit

    from plumb_client import aio


def test_only_that_is_filtered_by_which_is_set() -> None:
    nothing = journal_filter("", "", "", "")
    assert "live" not in nothing
    assert not any(nothing.values())
    assert journal_filter("shell", "real", "EMPTY", "live") == {
        "kind": "shell", "backend": "real", "verdict": "EMPTY", "live": True,
    }  # fmt: skip
    assert journal_filter("", "", "", "ended")["live"] is False


class Pages:
    """A client whose journal has three pages."""

    def __init__(self) -> None:
        self.asked: list[dict[str, object]] = []

    async def journaled_sessions(self, **filters: object) -> JournalPage:
        self.asked.append(filters)
        return JournalPage((), {"": "1", "1": "2", "2": ""}[str(filters["page_token"])], 0)


async def names_of(plumb: Pages, picked: list[str]) -> list[str]:
    client: aio.Plumb = plumb  # type: ignore[assignment]  # all that is asked of one
    return [name async for name in every_name(client, picked, journal_filter("shell", "", "", ""))]


async def test_all_pages_are_asked_for_with_the_same_filter() -> None:
    plumb = Pages()
    assert await names_of(plumb, []) == []
    assert [asked["page_token"] for asked in plumb.asked] == ["", "1", "2"]
    assert {asked["kind"] for asked in plumb.asked} == {"shell"}


async def test_what_is_picked_is_not_looked_for() -> None:
    plumb = Pages()
    assert await names_of(plumb, ["b", "a"]) == ["sessions/b", "sessions/a"]
    assert plumb.asked == []


def rows(text: str) -> list[str]:
    return re.findall(r'<a data-row href="/(sessions/[^"?]+)"', text)


@pytest.mark.parametrize("state", get_args(State))
async def test_the_page_shows_those_that_fit_and_how_many(
    http: httpx.AsyncClient, kit: type[Kit], state: str
) -> None:
    live, ended = [(await kit.create(http)).removeprefix("/v1/") for _ in range(2)]
    await http.delete(f"/v1/{ended}")
    expected = {"": {live, ended}, "live": {live}, "ended": {ended}}[state]
    text = (await http.get("/sessions", params={"state": state})).text
    assert set(rows(text)) == expected
    assert f">{len(expected)} session" in text


async def test_the_page_filters_by_verdict(http: httpx.AsyncClient, kit: type[Kit]) -> None:
    wrong, right = [await kit.create(http) for _ in range(2)]
    await kit.step(http, wrong, "say hi", "differ x")
    await kit.step(http, right, "say hi")
    text = (await http.get("/sessions?verdict=FABRICATED")).text
    assert rows(text) == [wrong.removeprefix("/v1/")]
    assert "1 wrong, first at 2" in text


async def test_older_ones_are_a_page_away_with_the_same_filter(
    http: httpx.AsyncClient, kit: type[Kit]
) -> None:
    names = [(await kit.create(http)).removeprefix("/v1/") for _ in range(51)]
    first = (await http.get("/sessions?kind=shell")).text
    older = re.search(r'href="([^"]+)" data-next', first)
    assert older is not None
    assert "kind=shell" in older[1]
    second = (await http.get(older[1].replace("&amp;", "&"))).text
    assert rows(first) + rows(second) == names[::-1]
    assert "data-next" not in second
