"""Who calls, and what they may: the operator everything, an agent the steps of its own session."""

from __future__ import annotations

import contextlib
import importlib
import itertools
import pkgutil
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any

import grpc
import pytest
import structlog
from google.protobuf.message_factory import GetMessageClass
from google.rpc import error_details_pb2
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2
from grpc_status import rpc_status

import plumb.v1
from plumb.v1 import (
    diagnosis_pb2_grpc,
    environment_pb2_grpc,
    fidelity_pb2_grpc,
    grounding_pb2_grpc,
    journal_pb2_grpc,
)
from plumb.v1 import environment_pb2 as wire
from plumb_backends.environment import Action, Ending, Observation, OutputSink, Provenance
from plumb_backends.errors import (
    InvalidInput,
    ModelRateLimited,
    ModelUnusable,
    NotRecorded,
    PlumbError,
    SandboxUnavailable,
    Unauthenticated,
)
from plumb_backends.registry import Backends, Grounded, Spec
from plumb_fidelity.verdict import Verdict
from plumb_server.auth import Authentication, Caller, Tokens
from plumb_server.interceptors import Guard
from plumb_server.journal import Journal
from plumb_server.service import EnvironmentService
from plumb_server.sessions import SessionLimits, Sessions, open_sessions

if TYPE_CHECKING:
    from tests.server.conftest import Kit

OPERATOR = "operator-0123456789-secret"
SESSION = "sessions/6f1c5d1e-0000-4000-8000-000000000001"
OTHER = "sessions/6f1c5d1e-0000-4000-8000-000000000002"
FOR_AGENTS = {"Step", "StreamStep", "Converse"}
FILES = [
    importlib.import_module(f"plumb.v1.{module.name}").DESCRIPTOR
    for module in pkgutil.iter_modules(plumb.v1.__path__)
    if module.name.endswith("_pb2")
]
METHODS = [
    method
    for file in FILES
    for service in file.services_by_name.values()
    for method in service.methods
]
REFLECTION = reflection_pb2.DESCRIPTOR.services_by_name["ServerReflection"].methods[0]
NAMES = [method.full_name for method in METHODS]


# Tokens.


@pytest.fixture
def tokens() -> Tokens:
    return Tokens(OPERATOR)


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_token_is_the_operator_s(tokens: Tokens, scheme: str) -> None:
    assert tokens.identify(f"{scheme} {OPERATOR}") == Caller()


def test_an_agent_s_token_names_its_session(tokens: Tokens) -> None:
    assert tokens.identify(f"Bearer {tokens.agent_token(SESSION)}") == Caller(SESSION)
    assert tokens.agent_token(SESSION) == tokens.agent_token(SESSION)
    assert tokens.agent_token(SESSION) != tokens.agent_token(OTHER)


def test_without_a_token_everybody_is_the_operator_and_agents_get_none() -> None:
    open_to_all = Tokens("")
    assert open_to_all.agent_token(SESSION) == ""
    for authorization in ("", "Bearer x", "Bearer ", "Basic x"):
        assert open_to_all.identify(authorization) == Caller()


def _flipped(token: str) -> str:
    return token[:-1] + ("0" if token[-1] != "0" else "1")


@pytest.mark.parametrize(
    "forge",
    [
        lambda tokens: "",
        lambda tokens: OPERATOR,
        lambda tokens: "Bearer",
        lambda tokens: "Bearer ",
        lambda tokens: f"Basic {OPERATOR}",
        lambda tokens: f"Bearer  {OPERATOR}",
        lambda tokens: f"Bearer {OPERATOR} ",
        lambda tokens: f"Bearer {OPERATOR[:-1]}",
        lambda tokens: f"Bearer {OPERATOR}x",
        lambda tokens: f"Bearer {OPERATOR.upper()}",
        lambda tokens: "Bearer \udcff☃",
        lambda tokens: f"Bearer {_flipped(tokens.agent_token(SESSION))}",
        lambda tokens: f"Bearer {tokens.agent_token(SESSION).removeprefix('plumb-agent.')}",
        lambda tokens: f"Bearer {tokens.agent_token(SESSION).replace('0001', '0002')}",
        lambda tokens: f"Bearer {tokens.agent_token(SESSION)}.x",
        lambda tokens: f"Bearer {Tokens(OPERATOR + chr(49)).agent_token(SESSION)}",  # of another
        lambda tokens: f"Bearer {Tokens('').agent_token(SESSION)}",
        lambda tokens: "Bearer plumb-agent..",
    ],
)
def test_whatever_else_is_sent_is_nobody_s_and_is_not_repeated(
    tokens: Tokens, forge: Callable[[Tokens], str]
) -> None:
    with pytest.raises(Unauthenticated) as caught:
        tokens.identify(forge(tokens))
    assert "0123456789" not in str(caught.value).lower()
    assert "6f1c5d1e" not in str(caught.value)


