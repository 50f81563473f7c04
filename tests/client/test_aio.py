"""The client against a scripted server: answers get lost and connections break, steps do not."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import grpc
import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

import plumb_client
from plumb.v1 import environment_pb2 as wire
from plumb.v1 import environment_pb2_grpc as wire_grpc
from plumb_client import aio, requests

_Result = TypeVar("_Result")
OUTPUT = b"0123456789"


async def soon(awaitable: Awaitable[_Result]) -> _Result:
    """Waits for what must come soon; fails instead of hanging."""
    return await asyncio.wait_for(awaitable, 60)


async def refuse(
    context: Any, code: grpc.StatusCode, reason: str, *, retry_after: float = 0.0, **facts: str
) -> None:
    info, retry = AnyMessage(), AnyMessage()
    info.Pack(error_details_pb2.ErrorInfo(reason=reason, domain="plumb.v1", metadata=facts))
    delay = error_details_pb2.RetryInfo()
    delay.retry_delay.FromMilliseconds(round(1000 * retry_after))
    retry.Pack(delay)
    details = [info, retry] if retry_after else [info]
    status = rpc_status.to_status(
        status_pb2.Status(code=code.value[0], message=f"refused: {reason}", details=details)
    )
    await context.abort(status.code, status.details, status.trailing_metadata)


async def lose(context: Any) -> None:
    """Ends a call as a broken connection does: without a word of plumb's."""
    await context.abort(grpc.StatusCode.UNAVAILABLE, "connection reset")


