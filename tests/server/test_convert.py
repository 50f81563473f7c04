"""Between the wire and the values: every bad field gets a sentence, every good one arrives."""

from __future__ import annotations

import dataclasses
import re
import uuid
from contextlib import AbstractAsyncContextManager
from decimal import Decimal
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration

from plumb.v1 import environment_pb2 as wire
from plumb_backends.environment import (
    Action,
    Ending,
    Observation,
    ProbeResult,
    ProgramResult,
    Provenance,
    ShellDetail,
    SqlCell,
    SqlDetail,
    SqlResult,
    Temporal,
)
from plumb_backends.errors import InvalidInput, PlumbError, UnknownBackend, UnknownKind
from plumb_backends.kinds.shell import ShellOptions
from plumb_backends.registry import Backend, Provider, all_kinds
from plumb_backends.simulated.options import ReplayOptions
from plumb_fidelity.verdict import Verdict
from plumb_server import convert

ENDINGS_OF_THE_WIRE = list(wire.Ending.keys())
MIB = 1024 * 1024


def creation(**fields: Any) -> wire.CreateSessionRequest:
    return wire.CreateSessionRequest(**({"kind": "shell", "backend": "real"} | fields))


def seconds(number: float) -> Duration:
    duration = Duration()
    duration.FromNanoseconds(round(number * 1e9))
    return duration


BAD_CREATIONS: dict[str, tuple[dict[str, Any], type[PlumbError], str, str]] = {
    # what is wrong: the fields, the error, what the sentence names, and the mend
    "no kind": ({"kind": ""}, UnknownKind, "''", "use one of: .*shell"),
    "unknown kind": ({"kind": "bash"}, UnknownKind, "'bash'", "use one of: .*shell"),
    "unknown backend": ({"backend": "fake"}, UnknownBackend, "'fake'", "use one of: .*real"),
    "long request_id": (
        {"request_id": "x" * 129},
        InvalidInput,
        "request_id has 129",
        "at most 128",
    ),
    "init not UTF-8": (
        {"init": [b"true", b"a\xffb"]},
        InvalidInput,
        "init script 2 .*byte 1 is 0xff",
        "printf",
    ),
    "init with NUL": ({"init": [b"a\0b"]}, InvalidInput, "init script 1 holds a NUL", "printf"),
    "257 scripts": (
        {"init": [b"true"] * 257},
        InvalidInput,
        "257 scripts, at most 256",
        "join some",
    ),
    "large scripts": ({"init": [b"#" * MIB, b"#"]}, InvalidInput, f"{MIB + 1} bytes", "image"),
    "no init_timeout": (
        {"init_timeout": seconds(0)},
        InvalidInput,
        "init_timeout is 0 s",
        "more than 0 s, at most 3600 s",
    ),
    "negative init_timeout": (
        {"init_timeout": seconds(-1)},
        InvalidInput,
        "init_timeout is -1 s",
        "more than 0 s",
    ),
    "long init_timeout": (
        {"init_timeout": seconds(3601)},
        InvalidInput,
        "init_timeout is 3601 s",
        "at most 3600 s",
    ),
    "mysql of a shell": (
        {"mysql": wire.MysqlOptions()},
        InvalidInput,
        "mysql .*kind 'shell'",
        "leave it out",
    ),
    "simulator of a real one": (
        {"simulator": wire.SimulatorOptions()},
        InvalidInput,
        "simulator .*backend 'real'",
        "leave it out",
    ),
    "observe of a real one": (
        {"observe": "real"},
        InvalidInput,
        "observe is 'real'.*'real' has one",
        "leave it out",
    ),
    "replicas of a real one": (
        {"replicas": 3},
        InvalidInput,
        "replicas is 3.*'real' compares nothing",
        "leave it out",
    ),
    "too many replicas of a pair": (
        {
            "backend": "paired",
            "simulator": wire.SimulatorOptions(model="baseline:always_empty"),
            "replicas": 11,
        },
        InvalidInput,
        "replicas is 11",
        "use 1 to 10",
    ),
    "hostname": (
        {"shell": wire.ShellOptions(hostname="-a")},
        InvalidInput,
        "hostname is '-a'",
        "letters, digits and hyphens",
    ),
    "long hostname": (
        {"shell": wire.ShellOptions(hostname="a" * 64)},
        InvalidInput,
        "hostname is 'aaa",
        "1 to 63",
    ),
    "hostname with newline": (
        {"shell": wire.ShellOptions(hostname="a\n")},
        InvalidInput,
        r"hostname is 'a\\n'",
        "1 to 63",
    ),
    "small text": (
        {"shell": wire.ShellOptions(max_text_bytes=1023)},
        InvalidInput,
        "max_text_bytes is 1023",
        "use 1024 to 1048576",
    ),
    "negative text": (
        {"shell": wire.ShellOptions(max_text_bytes=-1)},
        InvalidInput,
        "max_text_bytes is -1",
        "use 1024 to",
    ),
    "large text": (
        {"shell": wire.ShellOptions(max_text_bytes=MIB + 1)},
        InvalidInput,
        f"max_text_bytes is {MIB + 1}",
        "use 1024 to",
    ),
}


