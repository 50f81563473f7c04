"""The wire's messages as plain values."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from plumb.v1 import environment_pb2 as wire
from plumb_client import values
from plumb_client.values import Ending

WIRE_ENDINGS = [
    name
    for name in wire.Ending.keys()  # noqa: SIM118 - a wrapper, not a dict
    if name != "ENDING_UNSPECIFIED"
]


@pytest.mark.parametrize("name", WIRE_ENDINGS)
def test_every_ending_of_the_wire_is_read(name: str) -> None:
    seen = values.read_observation(wire.Observation(ending=wire.Ending.Value(name)), 1)
    assert f"ENDING_{seen.ending.name}" == name


def test_there_is_no_ending_that_the_wire_does_not_have() -> None:
    assert {f"ENDING_{ending.name}" for ending in Ending} == set(WIRE_ENDINGS)


def test_every_field_of_an_observation_is_read() -> None:
    message = wire.Observation(
        text="ä",
        raw=b"\xff",
        ending=wire.ENDING_SIGNALED,
        exit_code=0,
        signal=9,
        truncated=True,
        total_bytes=2**40,
        run_duration=Duration(seconds=1, nanos=250_000_000),
        shell=wire.ShellDetail(cwd="/srv", user="root", host="box", restarted=True),
        provenance=wire.Provenance(
            backend="simulated",
            model="m",
            strategy="naive",
            cassette_hit=True,
            attempts=2,
            prompt_tokens=3,
            completion_tokens=4,
            rejections=["fence"],
            dropped_turns=5,
            prompt_hash="abc",
            thought="hm",
            cost_usd=0.5,
            flags=["apology"],
            tool_calls=7,
        ),
        counterpart=wire.Observation(text="other", ending=wire.ENDING_EXITED),
        verdict=wire.Verdict(verdict="EMPTY", flags=["EMPTY"], evidence=["line 1"]),
    )
    seen = values.read_observation(message, 7)
    assert (seen.text, seen.raw, seen.ending) == ("ä", b"\xff", Ending.SIGNALED)
    assert (seen.exit_code, seen.signal, seen.step_index) == (0, 9, 7)
    assert (seen.truncated, seen.total_bytes, seen.run_duration) == (True, 2**40, 1.25)
    assert (seen.cwd, seen.user, seen.host, seen.restarted) == ("/srv", "root", "box", True)
    assert dataclasses.astuple(seen.provenance) == (
        *("simulated", "m", "naive", True, 2, 3, 4),
        *(("fence",), 5, "abc", "hm", 0.5, ("apology",), 7),
    )
    assert seen.counterpart is not None
    assert (seen.counterpart.text, seen.counterpart.step_index) == ("other", 7)
    assert seen.verdict == values.Verdict("EMPTY", ("EMPTY",), ("line 1",))


def test_a_probe_is_a_mapping_that_knows_what_it_cost() -> None:
    entries = [wire.ProbeEntry(key="cwd", value="/root")]
    found = values.read_probe(wire.ProbeResponse(entries=entries))
    assert found == {"cwd": "/root"}
    assert found.provenance is None
    paid = wire.Provenance(backend="simulated", prompt_tokens=3)
    found = values.read_probe(wire.ProbeResponse(entries=entries, provenance=paid))
    assert found.provenance is not None
    assert found.provenance.prompt_tokens == 3


def test_what_is_absent_is_none_and_not_zero() -> None:
    seen = values.read_observation(wire.Observation(ending=wire.ENDING_EXITED), 1)
    assert seen.exit_code is None
    assert seen.signal is None
    assert seen.verdict is None
    assert (seen.columns, seen.rows, seen.cwd) == ((), (), "")


CELLS: list[tuple[dict[str, Any], values.Cell]] = [
    ({}, None),
    ({"integer": -1}, -1),
    ({"integer": 0}, 0),
    ({"unsigned_integer": 2**64 - 1}, 2**64 - 1),
    ({"real": 0.5}, 0.5),
    ({"decimal": "1.10"}, "1.10"),
    ({"text": ""}, ""),
    ({"binary": b"\xff"}, b"\xff"),
    ({"temporal": "2026-01-01"}, "2026-01-01"),
]


@pytest.mark.parametrize(("fields", "value"), CELLS)
def test_every_type_of_cell_is_read_and_null_is_none(
    fields: dict[str, Any], value: values.Cell
) -> None:
    message = wire.Observation(
        ending=wire.ENDING_EXITED,
        sql=wire.SqlDetail(
            results=[
                wire.SqlResult(columns=["other"]),
                wire.SqlResult(
                    columns=["a"],
                    rows=[wire.SqlRow(values=[wire.SqlValue(**fields)])],
                    affected_rows=1,
                    last_insert_id=2,
                    warnings=3,
                ),
            ],
            errno=1064,
            sqlstate="42000",
        ),
    )
    seen = values.read_observation(message, 1)
    assert (seen.columns, seen.rows) == (("a",), ((value,),))
    assert len(seen.results) == 2
    last = seen.results[-1]
    assert (last.affected_rows, last.last_insert_id, last.warnings) == (1, 2, 3)
    assert (seen.errno, seen.sqlstate) == (1064, "42000")


def test_every_type_of_cell_of_the_wire_is_tested_here() -> None:
    tested = {field for fields, _ in CELLS for field in fields}
    assert tested == {field.name for field in wire.SqlValue.DESCRIPTOR.fields}


def test_a_program_s_result_is_read() -> None:
    message = wire.ExecResponse(
        stdout=b"o", stderr=b"e", exit_code=3, truncated=True, timed_out=True,
        run_duration=Duration(nanos=500_000_000),
    )  # fmt: skip
    assert dataclasses.astuple(values.read_exec_result(message)) == (b"o", b"e", 3, True, True, 0.5)


def test_init_results_are_read() -> None:
    message = wire.InitResult(
        exit_code=3, stdout_tail=b"o", stderr_tail=b"e", timed_out=True,
        run_duration=Duration(seconds=2),
    )  # fmt: skip
    assert values.read_init_results([message]) == (values.InitResult(3, b"o", b"e", 2.0, True),)


@pytest.mark.parametrize("state", ["READY", "BUSY", "BROKEN"])
def test_a_session_is_read(state: str) -> None:
    message = wire.Session(
        name="sessions/a",
        kind="shell",
        backend="real",
        state=wire.SessionState.Value(f"SESSION_STATE_{state}"),
        last_step_index=3,
        create_time=Timestamp(seconds=1),
        idle_expire_time=Timestamp(seconds=2),
        expire_time=Timestamp(seconds=3),
    )
    assert dataclasses.astuple(values.read_session(message)) == (
        "sessions/a", "shell", "real", state.lower(), 3, 1.0, 2.0, 3.0,
    )  # fmt: skip


def test_a_kind_is_read() -> None:
    message = wire.Kind(
        name="shell",
        summary="A shell.",
        probe_suites=["cwd"],
        backends=[wire.Backend(name="real", can_exec=True, can_stream=True)],
    )
    backend = values.BackendInfo(
        "real", can_exec=True, can_interrupt=False, can_stream=True, has_state=False
    )
    assert values.read_kind(message) == values.KindInfo("shell", "A shell.", (backend,), ("cwd",))


def test_values_cannot_be_changed() -> None:
    seen = values.read_observation(wire.Observation(ending=wire.ENDING_EXITED), 1)
    with pytest.raises(dataclasses.FrozenInstanceError):
        seen.text = "x"  # type: ignore[misc]