class Servicer(wire_grpc.EnvironmentServiceServicer):
    """One session with plumb's rules for step_index; loses what it is told to lose."""

    def __init__(self) -> None:
        self.ran: list[bytes] = []
        self.calls: list[str] = []
        self.offsets: list[int] = []
        self.created: dict[str, str] = {}
        self.answer_within = 0.0  # seconds; 0 says nothing
        self.nonces: list[str] = []  # of the steps that ran
        self.full_for = 0  # how many creations to refuse for want of a place
        self.retry_after = 0.01
        self.lost_answers: dict[str, int] = {}  # method -> how many to lose after the work
        self.ended_talks = 0  # conversations to end without an error
        self.refusals: list[str] = []  # reasons to answer the next actions with
        self.cut_after: list[int] = []  # bytes after which a stream breaks
        self.refuse_interrupts = ""  # a reason
        self.refuse_all = ""  # a reason to answer every step with
        self.authorizations: list[str | None] = []
        self.gates: dict[bytes, asyncio.Event] = {}
        self.began = asyncio.Event()
        self.at_once = 0
        self.most_at_once = 0

    async def _lose_some(self, method: str, context: Any) -> None:
        if self.lost_answers.get(method, 0):
            self.lost_answers[method] -= 1
            await lose(context)

    async def _perform(self, step: wire.StepRequest, context: Any) -> wire.StepResponse:
        if self.refuse_all:
            await refuse(context, grpc.StatusCode.PERMISSION_DENIED, self.refuse_all)
        if step.step_index == len(self.ran) and self.ran and self.nonces[-1] == step.nonce:
            assert self.ran[-1] == step.action
            return self._answer(step)  # the stored one
        if step.step_index != len(self.ran) + 1:
            await refuse(
                context,
                grpc.StatusCode.FAILED_PRECONDITION,
                "STEP_OUT_OF_ORDER",
                expected=str(len(self.ran) + 1),
                answer_within=str(self.answer_within),
            )
        if self.at_once:
            await refuse(context, grpc.StatusCode.FAILED_PRECONDITION, "STEP_IN_PROGRESS")
        self.ran.append(step.action)
        self.nonces.append(step.nonce)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        self.began.set()
        try:
            if gate := self.gates.get(step.action):
                await gate.wait()
        finally:
            self.at_once -= 1
        if self.refusals:
            await refuse(context, grpc.StatusCode.UNAVAILABLE, self.refusals.pop(0))
        return self._answer(step)

    def _answer(self, step: wire.StepRequest) -> wire.StepResponse:
        observation = wire.Observation(text=step.action.decode(), ending=wire.ENDING_EXITED)
        return wire.StepResponse(observation=observation, step_index=step.step_index)

    async def CreateSession(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.calls.append("CreateSession")
        if self.full_for:
            self.full_for -= 1
            code = grpc.StatusCode.RESOURCE_EXHAUSTED
            await refuse(context, code, "LIMIT_REACHED", retry_after=self.retry_after, limit="X")
        name = self.created.setdefault(request.request_id, f"sessions/{len(self.created)}")
        await self._lose_some("CreateSession", context)
        return wire.CreateSessionResponse(
            session=wire.Session(
                name=name,
                kind=request.kind,
                last_step_index=len(self.ran),
                answer_within=requests.duration(self.answer_within),
            )
        )

    async def GetSession(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.calls.append("GetSession")
        return wire.GetSessionResponse(
            session=wire.Session(
                name=request.name, kind="shell", backend="real", last_step_index=len(self.ran),
                state=wire.SESSION_STATE_READY,
            )
        )  # fmt: skip

    async def ResetSession(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.calls.append("ResetSession")
        await self._lose_some("ResetSession", context)
        return wire.ResetSessionResponse(
            session=wire.Session(name=request.name, last_step_index=len(self.ran))
        )

    async def Step(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.calls.append("Step")
        answer = await self._perform(request, context)
        await self._lose_some("Step", context)
        return answer

    async def Converse(  # noqa: N802
        self, request_iterator: AsyncIterator[Any], context: Any
    ) -> AsyncIterator[Any]:
        self.calls.append("Converse")
        async for request in request_iterator:
            if self.ended_talks:
                self.ended_talks -= 1
                return
            answer = await self._perform(request.step, context)
            await self._lose_some("Converse", context)
            yield wire.ConverseResponse(step=answer)

    async def StreamStep(self, request: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802
        self.calls.append("StreamStep")
        self.offsets.append(request.offset)
        if request.step.action in self.gates:  # it prints, and then runs on
            running = asyncio.create_task(self._perform(request.step, context))
            await self.began.wait()
            yield wire.StreamStepResponse(chunk=wire.OutputChunk(offset=0, data=b"began"))
            answer = await asyncio.shield(running)
            yield wire.StreamStepResponse(observation=answer.observation)
            return
        answer = await self._perform(request.step, context)
        end = self.cut_after.pop(0) if self.cut_after else len(OUTPUT)
        for offset in range(request.offset, end, 2):
            data = OUTPUT[offset : min(offset + 2, end)]
            yield wire.StreamStepResponse(chunk=wire.OutputChunk(offset=offset, data=data))
        if end < len(OUTPUT):
            await lose(context)
        yield wire.StreamStepResponse(observation=answer.observation)

    async def Interrupt(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.calls.append("Interrupt")
        if self.refuse_interrupts:
            await refuse(context, grpc.StatusCode.UNIMPLEMENTED, self.refuse_interrupts)
        gate = self.gates.get(self.ran[-1]) if self.ran else None
        if gate is None or gate.is_set():
            return wire.InterruptResponse()
        gate.set()
        return wire.InterruptResponse(interrupted=True, ended=True)

    async def Exec(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.calls.append("Exec")
        await self._lose_some("Exec", context)
        return wire.ExecResponse(exit_code=0)

    async def ListSessions(self, request: Any, context: Any) -> Any:  # noqa: N802
        first = int(request.page_token or 0)
        return wire.ListSessionsResponse(
            sessions=[wire.Session(name=f"sessions/{first}", state=wire.SESSION_STATE_READY)],
            next_page_token=str(first + 1) if first < 2 else "",
        )

    async def DeleteSession(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.calls.append("DeleteSession")
        return wire.DeleteSessionResponse()


@pytest.fixture
def servicer() -> Servicer:
    return Servicer()  # type: ignore[abstract]


class NotesTokens(grpc.aio.ServerInterceptor):
    """Tells the servicer what each call carries."""

    def __init__(self, servicer: Servicer) -> None:
        self._servicer = servicer

    async def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
        metadata = dict(handler_call_details.invocation_metadata)
        self._servicer.authorizations.append(metadata.get("authorization"))
        return await continuation(handler_call_details)


@asynccontextmanager
async def served(servicer: Servicer) -> AsyncIterator[str]:
    server = grpc.aio.server(interceptors=[NotesTokens(servicer)])
    wire_grpc.add_EnvironmentServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield f"127.0.0.1:{port}"
    await server.stop(None)


@pytest.fixture
async def plumb(servicer: Servicer) -> AsyncIterator[aio.Plumb]:
    async with served(servicer) as address, aio.connect(address) as connected:
        yield connected


@pytest.fixture
async def session(plumb: aio.Plumb) -> aio.Session:
    return await plumb.session("shell")


async def test_steps_go_over_one_conversation(session: aio.Session, servicer: Servicer) -> None:
    seen = [await soon(session.step(f"echo {n}")) for n in range(5)]
    assert [observation.step_index for observation in seen] == [1, 2, 3, 4, 5]
    assert servicer.calls == ["CreateSession", "Converse"]


async def test_a_lost_answer_is_asked_for_again_with_the_same_index_and_the_action_ran_once(
    session: aio.Session, servicer: Servicer
) -> None:
    servicer.lost_answers = {"Converse": 1, "Step": 2}
    seen = await soon(session.step("rm -rf /srv"))
    assert (seen.text, seen.step_index) == ("rm -rf /srv", 1)
    assert servicer.ran == [b"rm -rf /srv"]
    assert servicer.calls == ["CreateSession", "Converse", "Step", "Step", "Step"]


async def test_after_a_broken_conversation_the_next_step_begins_a_new_one(
    session: aio.Session, servicer: Servicer
) -> None:
    servicer.lost_answers = {"Converse": 1}
    for number in range(3):
        assert (await soon(session.step(f"echo {number}"))).step_index == number + 1
    assert servicer.calls == ["CreateSession", "Converse", "Step", "Converse"]


async def test_a_conversation_that_the_server_ended_falls_back_to_step(
    session: aio.Session, servicer: Servicer
) -> None:
    servicer.ended_talks = 1
    assert (await soon(session.step("echo a"))).text == "echo a"
    assert servicer.ran == [b"echo a"]


async def test_an_answer_of_plumb_s_own_is_not_asked_for_again(
    session: aio.Session, servicer: Servicer
) -> None:
    servicer.refusals = ["SANDBOX_UNAVAILABLE"]
    with pytest.raises(plumb_client.SandboxUnavailable):
        await soon(session.step("echo a"))
    assert servicer.calls == ["CreateSession", "Converse"]


@pytest.mark.parametrize("reason", ["SANDBOX_UNAVAILABLE", "INTERNAL"])
async def test_after_a_step_that_was_answered_with_an_error_the_next_takes_the_next_index(
    session: aio.Session, servicer: Servicer, reason: str
) -> None:
    servicer.refusals = [reason]
    with pytest.raises(plumb_client.PlumbError):
        await soon(session.step("echo a"))
    assert (await soon(session.step("echo a"))).step_index == 2
    assert servicer.ran == [b"echo a", b"echo a"]


async def test_after_a_reset_the_steps_go_on_where_the_server_says(
    session: aio.Session, servicer: Servicer
) -> None:
    servicer.refusals = ["SANDBOX_UNAVAILABLE"]
    with pytest.raises(plumb_client.SandboxUnavailable):
        await soon(session.step("echo a"))
    await soon(session.reset())
    assert (await soon(session.step("echo a"))).step_index == 2


async def test_a_step_whose_answer_was_lost_for_good_is_the_same_step_when_asked_again(
    session: aio.Session, servicer: Servicer
) -> None:
    servicer.lost_answers = {"Converse": 1, "Step": 4}
    with pytest.raises(plumb_client.ServerUnavailable):
        await soon(session.step("echo a"))
    assert (await soon(session.step("echo a"))).step_index == 1
    assert servicer.ran == [b"echo a"]
    assert (await soon(session.step("echo a"))).step_index == 2


async def test_a_session_is_as_patient_as_the_server_says(
    plumb: aio.Plumb, servicer: Servicer
) -> None:
    servicer.gates[b"sleep"] = asyncio.Event()
    servicer.answer_within = 0.25
    session = await plumb.session("shell")
    with pytest.raises(plumb_client.ServerUnavailable, match=r"did not answer within 0\.5 s"):
        await soon(session.step("sleep", timeout=0.25))
    servicer.gates[b"sleep"].set()


async def test_an_agent_is_as_patient_as_the_first_refusal_says(
    session: aio.Session, plumb: aio.Plumb, servicer: Servicer
) -> None:
    servicer.gates[b"sleep"] = asyncio.Event()
    servicer.answer_within = 0.25
    async with plumb.agent_session(session.name) as agent:
        with pytest.raises(plumb_client.ServerUnavailable, match=r"did not answer within 0\.5 s"):
            await soon(agent.step("sleep", timeout=0.25))
    servicer.gates[b"sleep"].set()


async def test_after_a_lost_answer_another_action_is_another_step(
    session: aio.Session, servicer: Servicer
) -> None:
    servicer.lost_answers = {"Converse": 1, "Step": 4}
    with pytest.raises(plumb_client.ServerUnavailable):
        await soon(session.step("echo a"))
    assert (await soon(session.step("echo b"))).step_index == 2
    assert servicer.ran == [b"echo a", b"echo b"]


async def test_a_step_that_was_cancelled_does_not_block_the_session(
    session: aio.Session, servicer: Servicer
) -> None:
    servicer.gates[b"wait"] = asyncio.Event()
    step = asyncio.create_task(session.step("wait"))
    await soon(servicer.began.wait())
    step.cancel()
    await asyncio.wait({step})
    assert step.cancelled()
    assert (await soon(session.step("echo b"))).step_index == 2


async def test_steps_at_once_on_one_session_run_one_after_the_other_in_their_order(
    session: aio.Session, servicer: Servicer
) -> None:
    seen = await soon(asyncio.gather(*(session.step(f"echo {n}") for n in range(20))))
    assert [observation.text for observation in seen] == [f"echo {n}" for n in range(20)]
    assert [observation.step_index for observation in seen] == list(range(1, 21))
    assert servicer.most_at_once == 1


async def test_a_creation_whose_answer_was_lost_is_asked_for_again_and_made_once(
    plumb: aio.Plumb, servicer: Servicer
) -> None:
    servicer.lost_answers = {"CreateSession": 2}
    await soon(plumb.session("shell"))
    assert servicer.calls == ["CreateSession"] * 3
    assert len(servicer.created) == 1


@pytest.mark.parametrize("method", ["Exec", "ResetSession"])
async def test_what_is_not_idempotent_is_not_asked_for_again(
    session: aio.Session, servicer: Servicer, method: str
) -> None:
    servicer.lost_answers = {method: 1}
    with pytest.raises(plumb_client.ServerUnavailable):
        await soon(session.exec(["true"]) if method == "Exec" else session.reset())
    assert servicer.calls.count(method) == 1


async def test_a_stream_gives_pieces_and_then_the_observation(session: aio.Session) -> None:
    stream = session.stream("seq 9")
    with pytest.raises(plumb_client.StepInProgress, match="read the stream to its end first"):
        _ = stream.observation
    assert b"".join([piece async for piece in stream]) == OUTPUT
    assert (stream.observation.text, stream.observation.step_index) == ("seq 9", 1)
    assert (await soon(session.step("echo a"))).step_index == 2


async def test_a_stream_that_is_cut_resumes_by_offset_and_the_action_ran_once(
    session: aio.Session, servicer: Servicer
) -> None:
    servicer.cut_after = [3, 8]
    stream = session.stream("seq 9")
    assert b"".join([piece async for piece in stream]) == OUTPUT
    assert servicer.offsets == [0, 3, 8]
    assert servicer.ran == [b"seq 9"]
    assert stream.observation.step_index == 1


async def test_a_stream_that_is_cut_again_and_again_gives_up_and_may_be_asked_for_again(
    session: aio.Session, servicer: Servicer
) -> None:
    servicer.cut_after = [2] * 50
    with pytest.raises(plumb_client.ServerUnavailable):
        _ = [piece async for piece in session.stream("seq 9")]
    servicer.cut_after.clear()
    stream = session.stream("seq 9")
    assert b"".join([piece async for piece in stream]) == OUTPUT
    assert servicer.ran == [b"seq 9"]


async def test_a_stream_that_is_left_early_frees_the_session(session: aio.Session) -> None:
    async for _ in session.stream("seq 9"):
        break
    assert (await soon(session.step("echo a"))).step_index == 2


async def test_without_a_server_the_error_says_how_to_start_one() -> None:
    with socket.socket() as taken:  # bound and not listening: nobody else gets the port
        taken.bind(("127.0.0.1", 0))
        async with aio.connect(f"127.0.0.1:{taken.getsockname()[1]}") as plumb:
            with pytest.raises(plumb_client.ServerUnavailable, match=r"start .* `plumb serve`"):
                await soon(plumb.kinds())
            with pytest.raises(plumb_client.ServerUnavailable, match="plumb serve"):
                await soon(plumb.session("shell"))


async def test_a_session_is_ended_at_the_end_of_its_block(
    plumb: aio.Plumb, servicer: Servicer
) -> None:
    async with plumb.session("shell") as session:
        await session.step("echo a")
    assert servicer.calls[-1] == "DeleteSession"
    with pytest.raises(KeyError):
        async with plumb.session("shell"):
            raise KeyError
    assert servicer.calls[-1] == "DeleteSession"


async def test_an_attached_session_goes_on_where_it_is(
    session: aio.Session, plumb: aio.Plumb
) -> None:
    await soon(session.step("echo a"))
    other = await soon(plumb.attach(session.name))
    assert (await soon(other.step("echo b"))).step_index == 2


async def test_an_agent_s_session_goes_on_where_it_is_by_steps_alone(
    session: aio.Session, plumb: aio.Plumb, servicer: Servicer
) -> None:
    await soon(session.step("echo a"))
    servicer.calls.clear()
    async with plumb.agent_session(session.name) as agent:
        assert (await soon(agent.step("echo a"))).step_index == 2
        assert (await soon(agent.step("echo b"))).step_index == 3
        assert b"".join([piece async for piece in agent.stream("seq 9")]) == OUTPUT
    assert servicer.ran == [b"echo a", b"echo a", b"echo b", b"seq 9"]
    assert servicer.calls == ["Step", "Converse", "StreamStep"]  # and nothing is deleted


async def test_an_agent_whose_answer_was_lost_does_not_step_twice(
    plumb: aio.Plumb, servicer: Servicer
) -> None:
    agent = plumb.agent_session("sessions/0")
    servicer.lost_answers = {"Converse": 1, "Step": 4}
    with pytest.raises(plumb_client.ServerUnavailable):
        await soon(agent.step("echo a"))
    assert (await soon(agent.step("echo a"))).step_index == 1
    assert (await soon(agent.step("echo b"))).step_index == 2
    assert servicer.ran == [b"echo a", b"echo b"]


async def test_an_agent_is_told_why_it_cannot_begin(plumb: aio.Plumb, servicer: Servicer) -> None:
    agent = plumb.agent_session("sessions/0")
    servicer.refuse_all = "PERMISSION_DENIED"
    with pytest.raises(plumb_client.PermissionDenied):
        await soon(agent.step("echo a"))


def test_an_agent_has_steps_and_nothing_else() -> None:
    public = {name for name in vars(aio.AgentSession) if not name.startswith("_")}
    assert public == {"step", "stream", "close"}


async def test_every_call_carries_the_token(servicer: Servicer) -> None:
    async with (
        served(servicer) as address,
        aio.connect(address, token="token-0123456789") as plumb,
        plumb.session("shell") as session,
    ):
        await soon(session.step("echo a"))
        _ = [piece async for piece in session.stream("seq 9")]
    assert set(servicer.calls) == {"CreateSession", "Converse", "StreamStep", "DeleteSession"}
    assert servicer.authorizations == ["Bearer token-0123456789"] * len(servicer.calls)


async def test_without_a_token_none_is_sent(session: aio.Session, servicer: Servicer) -> None:
    assert servicer.authorizations == [None]


@pytest.mark.parametrize("token", ["two words", "new\nline", "snow☃", "nul\0"])
def test_what_can_be_no_token_is_refused_and_not_repeated(token: str) -> None:
    for connect in (plumb_client.connect, aio.connect):
        with pytest.raises(plumb_client.InvalidInput, match="printable ASCII") as caught:
            connect(token=token)
        assert token not in str(caught.value)


async def test_all_pages_of_sessions_are_read(plumb: aio.Plumb) -> None:
    found = await soon(plumb.sessions())
    assert [info.name for info in found] == ["sessions/0", "sessions/1", "sessions/2"]
