"""Bad input over raw gRPC: the right status, a sentence that helps, and nothing left behind."""

from __future__ import annotations

import dataclasses
import re
import uuid
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from plumb.v1 import environment_pb2 as wire

if TYPE_CHECKING:
    from tests.integration.service.conftest import Server

MIB = 1024 * 1024
INVALID = grpc.StatusCode.INVALID_ARGUMENT
PRECONDITION = grpc.StatusCode.FAILED_PRECONDITION
NOT_FOUND = grpc.StatusCode.NOT_FOUND
NOBODY = f"sessions/{uuid.UUID(int=1)}"


@dataclasses.dataclass(frozen=True)
class Case:
    """One bad call; `call` gets the stub and the name of a session that has done one step."""

    call: Callable[[Any, str], object]
    code: grpc.StatusCode
    reason: str
    says: str


def create(**fields: Any) -> Callable[[Any, str], object]:
    request = wire.CreateSessionRequest(**({"kind": "shell"} | fields))
    return lambda stub, _: stub.CreateSession(request)


def step(index: int = 2, action: bytes = b"true", **fields: Any) -> Callable[[Any, str], object]:
    return lambda stub, name: stub.Step(
        wire.StepRequest(name=name, step_index=index, action=action, **fields)
    )


def execute(**fields: Any) -> Callable[[Any, str], object]:
    return lambda stub, name: stub.Exec(
        wire.ExecRequest(**({"name": name, "argv": ["true"]} | fields))
    )


def of(name: str) -> list[tuple[str, Callable[[Any, str], object]]]:
    """Every call that names a session, but for the idempotent end."""
    return [
        ("GetSession", lambda stub, _: stub.GetSession(wire.GetSessionRequest(name=name))),
        ("ResetSession", lambda stub, _: stub.ResetSession(wire.ResetSessionRequest(name=name))),
        ("Step", lambda stub, _: stub.Step(wire.StepRequest(name=name, step_index=1))),
        ("StreamStep", lambda stub, _: list(stub.StreamStep(
            wire.StreamStepRequest(step=wire.StepRequest(name=name, step_index=1))))),
        ("Converse", lambda stub, _: list(stub.Converse(iter(
            [wire.ConverseRequest(step=wire.StepRequest(name=name, step_index=1))])))),
        ("Interrupt", lambda stub, _: stub.Interrupt(wire.InterruptRequest(name=name))),
        ("Exec", lambda stub, _: stub.Exec(wire.ExecRequest(name=name, argv=["true"]))),
        ("Probe", lambda stub, _: stub.Probe(wire.ProbeRequest(name=name, suite="cwd"))),
    ]  # fmt: skip


def stream(offset: int, index: int = 2) -> Callable[[Any, str], object]:
    return lambda stub, name: list(
        stub.StreamStep(
            wire.StreamStepRequest(
                step=wire.StepRequest(name=name, step_index=index, action=b"true"), offset=offset
            )
        )
    )


def converse_with_two(stub: Any, name: str) -> object:
    requests = [
        wire.ConverseRequest(step=wire.StepRequest(name=name, step_index=1, action=b"true")),
        wire.ConverseRequest(step=wire.StepRequest(name=NOBODY, step_index=1, action=b"true")),
    ]
    return list(stub.Converse(iter(requests)))


def listing(**fields: Any) -> Callable[[Any, str], object]:
    return lambda stub, _: stub.ListSessions(wire.ListSessionsRequest(**fields))


def seconds(number: int) -> Duration:
    return Duration(seconds=number)


