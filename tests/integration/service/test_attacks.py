"""What an agent with a token, or a peer without one, does to the server, and what that costs."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from plumb.v1 import environment_pb2 as wire
from plumb.v1 import environment_pb2_grpc as wire_grpc
from plumb.v1 import journal_pb2, journal_pb2_grpc

if TYPE_CHECKING:
    from tests.integration.service.conftest import Kit, Server, StartServer

MIB = 1024 * 1024
TOKEN = "operator-0123456789abcdef"
OPERATOR = (("authorization", f"Bearer {TOKEN}"),)
HOSTILE = ["\x1b[2J\r\nforged", "\u202e\u2028x", "\0", "sessions/../../etc", "x" * MIB]
NOBODY = f"sessions/{uuid.UUID(int=1)}"


class Attacker:
    """An operator's session, and the agent in it.

    Attributes:
        name: The session's.
        stub: To the server.
        agent: The metadata of the agent's calls.
    """

    def __init__(self, stub: Any, **fields: Any) -> None:
        self.stub = stub
        request = wire.CreateSessionRequest(kind="shell", **fields)
        made = stub.CreateSession(request, metadata=OPERATOR, timeout=120)
        self.name = made.session.name
        self.replayed = made.replayed
        self.agent = (("authorization", f"Bearer {made.agent_token}"),)
        self.index = made.session.last_step_index

    def request(self, action: bytes, **fields: Any) -> wire.StepRequest:
        return wire.StepRequest(
            name=self.name,
            step_index=self.index + 1,
            action=action,
            nonce=uuid.uuid4().hex,
            **fields,
        )

    def step(self, action: bytes, **fields: Any) -> wire.Observation:
        return self.take(self.request(action, **fields))

    def take(self, request: wire.StepRequest) -> wire.Observation:
        response = self.stub.Step(request, metadata=self.agent, timeout=120)
        self.index = response.step_index
        observation: wire.Observation = response.observation
        return observation

    def session(self) -> wire.Session:
        request = wire.GetSessionRequest(name=self.name)
        session: wire.Session = self.stub.GetSession(request, metadata=OPERATOR).session
        return session


@contextmanager
def connected(server: Server) -> Iterator[Any]:
    with grpc.insecure_channel(server.address) as channel:
        yield wire_grpc.EnvironmentServiceStub(channel)


@pytest.fixture(scope="module")
def attacked(kit: type[Kit], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose sessions may write 1 MiB into the journal."""
    server = kit.Server(
        tmp_path_factory.mktemp("server"), PLUMB_TOKEN=TOKEN, PLUMB_LOG_LEVEL="DEBUG",
        PLUMB_SESSION_JOURNAL_BYTES=str(MIB),
    )  # fmt: skip
    yield server
    assert server.stop() == 0
    assert not server.containers()
    assert not server.complaints()
    for line in server.log().splitlines():
        assert line.isprintable()
        json.loads(line)


@pytest.fixture
def stub(attacked: Server) -> Iterator[Any]:
    with connected(attacked) as stub:
        yield stub


def reason(error: grpc.RpcError) -> error_details_pb2.ErrorInfo:
    status = rpc_status.from_call(error)
    info = error_details_pb2.ErrorInfo()
    status.details[0].Unpack(info)
    return info


def refused(call: Callable[[], object]) -> tuple[grpc.StatusCode, str, error_details_pb2.ErrorInfo]:
    with pytest.raises(grpc.RpcError) as told:
        call()
    error: Any = told.value
    return error.code(), error.details(), reason(error)


