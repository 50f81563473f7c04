"""Requests: what path, query and body become, and what is refused before the server is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from plumb_gateway.api.json_mapping import BadJson
from plumb_gateway.api.requests import read_object
from plumb_gateway.callers import MOST_BODY_BYTES

if TYPE_CHECKING:
    import httpx2 as httpx
    from tests.gateway.conftest import Kit


def detail(answer: httpx.Response, status: int = 400) -> str:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    return str(answer.json()["detail"])


@pytest.mark.parametrize(
    "text", [b"", b"{", b"[" * 100_000, b'{"a": NaN}', b'{"a": Infinity}', b"\xff", b"1" * 5000]
)
def test_what_is_no_json_is_refused_with_a_sentence(text: bytes) -> None:
    with pytest.raises(BadJson, match="this is no JSON"):
        read_object(text)


@pytest.mark.parametrize("text", [b"[]", b"5", b'"a"', b"null"])
def test_what_is_no_object_is_refused_with_what_it_is(text: bytes) -> None:
    with pytest.raises(BadJson, match=r"the JSON is a \w+; use an object"):
        read_object(text)


async def test_a_body_of_another_type_is_refused(http: httpx.AsyncClient) -> None:
    answer = await http.post(
        "/v1/sessions", content=b'{"kind": "shell"}', headers={"content-type": "text/plain"}
    )
    assert detail(answer, 415) == "the body's content type is 'text/plain'; use application/json"


async def test_a_charset_is_no_other_type(http: httpx.AsyncClient) -> None:
    headers = {"content-type": "Application/JSON; charset=utf-8"}
    answer = await http.post("/v1/sessions", content=b'{"kind": "shell"}', headers=headers)
    assert answer.status_code == 201


async def test_a_body_may_be_left_out_where_nothing_in_it_is_needed(
    http: httpx.AsyncClient, kit: type[Kit]
) -> None:
    path = await kit.create(http)
    assert (await http.post(f"{path}/reset")).status_code == 200


async def test_a_body_that_is_too_large_is_refused(http: httpx.AsyncClient) -> None:
    body = b'{"kind": "' + b"x" * MOST_BODY_BYTES + b'"}'
    headers = {"content-type": "application/json"}
    answer = await http.post("/v1/sessions", content=body, headers=headers)
    assert answer.status_code == 413


@pytest.mark.parametrize("deep", range(700, 1000, 7))
async def test_deep_nesting_is_a_bad_request_whatever_its_depth(
    http: httpx.AsyncClient, deep: int
) -> None:
    body = b'{"kind": ' + b"[" * deep + b"]" * deep + b"}"
    headers = {"content-type": "application/json"}
    assert detail(await http.post("/v1/sessions", content=body, headers=headers))


async def test_what_the_path_says_nobody_says_again(
    http: httpx.AsyncClient, kit: type[Kit]
) -> None:
    path = await kit.create(http)
    said = detail(await http.post(f"{path}/steps", json={"name": "sessions/other"}))
    assert said == "name is in the path already; leave it out elsewhere"
    said = detail(await http.post(f"{path}/steps/stream", json={"step": {"name": "x"}}))
    assert said == "name is in the path already; leave it out elsewhere"
    said = detail(await http.get(path, params={"name": "sessions/other"}))
    assert said == "name is in the path already; leave it out elsewhere"


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"step": 5}, "step is 5; use an object"),
        ({"step": [[["x"]]]}, "step is [[['x']]]; use an object"),
        ({"step": None}, "step_index is 0"),
        ({}, "step_index is 0"),
    ],
)
async def test_a_name_goes_into_a_message_of_the_request(
    http: httpx.AsyncClient, kit: type[Kit], body: Any, says: str
) -> None:
    path = await kit.create(http)
    answer = await http.post(f"{path}/steps/stream", json=body)
    assert answer.status_code in (400, 409)
    assert says in answer.json()["detail"]


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("page_size=x", "page_size is 'x'; use a whole number"),
        ("page_size=1.5", "page_size is '1.5'; use a whole number"),
        ("page_size=", "page_size is ''; use a whole number"),
        (f"page_size={'9' * 5000}", "page_size is 9999"),
        ("page_size=-1", "page_size is -1"),
        ("page_size=%D9%A1", "page_size is '\u0661'; use a whole number"),  # a digit of Arabic
        ("live=yes", "live is 'yes'; use true or false"),
        ("size=5", "there is no field 'size'; use page_size, page_token, kind"),
    ],
)
async def test_a_bad_query_is_refused_by_the_name_of_its_field(
    http: httpx.AsyncClient, query: str, says: str
) -> None:
    assert detail(await http.get(f"/v1/journal/sessions?{query}")).startswith(says)


async def test_a_query_s_numbers_and_flags_are_read(
    http: httpx.AsyncClient, kit: type[Kit]
) -> None:
    for _ in range(3):
        await kit.create(http)
    answer = await http.get("/v1/journal/sessions?page_size=2&live=true&kind=shell")
    found = answer.json()
    assert (len(found["sessions"]), found["total_size"]) == (2, 3)
    ended = await http.get("/v1/journal/sessions?live=false")
    assert ended.json()["sessions"] == []
