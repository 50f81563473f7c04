"""Whatever the document allows, and much that it does not: never a fault, and always as described.

Half of the calls meet a session that lives, ask for a kind that there is, and take the step that
comes next: they get past the first look. The server makes at most four, so that nothing floods
the engine: what is refused for that is a 429, and as described, too.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import httpx2 as httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import response_schema_conformance

from plumb_gateway.api.openapi import document
from plumb_gateway.api.routes import ROUTES, Route

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.integration.gateway.conftest import Kit, Running

EXAMPLES = 30
"""For each call, with data that fit the document and with such that do not."""
SECONDS = 5
"""What a script or an action may run: whatever is in it is made up."""
COSTLY = frozenset({"CreateSession", "Compare", "CaptureGrounding", "ResetSession"})

SCHEMA = schemathesis.openapi.from_dict(document())
MODES = [schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory, kit: type[Kit]) -> Iterator[Running]:
    """A server that has room for four sessions."""
    where = ["serve", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"]
    folder = tmp_path_factory.mktemp("small")
    running = kit.Running(folder, where, 2, {"PLUMB_MAX_SESSIONS": "4"})
    yield running
    running.stop_cleanly()


class Living:
    """A session that lives, whatever is done to it."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http
        self._name = ""

    def name(self) -> str:
        """Its identifier; it is made anew where it has ended. Others are ended: they took room."""
        found = [one["name"] for one in self._http.get("/v1/sessions").json()["sessions"]]
        for name in found:
            if name != self._name:
                self._http.delete(f"/v1/{name}")
        if self._name not in found:
            made = self._http.post("/v1/sessions", json={"kind": "shell"})
            self._name = made.json()["session"]["name"]
        return self._name.removeprefix("sessions/")

    def next_index(self) -> int:
        """The index of its next step."""
        session = self._http.get(f"/v1/{self._name}").json()["session"]
        return int(session["last_step_index"]) + 1


@pytest.fixture(scope="module")
def living(small: Running) -> Iterator[Living]:
    with small.http() as http:
        yield Living(http)


def cases(route: Route, mode: Any) -> st.SearchStrategy[Any]:
    found: st.SearchStrategy[Any] = SCHEMA[route.path][route.verb].as_strategy(generation_mode=mode)
    return found


def make_plausible(case: Any, living: Living) -> None:
    """Lets a call get past the first look."""
    if "session" in case.path_parameters:
        case.path_parameters["session"] = living.name()
    for message in (case.body, case.body.get("step")) if isinstance(case.body, dict) else ():
        if isinstance(message, dict) and "step_index" in message:
            message["step_index"] = living.next_index()
    if isinstance(case.body, dict) and "kind" in case.body:
        case.body |= {"kind": "shell"} | ({"backend": "real"} if "backend" in case.body else {})
        case.body.pop("mysql", None)


def shortened(case: Any) -> None:
    """Lets nothing that is made up run long, or make many sandboxes."""
    if not isinstance(case.body, dict):
        return
    for message in (case.body, case.body.get("step")):
        for field, most in (("timeout", SECONDS), ("init_timeout", SECONDS), ("replicas", 1)):
            if isinstance(message, dict) and isinstance(message.get(field), (int, float)):
                message[field] = min(message[field], most)
    for field in ("init", "actions"):
        if isinstance(case.body.get(field), list):
            case.body[field] = case.body[field][:2]


def can_be_wrong(route: Route) -> bool:
    """Whether there is something to get wrong: any text may stand in a path."""
    told = SCHEMA.raw_schema["paths"][route.path][route.verb.lower()]
    return route.has_body or any(one["in"] == "query" for one in told["parameters"])


@pytest.mark.parametrize(
    ("route", "mode"),
    [
        pytest.param(route, mode, id=f"{route.rpc}-{mode.value}")
        for route in ROUTES
        for mode in MODES
        if mode.is_positive or can_be_wrong(route)
    ],
)
def test_no_request_is_a_fault_and_every_answer_is_as_described(
    small: Running, living: Living, route: Route, mode: Any
) -> None:
    is_plausible = itertools.cycle([True, False])

    @settings(
        max_examples=EXAMPLES // 3 if route.rpc in COSTLY else EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases(route, mode))
    def check(case: Any) -> None:
        if next(is_plausible):
            make_plausible(case, living)
        shortened(case)
        answer = case.call(base_url=small.url, timeout=120)
        case.validate_response(answer, checks=[not_a_server_error, response_schema_conformance])

    check()
