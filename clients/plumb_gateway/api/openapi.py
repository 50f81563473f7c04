"""The OpenAPI document of the routes, with what the proto says in words."""

import importlib.metadata
import re
from typing import Any

from plumb_gateway.api.calls import LINES
from plumb_gateway.api.comments import comment_on
from plumb_gateway.api.examples import BODIES, PATHS
from plumb_gateway.api.json_mapping import message_of
from plumb_gateway.api.routes import ROUTES, Route
from plumb_gateway.api.schema import Schema, Schemas
from plumb_gateway.problem import MEDIA_TYPE, STATUSES

_UUID = "00000000-0000-4000-8000-000000000000"
_PROBLEM: Schema = {
    "type": "object",
    "description": "Problem details (RFC 9457). `detail` is one sentence with the mend.",
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "reason": {"type": "string", "description": "A Reason of the wire, for programs."},
        "metadata": {"type": "object", "additionalProperties": {"type": "string"}},
        "retry_after": {"type": "number", "description": "Seconds."},
    },
    "required": ["type", "title", "status", "detail"],
}


def document() -> dict[str, Any]:
    """The whole document; the same every time."""
    schemas = Schemas()
    paths: dict[str, dict[str, Any]] = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.verb.lower()] = _operation(route, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "plumb",
            "version": importlib.metadata.version("plumb"),
            "description": "Every RPC of plumb's gRPC services as JSON. Times are RFC 3339, "
            "durations seconds; bytes are a text, or an object with base64 where they are no "
            "UTF-8. Live steps go over a WebSocket at /v1/sessions/{session}/live.",
        },
        "security": [{}, {"token": []}],
        "paths": paths,
        "components": {
            "schemas": {**dict(sorted(schemas.components.items())), "Problem": _PROBLEM},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(route: Route, schemas: Schemas) -> dict[str, Any]:
    comment = comment_on(route.method.full_name)
    operation: dict[str, Any] = {
        "operationId": route.rpc,
        "tags": [route.service],
        "summary": comment.partition("\n")[0],
        "description": comment,
        "parameters": [*_path_parameters(route), *_query_parameters(route, schemas)],
        "responses": {
            str(route.status): _answer(route, schemas),
            **{str(status): _refusal() for status in _statuses()},
        },
    }
    if route.has_body:
        operation["requestBody"] = _body(route, schemas)
    return operation


def _path_names(route: Route) -> list[str]:
    return re.findall(r"{(\w+)}", route.path)


def _path_parameters(route: Route) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": {"type": "string", "minLength": 1},
            "example": PATHS.get(name, _UUID),
        }
        for name in _path_names(route)
    ]


def _query_parameters(route: Route, schemas: Schemas) -> list[dict[str, Any]]:
    if route.has_body:
        return []
    bound = route.bind(dict.fromkeys(_path_names(route), ""))
    return [
        {
            "name": field.name,
            "in": "query",
            "required": False,
            "schema": schemas.of_field(field, is_request=True),
        }
        for field in route.method.input_type.fields
        if field.name not in bound
    ]


def _body(route: Route, schemas: Schemas) -> dict[str, Any]:
    kind = route.method.input_type
    bound = route.bind(dict.fromkeys(_path_names(route), ""))
    schema = schemas.of_request(kind, but=bound)
    for field in bound:
        outer, _, inner = field.partition(".")
        if inner:  # the name is in a message of the request
            of = kind.fields_by_name[outer]
            schema["properties"][outer] = schemas.of_request(message_of(of), but=[inner])
    media = {"schema": schema, "example": BODIES[route.rpc]}
    return {"required": bool(schema.get("required")), "content": {"application/json": media}}


def _answer(route: Route, schemas: Schemas) -> dict[str, Any]:
    schema = schemas.of_response(route.method.output_type)
    if route.is_stream:
        return {
            "description": "One line of JSON a message; a failure under way is a last line with "
            "`error`.",
            "content": {LINES: {"schema": {"type": "string"}, "x-each-line": schema}},
        }
    return {"description": "Success.", "content": {"application/json": {"schema": schema}}}


def _refusal() -> dict[str, Any]:
    return {
        "description": "See the RPC's errors.",
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }


def _statuses() -> list[int]:
    own = {403, 413, 415, 421}  # the gateway's: another site, too large, no JSON, another host
    return sorted({int(status) for status in STATUSES.values()} | own)
