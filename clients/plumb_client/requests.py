"""Writes the client's arguments as the wire's messages."""

import dataclasses
import uuid
from collections.abc import Mapping, Sequence
from typing import TypedDict, Unpack

from google.protobuf.duration_pb2 import Duration

from plumb.v1 import environment_pb2 as wire


@dataclasses.dataclass(frozen=True, slots=True)
class RecordedTurn:
    """One turn of a recording.

    Attributes:
        action: What was typed.
        text: What was read.
        exit_code: None where it is not known.
        timed_out: Whether it was stopped at its timeout.
    """

    action: str | bytes
    text: str
    exit_code: int | None = None
    timed_out: bool = False


class SessionOptions(TypedDict, total=False):
    """What `session` takes beside kind and backend; everything may be left out.

    Attributes:
        init: The init scripts.
        tolerate_init_failures: Whether a failing one is let pass.
        init_timeout: Seconds that each may run; default 120, at most 3600.
        idle_timeout: Seconds that the session lives without a call.
        request_id: Makes the creation idempotent; one is made up where there is none.
        image: Of a shell, as are `hostname`, `dumb_terminal` and `use_image_user`.
        database: Of a MySQL session, as are `isolation`, `rendering` and `max_rows`.
        max_text_bytes: The most bytes of `text` and of `raw`, each.
        simulator: `model`, `strategy`, `reason`, `critic`, `temperature`, `seed`, and `teacher`, a
            sequence of RecordedTurn; with backend simulated or paired.
        recordings: Episodes to replay; with backend replay or paired.
        observe: `real` or `simulated`; with backend paired.
        task: What the agent is to do; simulators are told.
    """

    init: Sequence[str | bytes]
    tolerate_init_failures: bool
    init_timeout: float
    idle_timeout: float
    request_id: str
    image: str
    hostname: str
    dumb_terminal: bool
    use_image_user: bool
    max_text_bytes: int
    database: str
    isolation: str
    rendering: str
    max_rows: int
    simulator: Mapping[str, str | bool | float | Sequence[RecordedTurn]]
    recordings: Sequence[Sequence[RecordedTurn]]
    observe: str
    task: str


_SHELL_FIELDS: tuple[str, ...] = ("image", "hostname", "dumb_terminal", "use_image_user")
_MYSQL_FIELDS: tuple[str, ...] = ("database", "isolation", "rendering", "max_rows")
_FIELD_OF_BOTH = "max_text_bytes"


def create_session(
    kind: str, backend: str, **options: Unpack[SessionOptions]
) -> wire.CreateSessionRequest:
    """Writes what a new session shall be.

    Raises:
        TypeError: There is no such option.
        ValueError: The simulator has no such field.
    """
    unknown = sorted(set(options) - set(SessionOptions.__annotations__))
    if unknown:
        raise TypeError(
            f"there is no option {unknown[0]!r}; "
            f"use {', '.join(sorted(SessionOptions.__annotations__))}"
        )
    request = wire.CreateSessionRequest(
        request_id=options.get("request_id") or str(uuid.uuid4()),
        kind=kind,
        backend=backend,
        init=[to_bytes(script) for script in options.get("init", ())],
        tolerate_init_failures=options.get("tolerate_init_failures", False),
        observe=options.get("observe", ""),
        task=options.get("task", ""),
    )
    if "init_timeout" in options:
        request.init_timeout.CopyFrom(duration(options["init_timeout"]))
    if "idle_timeout" in options:
        request.idle_timeout.CopyFrom(duration(options["idle_timeout"]))
    shell_fields, mysql_fields = _SHELL_FIELDS, _MYSQL_FIELDS
    if kind == "mysql":
        mysql_fields = (*mysql_fields, _FIELD_OF_BOTH)
    else:
        shell_fields = (*shell_fields, _FIELD_OF_BOTH)
    shell = {field: options[field] for field in shell_fields if field in options}  # type: ignore[literal-required]
    if shell:
        request.shell.CopyFrom(wire.ShellOptions(**shell))
    mysql = {field: options[field] for field in mysql_fields if field in options}  # type: ignore[literal-required]
    if mysql:
        request.mysql.CopyFrom(wire.MysqlOptions(**mysql))
    if "simulator" in options:
        simulator = {**options["simulator"]}
        teacher = simulator.pop("teacher", ())
        request.simulator.CopyFrom(
            wire.SimulatorOptions(**simulator, teacher=map(_recorded, teacher))  # type: ignore[arg-type]
        )
    if "recordings" in options:
        request.replay.CopyFrom(_replay(options["recordings"]))
    return request


def _replay(recordings: Sequence[Sequence[RecordedTurn]]) -> wire.ReplayOptions:
    return wire.ReplayOptions(
        recordings=[wire.Recording(turns=map(_recorded, turns)) for turns in recordings]
    )


def _recorded(turn: RecordedTurn) -> wire.RecordedTurn:
    return wire.RecordedTurn(
        action=to_bytes(turn.action),
        text=turn.text,
        exit_code=turn.exit_code,
        timed_out=turn.timed_out,
    )


def step(
    name: str, step_index: int, action: str | bytes, timeout: float | None
) -> wire.StepRequest:
    """Writes one step."""
    request = wire.StepRequest(name=name, step_index=step_index, action=to_bytes(action))
    if timeout is not None:
        request.timeout.CopyFrom(duration(timeout))
    return request


def execute(
    name: str,
    argv: Sequence[str],
    *,
    stdin: str | bytes,
    env: Mapping[str, str],
    cwd: str,
    user: str,
    timeout: float | None,
) -> wire.ExecRequest:
    """Writes which program to run."""
    request = wire.ExecRequest(
        name=name, argv=argv, stdin=to_bytes(stdin), env=env, cwd=cwd, user=user
    )
    if timeout is not None:
        request.timeout.CopyFrom(duration(timeout))
    return request


def to_bytes(text: str | bytes) -> bytes:
    """What to send for a text."""
    return text.encode() if isinstance(text, str) else text


def duration(seconds: float) -> Duration:
    """Writes a number of seconds."""
    message = Duration()
    message.FromNanoseconds(round(seconds * 1e9))
    return message
