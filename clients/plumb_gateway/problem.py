"""Errors over HTTP: problem details (RFC 9457) with the reasons of the wire."""

import math
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi.responses import JSONResponse

from plumb_client.errors import InvalidInput, PlumbError, ServerUnavailable

MEDIA_TYPE = "application/problem+json"

CLOSED_REQUEST = 499
"""What servers note for a caller that went away; nobody receives it."""

STATUSES: Mapping[str, HTTPStatus] = {
    "INVALID_INPUT": HTTPStatus.BAD_REQUEST,
    "UNKNOWN_KIND": HTTPStatus.BAD_REQUEST,
    "UNKNOWN_BACKEND": HTTPStatus.BAD_REQUEST,
    "UNKNOWN_SUITE": HTTPStatus.BAD_REQUEST,
    "UNAUTHENTICATED": HTTPStatus.UNAUTHORIZED,
    "PERMISSION_DENIED": HTTPStatus.FORBIDDEN,
    "SESSION_NOT_FOUND": HTTPStatus.NOT_FOUND,
    "REPORT_NOT_FOUND": HTTPStatus.NOT_FOUND,
    "STEP_OUT_OF_ORDER": HTTPStatus.CONFLICT,
    "STEP_MISMATCH": HTTPStatus.CONFLICT,
    "STEP_IN_PROGRESS": HTTPStatus.CONFLICT,
    "INIT_FAILED": HTTPStatus.UNPROCESSABLE_ENTITY,
    "IMAGE_MISSING": HTTPStatus.UNPROCESSABLE_ENTITY,
    "UNSUPPORTED": HTTPStatus.UNPROCESSABLE_ENTITY,
    "NOT_RECORDED": HTTPStatus.UNPROCESSABLE_ENTITY,
    "CASSETTE_MISS": HTTPStatus.UNPROCESSABLE_ENTITY,
    "CONTEXT_FULL": HTTPStatus.UNPROCESSABLE_ENTITY,
    "MODEL_UNAUTHORIZED": HTTPStatus.UNPROCESSABLE_ENTITY,
    "MODEL_UNKNOWN": HTTPStatus.UNPROCESSABLE_ENTITY,
    "MODEL_REQUEST_REJECTED": HTTPStatus.UNPROCESSABLE_ENTITY,
    "LIMIT_REACHED": HTTPStatus.TOO_MANY_REQUESTS,
    "BUDGET_SPENT": HTTPStatus.TOO_MANY_REQUESTS,
    "MODEL_RATE_LIMITED": HTTPStatus.TOO_MANY_REQUESTS,
    "INTERNAL": HTTPStatus.INTERNAL_SERVER_ERROR,
    "MODEL_REFUSED": HTTPStatus.BAD_GATEWAY,
    "MODEL_REPLY_CUT": HTTPStatus.BAD_GATEWAY,
    "MODEL_UNUSABLE": HTTPStatus.BAD_GATEWAY,
    "SANDBOX_UNAVAILABLE": HTTPStatus.SERVICE_UNAVAILABLE,
    "SERVER_STOPPING": HTTPStatus.SERVICE_UNAVAILABLE,
    "JOURNAL_UNAVAILABLE": HTTPStatus.SERVICE_UNAVAILABLE,
    "MODEL_UNAVAILABLE": HTTPStatus.SERVICE_UNAVAILABLE,
    "MODEL_TIMED_OUT": HTTPStatus.GATEWAY_TIMEOUT,
}


class Refused(Exception):
    """The gateway itself does not take a request.

    Attributes:
        status: What HTTP says of it.
        reason: As in the wire's errors.
    """

    def __init__(self, status: HTTPStatus, reason: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason


def status_of(error: PlumbError) -> HTTPStatus:
    """What HTTP says of an error."""
    if error.reason in STATUSES:
        return STATUSES[error.reason]
    if isinstance(error, ServerUnavailable):
        return HTTPStatus.SERVICE_UNAVAILABLE
    return HTTPStatus.BAD_REQUEST if isinstance(error, InvalidInput) else HTTPStatus.BAD_GATEWAY


def describe(status: HTTPStatus, reason: str, detail: str, **more: Any) -> dict[str, Any]:
    """The members of a problem's details."""
    kind = f"urn:plumb:v1:{reason}" if reason else "about:blank"
    details = {"type": kind, "title": status.phrase, "status": int(status), "detail": detail}
    return details | ({"reason": reason} if reason else {}) | more


def details_of(error: PlumbError | Refused) -> dict[str, Any]:
    """An error's details, also for streams, in which no status can be sent any more."""
    if isinstance(error, Refused):
        return describe(error.status, error.reason, str(error))
    more: dict[str, Any] = {"metadata": error.metadata} if error.metadata else {}
    wait = getattr(error, "retry_after", 0.0)
    if wait:
        more["retry_after"] = wait
    return describe(status_of(error), error.reason, str(error), **more)


def to_response(error: PlumbError | Refused) -> JSONResponse:
    """The response that an error becomes."""
    details = details_of(error)
    headers = {}
    if details["status"] == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    if "retry_after" in details:
        headers["Retry-After"] = str(math.ceil(details["retry_after"]))
    return JSONResponse(details, details["status"], headers, media_type=MEDIA_TYPE)
