"""What the client gives back: plain values, read from the wire's messages."""

import dataclasses
import enum
from collections.abc import Sequence
from typing import TypeAlias

from google.protobuf.timestamp_pb2 import Timestamp

from plumb.v1 import environment_pb2 as wire

Cell: TypeAlias = int | float | str | bytes | None
"""A value of an SQL result. DECIMAL and dates come as text, exact."""


_TOLD = 200  # characters of its text in an observation's repr


class Ending(enum.Enum):
    """How an action ended."""

    EXITED = "exited"
    SIGNALED = "signaled"
    TIMED_OUT = "timed_out"
    OUT_OF_MEMORY = "out_of_memory"
    OUTPUT_LIMIT = "output_limit"
    INTERRUPTED = "interrupted"
    SHELL_EXITED = "shell_exited"
    AWAITS_INPUT = "awaits_input"


@dataclasses.dataclass(frozen=True, slots=True)
class Provenance:
    """Where an observation comes from.

    Attributes:
        backend: `real`, `simulated` or `replay`.
        model: Which model played; empty for real ones. So is `strategy`.
        cassette_hit: Whether every reply came from a cassette.
        attempts: How many replies were sampled for this step.
        prompt_tokens: Sent for this step; `completion_tokens` were received.
        rejections: Why replies before this one were not taken, in order.
        dropped_turns: How many of the oldest turns the model was not told.
        prompt_hash: Which prompts were used.
        thought: What the model thought first; not for the agent.
        cost_usd: What the step cost; 0 where no price is known.
        flags: What is doubtful about the reply, which was taken for want of a better one.
        tool_calls: How many calls of an interpreter the model made for it.
    """

    backend: str
    model: str
    strategy: str
    cassette_hit: bool
    attempts: int
    prompt_tokens: int
    completion_tokens: int
    rejections: tuple[str, ...]
    dropped_turns: int
    prompt_hash: str
    thought: str
    cost_usd: float
    flags: tuple[str, ...] = ()
    tool_calls: int = 0


class Facts(dict[str, str]):
    """What a probe found: what is true (values) of what (keys).

    Attributes:
        provenance: Where it comes from, and what it cost; None where no model was asked.
    """

    provenance: Provenance | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Verdict:
    """How a real and a simulated observation compare; only with backend `paired`.

    Attributes:
        verdict: The class; docs/fidelity.md lists them.
        flags: Every class that matched, the most severe first.
        evidence: What a person should look at, one finding a line.
        aligned: Both sides' lines where they were compared line by line: the real one, the
            simulated one, and how they compare; None for a side that has none there.
        masked: The share of the real text, 0 to 1, that real runs do not agree on.
    """

    verdict: str
    flags: tuple[str, ...]
    evidence: tuple[str, ...]
    aligned: tuple[tuple[str | None, str | None, str], ...] = ()
    masked: float = 0.0