# A server with all its services, on the scripted environment.


class Wire:
    """Raw calls to a server, with whatever token."""

    def __init__(self, channel: grpc.aio.Channel, tokens: Tokens) -> None:
        self.channel = channel
        self.tokens = tokens
        self.stub: Any = environment_pb2_grpc.EnvironmentServiceStub(channel)

    async def session(self) -> str:
        request = wire.CreateSessionRequest(kind="shell")
        response = await self.stub.CreateSession(request, metadata=bearer(OPERATOR))
        assert response.agent_token == self.tokens.agent_token(response.session.name)
        return str(response.session.name)

    async def call(
        self, method: Any, metadata: Any, name: str = SESSION, *, is_read: bool = True
    ) -> list[Any]:
        """Calls a method of any shape with a message that names a session where it can.

        A conversation that is refused before its first message `is_read` sends none: a message that
        cannot be sent any more would put gRPC's own error in the place of the server's.
        """
        request: Any = GetMessageClass(method.input_type)()
        if "step" in request.DESCRIPTOR.fields_by_name:
            request.step.CopyFrom(wire.StepRequest(name=name, step_index=1, action=b"say a"))
        elif method.name == "Step":
            request.MergeFrom(wire.StepRequest(name=name, step_index=1, action=b"say a"))
        elif "name" in request.DESCRIPTOR.fields_by_name:
            request.name = name
        shape = {
            (False, False): self.channel.unary_unary,
            (False, True): self.channel.unary_stream,
            (True, True): self.channel.stream_stream,
        }[method.client_streaming, method.server_streaming]
        stub: Any = shape(
            f"/{method.containing_service.full_name}/{method.name}",
            request_serializer=type(request).SerializeToString,
            response_deserializer=GetMessageClass(method.output_type).FromString,
        )
        messages = iter([request]) if is_read else None
        call = stub(messages if method.client_streaming else request, metadata=metadata)
        return [reply async for reply in call] if method.server_streaming else [await call]