def resident(server: Server) -> int:
    """The most memory that a server has had, in bytes."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


PRINTS = b"head -c 60000 /dev/zero | tr '\\0' x"


def until_refused(attacker: Attacker, action: bytes) -> error_details_pb2.ErrorInfo:
    for _ in range(40):
        try:
            attacker.step(action)
        except grpc.RpcError as error:
            return reason(error)
    raise AssertionError("it was never refused")


@pytest.mark.parametrize("action", [PRINTS, b": " + b"x" * 400_000], ids=["outputs", "actions"])
def test_an_agent_that_fills_the_journal_ends_its_own_session_with_a_reason(
    attacked: Server, stub: Any, action: bytes
) -> None:
    attacker, neighbour = Attacker(stub), Attacker(stub)
    first = attacker.request(b"echo first")
    attacker.take(first)
    told = until_refused(attacker, action)
    assert (told.reason, told.metadata["limit"]) == ("LIMIT_REACHED", "PLUMB_SESSION_JOURNAL_BYTES")
    assert attacker.take(first).text == "first\n"  # what was answered stays answered
    assert neighbour.step(b"echo hi").text == "hi\n"
    with grpc.insecure_channel(attacked.address) as channel:
        journal = journal_pb2_grpc.JournalServiceStub(channel)
        request = journal_pb2.GetJournaledSessionRequest(name=attacker.name)
        found = journal.GetJournaledSession(request, metadata=OPERATOR).session
    assert "PLUMB_SESSION_JOURNAL_BYTES" in found.end_reason
    assert found.journal_bytes >= MIB


def test_a_session_says_how_much_of_the_journal_it_has(stub: Any) -> None:
    attacker = Attacker(stub)
    assert attacker.session().journal_bytes == 0
    attacker.step(PRINTS)
    session = attacker.session()
    assert 100_000 < session.journal_bytes < session.max_journal_bytes == MIB


def test_an_agent_has_few_calls_open_and_nobody_else_waits_for_them(stub: Any) -> None:
    attacker, neighbour = Attacker(stub), Attacker(stub)
    request = wire.StreamStepRequest(
        step=attacker.request(b"echo begun; sleep 600", timeout=Duration(seconds=600))
    )
    readers = [stub.StreamStep(request, metadata=attacker.agent) for _ in range(8)]
    for reader in readers:
        assert next(reader).chunk.data
    code, says, info = refused(lambda: next(stub.StreamStep(request, metadata=attacker.agent)))
    assert (code, info.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "LIMIT_REACHED")
    assert "8 calls open" in says
    code, _, _ = refused(lambda: list(stub.Converse(iter(()), metadata=attacker.agent)))
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert neighbour.step(b"echo hi").text == "hi\n"
    for reader in readers:
        reader.cancel()
    interrupted = stub.Interrupt(
        wire.InterruptRequest(name=attacker.name), metadata=OPERATOR, timeout=120
    )
    assert (interrupted.interrupted, interrupted.ended, interrupted.step_index) == (True, True, 1)
    assert interrupted.observation.ending == wire.ENDING_INTERRUPTED
    assert interrupted.observation.text.startswith("begun\n")
    attacker.index = 1
    assert attacker.step(b"echo free again").text == "free again\n"


def test_a_peer_without_a_token_cannot_make_the_server_read_its_messages(
    attacked: Server, stub: Any
) -> None:
    neighbour = Attacker(stub)
    large = wire.StepRequest(name=NOBODY, action=b"x" * 15 * MIB)
    before = resident(attacked)
    calls = [stub.Step.future(large, timeout=120) for _ in range(40)]
    for call in calls:
        assert call.code() is grpc.StatusCode.UNAUTHENTICATED
    assert resident(attacked) - before < 200 * MIB
    assert neighbour.step(b"echo hi").text == "hi\n"


def test_an_agent_that_never_reads_its_answers_costs_no_memory(attacked: Server, stub: Any) -> None:
    attacker = Attacker(stub)
    again = attacker.request(PRINTS)
    attacker.take(again)
    before = resident(attacked)
    requests = (wire.ConverseRequest(step=again) for _ in range(5000))
    conversations = [stub.Converse(requests, metadata=attacker.agent) for _ in range(4)]
    neighbour = Attacker(stub)
    for _ in range(20):
        assert neighbour.step(b"echo hi").text == "hi\n"
    assert resident(attacked) - before < 100 * MIB
    for conversation in conversations:
        conversation.cancel()


def named(name: str) -> Sequence[tuple[str, Any]]:
    return (
        ("GetSession", wire.GetSessionRequest(name=name)),
        ("ResetSession", wire.ResetSessionRequest(name=name)),
        ("DeleteSession", wire.DeleteSessionRequest(name=name)),
        ("Interrupt", wire.InterruptRequest(name=name)),
        ("Probe", wire.ProbeRequest(name=name, suite=name)),
        ("Exec", wire.ExecRequest(name=name, argv=["true"])),
        ("Step", wire.StepRequest(name=name, step_index=1, action=b"true")),
        ("ListSessions", wire.ListSessionsRequest(page_token=name)),
        ("CreateSession", wire.CreateSessionRequest(kind=name)),
        ("CreateSession", wire.CreateSessionRequest(kind="shell", backend=name)),
        ("CreateSession", wire.CreateSessionRequest(kind="shell", request_id=name + "\n")),
        ("CreateSession", wire.CreateSessionRequest(
            kind="shell", shell=wire.ShellOptions(image=name + "\n"))),
        ("CreateSession", wire.CreateSessionRequest(
            kind="shell", shell=wire.ShellOptions(hostname=name))),
        ("CreateSession", wire.CreateSessionRequest(
            kind="shell", backend="simulated", simulator=wire.SimulatorOptions(model=name + "\n"))),
        ("CreateSession", wire.CreateSessionRequest(
            kind="mysql", mysql=wire.MysqlOptions(database=name))),
        ("CreateSession", wire.CreateSessionRequest(
            kind="shell", replay_from=wire.ReplayFrom(session=name))),
    )  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE, ids=["controls", "marks", "NUL", "path", "1 MiB"])
def test_a_hostile_name_is_refused_with_one_short_line(stub: Any, name: str) -> None:
    for method, request in named(name):
        code, says, _ = refused(
            lambda method=method, request=request: getattr(stub, method)(  # type: ignore[misc]
                request, metadata=OPERATOR, timeout=120
            )
        )
        assert code is grpc.StatusCode.INVALID_ARGUMENT, (method, says)
        assert says.isprintable(), method
        assert len(says) < 2000, method


@pytest.mark.parametrize(
    ("duration", "shown"),
    [
        (Duration(seconds=-(2**63)), "-9.22337e"),
        (Duration(seconds=2**63 - 1), "9.22337e"),
        (Duration(nanos=-1), "-1e-09"),
        (Duration(seconds=600, nanos=2**31 - 1), "602.147"),
        (Duration(), "is 0 s"),
    ],
    ids=["least", "most", "below zero", "too many nanos", "zero"],
)
def test_an_impossible_time_is_refused_and_the_step_is_still_free(
    stub: Any, duration: Duration, shown: str
) -> None:
    request = wire.StepRequest(name=NOBODY, step_index=1, action=b"true", timeout=duration)
    code, says, _ = refused(lambda: stub.Step(request, metadata=OPERATOR))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert shown in says


@pytest.mark.parametrize(
    "fields",
    [
        {"init": [b""] * 1_000_000},
        {"backend": "simulated",
         "simulator": wire.SimulatorOptions(model="m", temperature=float("nan"))},
        {"backend": "simulated",
         "simulator": wire.SimulatorOptions(model="m", temperature=float("inf"))},
        {"shell": wire.ShellOptions(max_text_bytes=-(2**63))},
        {"replay_from": wire.ReplayFrom()},
        {"replay_from": wire.ReplayFrom(session=NOBODY, until_step=-1)},
        {"replay_from": wire.ReplayFrom(session=NOBODY)},
        {"replay_from": wire.ReplayFrom(session=NOBODY), "kind": "shell"},
    ],
)  # fmt: skip
def test_a_request_made_by_hand_is_refused_with_a_sentence(
    stub: Any, fields: dict[str, Any]
) -> None:
    fields = {"kind": "shell"} | fields if "replay_from" not in fields else fields
    code, says, _ = refused(
        lambda: stub.CreateSession(wire.CreateSessionRequest(**fields), metadata=OPERATOR)
    )
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert says.isprintable()


def test_two_callers_never_get_each_other_s_answers(stub: Any) -> None:
    shell = Attacker(stub)
    assert shell.step(b"echo $((++N))").text == "1\n"
    operators = wire.StepRequest(name=shell.name, step_index=2, action=b"echo $((++N))", nonce="op")
    assert shell.step(b"echo $((++N))").text == "2\n"
    code, says, info = refused(lambda: stub.Step(operators, metadata=OPERATOR))
    assert (code, info.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "STEP_OUT_OF_ORDER")
    assert "another nonce" in says
    operators.step_index = int(info.metadata["expected"])
    assert stub.Step(operators, metadata=OPERATOR).observation.text == "3\n"


def test_a_step_beside_a_running_one_hears_that_it_runs(stub: Any) -> None:
    shell = Attacker(stub)
    running = wire.StreamStepRequest(step=shell.request(b"echo begun; sleep 600"))
    reader = stub.StreamStep(running, metadata=shell.agent)
    assert next(reader).chunk.data
    reader.cancel()  # which leaves the stream, and not the action
    for index in (1, 2):
        again = wire.StepRequest(
            name=shell.name, step_index=index, action=running.step.action, nonce="n"
        )
        _, says, info = refused(lambda again=again: stub.Step(again, metadata=shell.agent))  # type: ignore[misc]
        assert info.reason == "STEP_IN_PROGRESS"
        assert info.metadata["expected"] == "2"
        assert "interrupt" in says
    ended = stub.Interrupt(wire.InterruptRequest(name=shell.name), metadata=OPERATOR, timeout=120)
    assert ended.observation.text.startswith("begun\n")
    shell.index = 1
    assert shell.step(b"echo on").text == "on\n"


def test_a_server_with_too_little_disk_refuses_what_is_new_before_it_is_full(
    start_server: StartServer,
) -> None:
    server = start_server(PLUMB_TOKEN=TOKEN, PLUMB_JOURNAL_RESERVE_BYTES=str(2**62))
    with connected(server) as stub:
        code, says, info = refused(lambda: Attacker(stub))
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert info.metadata["limit"] == "PLUMB_JOURNAL_RESERVE_BYTES"
    assert "bytes left" in says


def test_after_kill_9_an_agent_gets_its_answer_and_its_session_goes_on_by_replay(
    start_server: StartServer,
) -> None:
    server = start_server(PLUMB_TOKEN=TOKEN)
    with connected(server) as stub:
        shell = Attacker(stub, init=[b"mkdir /srv/x"])
        shell.step(b"cd /srv/x; N=7")
        shell.step(b"echo $N > n; head -c 8 /dev/urandom | od -An -tx1")
        asked = shell.request(b"pwd; false")
        shell.take(asked)
    server.kill()
    server = start_server(PLUMB_TOKEN=TOKEN)
    with ExitStack() as stack:
        stub = stack.enter_context(connected(server))
        again = stub.Step(asked, metadata=shell.agent, timeout=120).observation
        assert (again.text, again.exit_code) == ("/srv/x\n", 1)
        asked.nonce = "other"
        code, says, _ = refused(lambda: stub.Step(asked, metadata=shell.agent, timeout=120))
        assert code is grpc.StatusCode.NOT_FOUND
        assert "\n" not in says
        replay = wire.CreateSessionRequest(replay_from=wire.ReplayFrom(session=shell.name))
        made = stub.CreateSession(replay, metadata=OPERATOR, timeout=120)
        assert (made.replayed.steps, list(made.replayed.differing_steps)) == (3, [2])
        assert made.session.last_step_index == 3
        on = wire.StepRequest(
            name=made.session.name, step_index=4, action=b'echo "$PWD $N $(cat n)"', nonce="n"
        )
        token = (("authorization", f"Bearer {made.agent_token}"),)
        assert stub.Step(on, metadata=token, timeout=120).observation.text == "/srv/x 7 7\n"
        stub.DeleteSession(wire.DeleteSessionRequest(name=made.session.name), metadata=OPERATOR)
        until = wire.ReplayFrom(session=made.session.name, until_step=2)
        partly = stub.CreateSession(
            wire.CreateSessionRequest(replay_from=until), metadata=OPERATOR, timeout=120
        )
        assert (partly.session.last_step_index, partly.replayed.steps) == (2, 2)


def test_the_end_of_a_session_says_that_all_is_gone(stub: Any) -> None:
    shell = Attacker(stub)
    began = time.monotonic()
    gone = stub.DeleteSession(
        wire.DeleteSessionRequest(name=shell.name), metadata=OPERATOR, timeout=120
    )
    assert gone.not_removed == ""
    assert time.monotonic() - began < 120
