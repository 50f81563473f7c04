"""A turn on its session's page: what is doubtful about a simulator's reply is said."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import httpx2 as httpx
    from tests.gateway.conftest import Kit


async def test_a_doubtful_reply_is_shown_as_one_and_others_are_not(
    http: httpx.AsyncClient, kit: type[Kit]
) -> None:
    path = await kit.create(http)
    await kit.step(http, path, "say hi", "differ x")
    page = (await http.get(path.removeprefix("/v1"))).text
    said = "The simulator&#39;s reply is doubtful"
    assert page.replace("simulator's", "simulator&#39;s").count(said) == 1
    assert "the best of 6: fence: ```&lt;b&gt;" in page