@dataclasses.dataclass(frozen=True, slots=True)
class SqlResult:
    """What one SQL statement returned.

    Attributes:
        columns: The columns' names; empty for a statement without rows, or that failed.
        rows: At most `max_rows`, and 1 MiB together.
        affected_rows: How many rows it changed.
        last_insert_id: The first AUTO_INCREMENT value made; 0 for none.
        warnings: How many warnings it raised.
        total_rows: How many rows there were; more than `rows` where those were cut.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    affected_rows: int
    last_insert_id: int
    warnings: int
    total_rows: int


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class Observation:
    """What came back from an action.

    Attributes:
        text: What the agent reads: no terminal signature, lines ended by LF, capped.
        raw: The bytes that the terminal sent, signature included; capped.
        ending: How the action ended.
        exit_code: What `$?` has next, 0 to 255; None where there is none.
        signal: The signal's number, where one ended the action.
        truncated: Whether `text` or `raw` was cut.
        total_bytes: How many bytes the action wrote, before any cut.
        run_duration: Seconds from the action's start to its end, on the server's clock.
        step_index: Which step this is, from 1.
        cwd: The shell's working directory; empty for other kinds. So are `user` and `host`.
        restarted: Whether the shell had to be replaced: its variables, functions and jobs are lost.
        results: One for each SQL statement; empty for other kinds.
        errno: MySQL's number of the first error; 0 without one. So is `sqlstate`, empty without.
        reconnected: Whether the connection to MySQL was lost: an open transaction, temporary
            tables and user variables are lost then.
        provenance: Where this comes from.
        verdict: Only with backend `paired`.
        counterpart: What the other side observed; only with backend `paired`, and never for the
            agent.
    """

    text: str
    raw: bytes
    ending: Ending
    exit_code: int | None
    signal: int | None
    truncated: bool
    total_bytes: int
    run_duration: float
    step_index: int
    cwd: str
    user: str
    host: str
    restarted: bool
    results: tuple[SqlResult, ...]
    errno: int
    sqlstate: str
    reconnected: bool
    provenance: Provenance
    verdict: Verdict | None
    counterpart: "Observation | None" = None

    def __repr__(self) -> str:
        facts = {
            "exit_code": self.exit_code,
            "signal": self.signal,
            "errno": self.errno or None,
            "cwd": self.cwd or None,
            "truncated": self.truncated or None,
            "verdict": self.verdict.verdict if self.verdict else None,
        }
        told = "".join(f", {name}={fact!r}" for name, fact in facts.items() if fact is not None)
        text = self.text if len(self.text) <= _TOLD else self.text[:_TOLD] + "…"
        return f"<Observation of step {self.step_index}: {text!r}, {self.ending.name}{told}>"

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the last SQL result; empty where there are none."""
        return self.results[-1].columns if self.results else ()

    @property
    def rows(self) -> tuple[tuple[Cell, ...], ...]:
        """The rows of the last SQL result; empty where there are none."""
        return self.results[-1].rows if self.results else ()


@dataclasses.dataclass(frozen=True, slots=True)
class ExecResult:
    """What one program did in a process of its own.

    Attributes:
        stdout: What it wrote, at most 1 MiB, head and tail kept; so is `stderr`.
        exit_code: Its exit status; 128 + n for a signal n, 127 if it was not found.
        truncated: Whether `stdout` or `stderr` was cut.
        timed_out: Whether it was killed at its timeout.
        run_duration: Seconds from start to end.
    """

    stdout: bytes
    stderr: bytes
    exit_code: int
    truncated: bool
    timed_out: bool
    run_duration: float


@dataclasses.dataclass(frozen=True, slots=True)
class InitResult:
    """What one init script did; the tails have at most 4096 bytes."""

    exit_code: int
    stdout_tail: bytes
    stderr_tail: bytes
    run_duration: float
    timed_out: bool


@dataclasses.dataclass(frozen=True, slots=True)
class SessionInfo:
    """A live session. `state` is `ready`, `busy` or `broken`; times are Unix times in seconds."""

    name: str
    kind: str
    backend: str
    state: str
    last_step_index: int
    create_time: float
    idle_expire_time: float
    expire_time: float


@dataclasses.dataclass(frozen=True, slots=True)
class BackendInfo:
    """What can stand behind a kind, and what it can do."""

    name: str
    can_exec: bool
    can_interrupt: bool
    can_stream: bool
    has_state: bool


@dataclasses.dataclass(frozen=True, slots=True)
class KindInfo:
    """A kind of environment that the server has."""

    name: str
    summary: str
    backends: tuple[BackendInfo, ...]
    probe_suites: tuple[str, ...]


def read_observation(message: wire.Observation, step_index: int) -> Observation:
    """Reads an observation."""
    return Observation(
        text=message.text,
        raw=message.raw,
        ending=Ending[wire.Ending.Name(message.ending).removeprefix("ENDING_")],
        exit_code=message.exit_code if message.HasField("exit_code") else None,
        signal=message.signal if message.HasField("signal") else None,
        truncated=message.truncated,
        total_bytes=message.total_bytes,
        run_duration=message.run_duration.ToNanoseconds() / 1e9,
        step_index=step_index,
        cwd=message.shell.cwd,
        user=message.shell.user,
        host=message.shell.host,
        restarted=message.shell.restarted,
        results=tuple(map(_read_result, message.sql.results)),
        errno=message.sql.errno,
        sqlstate=message.sql.sqlstate,
        reconnected=message.sql.reconnected,
        provenance=_read_provenance(message.provenance),
        verdict=read_verdict(message.verdict) if message.HasField("verdict") else None,
        counterpart=read_observation(message.counterpart, step_index)
        if message.HasField("counterpart")
        else None,
    )