def bearer(token: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {token}"),)


class Judged:
    """A session of a pair whose simulated side thinks: what an agent must not see."""

    @staticmethod
    async def step(action: Action, *, on_output: OutputSink | None = None) -> Observation:
        if on_output:
            on_output(b"seen")
        told = Observation(
            text="other",
            ending=Ending.EXITED,
            provenance=Provenance(backend="simulated", model="hidden-model"),
        )
        return Observation(
            text="seen",
            ending=Ending.EXITED,
            exit_code=0,
            provenance=Provenance(backend="simulated", model="hidden-model", thought="hidden"),
            verdict=Verdict("WRONG_VALUE", ("WRONG_VALUE",), ("hidden",)),
            counterpart=told,
        )


@pytest.fixture
async def judged_sessions(
    kit: type[Kit], journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Sessions]:
    class Provider(kit.FakeProvider):  # type: ignore[name-defined,misc]
        async def create(self, spec: Spec) -> Grounded:
            grounded: Grounded = await super().create(spec)
            grounded.environment.step = Judged.step  # type: ignore[method-assign]
            return grounded

    backends = Backends({("shell", "real"): Provider()})
    async with open_sessions(backends, journal, SessionLimits(), sweep_interval=3600) as opened:
        yield opened


@pytest.fixture
async def served(judged_sessions: Sessions, tokens: Tokens) -> AsyncIterator[Wire]:
    server = grpc.aio.server(interceptors=[Guard(), Authentication(tokens)])
    environment_pb2_grpc.add_EnvironmentServiceServicer_to_server(
        EnvironmentService(judged_sessions, tokens.agent_token), server
    )
    grounding_pb2_grpc.add_GroundingServiceServicer_to_server(
        grounding_pb2_grpc.GroundingServiceServicer(),  # type: ignore[abstract]
        server,
    )
    fidelity_pb2_grpc.add_FidelityServiceServicer_to_server(
        fidelity_pb2_grpc.FidelityServiceServicer(),  # type: ignore[abstract]
        server,
    )
    journal_pb2_grpc.add_JournalServiceServicer_to_server(
        journal_pb2_grpc.JournalServiceServicer(),  # type: ignore[abstract]
        server,
    )
    diagnosis_pb2_grpc.add_DiagnosisServiceServicer_to_server(
        diagnosis_pb2_grpc.DiagnosisServiceServicer(),  # type: ignore[abstract]
        server,
    )
    health_pb2_grpc.add_HealthServicer_to_server(health.aio.HealthServicer(), server)
    reflection.enable_server_reflection([reflection.SERVICE_NAME], server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield Wire(channel, tokens)
    await server.stop(None)


async def refused(call: Any) -> tuple[grpc.StatusCode, str, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    status = rpc_status.from_call(caught.value)  # type: ignore[no-untyped-call,unused-ignore]
    assert status is not None
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    return caught.value.code(), info.reason, caught.value.details() or ""


@pytest.mark.parametrize("method", [*METHODS, REFLECTION], ids=[*NAMES, "reflection"])
@pytest.mark.parametrize(
    "metadata",
    [(), bearer("guess"), bearer(OPERATOR) * 2],
    ids=["no token", "a wrong one", "the right one twice"],
)
async def test_no_call_is_answered_without_a_token(
    served: Wire, kit: type[Kit], method: Any, metadata: Any
) -> None:
    code, reason, said = await kit.soon(refused(served.call(method, metadata, is_read=False)))
    assert (code, reason) == (grpc.StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED")
    assert "token" in said


@pytest.mark.parametrize(
    "method",
    [*[method for method in METHODS if method.name not in FOR_AGENTS], REFLECTION],
    ids=lambda method: method.full_name,
)
async def test_whatever_is_no_step_is_refused_to_an_agent_also_on_its_own_session(
    served: Wire, kit: type[Kit], judged_sessions: Sessions, method: Any
) -> None:
    name = await served.session()
    call = served.call(method, bearer(served.tokens.agent_token(name)), name, is_read=False)
    code, reason, said = await kit.soon(refused(call))
    assert (code, reason) == (grpc.StatusCode.PERMISSION_DENIED, "PERMISSION_DENIED")
    assert method.name in said
    assert [session.name for session in judged_sessions.list()] == [name]  # nothing was done


STEPS = [method for method in METHODS if method.name in FOR_AGENTS]


def test_an_agent_s_methods_are_three() -> None:
    assert {method.name for method in STEPS} == FOR_AGENTS


@pytest.mark.parametrize("method", STEPS, ids=lambda method: method.name)
@pytest.mark.parametrize("whose", ["of somebody else", "that never was", ""])
async def test_an_agent_takes_no_step_of_another_session(
    served: Wire, kit: type[Kit], judged_sessions: Sessions, method: Any, whose: str
) -> None:
    own, other = await served.session(), await served.session()
    name = {"of somebody else": other, "that never was": OTHER, "": ""}[whose]
    token = served.tokens.agent_token(own)
    code, reason, said = await kit.soon(refused(served.call(method, bearer(token), name)))
    assert (code, reason) == (grpc.StatusCode.PERMISSION_DENIED, "PERMISSION_DENIED")
    assert own in said
    assert [session.last_step_index for session in judged_sessions.list()] == [0, 0]


async def test_an_agent_s_conversation_cannot_turn_to_another_session(
    served: Wire, kit: type[Kit]
) -> None:
    own, other = await served.session(), await served.session()
    talk = served.stub.Converse(metadata=bearer(served.tokens.agent_token(own)))
    for name in (own, other):
        step = wire.StepRequest(name=name, step_index=1, action=b"say a")
        await talk.write(wire.ConverseRequest(step=step))
    assert (await kit.soon(talk.read())).step.observation.text == "seen"
    code, _, _ = await refused(kit.soon(talk.read()))
    assert code is grpc.StatusCode.PERMISSION_DENIED


def _observation(method: Any, replies: list[Any]) -> wire.Observation:
    last = replies[-1]
    found = last.step.observation if method.name == "Converse" else last.observation
    assert isinstance(found, wire.Observation)
    return found


@pytest.mark.parametrize("method", STEPS, ids=lambda method: method.name)
async def test_an_agent_sees_what_was_observed_and_not_how_true_it_is_or_whose(
    served: Wire, kit: type[Kit], method: Any
) -> None:
    name = await served.session()
    token = served.tokens.agent_token(name)
    seen = _observation(method, await kit.soon(served.call(method, bearer(token), name)))
    assert (seen.text, seen.exit_code, seen.ending) == ("seen", 0, wire.ENDING_EXITED)
    assert not {field.name for field, _ in seen.ListFields()} & {
        "verdict", "counterpart", "provenance",
    }  # fmt: skip
    assert b"hidden" not in seen.SerializeToString()


@pytest.mark.parametrize(
    ("agents", "operators"),
    list(itertools.product(STEPS, STEPS)),
    ids=lambda method: method.name,
)
async def test_the_operator_sees_all_of_a_step_that_its_agent_saw_a_part_of(
    served: Wire, kit: type[Kit], agents: Any, operators: Any
) -> None:
    name = await served.session()
    await kit.soon(served.call(agents, bearer(served.tokens.agent_token(name)), name))
    replies = await kit.soon(served.call(operators, bearer(OPERATOR), name))
    seen = _observation(operators, replies)
    assert seen.verdict.verdict == "WRONG_VALUE"
    assert seen.counterpart.text == "other"
    assert seen.provenance.thought == "hidden"


@pytest.mark.parametrize("method", STEPS, ids=lambda method: method.name)
async def test_an_agent_is_told_the_reason_of_a_model_s_failure_and_not_its_words(
    served: Wire, kit: type[Kit], monkeypatch: pytest.MonkeyPatch, method: Any
) -> None:
    async def fail(action: Action, *, on_output: OutputSink | None = None) -> Observation:
        error = ModelRateLimited("model 'hidden' wrote hidden", {"attempts": "hidden"})
        error.retry_after = 7.0
        raise error

    monkeypatch.setattr(Judged, "step", fail)
    name = await served.session()
    token = served.tokens.agent_token(name)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await kit.soon(served.call(method, bearer(token), name))
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "hidden" not in repr(caught.value) + repr(caught.value.trailing_metadata())
    _, reason, said = await kit.soon(refused(served.call(method, bearer(OPERATOR), name)))
    assert (reason, said) == ("MODEL_RATE_LIMITED", "model 'hidden' wrote hidden")


@pytest.mark.parametrize(
    "error",
    [
        SandboxUnavailable("the hidden side failed: it is gone", {"side": "hidden"}),
        InvalidInput("the hidden side failed: no such user", {"side": "hidden"}),
        InvalidInput("turn 2 is 'ls', and hidden has 'hidden' there", {"turn": "2"}),
        NotRecorded("hidden has no recording of this; it has: hidden"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_an_agent_is_not_told_that_there_is_a_pair_or_a_recording(
    served: Wire, kit: type[Kit], monkeypatch: pytest.MonkeyPatch, error: PlumbError
) -> None:
    async def fail(action: Action, *, on_output: OutputSink | None = None) -> Observation:
        raise error

    monkeypatch.setattr(Judged, "step", fail)
    name = await served.session()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await kit.soon(served.call(STEPS[0], bearer(served.tokens.agent_token(name)), name))
    assert "hidden" not in repr(caught.value) + repr(caught.value.trailing_metadata())
    _, _, said = await kit.soon(refused(served.call(STEPS[0], bearer(OPERATOR), name)))
    assert "hidden" in said


async def test_an_agent_is_not_told_how_a_step_of_an_ended_session_failed_or_why_it_ended(
    served: Wire, kit: type[Kit], monkeypatch: pytest.MonkeyPatch, judged_sessions: Sessions
) -> None:
    async def fail(action: Action, *, on_output: OutputSink | None = None) -> Observation:
        raise ModelUnusable("model 'hidden' wrote hidden")

    monkeypatch.setattr(Judged, "step", fail)
    name = await served.session()
    metadata = bearer(served.tokens.agent_token(name))
    step = wire.StepRequest(name=name, step_index=1, action=b"say a")
    await refused(served.stub.Step(step, metadata=metadata))
    await judged_sessions.delete(name, "its reset failed: model 'hidden' is unknown")
    for index in (1, 2):
        step.step_index = index
        code, reason, said = await refused(served.stub.Step(step, metadata=metadata))
        assert (code, reason) == (grpc.StatusCode.NOT_FOUND, "SESSION_NOT_FOUND")
        assert "hidden" not in said
        assert "hidden" in (await refused(served.stub.Step(step, metadata=bearer(OPERATOR))))[2]


async def test_an_agent_learns_the_next_index_by_asking_for_step_0_which_runs_nothing(
    served: Wire, judged_sessions: Sessions
) -> None:
    name = await served.session()
    metadata = bearer(served.tokens.agent_token(name))
    for expected in (1, 2):
        step = wire.StepRequest(name=name, step_index=0, action=b"say a")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await served.stub.Step(step, metadata=metadata)
        status = rpc_status.from_call(caught.value)  # type: ignore[no-untyped-call,unused-ignore]
        assert status is not None
        info = error_details_pb2.ErrorInfo()
        assert status.details[0].Unpack(info)
        assert (info.reason, info.metadata["expected"]) == ("STEP_OUT_OF_ORDER", str(expected))
        assert judged_sessions.list()[0].last_step_index == expected - 1
        step.step_index = expected
        await served.stub.Step(step, metadata=metadata)


async def test_after_its_session_an_agent_s_token_finds_nothing(served: Wire) -> None:
    name = await served.session()
    request = wire.DeleteSessionRequest(name=name)
    await served.stub.DeleteSession(request, metadata=bearer(OPERATOR))
    step = wire.StepRequest(name=name, step_index=1, action=b"say a")
    metadata = bearer(served.tokens.agent_token(name))
    code, reason, _ = await refused(served.stub.Step(step, metadata=metadata))
    assert (code, reason) == (grpc.StatusCode.NOT_FOUND, "SESSION_NOT_FOUND")


async def test_health_is_open_to_all(served: Wire) -> None:
    stub = health_pb2_grpc.HealthStub(served.channel)
    assert (await stub.Check(health_pb2.HealthCheckRequest())).status == 1


async def test_a_stream_of_health_that_would_stay_open_needs_a_token(
    served: Wire, kit: type[Kit]
) -> None:
    stub = health_pb2_grpc.HealthStub(served.channel)
    watch = stub.Watch(health_pb2.HealthCheckRequest())
    error = await kit.fails_soon(watch.read())
    assert isinstance(error, grpc.aio.AioRpcError)
    assert error.code() is grpc.StatusCode.UNAUTHENTICATED
    watch = stub.Watch(health_pb2.HealthCheckRequest(), metadata=bearer(OPERATOR))
    assert (await kit.soon(watch.read())).status == 1
    watch.cancel()


async def test_the_operator_s_call_goes_to_its_handler_as_it_is(
    served: Wire, tokens: Tokens
) -> None:
    """So that a message of a stream costs nothing more with a token than without."""
    handler: Any = grpc.unary_unary_rpc_method_handler(lambda request, context: None)
    details: Any = type("Details", (), {})()
    details.method = "/plumb.v1.EnvironmentService/Converse"
    details.invocation_metadata = bearer(OPERATOR)

    async def continuation(_: Any) -> Any:
        return handler

    assert await Authentication(tokens).intercept_service(continuation, details) is handler


async def test_what_was_sent_is_in_no_log(served: Wire) -> None:
    secret = "guess-0123456789"
    name = await served.session()
    agent = served.tokens.agent_token(name)
    with structlog.testing.capture_logs() as logs:
        for token in (secret, agent, OPERATOR):
            for method in METHODS:
                with contextlib.suppress(grpc.aio.AioRpcError):
                    await served.call(method, bearer(token), OTHER)
    assert logs
    said = repr(logs)
    assert secret not in said
    assert OPERATOR not in said
    assert agent.rpartition(".")[2] not in said


def test_agents_tokens_survive_the_process_and_change_with_the_operator_s() -> None:
    token = Tokens(OPERATOR).agent_token(SESSION)
    assert Tokens(OPERATOR).identify(f"Bearer {token}").session == SESSION
    assert Tokens(OPERATOR + "1").agent_token(SESSION) != token
    assert OPERATOR not in token
