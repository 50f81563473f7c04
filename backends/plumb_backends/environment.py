"""The seam: what every environment can do, and the values that cross it.

A failed command is an observation; a failed sandbox or model is an error (`errors`). Nothing here
knows what stands behind an environment, and nothing here does I/O.
"""

import dataclasses
import enum
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Protocol, runtime_checkable

from plumb_backends.snapshot import Snapshot
from plumb_fidelity.verdict import Verdict

DEFAULT_TIMEOUT = 30.0
"""How many seconds an action may run, unless it says otherwise."""

MAX_TIMEOUT = 600.0
"""The longest timeout that an action may ask for, in seconds."""

MAX_ACTION_BYTES = 1024 * 1024
"""The largest action; more belongs into a file, written in pieces."""

OutputSink = Callable[[bytes], None]
"""Is called with each piece of an action's output as it appears, in order, on the event loop."""


class Ending(enum.Enum):
    """How an action ended. A lost sandbox is an error and never an ending."""

    EXITED = "exited"
    SIGNALED = "signaled"
    TIMED_OUT = "timed_out"
    OUT_OF_MEMORY = "out_of_memory"
    OUTPUT_LIMIT = "output_limit"
    INTERRUPTED = "interrupted"
    SHELL_EXITED = "shell_exited"
    AWAITS_INPUT = "awaits_input"


@dataclasses.dataclass(frozen=True, slots=True)
class Action:
    """What the agent typed: a command line or block, or a statement.

    Attributes:
        text: The bytes as typed, at most `MAX_ACTION_BYTES`.
        timeout: How many seconds it may run; above 0, at most `MAX_TIMEOUT`.
    """

    text: bytes
    timeout: float = dataclasses.field(default=DEFAULT_TIMEOUT, kw_only=True)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ShellDetail:
    """The state of the shell after an action.

    Attributes:
        cwd: The working directory, absolute; empty where it is not known.
        user: Who the shell runs as.
        host: The host name.
        restarted: Whether a new shell took the old one's place while the action ran; variables,
            functions and jobs are lost then, files and working directory kept.
    """

    cwd: str
    user: str
    host: str
    restarted: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Temporal:
    """A DATE, TIME, DATETIME, TIMESTAMP or YEAR, as MySQL prints it.

    As text, for MySQL has values that Python has not: `0000-00-00`, `-838:59:59`.
    """

    text: str