def _read_result(message: wire.SqlResult) -> SqlResult:
    return SqlResult(
        columns=tuple(message.columns),
        rows=tuple(tuple(map(_read_cell, row.values)) for row in message.rows),
        affected_rows=message.affected_rows,
        last_insert_id=message.last_insert_id,
        warnings=message.warnings,
        total_rows=message.total_rows,
    )


def _read_cell(message: wire.SqlValue) -> Cell:
    field = message.WhichOneof("value")
    value: Cell = getattr(message, field) if field else None
    return value


def _read_provenance(message: wire.Provenance) -> Provenance:
    return Provenance(
        backend=message.backend,
        model=message.model,
        strategy=message.strategy,
        cassette_hit=message.cassette_hit,
        attempts=message.attempts,
        prompt_tokens=message.prompt_tokens,
        completion_tokens=message.completion_tokens,
        rejections=tuple(message.rejections),
        dropped_turns=message.dropped_turns,
        prompt_hash=message.prompt_hash,
        thought=message.thought,
        cost_usd=message.cost_usd,
        flags=tuple(message.flags),
        tool_calls=message.tool_calls,
    )


def read_verdict(message: wire.Verdict) -> Verdict:
    """Reads how two observations compare."""
    aligned = (
        (
            line.real if line.HasField("real") else None,
            line.simulated if line.HasField("simulated") else None,
            line.mark,
        )
        for line in message.aligned
    )
    return Verdict(
        message.verdict,
        tuple(message.flags),
        tuple(message.evidence),
        tuple(aligned),
        message.masked,
    )


def read_exec_result(message: wire.ExecResponse) -> ExecResult:
    """Reads what a program did."""
    return ExecResult(
        stdout=message.stdout,
        stderr=message.stderr,
        exit_code=message.exit_code,
        truncated=message.truncated,
        timed_out=message.timed_out,
        run_duration=message.run_duration.ToNanoseconds() / 1e9,
    )


def read_init_results(messages: Sequence[wire.InitResult]) -> tuple[InitResult, ...]:
    """Reads what the init scripts did."""
    return tuple(
        InitResult(
            exit_code=message.exit_code,
            stdout_tail=message.stdout_tail,
            stderr_tail=message.stderr_tail,
            run_duration=message.run_duration.ToNanoseconds() / 1e9,
            timed_out=message.timed_out,
        )
        for message in messages
    )


def read_time(message: Timestamp) -> float:
    """Reads a moment, as Unix time in seconds."""
    return message.ToNanoseconds() / 1e9


def read_session(message: wire.Session) -> SessionInfo:
    """Reads a session."""
    return SessionInfo(
        name=message.name,
        kind=message.kind,
        backend=message.backend,
        state=wire.SessionState.Name(message.state).removeprefix("SESSION_STATE_").lower(),
        last_step_index=message.last_step_index,
        create_time=read_time(message.create_time),
        idle_expire_time=read_time(message.idle_expire_time),
        expire_time=read_time(message.expire_time),
    )


def read_kind(message: wire.Kind) -> KindInfo:
    """Reads a kind."""
    backends = tuple(
        BackendInfo(
            backend.name,
            backend.can_exec,
            backend.can_interrupt,
            backend.can_stream,
            backend.has_state,
        )
        for backend in message.backends
    )
    return KindInfo(message.name, message.summary, backends, tuple(message.probe_suites))


def read_probe(message: wire.ProbeResponse) -> Facts:
    """Reads the answer to a probe."""
    facts = Facts((entry.key, entry.value) for entry in message.entries)
    if message.HasField("provenance"):
        facts.provenance = _read_provenance(message.provenance)
    return facts