@pytest.mark.parametrize("what", BAD_CREATIONS)
def test_a_creation_with_a_bad_field_is_refused_with_the_value_and_the_mend(what: str) -> None:
    fields, error, names, mend = BAD_CREATIONS[what]
    with pytest.raises(error) as caught:
        convert.spec_from_wire(creation(**fields), str(uuid.uuid4()))
    assert type(caught.value) is error
    assert re.search(names, str(caught.value)), caught.value
    assert re.search(mend, str(caught.value)), caught.value
    assert "\n" not in str(caught.value)


def test_a_creation_arrives_with_all_its_fields() -> None:
    spec = convert.spec_from_wire(
        creation(
            init=[b"echo \xc3\xa4", b"true"],
            tolerate_init_failures=True,
            init_timeout=seconds(7.5),
            shell=wire.ShellOptions(
                image="i:1", hostname="box-1", dumb_terminal=True, max_text_bytes=2048
            ),
        ),
        "the-id",
    )
    assert (spec.kind, spec.backend, spec.session_id) == ("shell", "real", "the-id")
    assert spec.grounding.scripts == ("echo ä", "true")
    assert spec.grounding.tolerate_failures
    assert spec.grounding.timeout == 7.5
    assert spec.options == ShellOptions(
        image="i:1", hostname="box-1", dumb_terminal=True, max_text_bytes=2048
    )


def test_what_a_creation_leaves_out_takes_the_defaults_of_the_proto() -> None:
    spec = convert.spec_from_wire(wire.CreateSessionRequest(kind="shell"), "the-id")
    assert spec.backend == "real"
    assert spec.grounding.timeout == 120
    assert not spec.grounding.tolerate_failures
    assert spec.options == ShellOptions(hostname="sandbox", max_text_bytes=65536)


def test_the_limits_of_a_creation_themselves_are_allowed() -> None:
    request = creation(
        request_id="x" * 128,
        init=[b"#" * (MIB - 255), *[b"#"] * 255],
        init_timeout=seconds(3600),
        shell=wire.ShellOptions(hostname="a" * 63, max_text_bytes=MIB),
    )
    assert len(convert.spec_from_wire(request, "x").grounding.scripts) == 256


@pytest.mark.parametrize("bad", [-1, 0, 0.999, 86400.1])
def test_an_idle_timeout_out_of_range_is_refused(bad: float) -> None:
    with pytest.raises(InvalidInput, match=r"idle_timeout is .* s; use 1 s, at most 86400 s"):
        convert.idle_timeout_from_wire(creation(idle_timeout=seconds(bad)))


@pytest.mark.parametrize("good", [1, 86400])
def test_an_idle_timeout_arrives(good: float) -> None:
    assert convert.idle_timeout_from_wire(creation(idle_timeout=seconds(good))) == good
    assert convert.idle_timeout_from_wire(creation()) is None


