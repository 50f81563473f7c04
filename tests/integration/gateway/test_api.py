"""The API over HTTP on a real server: examples, errors, streams, and callers that go away."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

import grpc
import httpx2 as httpx
import pytest

import plumb_client
from plumb_client.errors import translated
from plumb_gateway.api.json_mapping import from_json
from plumb_gateway.api.routes import ROUTES, Route

if TYPE_CHECKING:
    from tests.integration.gateway.conftest import Kit, Running

NOBODY = "00000000-0000-4000-8000-000000000000"


def test_every_example_of_the_document_works_as_it_is(http: httpx.Client) -> None:
    document = http.get("/v1/openapi.json").json()
    names = {"session": "", "report": ""}
    done = set()
    for route in sorted(ROUTES, key=lambda route: route.rpc == "DeleteSession"):
        told = document["paths"][route.path][route.verb.lower()]
        examples = {one["name"]: one.get("example") for one in told["parameters"]}
        path = route.path.format_map({**examples, **{n: v for n, v in names.items() if v}})
        body = told.get("requestBody", {}).get("content", {}).get("application/json", {})
        answer = http.request(route.verb, path, json=body.get("example"))
        done.add(route.rpc)
        if route.rpc == "GenerateGrounding":  # no model endpoint is configured here
            assert (answer.status_code, answer.json()["reason"]) == (422, "MODEL_UNAUTHORIZED")
            continue
        assert answer.status_code == route.status, (route.rpc, answer.text)
        if route.rpc == "CreateSession":
            names["session"] = answer.json()["session"]["name"].removeprefix("sessions/")
        if route.rpc == "Compare":
            report = json.loads(answer.text.splitlines()[-1])["report"]
            names["report"] = report["name"].removeprefix("reports/")
    assert done == {route.rpc for route in ROUTES}


def test_a_step_s_bytes_come_as_they_are(http: httpx.Client, path: str) -> None:
    step = {"step_index": 1, "action": r"printf 'gr\xc3\xb6\xc3\x9fe \xff\x00'"}
    seen = http.post(f"{path}/steps", json=step).json()["observation"]
    assert seen["text"].startswith("größe ")
    assert set(seen["raw"]) == {"base64"}  # \xff is not UTF-8
    program = http.post(f"{path}/exec", json={"argv": ["cat"], "stdin": {"base64": "/wA="}})
    assert program.json()["stdout"] == {"base64": "/wA="}


MISTAKES: list[tuple[str, str, Any]] = [
    ("POST", "/v1/sessions", {"kind": "shell", "init": ["exit 7"]}),
    ("POST", "/v1/sessions", {"kind": "nope"}),
    ("POST", "/v1/sessions", {"kind": "shell", "backend": "nope"}),
    ("POST", "/v1/sessions", {"kind": "shell", "shell": {"image": "no-such-image:1"}}),
    ("POST", "/v1/sessions", {"kind": "shell", "idle_timeout": -1}),
    ("GET", f"/v1/sessions/{NOBODY}", None),
    ("GET", "/v1/sessions/x", None),
    ("GET", f"/v1/reports/{NOBODY}", None),
    ("GET", f"/v1/journal/sessions/{NOBODY}", None),
    ("GET", "{path}/probes/nope", None),
    ("POST", "{path}/steps", {"step_index": 5, "action": "ls"}),
    ("POST", "{path}/steps", {"step_index": 1, "action": "ls", "timeout": 9999}),
    ("POST", "{path}/steps/stream", {"step": {"step_index": 5, "action": "ls"}}),
    ("POST", "{path}/exec", {"argv": []}),
    ("POST", "/v1/comparisons", {"kind": "shell", "actions": []}),
]


@pytest.mark.parametrize(("verb", "where", "body"), MISTAKES)
def test_a_mistake_has_the_reason_sentence_and_facts_that_it_has_over_grpc(
    running: Running, http: httpx.Client, path: str, verb: str, where: str, body: Any
) -> None:
    asked = where.format(path=path)
    problem = http.request(verb, asked, json=body).json()
    route, names = _route_of(verb, asked)
    message = _message(route, names, body)
    with grpc.insecure_channel(running.address) as channel:
        error = _error_of(channel, route, message)
    assert problem["reason"] == error.reason != ""
    assert problem["detail"] == str(error)
    assert problem.get("metadata", {}) == error.metadata


def _route_of(verb: str, path: str) -> tuple[Route, dict[str, str]]:
    """The route that serves a path, and the names in it."""
    for route in ROUTES:
        templates, pieces = route.path.split("/"), path.split("/")
        if route.verb != verb or len(templates) != len(pieces):
            continue
        pairs = list(zip(templates, pieces, strict=True))
        if all(one == other or one.startswith("{") for one, other in pairs):
            return route, {one.strip("{}"): other for one, other in pairs if one.startswith("{")}
    raise AssertionError(path)


def _message(route: Route, names: dict[str, str], body: Any) -> Any:
    data = json.loads(json.dumps(body or {}))
    for field, value in route.bind(names).items():
        outer, _, inner = field.partition(".")
        if inner:
            data[outer][inner] = value
        else:
            data[outer] = value
    return from_json(data, route.request_type)


def _error_of(channel: grpc.Channel, route: Route, message: Any) -> plumb_client.PlumbError:
    serialise = route.request_type.SerializeToString
    make: Any = channel.unary_stream if route.is_stream else channel.unary_unary
    call = make(route.full_method, serialise, route.response_type.FromString)

    def ask() -> None:
        with translated():
            answer = call(message, timeout=120)
            list(answer if route.is_stream else ())

    with pytest.raises(plumb_client.PlumbError) as caught:
        ask()
    return caught.value


def test_a_stream_of_a_step_is_output_as_it_appears_and_then_the_observation(
    http: httpx.Client, path: str
) -> None:
    step = {"step_index": 1, "action": "echo begun; read -t 60 </tmp/gate; echo ended"}
    http.post(f"{path}/exec", json={"argv": ["mkfifo", "/tmp/gate"]})
    with http.stream("POST", f"{path}/steps/stream", json={"step": step}) as answer:
        lines = answer.iter_lines()
        output = ""
        while "begun" not in output:  # it comes although the step waits
            output += json.loads(next(lines))["chunk"]["data"]
        http.post(f"{path}/exec", json={"argv": ["sh", "-c", "echo > /tmp/gate"]})
        messages = [json.loads(line) for line in lines]
    assert messages[-1]["observation"]["text"] == "begun\nended\n"


def test_an_error_under_way_is_the_last_line(http: httpx.Client, path: str) -> None:
    step = {"step_index": 1, "action": "echo begun; sleep 600", "timeout": 600}
    with http.stream("POST", f"{path}/steps/stream", json={"step": step}) as answer:
        assert answer.status_code == 200
        lines = answer.iter_lines()
        first = json.loads(next(lines))
        http.delete(path)
        last = [first, *(json.loads(line) for line in lines)][-1]
    assert set(last) == {"error"}
    assert (last["error"]["status"], last["error"]["reason"]) == (404, "SESSION_NOT_FOUND")


def test_a_comparison_is_streamed_step_by_step_and_its_report_is_kept(http: httpx.Client) -> None:
    body = {
        "kind": "shell", "init": ["echo 42 > /srv/n"], "actions": ["cat /srv/n", "true"],
        "simulator": {"model": "baseline:always_empty"}, "replicas": 1,
    }  # fmt: skip
    with http.stream("POST", "/v1/comparisons", json=body) as answer:
        messages = [json.loads(line) for line in answer.iter_lines()]
    assert [next(iter(message)) for message in messages] == ["grounded", "step", "step", "report"]
    assert messages[1]["step"]["verdict"]["verdict"] == "EMPTY"
    report = messages[-1]["report"]
    assert (report["steps"], report["first_divergence"]) == (2, 1)
    assert http.get(f"/v1/{report['name']}").json()["report"] == report


def test_a_caller_that_goes_away_while_a_session_is_made_leaves_nothing(
    running: Running, http: httpx.Client, kit: type[Kit]
) -> None:
    before = running.containers()
    impatient = running.http()
    impatient.timeout = httpx.Timeout(kit.WITHIN, read=2.0)
    body = {"kind": "shell", "init": ["sleep 600"], "init_timeout": 600}
    with impatient, pytest.raises(httpx.ReadTimeout):
        impatient.post("/v1/sessions", json=body)
    kit.eventually(lambda: running.containers() <= before, within=60)
    assert http.get("/v1/sessions").json()["sessions"] == []


def test_a_caller_that_goes_away_while_sides_are_grounded_leaves_nothing(
    running: Running, kit: type[Kit]
) -> None:
    before = running.containers()
    body = {
        "kind": "shell", "init": ["sleep 100"], "actions": ["true"],
        "simulator": {"model": "baseline:always_empty"},
    }  # fmt: skip
    impatient = running.http()
    impatient.timeout = httpx.Timeout(kit.WITHIN, read=2.0)
    with impatient, pytest.raises(httpx.ReadTimeout):
        impatient.post("/v1/comparisons", json=body)
    kit.eventually(lambda: running.containers() <= before, within=60)


def test_exports_have_what_was_seen(http: httpx.Client, path: str) -> None:
    http.post(
        f"{path}/steps",
        json={"step_index": 1, "action": "echo größe; (exit 3)"},
    )
    identifier = path.rpartition("/")[2]
    lines = http.get("/sessions/export", params={"session": identifier}).text.splitlines()
    (turn,) = json.loads(lines[0])["turns"]
    assert (turn["observation"], turn["exit_code"]) == ("größe\n", 3)
    share = http.get("/sessions/export", params={"session": identifier, "format": "sharegpt"})
    assert json.loads(share.text)["conversations"][1] == {"from": "human", "value": "größe\n"}


def test_machines_are_told_that_it_is_up_serves_and_what_it_did(
    http: httpx.Client, path: str, kit: type[Kit]
) -> None:
    assert http.get("/healthz").text == "ok\n"
    kit.eventually(lambda: http.get("/readyz").text == "ok\n")
    figures = http.get("/metrics").text
    assert 'plumb_http_requests_total{method="POST",route="/v1/sessions",status="201"}' in figures
    assert "plumb_sessions" in figures  # the server's own are beside them


def test_many_callers_are_served_at_once(running: Running, http: httpx.Client, path: str) -> None:
    step = {"step_index": 1, "action": "sleep 600", "timeout": 600}
    with running.http() as slow:
        waiting = threading.Thread(target=slow.post, args=(f"{path}/steps",), kwargs={"json": step})
        waiting.start()
        while http.get(path).json()["session"]["state"] != "BUSY":
            pass
        assert http.get("/healthz").text == "ok\n"
        http.post(f"{path}/interrupt")
        waiting.join()
