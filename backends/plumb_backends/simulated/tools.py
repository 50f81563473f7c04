"""Tools: a model may call an interpreter for what it would otherwise guess.

Each call runs Python in a sandbox of its own, which holds nothing of the session and has no
network, and is thrown away. What goes wrong with the code is told to the model; a sandbox that
cannot be had is an error. Results are recorded like replies, so that a replay needs no sandbox.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping

from plumb_backends.environment import Program, ProgramResult
from plumb_backends.errors import ModelTimedOut
from plumb_backends.simulated.asking import Endpoint
from plumb_backends.simulated.attempt import Attempt
from plumb_backends.simulated.cassette import digest_of
from plumb_backends.simulated.messages import ChatReply, ChatRequest, Message, ToolCall, sendable
from plumb_backends.simulated.prompting import Prompt, shipped

FIELD = "tools"
NAME = "python"
MOST_CALLS = 8
"""How many calls one step or probe may make."""

CALL_SECONDS = 5.0
"""How long one call may run."""

MOST_SHOWN = 4000
"""Characters of a result that the model is shown."""

RunApart = Callable[[Program], Awaitable[ProgramResult]]
"""Runs a program in a sandbox of its own."""


def uses_tools(strategy: Prompt) -> bool:
    """Whether a strategy gives the model tools: it names `$tools`."""
    return FIELD in strategy.fields


def described() -> tuple[Mapping[str, object], ...]:
    """The tools as the protocol says them."""
    code = {"type": "string", "description": "the program; only what it prints is returned"}
    function = {
        "name": NAME,
        "description": shipped("tool_python").fill(seconds=f"{CALL_SECONDS:g}"),
        "parameters": {
            "type": "object",
            "properties": {"code": code},
            "required": ["code"],
            "additionalProperties": False,
        },
    }
    return ({"type": "function", "function": function},)


class Interpreter:
    """Answers a model's calls of tools.

    Args:
        run: Runs a program apart.
        endpoint: Has the cassette.
    """

    def __init__(self, run: RunApart, endpoint: Endpoint) -> None:
        self._run = run
        self._endpoint = endpoint

    async def answer(
        self, attempt: Attempt, reply: ChatReply, request: ChatRequest, key: str
    ) -> list[Message]:
        """Answers every call of a reply, in order; those beyond the bound are not run.

        Args:
            attempt: Counts the calls, and says until when.
            reply: Calls tools.
            request: What it answers.
            key: What the reply is found by.

        Raises:
            SandboxUnavailable: There is no sandbox to run it in.
            ModelTimedOut: The step's time is over.
            CassetteMiss: A result is not recorded, and may not be made.
        """
        answered = [Message("assistant", reply.content or "", reply.calls)]
        for number, call in enumerate(reply.calls):
            if attempt.tool_calls >= MOST_CALLS:
                said = f"not run: this answer has had its {MOST_CALLS} calls; answer now"
            else:
                attempt.tool_calls += 1
                said = await self._result(attempt, call, request, _key_of(call, key, number))
            answered.append(Message("tool", said, answers=call.id))
        return answered

    async def _result(
        self, attempt: Attempt, call: ToolCall, request: ChatRequest, key: str
    ) -> str:
        code = _read_code(call)
        if code is None:
            return (
                f"not run: use the tool {NAME} with the arguments "
                '{"code": "..."} as JSON; what came was '
                f"{call.name[:100]} {call.arguments[:200]!r}"
            )

        async def make() -> str:
            return _shown(await self._run_in_time(code, attempt.deadline))

        return await self._endpoint.once(key, request, make)

    async def _run_in_time(self, code: str, deadline: float) -> ProgramResult:
        program = Program(
            ["python3", "-I", "-"], stdin=code.encode(errors="replace"), timeout=CALL_SECONDS
        )
        try:
            async with asyncio.timeout_at(deadline):
                return await self._run(program)
        except TimeoutError:
            raise ModelTimedOut(
                "the model's calls of tools took too long (PLUMB_SIMULATOR_STEP_SECONDS); "
                "try again, or allow more"
            ) from None


def _key_of(call: ToolCall, reply_key: str, number: int) -> str:
    """What a result is found by: its code, and the place at which it was called."""
    return digest_of({"tool": [call.name, call.arguments], "of": reply_key, "number": number})


def _read_code(call: ToolCall) -> str | None:
    """The program of a call; None where it is no call of ours."""
    try:
        arguments = json.loads(call.arguments)
    except (ValueError, RecursionError):
        return None
    code = arguments.get("code") if isinstance(arguments, dict) else None
    return code if isinstance(code, str) and call.name == NAME else None


def _shown(result: ProgramResult) -> str:
    """What the model is told of a result."""
    parts = [_cut(result.stdout), _cut(result.stderr)]
    if result.timed_out:
        parts.append(f"(stopped after {CALL_SECONDS:g} s)")
    elif result.exit_code:
        parts.append(f"(exit status {result.exit_code})")
    return "\n".join(part for part in parts if part) or "(it printed nothing; use print)"


def _cut(output: bytes) -> str:
    text = sendable(output.decode(errors="replace")).removesuffix("\n")
    if len(text) <= MOST_SHOWN:
        return text
    return f"{text[:MOST_SHOWN]}\n(cut here: {len(text)} characters)"