SqlCell = int | float | Decimal | str | bytes | Temporal | None
"""One value of a result; None for NULL."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SqlResult:
    """What one SQL statement returned.

    Attributes:
        columns: The columns' names; empty for a statement without rows, or that failed.
        rows: As many cells as columns each; at most `MysqlOptions.max_rows`.
        total_rows: How many rows there were, before any cut.
        affected_rows: How many rows it changed.
        last_insert_id: The first AUTO_INCREMENT value made; 0 for none.
        warnings: How many warnings it raised.
    """

    columns: tuple[str, ...] = ()
    rows: tuple[tuple[SqlCell, ...], ...] = ()
    total_rows: int = 0
    affected_rows: int = 0
    last_insert_id: int = 0
    warnings: int = 0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SqlDetail:
    """The typed results of an SQL action.

    Attributes:
        results: One for each result of each statement, in order.
        errno: MySQL's number of the first error; 0 without one.
        sqlstate: Its five characters; empty without one.
        reconnected: Whether the connection was lost: open transactions, temporary tables and
            user variables are lost then, tables and rows kept.
    """

    results: tuple[SqlResult, ...] = ()
    errno: int = 0
    sqlstate: str = ""
    reconnected: bool = False


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Where an observation comes from.

    Attributes:
        backend: `real`, `simulated` or `replay`.
        model: Which model played; empty for real ones.
        strategy: How it was prompted, with `+reason` and `+critic` where used.
        cassette_hit: Whether every reply came from a cassette.
        attempts: How many replies were sampled.
        prompt_tokens: Tokens sent for this step, all attempts and critics together.
        completion_tokens: Tokens received for it.
        rejections: Why replies before this one were not taken, in order.
        dropped_turns: How many of the oldest turns the model was not told.
        prompt_hash: Which prompts were used: 12 hexadecimal digits.
        thought: What the model thought first; never shown to the agent.
        cost_usd: What the step cost; 0 where no price is known.
        flags: What is doubtful about the reply, which was taken for want of a better one.
        tool_calls: How many calls of an interpreter the model made for it.
    """

    backend: str
    model: str = ""
    strategy: str = ""
    cassette_hit: bool = False
    attempts: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    rejections: tuple[str, ...] = ()
    dropped_turns: int = 0
    prompt_hash: str = ""
    thought: str = ""
    cost_usd: float = 0.0
    flags: tuple[str, ...] = ()
    tool_calls: int = 0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What came back from an action.

    Attributes:
        text: What the agent reads, without the terminal signature; capped.
        raw: The bytes that the terminal or the client printed, signature included; capped.
        ending: How the action ended.
        exit_code: What `$?` has next, 0 to 255; None where there is none.
        signal: The signal's number, where one ended the action.
        truncated: Whether `text` or `raw` was cut.
        total_bytes: How many bytes the action wrote, before any cut.
        run_duration: Seconds from start to end.
        shell: Only for kind `shell`.
        sql: Only for kind `mysql`.
        provenance: Where this comes from.
        verdict: How the two sides compare; only in `paired`.
        counterpart: What the other side observed; only in `paired`, and never for the agent.
    """

    text: str
    ending: Ending
    provenance: Provenance
    raw: bytes = b""
    exit_code: int | None = None
    signal: int | None = None
    truncated: bool = False
    total_bytes: int = 0
    run_duration: float = 0.0
    shell: ShellDetail | None = None
    sql: SqlDetail | None = None
    verdict: Verdict | None = None
    counterpart: "Observation | None" = None


@dataclasses.dataclass(frozen=True, slots=True)
class ProbeResult:
    """The answer to a probe.

    Attributes:
        suite: Which question was asked.
        facts: What is true (values) of what (keys), sorted by key.
        provenance: Where it comes from; None for what no model was asked.
    """

    suite: str
    facts: Mapping[str, str]
    provenance: Provenance | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Program:
    """One program to run in a fresh process.

    Attributes:
        argv: The program and its arguments; no shell looks at them.
        stdin: What it reads; empty means that its standard input is closed.
        env: Variables added to the sandbox's.
        cwd: The working directory; empty means the sandbox's home directory.
        user: Empty means the sandbox's user.
        timeout: Seconds after which it and all that it started are killed.
    """

    argv: Sequence[str]
    stdin: bytes = dataclasses.field(default=b"", kw_only=True)
    env: Mapping[str, str] = dataclasses.field(default_factory=dict, kw_only=True)
    cwd: str = dataclasses.field(default="", kw_only=True)
    user: str = dataclasses.field(default="", kw_only=True)
    timeout: float = dataclasses.field(default=DEFAULT_TIMEOUT, kw_only=True)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ProgramResult:
    """What one program did. A program that is not found has `exit_code` 127.

    Attributes:
        stdout: What it wrote, capped at 1 MiB, head and tail kept.
        stderr: See `stdout`.
        exit_code: Its exit status; 128 + n for a signal n.
        truncated: Whether `stdout` or `stderr` was cut.
        timed_out: Whether it was killed at its timeout.
        run_duration: Seconds from start to end.
    """

    stdout: bytes
    stderr: bytes
    exit_code: int
    truncated: bool = False
    timed_out: bool = False
    run_duration: float = 0.0


class Environment(Protocol):
    """One live environment: a sandbox, a model's context, or both.

    Calls of one environment never overlap, but for `interrupt` and `execute` where it has them;
    whoever owns it sees to that.
    """

    async def step(self, action: Action, *, on_output: OutputSink | None = None) -> Observation:
        """Performs one action.

        Args:
            action: What to perform.
            on_output: Gets the output as it appears; everything at the end, where the
                environment cannot do better.

        Raises:
            InvalidInput: The action cannot be typed; nothing ran.
            SandboxUnavailable: What stands behind the environment is gone. A command that fails
                is an observation and never raises.
            ModelError: The model that plays gave no observation; the action is not part of the
                episode.
        """
        ...

    async def reset(self) -> None:
        """Goes back to the grounded state, in a new sandbox.

        Raises:
            InitFailed: An init script failed this time.
            SandboxUnavailable: No new sandbox could be made.
        """
        ...

    async def probe(self, suite: str) -> ProbeResult:
        """Asks a fixed read-only question, off the record.

        Raises:
            UnknownSuite: The kind has no such suite.
            Unsupported: The environment has no state.
            SandboxUnavailable: What stands behind the environment is gone.
        """
        ...

    async def close(self) -> None:
        """Removes all that the environment had. Never raises; may be called again."""
        ...


@runtime_checkable
class Interruptible(Protocol):
    """An environment whose running action can be stopped from outside."""

    def interrupt(self) -> bool:
        """Asks for the running action to be stopped; says whether there was one."""
        ...


@runtime_checkable
class Captures(Protocol):
    """An environment whose whole state can be written down, for a simulator to read."""

    async def capture(self) -> Snapshot:
        """Captures what the init scripts left.

        Raises:
            SandboxUnavailable: The sandbox is gone.
        """
        ...

    async def card(self) -> str:
        """Writes down what was there before them: system, versions, what is installed.

        Raises:
            SandboxUnavailable: The sandbox is gone.
        """
        ...


@runtime_checkable
class Executes(Protocol):
    """An environment that can run programs in fresh processes."""

    async def execute(self, program: Program) -> ProgramResult:
        """Runs one program beside the episode.

        Raises:
            SandboxUnavailable: The sandbox is gone. A program that fails, or is not found, is an
                ordinary result.
        """
        ...