def test_an_action_arrives_byte_for_byte_with_its_timeout() -> None:
    request = wire.StepRequest(action=b"echo \xff\x00", timeout=seconds(0.25))
    assert convert.action_from_wire(request) == Action(b"echo \xff\x00", timeout=0.25)
    assert convert.action_from_wire(wire.StepRequest()) == Action(b"", timeout=30)
    assert convert.action_from_wire(wire.StepRequest(timeout=seconds(600))).timeout == 600


@pytest.mark.parametrize("bad", [-5, 0, 600.001, 10**10])
def test_a_timeout_out_of_range_is_refused(bad: float) -> None:
    for read in (
        lambda: convert.action_from_wire(wire.StepRequest(timeout=seconds(bad))),
        lambda: convert.program_from_wire(wire.ExecRequest(argv=["a"], timeout=seconds(bad))),
    ):
        with pytest.raises(InvalidInput, match=r"timeout is .* use more than 0 s, at most 600 s"):
            read()


def test_an_action_of_one_mebibyte_is_allowed_and_one_byte_more_is_not() -> None:
    assert convert.action_from_wire(wire.StepRequest(action=b"#" * MIB))
    with pytest.raises(InvalidInput, match=f"has {MIB + 1} bytes, at most {MIB} .*in pieces"):
        convert.action_from_wire(wire.StepRequest(action=b"#" * (MIB + 1)))


