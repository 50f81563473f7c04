"""Live steps over a WebSocket: output as it appears, the observation, the verdict of a pair.

Messages are JSON objects with one member.

* From the client: `{"step": {"action": "ls", "timeout": 5}}`, `{"interrupt": {}}`, and
  `{"keep": false}`: whether the session lives on when its last page is gone.
* From the server: `{"session": {...}}` first, and again when somebody else has begun a step on it,
  or ended one; then for each step any number of `{"chunk": {"offset": 0, "data": ...}}` and at last
  `{"observation": {...}, "step_index": 1}`, or `{"error": {...}, "of": "step"}`, a problem's
  details; `of` is `interrupt`, `message` or `session` where it was that which failed.

All are mapped as over HTTP.

Steps run one after the other; an interrupt goes past those that wait, and stops the one that runs
or is about to begin. A socket that breaks stops no step.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable
from http import HTTPStatus
from typing import Any

from fastapi import WebSocket, WebSocketDisconnect

from plumb.v1 import environment_pb2 as wire
from plumb.v1 import environment_pb2_grpc as wire_grpc
from plumb_client import OutOfOrder, PlumbError, SessionNotFound, Unauthenticated, Unavailable
from plumb_client.errors import translated
from plumb_gateway.api.json_mapping import BadJson, from_json, shown, to_json
from plumb_gateway.api.requests import read_object
from plumb_gateway.callers import sign_in_of, token_of
from plumb_gateway.leaving import Leaving
from plumb_gateway.problem import Refused, details_of, to_response
from plumb_gateway.upstream import Upstream

_MOST_WAITING = 100
"""Steps that may wait; a program that sends more has gone wrong."""

_LOOK_EVERY = 1.0
"""Seconds between two looks at what others do with the session; each also keeps it from ending."""

_LONGEST_PAUSE = 0.5
"""Seconds, at most, between two attempts to stop a step that is about to begin."""

_LOOK_WITHIN = 10.0
"""Seconds that the server may take to tell of a session."""

_STOP_AGAIN_AFTER = 0.02
"""Seconds until a step that is about to begin is stopped again; twice as long each time."""

_CLOSED_FOR_POLICY, _TRY_AGAIN_LATER = 1008, 1013


class Live:
    """One socket on one session.

    Args:
        socket: To be accepted before it is run.
        stub: The server, with the caller's token.
        name: The session's.
        keep: Whether the session lives on without a page, until the client says otherwise; None
            where that is not for this client to say.
        over: Is set when this client is signed out.
    """

    def __init__(
        self,
        socket: WebSocket,
        stub: "wire_grpc.EnvironmentServiceAsyncStub",
        name: str,
        *,
        keep: bool | None,
        over: asyncio.Event | None = None,
    ) -> None:
        self.keep = keep
        self._over = over or asyncio.Event()
        self._socket = socket
        self._stub = stub
        self._name = name
        self._steps: asyncio.Queue[wire.StepRequest] = asyncio.Queue(_MOST_WAITING)
        self._taken = self._settled = 0  # steps that were sent here, and those that are answered
        self._stop_wanted = asyncio.Event()
        self._to_stop = 0  # how many were answered before the step that is to be stopped

    async def run(self, found: wire.Session) -> None:
        """Serves until the client goes away, or the session is no more.

        Args:
            found: The session as it is now.
        """
        await self._send({"session": to_json(found)})
        work = (
            self._read_for_ever(),
            self._step_for_ever(),
            self._stop_for_ever(),
            self._watch_for_ever(found),
            self._end_when_signed_out(),
        )
        tasks = [asyncio.create_task(one) for one in work]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def look(self) -> wire.Session:
        """The session as it is now.

        Raises:
            PlumbError: It is not there, or not for this caller.
        """
        with translated():
            asked = wire.GetSessionRequest(name=self._name)
            response = await self._stub.GetSession(asked, timeout=_LOOK_WITHIN)
        return response.session

    async def _watch_for_ever(self, found: wire.Session) -> None:
        """Tells what others do with the session: of their steps no answer comes here."""
        told = found.state, found.last_step_index
        while True:
            await asyncio.sleep(_LOOK_EVERY)
            found = await self.look()
            now = found.state, found.last_step_index
            is_ours = self._taken != self._settled
            if now != told and not is_ours:
                told = now
                await self._send({"session": to_json(found)})

    async def _end_when_signed_out(self) -> None:
        await self._over.wait()
        raise Unauthenticated("you are signed out; sign in again", reason="UNAUTHENTICATED")

    async def _read_for_ever(self) -> None:
        while True:
            text = await self._receive()
            message: dict[str, Any] = {}
            try:
                message = read_object(text)
                await self._take(message)
            except BadJson as error:
                refused = Refused(HTTPStatus.BAD_REQUEST, "INVALID_INPUT", str(error))
                await self._fail(refused, "step" if "step" in message else "message")
            except PlumbError as error:  # nothing is running, or it cannot be interrupted
                await self._fail(error, "interrupt")

    async def _receive(self) -> str | bytes:
        """The next message, as text or as bytes: JSON is both."""
        message = await self._socket.receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message["code"], message.get("reason"))
        text: str | bytes | None = message.get("text")
        return message.get("bytes") or b"" if text is None else text

    async def _take(self, message: dict[str, Any]) -> None:
        match message:
            case {"step": dict(step)}:
                request = from_json({**step, "name": self._name}, wire.StepRequest, "step")
                try:
                    self._steps.put_nowait(request)
                except asyncio.QueueFull:
                    raise BadJson(f"{_MOST_WAITING} steps wait already; wait for one") from None
                self._taken += 1
            case {"interrupt": _}:
                settled = self._settled
                if not await self._interrupt() and self._settled == settled < self._taken:
                    self._to_stop = settled
                    self._stop_wanted.set()
            case {"keep": bool(keep)}:
                self.keep = keep
            case _:
                raise BadJson(
                    f"the message is {shown(message)}; use one of "
                    '{"step": {...}}, {"interrupt": {}} and {"keep": true}'
                )

    async def _step_for_ever(self) -> None:
        while True:
            step = await self._steps.get()
            try:
                await self._perform(step)
            except SessionNotFound:
                raise  # there is nothing here any more
            except PlumbError as error:
                await self._fail(error, "step")
            self._settled += 1

    async def _stop_for_ever(self) -> None:
        """Stops the step that was sent before an interrupt which came before it had begun."""
        while True:
            await self._stop_wanted.wait()
            self._stop_wanted.clear()
            pause = _STOP_AGAIN_AFTER
            try:
                while self._settled == self._to_stop and not await self._interrupt():
                    await asyncio.sleep(pause)  # no event tells when a step begins
                    pause = min(2 * pause, _LONGEST_PAUSE)
            except PlumbError as error:
                await self._fail(error, "interrupt")

    async def _interrupt(self) -> bool:
        """Asks for what runs to be stopped; says whether something did."""
        with translated():
            response = await self._stub.Interrupt(wire.InterruptRequest(name=self._name))
        return response.interrupted

    async def _fail(self, error: PlumbError | Refused, of: str) -> None:
        await self._send({"error": details_of(error), "of": of})

    async def _perform(self, step: wire.StepRequest) -> None:
        """Takes a step; where somebody else took one meanwhile, nothing ran, and it is the next.

        The last step is asked for first: had somebody else typed the same, then the server would
        take this one for theirs, asked for again.
        """
        if step.step_index:
            await self._stream(step)
            return
        step.step_index = await self._next_index()
        try:
            await self._stream(step)
        except OutOfOrder as error:
            if error.reason == "STEP_IN_PROGRESS":
                raise
            step.step_index = await self._next_index()
            await self._stream(step)

    async def _next_index(self) -> int:
        return (await self.look()).last_step_index + 1

    async def _stream(self, step: wire.StepRequest) -> None:
        call = self._stub.StreamStep(wire.StreamStepRequest(step=step))
        try:
            with translated():
                async for event in call:
                    await self._show(event, step.step_index)
        finally:
            call.cancel()

    async def _show(self, event: wire.StreamStepResponse, step_index: int) -> None:
        if event.HasField("chunk"):
            await self._send({"chunk": to_json(event.chunk)})
            return
        await self._send({"observation": to_json(event.observation), "step_index": step_index})

    async def _send(self, message: dict[str, Any]) -> None:
        await self._socket.send_text(json.dumps(message, ensure_ascii=False))


async def serve_live(
    socket: WebSocket,
    upstream: Upstream,
    session: str,
    leaving: Leaving,
    *,
    keep: bool | None,
) -> None:
    """Serves a socket to its end; one that may not be is never opened, and told why over HTTP."""
    name, token = f"sessions/{session}", token_of(socket)
    signed_in = sign_in_of(socket)
    try:
        stub: wire_grpc.EnvironmentServiceAsyncStub = wire_grpc.EnvironmentServiceStub(
            upstream.channel(token)
        )
        live = Live(socket, stub, name, keep=keep, over=signed_in.ended if signed_in else None)
        found = await live.look()
    except PlumbError as error:
        await socket.send_denial_response(to_response(error))
        return
    await socket.accept()
    async with _closing_with_a_reason(socket):
        leaving.arrive(name)
        try:
            await live.run(found)
        finally:
            leaving.leave(name, upstream.plumb(token), keep=live.keep)


@contextlib.asynccontextmanager
async def _closing_with_a_reason(socket: WebSocket) -> AsyncIterator[None]:
    try:
        yield
    except WebSocketDisconnect:
        return
    except PlumbError as error:
        told = {"error": details_of(error), "of": "session"}
        code = _TRY_AGAIN_LATER if isinstance(error, Unavailable) else _CLOSED_FOR_POLICY
        await _unless_gone(socket.send_text(json.dumps(told)))
        await _unless_gone(socket.close(code, error.reason))


async def _unless_gone(sent: Awaitable[None]) -> None:
    with contextlib.suppress(WebSocketDisconnect, RuntimeError):  # Starlette's for a closed one
        await sent
