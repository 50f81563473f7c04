"""The schemas: whatever the gateway writes fits them, and what they refuse it refuses too."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
from google.protobuf.descriptor import Descriptor
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.wire_messages import MESSAGES, message_of_kind

from plumb.v1 import environment_pb2, fidelity_pb2
from plumb_gateway.api.comments import comment_on
from plumb_gateway.api.json_mapping import BadJson, from_json, to_json
from plumb_gateway.api.schema import Schema, Schemas


def whole(kind: Descriptor, *, is_request: bool) -> Schema:
    """The schema of a message, with all that it refers to."""
    schemas = Schemas()
    schema = schemas.of_request(kind) if is_request else schemas.of_response(kind)
    return {**schema, "components": {"schemas": schemas.components}}


def validator(kind: Descriptor, *, is_request: bool) -> Any:
    checker = jsonschema.Draft202012Validator.FORMAT_CHECKER
    schema = whole(kind, is_request=is_request)
    return jsonschema.Draft202012Validator(schema, format_checker=checker)


@pytest.mark.parametrize("name", MESSAGES)
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_what_is_written_fits_the_schema_of_a_response(name: str, data: st.DataObject) -> None:
    message = data.draw(message_of_kind(MESSAGES[name]))
    sent = json.loads(json.dumps(to_json(message), allow_nan=False))
    validator(message.DESCRIPTOR, is_request=False).validate(sent)


@pytest.mark.parametrize(
    "data",
    [
        {"kind": "shell"},
        {"kind": "shell", "init": ["ls", {"base64": "/w=="}]},
        {"kind": "mysql", "mysql": {"max_rows": 5}, "idle_timeout": 2.5},
        {"kind": "shell", "simulator": {"model": "m", "temperature": 0.5, "seed": -1}},
    ],
)
def test_what_a_request_s_schema_takes_is_read(data: Any) -> None:
    kind = environment_pb2.CreateSessionRequest
    validator(kind.DESCRIPTOR, is_request=True).validate(data)
    from_json(data, kind)


@pytest.mark.parametrize(
    "data",
    [
        5,
        {"kind": 5},
        {"kind": "shell", "knd": ""},
        {"kind": "shell", "init": "ls"},
        {"kind": "shell", "init": [{"base64": "", "more": 1}]},
        {"kind": "shell", "shell": {"max_text_bytes": 2**63}},
        {"kind": "shell", "idle_timeout": "5s"},
        {"kind": "shell", "idle_timeout": 1e300},
    ],
)
def test_what_is_not_read_does_not_fit_a_request_s_schema(data: Any) -> None:
    kind = environment_pb2.CreateSessionRequest
    assert not validator(kind.DESCRIPTOR, is_request=True).is_valid(data)
    with pytest.raises(BadJson):
        from_json(data, kind)


def test_in_a_request_only_that_is_required_whose_comment_says_so() -> None:
    request = Schemas().of_request(environment_pb2.StepRequest.DESCRIPTOR)
    assert request["required"] == ["name", "step_index"]
    assert "required" not in Schemas().of_request(environment_pb2.ShellOptions.DESCRIPTOR)


def test_fields_that_the_path_has_are_left_out() -> None:
    request = Schemas().of_request(environment_pb2.StepRequest.DESCRIPTOR, but=["name"])
    assert list(request["properties"]) == ["step_index", "action", "timeout", "nonce"]


def test_in_a_response_all_is_required_that_cannot_be_absent() -> None:
    schemas = Schemas()
    schemas.of_response(fidelity_pb2.Report.DESCRIPTOR)
    required = schemas.components["Report"]["required"]
    assert "verdicts" in required
    assert "first_divergence" not in required


def test_a_message_that_holds_its_own_kind_refers_to_itself() -> None:
    schemas = Schemas()
    schemas.of_response(environment_pb2.Observation.DESCRIPTOR)
    counterpart = schemas.components["Observation"]["properties"]["counterpart"]
    assert counterpart["$ref"] == "#/components/schemas/Observation"


@pytest.mark.parametrize("name", MESSAGES)
def test_every_comment_of_the_proto_is_in_the_schema(name: str) -> None:
    kind: Any = MESSAGES[name].DESCRIPTOR
    schema = Schemas().of_request(kind)
    assert schema["description"] == comment_on(kind.full_name) != ""
    for field in kind.fields:
        told = schema["properties"][field.name]["description"]
        assert told == comment_on(field.full_name) != "", field.full_name
