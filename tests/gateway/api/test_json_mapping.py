"""Messages as JSON and back: nothing is lost, and what is wrong is named."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.wire_messages import MESSAGES, message_of_kind

from plumb.v1 import environment_pb2, fidelity_pb2, journal_pb2
from plumb_gateway.api.json_mapping import BadJson, bytes_to_json, fields_of, from_json, to_json

REQUEST = environment_pb2.CreateSessionRequest
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["base64", "kind", "name", "x", "\ud800"]), inner, max_size=3
        )
    ),
    max_leaves=5,
)


def has_only_finite(message: Message) -> bool:
    """Whether it holds no number that JSON does not have."""
    text = json.dumps(to_json(message))
    return not any(f'"{name}"' in text for name in ("NaN", "Infinity", "-Infinity"))


@pytest.mark.parametrize("name", MESSAGES)
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_message_comes_back_from_its_json(name: str, data: st.DataObject) -> None:
    message = data.draw(message_of_kind(MESSAGES[name]).filter(has_only_finite))
    sent = json.loads(json.dumps(to_json(message), allow_nan=False))
    assert from_json(sent, MESSAGES[name]) == message


@pytest.mark.parametrize("name", MESSAGES)
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_bad_value_gets_a_sentence_that_names_its_field(name: str, data: st.DataObject) -> None:
    fields = [field.name for field in fields_of(MESSAGES[name]())]
    field = data.draw(st.sampled_from([*fields, "no_such"]))
    said = ""
    try:
        from_json({field: data.draw(ANY_JSON)}, MESSAGES[name])
    except BadJson as error:
        said = str(error)
    assert not said or (field in said and "; " in said), "a sentence says field and mend"
    said.encode()  # it can be sent


def refusal(data: Any, kind: type[Message] = REQUEST) -> str:
    with pytest.raises(BadJson) as caught:
        from_json(data, kind)
    return str(caught.value)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (5, "the body is 5; use an object"),
        ({"knd": "shell"}, "there is no field 'knd'; use request_id, kind, "),
        ({"kind": 5}, "kind is 5; use a text"),
        ({"kind": "\ud800"}, "kind has half of a surrogate pair; use valid Unicode"),
        ({"shell": []}, "shell is []; use an object"),
        ({"shell": {"hostname": 1}}, "shell.hostname is 1; use a text"),
        ({"shell": {"max_text_bytes": 1.5}}, "shell.max_text_bytes is 1.5; use a whole number"),
        ({"shell": {"max_text_bytes": True}}, "shell.max_text_bytes is True; use a whole number"),
        ({"shell": {"max_text_bytes": 2**63}}, f"shell.max_text_bytes is {2**63}; use a whole"),
        ({"mysql": {"max_rows": 2**31}}, f"mysql.max_rows is {2**31}; use a whole number"),
        ({"tolerate_init_failures": 1}, "tolerate_init_failures is 1; use true or false"),
        ({"init": "ls"}, "init is 'ls'; use a list"),
        ({"init": ["ls", 5]}, "init[1] is 5; use a text"),
        ({"init": [{"base64": "?"}]}, "init[0] is not base64; use a text, or mend it"),
        ({"init": [{"base64": "", "x": 1}]}, "init[0] is {'base64': '', 'x': 1}; use a text"),
        ({"replay": {"recordings": [5]}}, "replay.recordings[0] is 5; use an object"),
        ({"idle_timeout": "5s"}, "idle_timeout is '5s'; use a number"),
        ({"idle_timeout": 1e300}, "idle_timeout is 1e+300; use seconds, at most 315576000000"),
        ({"idle_timeout": 10**400}, "idle_timeout is 1000"),
        ({"simulator": {"temperature": math.nan}}, "simulator.temperature is nan; use a number"),
        ({"simulator": {"seed": "1"}}, "simulator.seed is '1'; use a whole number"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_its_place_its_value_and_the_mend(data: Any, says: str) -> None:
    assert refusal(data).startswith(says)


def test_what_excludes_each_other_is_refused_by_both_names() -> None:
    both = {"simulator": {"model": "m"}, "replay": {"recordings": []}}
    assert refusal(both, fidelity_pb2.CompareRequest) == (
        "replay and simulator exclude each other; leave one out"
    )


def test_an_enum_is_named_without_its_prefix_and_refused_with_those_that_there_are() -> None:
    seen = environment_pb2.Observation(ending=environment_pb2.ENDING_TIMED_OUT)
    assert to_json(seen)["ending"] == "TIMED_OUT"
    said = refusal({"ending": "ENDING_EXITED"}, environment_pb2.Observation)
    assert said.startswith("ending is 'ENDING_EXITED'; use one of: UNSPECIFIED, EXITED, SIGNALED")


def test_an_enum_value_of_a_newer_server_is_its_number() -> None:
    newer = environment_pb2.Observation.FromString(
        environment_pb2.Observation(ending=environment_pb2.ENDING_EXITED)
        .SerializeToString()
        .replace(b"\x01", b"\x63")
    )
    assert to_json(newer)["ending"] == "99"


def test_a_map_s_bad_names_and_values_are_named_too() -> None:
    assert refusal({"verdicts": {"EMPTY": "x"}}, fidelity_pb2.Report).startswith(
        "verdicts.EMPTY is 'x'; use a whole number"
    )
    assert refusal({"verdicts": {"\ud800": "x"}}, fidelity_pb2.Report) == (
        "a name in verdicts has half of a surrogate pair; use valid Unicode"
    )


@pytest.mark.parametrize(
    ("data", "written"),
    [
        (b"ls", "ls"),
        (b"", ""),
        ("größe 🌍".encode(), "größe 🌍"),
        (b"\x00\x1b[0m", "\x00\x1b[0m"),
        (b"\xff\x00", {"base64": "/wA="}),
        (b"\xed\xa0\x80", {"base64": "7aCA"}),  # half of a surrogate pair is not UTF-8
    ],
)
def test_bytes_are_a_text_where_they_are_utf_8(data: bytes, written: Any) -> None:
    assert bytes_to_json(data) == written
    assert from_json({"action": written}, environment_pb2.StepRequest).action == data


def test_text_may_come_as_base64_where_bytes_are_wanted() -> None:
    assert from_json({"action": {"base64": "bHM="}}, environment_pb2.StepRequest).action == b"ls"


def test_whole_numbers_are_numbers_whatever_their_size() -> None:
    assert json.dumps(to_json(environment_pb2.StepRequest(step_index=2**63 - 1))) == (
        f'{{"name": "", "step_index": {2**63 - 1}, "action": "", "nonce": ""}}'
    )


def test_durations_are_seconds_and_times_rfc_3339() -> None:
    assert to_json(Duration(seconds=1, nanos=500_000_000)) == 1.5
    assert from_json(1, Duration) == Duration(seconds=1)
    assert to_json(Timestamp(seconds=0, nanos=1000)) == "1970-01-01T00:00:00.000001Z"
    assert "use a time such as 2026-11-26T12:00:00Z" in refusal(
        {"answer_time": "yesterday"}, journal_pb2.JournaledStep
    )


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_numbers_that_json_does_not_have_are_written_as_words(value: float) -> None:
    written = to_json(environment_pb2.SimulatorOptions(temperature=value))["temperature"]
    assert written in ("NaN", "Infinity", "-Infinity")
    assert math.isnan(value) or float(written) == value


def test_what_may_be_absent_is_left_out_and_null_is_the_same() -> None:
    assert "temperature" not in to_json(environment_pb2.SimulatorOptions())
    assert to_json(environment_pb2.SimulatorOptions(temperature=0))["temperature"] == 0
    read = from_json({"model": "m", "temperature": None}, environment_pb2.SimulatorOptions)
    assert not read.HasField("temperature")


@pytest.mark.parametrize("deep", range(1, 2000, 57))
def test_a_deep_value_is_refused_like_any_other(deep: int) -> None:
    value: Any = 1
    for _ in range(deep):
        value = [value]
    assert refusal({"kind": value}).startswith("kind is [")


def test_a_message_says_only_the_beginning_of_a_long_value() -> None:
    assert len(refusal({"kind": ["x" * 10**6] * 10})) < 200
