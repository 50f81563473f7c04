"""The OpenAPI document: valid, whole, and in the words of the proto."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from plumb_gateway.api.comments import comment_on
from plumb_gateway.api.examples import BODIES
from plumb_gateway.api.openapi import document
from plumb_gateway.api.routes import ROUTES, Route
from plumb_gateway.problem import STATUSES

if TYPE_CHECKING:
    import httpx2 as httpx

DOCUMENT = document()
BY_RPC = [pytest.param(route, id=route.rpc) for route in ROUTES]


def operation(route: Route) -> dict[str, Any]:
    found: dict[str, Any] = DOCUMENT["paths"][route.path][route.verb.lower()]
    return found


def test_the_document_is_valid_openapi_3_1() -> None:
    assert DOCUMENT["openapi"].startswith("3.1.")
    OpenAPIV31SpecValidator(DOCUMENT).validate()


async def test_it_is_what_is_served(http: httpx.AsyncClient) -> None:
    answer = await http.get("/v1/openapi.json")
    assert answer.json() == json.loads(json.dumps(DOCUMENT))


@pytest.mark.parametrize("route", BY_RPC)
def test_every_rpc_is_there_with_its_whole_comment(route: Route) -> None:
    told = operation(route)
    assert told["operationId"] == route.rpc
    assert told["description"] == comment_on(route.method.full_name) != ""
    assert told["description"].startswith(told["summary"])


@pytest.mark.parametrize("route", BY_RPC)
def test_every_field_of_a_request_is_in_path_query_or_body_and_in_one_of_them(
    route: Route,
) -> None:
    told = operation(route)
    query = [one["name"] for one in told["parameters"] if one["in"] == "query"]
    content = told.get("requestBody", {}).get("content", {})
    body = content.get("application/json", {}).get("schema", {}).get("properties", {})
    in_path = [name for name in route.bind(dict.fromkeys(path_names(told), "")) if "." not in name]
    places = [*query, *body, *in_path]
    assert sorted(places) == sorted(field.name for field in route.method.input_type.fields)


def path_names(told: dict[str, Any]) -> list[str]:
    return [one["name"] for one in told["parameters"] if one["in"] == "path"]


@pytest.mark.parametrize("route", BY_RPC)
def test_every_operation_tells_its_success_and_every_problem(route: Route) -> None:
    told = operation(route)["responses"]
    assert str(route.status) in told
    for status in STATUSES.values():
        refusal = told[str(int(status))]["content"]["application/problem+json"]
        assert refusal["schema"] == {"$ref": "#/components/schemas/Problem"}


@pytest.mark.parametrize("rpc", BODIES)
def test_every_example_fits_the_schema_beside_it(rpc: str) -> None:
    route = next(route for route in ROUTES if route.rpc == rpc)
    media = operation(route)["requestBody"]["content"]["application/json"]
    schema = {**media["schema"], "components": DOCUMENT["components"]}
    jsonschema.Draft202012Validator(schema).validate(media["example"])


def test_a_body_is_required_where_one_of_its_fields_is() -> None:
    bodies = {route.rpc: operation(route)["requestBody"] for route in ROUTES if route.has_body}
    assert bodies["CreateSession"]["required"]
    assert not bodies["Interrupt"]["required"]
