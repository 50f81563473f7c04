"""Grounding: the init scripts that make a session's first state, and what came of running them."""

import dataclasses
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from plumb_backends.environment import ProgramResult
from plumb_backends.errors import InitFailed, InvalidInput
from plumb_backends.snapshot import Snapshot

MAX_SCRIPTS = 256
MAX_SCRIPTS_BYTES = 1024 * 1024
MAX_TASK_BYTES = 64 * 1024
MAX_ROUNDS = 5
"""How often a model may try to write one grounding."""

DEFAULT_INIT_TIMEOUT = 120.0
"""How many seconds each init script may run, unless the session says otherwise."""

_TAIL_LINES = 20

RunScript = Callable[[str, float], Awaitable[ProgramResult]]
"""Runs one script in a fresh process, for at most so many seconds."""


@dataclasses.dataclass(frozen=True, slots=True)
class Grounding:
    """What makes the initial state.

    Attributes:
        scripts: Run for real, one after the other.
        tolerate_failures: Whether a failing script is let pass.
        timeout: Seconds that each script may run.
        task: What the agent is to do; simulators are told.
    """

    scripts: tuple[str, ...] = ()
    tolerate_failures: bool = dataclasses.field(default=False, kw_only=True)
    timeout: float = dataclasses.field(default=DEFAULT_INIT_TIMEOUT, kw_only=True)
    task: str = dataclasses.field(default="", kw_only=True)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class GroundingWish:
    """Which grounding shall be written.

    Attributes:
        kind: The kind's name.
        task: What somebody shall be able to do then.
        model: Who writes it.
        options: The kind's own options; None for its defaults.
        rounds: How often it may be tried; 1 to `MAX_ROUNDS`.
        temperature: Of sampling; None for the endpoint's.

    Raises:
        InvalidInput: A value is out of its range.
    """

    kind: str
    task: str
    model: str
    options: Any = None
    rounds: int = MAX_ROUNDS
    temperature: float | None = None

    def __post_init__(self) -> None:
        if not self.task.strip():
            raise InvalidInput("task is empty; say what somebody shall be able to do")
        if not self.model.strip():
            raise InvalidInput("model is empty; name a model of the endpoint")
        if not 1 <= self.rounds <= MAX_ROUNDS:
            raise InvalidInput(f"rounds is {self.rounds}; use 1 to {MAX_ROUNDS}")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class GroundingCheck:
    """Whether the state that a task needs is really there, by a command that was run for real.

    Attributes:
        command: For a shell a command that succeeds if it is, for a database a query that gives
            true values then. It does not where no script has run.
        passed: Whether it is.
        output: What the command printed.
    """

    command: str
    passed: bool
    output: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class GroundingAttempt:
    """One round of writing a grounding.

    Attributes:
        scripts: What the model wrote.
        error: Why it was not taken, in the words of what refused it; empty if it was.
        check: How the state was checked; None where that was not reached.
    """

    scripts: tuple[str, ...] = ()
    error: str = ""
    check: GroundingCheck | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class GeneratedGrounding:
    """What came of writing a grounding.

    Attributes:
        scripts: They ran in fresh sandboxes, and the check passed; empty if none did.
        actions: What somebody who works on the task might type, in order; they reach it.
        check: The check that passed; None if none did.
        state: What the scripts left, what differs from run to run marked; None if none did.
        attempts: Every round, the last one that was taken included.
        prompt_tokens: Sent for all rounds together.
        completion_tokens: Received.
        cost_usd: What it cost; 0 where no price is known.
    """

    scripts: tuple[str, ...] = ()
    actions: tuple[str, ...] = ()
    check: GroundingCheck | None = None
    state: Snapshot | None = None
    attempts: tuple[GroundingAttempt, ...] = ()
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float = 0.0

    @property
    def is_grounded(self) -> bool:
        """Whether the task can be worked on."""
        return self.check is not None


def decode_scripts(init: Sequence[bytes]) -> tuple[str, ...]:
    """Checks init scripts as they came from outside.

    Raises:
        InvalidInput: There are too many, or one is not UTF-8 text or holds a NUL.
    """
    if len(init) > MAX_SCRIPTS:
        raise InvalidInput(
            f"init has {len(init)} scripts, at most {MAX_SCRIPTS} are allowed; join some"
        )
    total = sum(map(len, init))
    if total > MAX_SCRIPTS_BYTES:
        raise InvalidInput(
            f"the init scripts are {total} bytes together, at most {MAX_SCRIPTS_BYTES} may be; "
            "put large data into the image"
        )
    return tuple(_decode(script, number) for number, script in enumerate(init, 1))


def _decode(script: bytes, number: int) -> str:
    try:
        text = script.decode()
    except UnicodeDecodeError as error:
        raise InvalidInput(
            f"init script {number} is not UTF-8: its byte {error.start} is "
            f"0x{script[error.start]:02x}; write such bytes with printf '\\xNN'"
        ) from None
    if "\0" in text:
        raise InvalidInput(
            f"init script {number} holds a NUL character; write it with printf '\\0'"
        )
    return text


async def run_scripts(grounding: Grounding, run: RunScript) -> list[ProgramResult]:
    """Runs the scripts one after the other.

    Raises:
        InitFailed: A script failed or ran out of time, unless failures are tolerated; the ones
            after it did not run.
    """
    results: list[ProgramResult] = []
    for number, script in enumerate(grounding.scripts, 1):
        result = await run(script, grounding.timeout)
        results.append(result)
        if (result.exit_code or result.timed_out) and not grounding.tolerate_failures:
            raise _failure(number, script, result, grounding.timeout)
    return results


def _failure(number: int, script: str, result: ProgramResult, timeout: float) -> InitFailed:
    what = (
        f"ran longer than {timeout:g} s"
        if result.timed_out
        else f"ended with exit status {result.exit_code}"
    )
    tail = _last_lines(result.stderr or result.stdout)
    said = f"; its last lines: {tail}" if tail else " and said nothing"
    return InitFailed(
        f"init script {number} ({_first_line(script)}) {what}{said}",
        {"script": str(number), "exit_code": str(result.exit_code), "tail": tail},
    )


def _first_line(script: str) -> str:
    line = script.strip().partition("\n")[0]
    return line if len(line) <= 80 else line[:77] + "..."


def _last_lines(output: bytes) -> str:
    lines = output.decode(errors="replace").rstrip().splitlines()
    return "\n".join(lines[-_TAIL_LINES:])[-4096:]
