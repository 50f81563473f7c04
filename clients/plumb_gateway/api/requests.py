"""Reads a message from an HTTP request: from its body or its query, and from its path."""

import itertools
import json
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, NoReturn

from fastapi import Request
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from plumb_gateway.api.json_mapping import BadJson, from_json, shown, whole_range
from plumb_gateway.api.routes import Route
from plumb_gateway.problem import Refused

MOST_TOKENS = 100_000
"""Texts, brackets and commas of one JSON. Reading takes time by their number, not by their size,
and holds up everybody: 16 MiB of empty lists take many seconds."""

_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*+(?:"|\Z)|[\[{,]', re.DOTALL)


async def read_message(route: Route, request: Request) -> Message:
    """Reads what is asked for.

    Raises:
        Refused: It makes no sense; the message names the field and the mend.
    """
    try:
        data = await _body(request) if route.has_body else _query(route, request.query_params)
        for field, value in route.bind(request.path_params).items():
            _put(data, field, value)
        return from_json(data, route.request_type)
    except BadJson as error:
        raise Refused(HTTPStatus.BAD_REQUEST, "INVALID_INPUT", str(error)) from None


async def _body(request: Request) -> dict[str, Any]:
    body = await request.body()
    if not body:
        return {}
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Refused(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            "INVALID_INPUT",
            f"the body's content type is {kind[:100]!r}; use application/json",
        )
    return read_object(body)


def read_object(text: bytes | str) -> dict[str, Any]:
    """Reads a JSON object.

    Raises:
        BadJson: It is none.
    """
    _check_tokens(text if isinstance(text, bytes) else text.encode(errors="replace"))
    try:
        data = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise BadJson(f"this is no JSON ({str(error)[:200]}); mend it") from None
    if not isinstance(data, dict):
        raise BadJson(f"the JSON is a {type(data).__name__}; use an object")
    return data


def _check_tokens(text: bytes) -> None:
    if sum(map(text.count, (b'"', b"[", b"{", b","))) <= MOST_TOKENS:
        return
    counted = itertools.islice(_TOKEN.finditer(text), MOST_TOKENS + 1)  # commas in texts are none
    if sum(1 for _ in counted) > MOST_TOKENS:
        raise BadJson(
            f"the JSON has more than {MOST_TOKENS} texts, brackets and commas; send less at once"
        )


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number of JSON")


def _query(route: Route, query: Mapping[str, str]) -> dict[str, Any]:
    fields = {field.name: field for field in route.method.input_type.fields}
    return {
        name: _from_query(fields[name], value) if name in fields else value
        for name, value in query.items()
    }


def _from_query(field: FieldDescriptor, value: str) -> Any:
    """Reads one value as its field wants it; what it cannot be is left for the reader to refuse."""
    if whole_range(field) and value.removeprefix("-").isdecimal() and value.isascii():
        return int(value[:40])
    if field.type == FieldDescriptor.TYPE_BOOL:
        return {"true": True, "false": False}.get(value, value)
    return value


def _put(data: dict[str, Any], field: str, value: str) -> None:
    """Fills in what the path says; nobody may say it again elsewhere."""
    outer, _, inner = field.partition(".")
    if inner:
        if data.get(outer) is None:
            data[outer] = {}
        data, field = data[outer], inner
        if not isinstance(data, dict):
            raise BadJson(f"{outer} is {shown(data)}; use an object")
    if field in data:
        raise BadJson(f"{field} is in the path already; leave it out elsewhere")
    data[field] = value