CASES = {
    "unknown kind": Case(create(kind="bash"), INVALID, "UNKNOWN_KIND", "'bash'.*use one of.*shell"),
    "empty kind": Case(create(kind=""), INVALID, "UNKNOWN_KIND", "''.*use one of"),
    "very long kind": Case(create(kind="k" * MIB), INVALID, "UNKNOWN_KIND", "no kind 'kkk"),
    "unknown backend": Case(create(backend="fake"), INVALID, "UNKNOWN_BACKEND", "'fake'.*real"),
    "init not UTF-8": Case(
        create(init=[b"a\xff"]), INVALID, "INVALID_INPUT", "script 1.*0xff.*printf"
    ),
    "init with NUL": Case(create(init=[b"\0"]), INVALID, "INVALID_INPUT", "script 1 holds a NUL"),
    "too many scripts": Case(create(init=[b"true"] * 257), INVALID, "INVALID_INPUT", "257 scripts"),
    "10 MB of init": Case(
        create(init=[b"#" * 10_000_000]), INVALID, "INVALID_INPUT", "10000000 bytes"
    ),
    "init that fails": Case(
        create(init=[b"exit 3"]),
        PRECONDITION,
        "INIT_FAILED",
        r"script 1 \(exit 3\) ended with exit status 3",
    ),
    "init too long": Case(
        create(init=[b"sleep 600"], init_timeout=seconds(1)),
        PRECONDITION,
        "INIT_FAILED",
        r"script 1 \(sleep 600\) ran longer than 1 s",
    ),
    "negative init_timeout": Case(
        create(init_timeout=seconds(-1)),
        INVALID,
        "INVALID_INPUT",
        "init_timeout is -1 s; use more than 0 s",
    ),
    "short idle_timeout": Case(
        create(idle_timeout=seconds(0)),
        INVALID,
        "INVALID_INPUT",
        "idle_timeout is 0 s; use 1 s, at most 86400 s",
    ),
    "two kinds' options": Case(
        create(shell=wire.ShellOptions(), mysql=wire.MysqlOptions()),
        INVALID,
        "INVALID_INPUT",
        "option mysql does not apply to kind 'shell'; leave it out",
    ),
    "simulator of a real one": Case(
        create(simulator=wire.SimulatorOptions(model="m")),
        INVALID,
        "INVALID_INPUT",
        "simulator does not apply to backend 'real'",
    ),
    "observe of a real one": Case(
        create(observe="real"), INVALID, "INVALID_INPUT", "observe is 'real'"
    ),
    "hostname": Case(
        create(shell=wire.ShellOptions(hostname="a b")),
        INVALID,
        "INVALID_INPUT",
        "shell.hostname is 'a b'; use 1 to 63",
    ),
    "max_text_bytes": Case(
        create(shell=wire.ShellOptions(max_text_bytes=5)),
        INVALID,
        "INVALID_INPUT",
        "max_text_bytes is 5; use 1024 to 1048576",
    ),
    "long request_id": Case(create(request_id="x" * 200), INVALID, "INVALID_INPUT", "has 200 char"),
    "missing image": Case(
        create(shell=wire.ShellOptions(image="no-such-image:1")),
        PRECONDITION,
        "IMAGE_MISSING",
        "no-such-image:1.*(make|pull)",
    ),
    "bad image name": Case(
        create(shell=wire.ShellOptions(image="A B")),
        INVALID,
        "INVALID_INPUT",
        "invalid reference format",
    ),
    "index zero": Case(step(0), PRECONDITION, "STEP_OUT_OF_ORDER", "step_index is 0; .*expects 2"),
    "index negative": Case(step(-1), PRECONDITION, "STEP_OUT_OF_ORDER", "step_index is -1"),
    "index with a gap": Case(
        step(3), PRECONDITION, "STEP_OUT_OF_ORDER", "step_index is 3;.*expects 2"
    ),
    "index used": Case(
        step(1, b"other"), PRECONDITION, "STEP_MISMATCH", "step 1 .*use 2 for a new"
    ),
    "10 MB action": Case(
        step(action=b"#" * 10_000_000),
        INVALID,
        "INVALID_INPUT",
        "has 10000000 bytes, at most 1048576",
    ),
    "control character": Case(step(action=b"a\x03b"), INVALID, "INVALID_INPUT", "0x03 at byte 1"),
    "negative timeout": Case(
        step(timeout=seconds(-5)),
        INVALID,
        "INVALID_INPUT",
        "timeout is -5 s; use more than 0 s, at most 600 s",
    ),
    "zero timeout": Case(step(timeout=seconds(0)), INVALID, "INVALID_INPUT", "timeout is 0 s"),
    "long timeout": Case(step(timeout=seconds(601)), INVALID, "INVALID_INPUT", "timeout is 601 s"),
    "negative offset": Case(stream(-1), INVALID, "INVALID_INPUT", "offset is -1; use 0"),
    "stream out of order": Case(stream(0, 7), PRECONDITION, "STEP_OUT_OF_ORDER", "step_index is 7"),
    "two sessions in one conversation": Case(
        converse_with_two, INVALID, "INVALID_INPUT", f"not with '{NOBODY}'"
    ),
    "empty argv": Case(execute(argv=[]), INVALID, "INVALID_INPUT", "argv is empty; give"),
    "relative cwd": Case(execute(cwd="tmp"), INVALID, "INVALID_INPUT", "cwd is 'tmp'; give an abs"),
    "unknown user": Case(execute(user="nemo"), INVALID, "INVALID_INPUT", "nemo"),
    "exec timeout": Case(
        execute(timeout=seconds(1000)), INVALID, "INVALID_INPUT", "timeout is 1000 s"
    ),
    "unknown suite": Case(
        lambda stub, name: stub.Probe(wire.ProbeRequest(name=name, suite="x")),
        INVALID,
        "UNKNOWN_SUITE",
        "'x'.*use one of: cwd, environment, files",
    ),
    "empty suite": Case(
        lambda stub, name: stub.Probe(wire.ProbeRequest(name=name)),
        INVALID,
        "UNKNOWN_SUITE",
        "''.*use one of",
    ),
    "page_size": Case(listing(page_size=-1), INVALID, "INVALID_INPUT", "page_size is -1; use 1 to"),
    "large page_size": Case(listing(page_size=1001), INVALID, "INVALID_INPUT", "page_size is 1001"),
    "page_token": Case(
        listing(page_token="next"),
        INVALID,
        "INVALID_INPUT",
        "page_token is 'next'; use the next_page_token",
    ),
    "end of no session": Case(
        lambda stub, _: stub.DeleteSession(wire.DeleteSessionRequest(name="sessions/7")),
        INVALID,
        "INVALID_INPUT",
        "'sessions/7' is not a session name; use sessions/UUID",
    ),
}
CASES |= {
    f"{method} of an unknown session": Case(
        call, NOT_FOUND, "SESSION_NOT_FOUND", f"{NOBODY} was never created here; create a new"
    )
    for method, call in of(NOBODY)
}
CASES |= {
    f"{method} of an empty name": Case(call, INVALID, "INVALID_INPUT", "'' is not a session name")
    for method, call in of("")
}


