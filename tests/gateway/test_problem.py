"""Errors over HTTP: problem details with the reasons of the wire."""

from __future__ import annotations

import json
from http import HTTPStatus

import jsonschema
import pytest

from plumb.v1 import environment_pb2 as wire
from plumb_client.errors import (
    REASONS,
    InvalidInput,
    LimitReached,
    PlumbError,
    ServerFault,
    ServerUnavailable,
    Unauthenticated,
)
from plumb_gateway.api.openapi import document
from plumb_gateway.problem import STATUSES, Refused, details_of, status_of, to_response

REASONS_OF_THE_WIRE = [
    name.removeprefix("REASON_")
    for name in wire.Reason.keys()  # noqa: SIM118 - an enum of protobuf is no mapping
    if name != "REASON_UNSPECIFIED"
]
PROBLEM = jsonschema.Draft202012Validator(document()["components"]["schemas"]["Problem"])


def test_every_reason_of_the_wire_has_a_status_and_no_other_has() -> None:
    assert set(STATUSES) == set(REASONS_OF_THE_WIRE)


@pytest.mark.parametrize("reason", REASONS_OF_THE_WIRE)
def test_a_reason_becomes_the_members_of_rfc_9457(reason: str) -> None:
    error = REASONS[reason]("a sentence", reason=reason, metadata={"expected": "3"})
    response = to_response(error)
    details = json.loads(bytes(response.body))
    assert response.headers["content-type"] == "application/problem+json"
    assert details == {
        "type": f"urn:plumb:v1:{reason}",
        "title": STATUSES[reason].phrase,
        "status": response.status_code,
        "detail": "a sentence",
        "reason": reason,
        "metadata": {"expected": "3"},
    }
    PROBLEM.validate(details)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ServerUnavailable("no plumb server answers"), HTTPStatus.SERVICE_UNAVAILABLE),
        (InvalidInput("the token is none"), HTTPStatus.BAD_REQUEST),
        (ServerFault("UNKNOWN: who knows"), HTTPStatus.BAD_GATEWAY),
        (PlumbError("of a newer server", reason="NEWER"), HTTPStatus.BAD_GATEWAY),
    ],
)
def test_what_has_no_reason_of_ours_has_a_status_all_the_same(
    error: PlumbError, status: HTTPStatus
) -> None:
    assert status_of(error) is status
    PROBLEM.validate(details_of(error))


def test_without_a_reason_the_type_is_about_blank() -> None:
    details = details_of(ServerUnavailable("away"))
    assert details["type"] == "about:blank"
    assert "reason" not in details


def test_a_wait_is_told_in_whole_seconds_and_never_too_short() -> None:
    error = LimitReached("full", reason="LIMIT_REACHED")
    error.retry_after = 1.2
    response = to_response(error)
    assert response.headers["retry-after"] == "2"
    assert json.loads(bytes(response.body))["retry_after"] == 1.2
    assert "retry-after" not in to_response(LimitReached("full", reason="LIMIT_REACHED")).headers


def test_who_shows_no_token_is_told_how() -> None:
    error = Unauthenticated("no token", reason="UNAUTHENTICATED")
    assert to_response(error).headers["www-authenticate"] == "Bearer"
    assert "www-authenticate" not in to_response(InvalidInput("x")).headers


def test_what_the_gateway_refuses_itself_looks_alike() -> None:
    refused = Refused(HTTPStatus.MISDIRECTED_REQUEST, "INVALID_INPUT", "there is no host")
    details = json.loads(bytes(to_response(refused).body))
    assert (details["status"], details["reason"]) == (421, "INVALID_INPUT")
    PROBLEM.validate(details)