BAD_PROGRAMS: dict[str, tuple[dict[str, Any], str]] = {
    "no argv": ({"argv": []}, "argv is empty; give the program"),
    "empty program": ({"argv": ["", "a"]}, "argv is empty; give the program"),
    "large argv": ({"argv": ["a", "ä" * (MIB // 2)]}, "argv has more than .*pass data on stdin"),
    "large stdin": ({"stdin": b"a" * (MIB + 1)}, f"stdin has {MIB + 1} bytes, at most"),
    "relative cwd": ({"cwd": "tmp"}, "cwd is 'tmp'; give an absolute path"),
    "NUL in argv": ({"argv": ["a", "b\0c"]}, r"'b\\x00c' holds a NUL .*leave it out"),
    "NUL in cwd": ({"cwd": "/\0"}, "holds a NUL"),
    "NUL in user": ({"user": "\0"}, "holds a NUL"),
    "NUL in env": ({"env": {"A": "\0"}}, "holds a NUL"),
    "env without a name": ({"env": {"": "a"}}, "'' is not a name of an environment variable"),
    "env name with =": ({"env": {"A=B": "a"}}, "'A=B' is not a name of an environment variable"),
}


@pytest.mark.parametrize("what", BAD_PROGRAMS)
def test_a_program_with_a_bad_field_is_refused_with_the_value_and_the_mend(what: str) -> None:
    fields, sentence = BAD_PROGRAMS[what]
    with pytest.raises(InvalidInput, match=sentence):
        convert.program_from_wire(wire.ExecRequest(**({"argv": ["true"]} | fields)))


def test_a_program_arrives_with_all_its_fields() -> None:
    program = convert.program_from_wire(
        wire.ExecRequest(
            argv=["wc", "-c"],
            stdin=b"\x00\xff",
            env={"A": "b=c"},
            cwd="/tmp",
            user="nobody",
            timeout=seconds(3),
        )
    )
    assert program.argv == ("wc", "-c")
    assert program.stdin == b"\x00\xff"
    assert program.env == {"A": "b=c"}
    assert (program.cwd, program.user, program.timeout) == ("/tmp", "nobody", 3)


@pytest.mark.parametrize("ending", Ending)
def test_every_ending_has_its_name_on_the_wire(ending: Ending) -> None:
    message = convert.observation_to_wire(
        Observation(text="", ending=ending, provenance=Provenance(backend="real"))
    )
    assert wire.Ending.Name(message.ending) == f"ENDING_{ending.name}"


def recording(turn: wire.RecordedTurn) -> wire.CreateSessionRequest:
    played = wire.ReplayOptions(recordings=[wire.Recording(turns=[turn])])
    return wire.CreateSessionRequest(kind="shell", backend="replay", replay=played)


@pytest.mark.parametrize("ending", [None, *Ending])
def test_every_ending_of_a_recording_is_read(ending: Ending | None) -> None:
    sent = wire.RecordedTurn(action=b"a", text="b", errno=0, cwd="/srv")
    if ending is not None:
        sent.ending = wire.Ending.Value(f"ENDING_{ending.name}")
    spec = convert.spec_from_wire(recording(sent), "x")
    assert isinstance(spec.backend_options, ReplayOptions)
    read = spec.backend_options.recordings[0][0]
    assert (read.ending, read.errno, read.cwd, read.exit_code) == (ending, 0, "/srv", None)


def test_an_ending_that_there_is_not_is_refused() -> None:
    turn = wire.RecordedTurn(action=b"a", ending=99)  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="ending is 99; use one of the enum Ending"):
        convert.spec_from_wire(recording(turn), "x")


def test_every_ending_of_the_wire_can_be_sent() -> None:
    on_the_wire = {name.removeprefix("ENDING_") for name in ENDINGS_OF_THE_WIRE} - {"UNSPECIFIED"}
    assert on_the_wire == {ending.name for ending in Ending}


def test_every_field_of_an_observation_arrives() -> None:
    observation = Observation(
        text="ä",
        raw=b"\xff",
        ending=Ending.SIGNALED,
        exit_code=137,
        signal=9,
        truncated=True,
        total_bytes=2**40,
        run_duration=1.25,
        shell=ShellDetail(cwd="/srv", user="root", host="box", restarted=True),
        provenance=Provenance(
            backend="simulated",
            model="m",
            strategy="naive",
            cassette_hit=True,
            attempts=2,
            prompt_tokens=2**33,
            completion_tokens=4,
            rejections=("fence", "echo"),
            dropped_turns=5,
            prompt_hash="abc",
            thought="hm",
            cost_usd=0.5,
            tool_calls=6,
        ),
        verdict=Verdict("EMPTY", ("EMPTY", "OMITTED"), ("line",)),
        counterpart=Observation(
            text="other", ending=Ending.EXITED, provenance=Provenance(backend="real")
        ),
    )
    message = convert.observation_to_wire(observation)
    for field in dataclasses.fields(Observation):
        if field.name not in (
            *("ending", "run_duration", "shell", "sql", "provenance"),
            *("verdict", "counterpart"),
        ):
            assert getattr(message, field.name) == getattr(observation, field.name), field.name
    assert message.run_duration.ToNanoseconds() == 1_250_000_000
    assert message.counterpart.text == "other"
    assert not message.counterpart.HasField("counterpart")
    for part in ("shell", "provenance", "verdict"):
        value = getattr(observation, part)
        for field in dataclasses.fields(value):
            arrived, sent = getattr(getattr(message, part), field.name), getattr(value, field.name)
            assert (tuple(arrived) if isinstance(sent, tuple) else arrived) == sent


SQL = SqlDetail(
    results=(
        SqlResult(columns=("a",), rows=((1,),), total_rows=9, warnings=2),
        SqlResult(affected_rows=3, last_insert_id=2**40),
    ),
    errno=1146,
    sqlstate="42S02",
    reconnected=True,
)


def test_every_field_of_an_sql_action_arrives() -> None:
    message = convert.observation_to_wire(
        Observation(text="", ending=Ending.EXITED, provenance=Provenance(backend="real"), sql=SQL)
    ).sql
    assert (message.errno, message.sqlstate, message.reconnected) == (1146, "42S02", True)
    rows, ok = message.results
    assert (list(rows.columns), rows.total_rows, rows.warnings) == (["a"], 9, 2)
    assert (ok.affected_rows, ok.last_insert_id, list(ok.columns)) == (3, 2**40, [])


@pytest.mark.parametrize(
    ("cell", "field", "value"),
    [
        (None, None, None),
        (-(2**63), "integer", -(2**63)),
        (2**63 - 1, "integer", 2**63 - 1),
        (2**63, "unsigned_integer", 2**63),
        (1.5, "real", 1.5),
        (Decimal("1.50"), "decimal", "1.50"),
        (Decimal("1E-9"), "decimal", "0.000000001"),
        ("ä", "text", "ä"),
        (b"\xff", "binary", b"\xff"),
        (Temporal("0000-00-00"), "temporal", "0000-00-00"),
    ],
)
def test_a_cell_arrives_as_its_type(cell: SqlCell, field: str | None, value: object) -> None:
    detail = SqlDetail(results=(SqlResult(columns=("a",), rows=((cell,),), total_rows=1),))
    message = convert.observation_to_wire(
        Observation(
            text="", ending=Ending.EXITED, provenance=Provenance(backend="real"), sql=detail
        )
    )
    (sent,) = message.sql.results[0].rows[0].values
    assert sent.WhichOneof("value") == field
    assert field is None or getattr(sent, field) == value


def test_what_an_observation_does_not_have_is_absent_and_not_zero() -> None:
    message = convert.observation_to_wire(
        Observation(text="", ending=Ending.EXITED, provenance=Provenance(backend="real"))
    )
    for field in ("exit_code", "signal", "shell", "sql", "verdict"):
        assert not message.HasField(field)
    zero = convert.observation_to_wire(
        Observation(text="", ending=Ending.EXITED, exit_code=0, provenance=Provenance(backend="r"))
    )
    assert zero.HasField("exit_code")


def test_every_field_of_a_program_s_result_arrives() -> None:
    message = convert.program_result_to_wire(
        ProgramResult(
            stdout=b"\xff",
            stderr=b"e",
            exit_code=127,
            truncated=True,
            timed_out=True,
            run_duration=0.5,
        )
    )
    assert (message.stdout, message.stderr, message.exit_code) == (b"\xff", b"e", 127)
    assert message.truncated
    assert message.timed_out
    assert message.run_duration.ToNanoseconds() == 500_000_000


def test_init_results_keep_the_last_4096_bytes() -> None:
    (message,) = convert.init_results_to_wire(
        [
            ProgramResult(
                stdout=b"a" + b"b" * 4096, stderr=b"e", exit_code=3, timed_out=True, run_duration=2
            )
        ]
    )
    assert message.stdout_tail == b"b" * 4096
    assert message.stderr_tail == b"e"
    assert (message.exit_code, message.timed_out, message.run_duration.seconds) == (3, True, 2)


def test_the_answer_to_a_probe_is_sorted_by_key() -> None:
    message = convert.probe_result_to_wire(ProbeResult("files", {"/b": "2", "/a": "1"}))
    assert [(entry.key, entry.value) for entry in message.entries] == [("/a", "1"), ("/b", "2")]
    assert not message.HasField("provenance")


def test_the_answer_of_a_model_to_a_probe_says_what_it_cost() -> None:
    paid = Provenance(backend="simulated", model="m", prompt_tokens=3, cost_usd=0.5)
    message = convert.probe_result_to_wire(ProbeResult("cwd", {}, paid))
    assert (message.provenance.prompt_tokens, message.provenance.cost_usd) == (3, 0.5)


def _never_opened(_: object, __: object) -> AbstractAsyncContextManager[Provider]:
    raise AssertionError


def test_a_kind_arrives_with_its_backends_and_what_they_can_do() -> None:
    message = convert.kind_to_wire(
        dataclasses.replace(all_kinds()["shell"], summary="A shell."),
        [
            Backend(
                kind="shell", name="real", open=_never_opened, settings_type=object, can_exec=True
            )
        ],
    )
    assert (message.name, message.summary) == ("shell", "A shell.")
    assert list(message.probe_suites) == ["cwd", "environment", "files"]
    (backend,) = message.backends
    assert backend == wire.Backend(name="real", can_exec=True, has_state=True)