@pytest.fixture(scope="module")
def name(server: Server) -> Iterator[str]:
    """A session that has done one step, which all cases share: none may change it."""
    from plumb.v1 import environment_pb2_grpc as wire_grpc

    with grpc.insecure_channel(server.address) as channel:
        stub: Any = wire_grpc.EnvironmentServiceStub(channel)
        made = stub.CreateSession(wire.CreateSessionRequest(kind="shell")).session.name
        stub.Step(wire.StepRequest(name=made, step_index=1, action=b"true"))
        yield str(made)
        stub.DeleteSession(wire.DeleteSessionRequest(name=made))


def sessions(stub: Any) -> list[tuple[str, int, int]]:
    listed = stub.ListSessions(wire.ListSessionsRequest()).sessions
    return [(session.name, session.state, session.last_step_index) for session in listed]


@pytest.mark.parametrize("what", CASES)
def test_it_is_refused_with_a_sentence_and_leaves_nothing_behind(
    what: str, server: Server, stub: Any, name: str
) -> None:
    case = CASES[what]
    before, containers = sessions(stub), server.containers()
    with pytest.raises(grpc.RpcError) as caught:
        case.call(stub, name)
    error: Any = caught.value
    assert error.code() is case.code, error
    status = rpc_status.from_call(error)
    assert status is not None
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    assert (info.domain, info.reason) == ("plumb.v1", case.reason)
    assert re.search(case.says, error.details(), re.DOTALL), error.details()
    assert sessions(stub) == before
    assert server.containers() == containers


def test_after_all_that_the_session_goes_on_where_it_was(stub: Any, name: str) -> None:
    seen = stub.Step(wire.StepRequest(name=name, step_index=2, action=b"echo still here"))
    assert seen.observation.text.strip() == "still here"


def test_the_end_of_a_session_that_is_not_there_succeeds(stub: Any) -> None:
    stub.DeleteSession(wire.DeleteSessionRequest(name=NOBODY))


def test_pages_give_every_session_once_oldest_first(stub: Any, name: str) -> None:
    made = [stub.CreateSession(wire.CreateSessionRequest(kind="shell")).session.name
            for _ in range(4)]  # fmt: skip
    found: list[str] = []
    token = ""
    while True:
        page = stub.ListSessions(wire.ListSessionsRequest(page_size=2, page_token=token))
        assert len(page.sessions) <= 2
        found += [session.name for session in page.sessions]
        token = page.next_page_token
        if not token:
            break
    assert found == [name, *made]
    for session in made:
        stub.DeleteSession(wire.DeleteSessionRequest(name=session))
