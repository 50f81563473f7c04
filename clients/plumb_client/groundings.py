"""Captured and generated groundings."""

import dataclasses
from typing import TypedDict, Unpack

from plumb.v1 import environment_pb2
from plumb.v1 import grounding_pb2 as wire
from plumb_client import checks, requests
from plumb_client.options import SessionOptions
from plumb_client.values import InitResult, read_init_results


class GroundingOptions(TypedDict, total=False):
    """What `generate_grounding` takes beside kind, task and model; everything may be left out.

    Attributes:
        rounds: How often it may be tried, 1 to 5; default 5.
        temperature: Of sampling, 0 to 2; default the endpoint's.
        database: Of a MySQL world.
        image: Of a shell's.
    """

    rounds: int
    temperature: float
    database: str
    image: str


@dataclasses.dataclass(frozen=True, slots=True)
class GroundingCheck:
    """Whether what a task needs is there, by a command that was run for real."""

    command: str
    passed: bool
    output: str


@dataclasses.dataclass(frozen=True, slots=True)
class GroundingAttempt:
    """One round; `error` is why it was not taken, and empty if it was."""

    init: tuple[str, ...]
    error: str
    check: GroundingCheck | None


@dataclasses.dataclass(frozen=True, slots=True)
class StateEntry:
    """One thing that the scripts left.

    Attributes:
        key: Which, for example an absolute path.
        fields: What is known of it: name -> value.
        volatile: The fields that differ between two fresh sandboxes; their values are empty.
    """

    key: str
    fields: dict[str, str]
    volatile: tuple[str, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class GeneratedGrounding:
    """What came of writing a grounding.

    Attributes:
        grounded: Whether the task can be worked on.
        init: The init scripts; they ran. Empty if not grounded.
        actions: What somebody who works on the task might type.
        check: The check that passed.
        state: What the scripts left, sorted by key.
        state_cut: What was left out of that.
        attempts: Every round, in order.
        prompt_tokens: Sent to the model; `completion_tokens` were received.
        cost_usd: What it cost; 0 where no price is known.
    """

    grounded: bool
    init: tuple[str, ...]
    actions: tuple[str, ...]
    check: GroundingCheck | None
    state: tuple[StateEntry, ...]
    state_cut: tuple[str, ...]
    attempts: tuple[GroundingAttempt, ...]
    prompt_tokens: int
    completion_tokens: int
    cost_usd: float


@dataclasses.dataclass(frozen=True, slots=True)
class CapturedGrounding:
    """What init scripts left, when they were run for real.

    Attributes:
        init_results: What each script did.
        state: What is there that was not there before, sorted by key.
        state_cut: What was left out of that.
    """

    init_results: tuple[InitResult, ...]
    state: tuple[StateEntry, ...]
    state_cut: tuple[str, ...]


_CAPTURED = frozenset(
    {"init", "tolerate_init_failures", "image", "hostname", "dumb_terminal", "use_image_user",
     "database", "isolation", "rendering", "max_rows", "max_text_bytes"}
)  # fmt: skip


def write_capture_request(kind: str, options: SessionOptions) -> wire.CaptureGroundingRequest:
    """Writes what to run; the options are those of a session with backend `real`.

    Raises:
        InvalidInput: An option makes no sense here, or there is none of this name.
    """
    checks.known("option of capture_grounding", options, _CAPTURED)
    session = requests.create_session(kind, "real", **options)
    request = wire.CaptureGroundingRequest(
        kind=kind, init=session.init, tolerate_init_failures=session.tolerate_init_failures
    )
    for field in ("shell", "mysql"):
        if session.HasField(field):
            getattr(request, field).CopyFrom(getattr(session, field))
    return request


def read_capture_response(message: wire.CaptureGroundingResponse) -> CapturedGrounding:
    """Reads what came of it."""
    return CapturedGrounding(
        init_results=read_init_results(message.init_results),
        state=tuple(map(_read_entry, message.state)),
        state_cut=tuple(message.state_cut),
    )


def write_request(
    kind: str, task: str, model: str, **options: Unpack[GroundingOptions]
) -> wire.GenerateGroundingRequest:
    """Writes which grounding is wanted.

    Raises:
        InvalidInput: An option makes no sense, or there is none of this name.
    """
    checks.known("option of generate_grounding", options, GroundingOptions.__annotations__)
    temperature = options.get("temperature")
    request = wire.GenerateGroundingRequest(
        kind=checks.text("kind", kind),
        task=checks.text("task", task),
        model=checks.text("model", model),
        rounds=checks.whole("rounds", options.get("rounds", 0), bits=32),
        temperature=None if temperature is None else checks.real("temperature", temperature),
    )
    database = checks.text("database", options.get("database", ""))
    if database:
        request.mysql.CopyFrom(environment_pb2.MysqlOptions(database=database))
    image = checks.text("image", options.get("image", ""))
    if image:
        request.shell.CopyFrom(environment_pb2.ShellOptions(image=image))
    return request


def read_response(message: wire.GenerateGroundingResponse) -> GeneratedGrounding:
    """Reads what came of it."""
    return GeneratedGrounding(
        grounded=message.grounded,
        init=tuple(message.init),
        actions=tuple(message.actions),
        check=_read_check(message.check) if message.HasField("check") else None,
        state=tuple(map(_read_entry, message.state)),
        state_cut=tuple(message.state_cut),
        attempts=tuple(map(_read_attempt, message.attempts)),
        prompt_tokens=message.prompt_tokens,
        completion_tokens=message.completion_tokens,
        cost_usd=message.cost_usd,
    )


def _read_attempt(message: wire.GroundingAttempt) -> GroundingAttempt:
    check = _read_check(message.check) if message.HasField("check") else None
    return GroundingAttempt(tuple(message.init), message.error, check)


def _read_check(message: wire.GroundingCheck) -> GroundingCheck:
    return GroundingCheck(message.command, message.passed, message.output)


def _read_entry(message: wire.StateEntry) -> StateEntry:
    return StateEntry(
        message.key,
        {field.name: field.value for field in message.fields},
        tuple(field.name for field in message.fields if field.volatile),
    )
