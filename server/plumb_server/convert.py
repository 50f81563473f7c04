"""Between the wire's messages and the values of plumb_backends. Checks what comes from outside."""

from collections.abc import Sequence
from decimal import Decimal

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message

from plumb.v1 import environment_pb2 as wire
from plumb.v1 import fidelity_pb2, grounding_pb2
from plumb_backends.comparison import DEFAULT_REPLICAS, ComparisonWish
from plumb_backends.environment import (
    DEFAULT_TIMEOUT,
    MAX_ACTION_BYTES,
    MAX_TIMEOUT,
    Action,
    Ending,
    Observation,
    ProbeResult,
    Program,
    ProgramResult,
    Provenance,
    ShellDetail,
    SqlCell,
    SqlDetail,
    SqlResult,
    Temporal,
)
from plumb_backends.errors import InvalidInput
from plumb_backends.grounding import (
    DEFAULT_INIT_TIMEOUT,
    MAX_TASK_BYTES,
    Grounding,
    decode_scripts,
)
from plumb_backends.kind import Kind
from plumb_backends.kinds import mysql
from plumb_backends.kinds.mysql import MysqlOptions, Rendering
from plumb_backends.kinds.shell import DEFAULT_HOSTNAME, DEFAULT_TEXT_BYTES, ShellOptions
from plumb_backends.paired import REAL, PairedOptions
from plumb_backends.registry import Backend, Spec, check_names
from plumb_backends.simulated.options import (
    BASELINE_PREFIX,
    DEFAULT_STRATEGY,
    RecordedTurn,
    ReplayOptions,
    SimulatorOptions,
)
from plumb_fidelity.verdict import Verdict
from plumb_server.steps import AskedStep

_MAX_INIT_TIMEOUT = 3600.0
_MAX_IDLE_TIMEOUT = 24 * 3600.0
_MAX_REQUEST_ID = 128
_MAX_NONCE = 128
_MAX_NAME = 256
_MAX_ARGV_BYTES = 1024 * 1024
_MAX_STDIN_BYTES = 1024 * 1024
_INIT_TAIL_BYTES = 4096
_MAX_INT64 = 2**63 - 1
_ENDINGS = {ending: wire.Ending.Value(f"ENDING_{ending.name}") for ending in Ending}


# From the wire.


def spec_from_wire(request: wire.CreateSessionRequest, session_id: str) -> Spec:
    """Reads what a new session shall be.

    Raises:
        InvalidInput: A field is wrong.
        UnknownKind, UnknownBackend: There is no such thing.
    """
    backend = request.backend or "real"
    check_names(request.kind, backend)
    if len(request.request_id) > _MAX_REQUEST_ID:
        raise InvalidInput(
            f"request_id has {len(request.request_id)} characters; use a UUID, or at most "
            f"{_MAX_REQUEST_ID} characters"
        )
    simulates, replays = backend in ("simulated", "paired"), backend in ("replay", "paired")
    _check_applies(request, "simulator", simulates, f"backend {backend!r}")
    _check_plain("request_id", request.request_id)
    _check_applies(request, "replay", replays, f"backend {backend!r}")
    check_task(request.task)
    if request.observe and backend != "paired":
        raise InvalidInput(
            f"observe is {request.observe!r}, but {backend!r} has one side only; leave it out"
        )
    if request.replicas and backend != "paired":
        raise InvalidInput(
            f"replicas is {request.replicas}, but {backend!r} compares nothing; leave it out"
        )
    return Spec(
        kind=request.kind,
        backend=backend,
        session_id=session_id,
        grounding=Grounding(
            decode_scripts(request.init),
            tolerate_failures=request.tolerate_init_failures,
            timeout=_seconds(request, "init_timeout", DEFAULT_INIT_TIMEOUT, most=_MAX_INIT_TIMEOUT),
            task=request.task,
        ),
        options=kind_options_from_wire(request),
        backend_options=_backend_options(request, backend),
    )


def idle_timeout_from_wire(request: wire.CreateSessionRequest) -> float | None:
    """Reads how long a session lives without a call; None for the server's default."""
    if not request.HasField("idle_timeout"):
        return None
    return _seconds(request, "idle_timeout", 0.0, most=_MAX_IDLE_TIMEOUT, least=1.0)


def action_from_wire(request: wire.StepRequest) -> Action:
    """Reads what shall be performed.

    Raises:
        InvalidInput: It is too large, or its timeout is out of range.
    """
    return Action(
        _checked_action(request.action),
        timeout=_seconds(request, "timeout", DEFAULT_TIMEOUT, most=MAX_TIMEOUT),
    )


def step_from_wire(request: wire.StepRequest) -> AskedStep:
    """Reads which step is asked for.

    Raises:
        InvalidInput: As `action_from_wire`, or the nonce is not one.
    """
    action = action_from_wire(request)
    nonce = request.nonce
    if len(nonce) > _MAX_NONCE or not (nonce.isascii() and nonce.isprintable()):
        raise InvalidInput(
            f"nonce is {nonce[:_MAX_NONCE]!r}; use at most {_MAX_NONCE} printable ASCII "
            "characters, for example a UUID"
        )
    return AskedStep(request.name, request.step_index, action, nonce)


def _checked_action(text: bytes) -> bytes:
    if len(text) > MAX_ACTION_BYTES:
        raise InvalidInput(
            f"the action has {len(text)} bytes, at most {MAX_ACTION_BYTES} are allowed; "
            "write a large file in pieces"
        )
    return text


def program_from_wire(request: wire.ExecRequest) -> Program:
    """Reads which program shall run.

    Raises:
        InvalidInput: A field is wrong.
    """
    if not request.argv or not request.argv[0]:
        raise InvalidInput("argv is empty; give the program and its arguments")
    if sum(len(part.encode()) for part in request.argv) > _MAX_ARGV_BYTES:
        raise InvalidInput(f"argv has more than {_MAX_ARGV_BYTES} bytes; pass data on stdin")
    if len(request.stdin) > _MAX_STDIN_BYTES:
        raise InvalidInput(
            f"stdin has {len(request.stdin)} bytes, at most {_MAX_STDIN_BYTES} are allowed; "
            "run it in pieces"
        )
    if request.cwd and not request.cwd.startswith("/"):
        raise InvalidInput(f"cwd is {request.cwd!r}; give an absolute path")
    for text in (*request.argv, request.cwd, request.user, *request.env, *request.env.values()):
        if "\0" in text:
            raise InvalidInput(
                f"{text!r} holds a NUL character, which no program can be given; leave it out"
            )
    for name in request.env:
        if not name or "=" in name:
            raise InvalidInput(
                f"{name!r} is not a name of an environment variable; leave out the '='"
            )
    return Program(
        tuple(request.argv),
        stdin=request.stdin,
        env=dict(request.env),
        cwd=request.cwd,
        user=request.user,
        timeout=_seconds(request, "timeout", DEFAULT_TIMEOUT, most=MAX_TIMEOUT),
    )


def check_task(task: str) -> None:
    """Checks that a task is not too long.

    Raises:
        InvalidInput: It is.
    """
    if len(task.encode()) > MAX_TASK_BYTES:
        raise InvalidInput(
            f"task has {len(task.encode())} bytes, at most {MAX_TASK_BYTES} are allowed; shorten it"
        )


def kind_options_from_wire(
    request: wire.CreateSessionRequest
    | grounding_pb2.CaptureGroundingRequest
    | grounding_pb2.GenerateGroundingRequest
    | fidelity_pb2.CompareRequest,
) -> ShellOptions | MysqlOptions | None:
    """Reads what a kind's sessions can be told.

    Raises:
        InvalidInput: A value is wrong, or of another kind.
    """
    _check_applies(request, "mysql", request.kind == "mysql", f"kind {request.kind!r}")
    _check_applies(request, "shell", request.kind == "shell", f"kind {request.kind!r}")
    match request.kind:
        case "shell":
            return _shell_options(request.shell)
        case "mysql":
            return _mysql_options(request.mysql)
    return None


def comparison_from_wire(request: fidelity_pb2.CompareRequest) -> ComparisonWish:
    """Reads what shall be compared.

    Raises:
        InvalidInput: A field is wrong.
        UnknownKind: There is no such kind.
    """
    check_names(request.kind, "paired")
    check_task(request.task)
    if request.WhichOneof("simulated") is None:
        raise InvalidInput("there is no simulated side; give either simulator or replay")
    timeout = _seconds(request, "timeout", DEFAULT_TIMEOUT, most=MAX_TIMEOUT)
    return ComparisonWish(
        kind=request.kind,
        options=kind_options_from_wire(request),
        grounding=Grounding(decode_scripts(request.init), task=request.task),
        actions=[Action(_checked_action(text), timeout=timeout) for text in request.actions],
        simulated=_simulator_options(request.simulator)
        if request.HasField("simulator")
        else _replay_options(request.replay),
        replicas=request.replicas or DEFAULT_REPLICAS,
    )


def _backend_options(
    request: wire.CreateSessionRequest, backend: str
) -> SimulatorOptions | ReplayOptions | PairedOptions | None:
    match backend:
        case "simulated":
            return _simulator_options(request.simulator)
        case "replay":
            return _replay_options(request.replay)
        case "paired":
            return _paired_options(request)
    return None


def _check_plain(field: str, text: str) -> None:
    """Checks what is shown to people as it is: names, not texts."""
    if len(text) > _MAX_NAME or not text.isprintable():
        raise InvalidInput(
            f"{field} is {text[:_MAX_NAME]!r}; use at most {_MAX_NAME} printable characters"
        )


def _simulator_options(options: wire.SimulatorOptions) -> SimulatorOptions:
    _check_plain("simulator.model", options.model)
    _check_plain("simulator.strategy", options.strategy)
    return SimulatorOptions(
        model=options.model,
        strategy=options.strategy or _default_strategy(options.model),
        reason=options.reason,
        critic=options.critic,
        temperature=options.temperature if options.HasField("temperature") else None,
        seed=options.seed if options.HasField("seed") else None,
        teacher=tuple(map(_recorded_turn, options.teacher)),
    )


def _default_strategy(model: str) -> str:
    return "" if model.startswith(BASELINE_PREFIX) else DEFAULT_STRATEGY


def _replay_options(options: wire.ReplayOptions) -> ReplayOptions:
    _check_plain("replay.model", options.model)
    _check_plain("replay.strategy", options.strategy)
    return ReplayOptions(
        tuple(tuple(map(_recorded_turn, one.turns)) for one in options.recordings),
        model=options.model,
        strategy=options.strategy,
    )


def _recorded_turn(turn: wire.RecordedTurn) -> RecordedTurn:
    return RecordedTurn(
        turn.action,
        turn.text,
        turn.exit_code if turn.HasField("exit_code") else None,
        timed_out=turn.timed_out,
        errno=turn.errno if turn.HasField("errno") else None,
        cwd=turn.cwd,
        ending=_recorded_ending(turn.ending),
    )


def _recorded_ending(value: "wire.Ending.ValueType") -> Ending | None:
    if value == wire.ENDING_UNSPECIFIED:
        return None
    for ending, known in _ENDINGS.items():
        if known == value:
            return ending
    raise InvalidInput(f"a recorded turn's ending is {value}; use one of the enum Ending")


def _paired_options(request: wire.CreateSessionRequest) -> PairedOptions:
    if request.HasField("simulator") == request.HasField("replay"):
        raise InvalidInput(
            "backend 'paired' has one simulated side; give either the option simulator or replay"
        )
    simulated = (
        _simulator_options(request.simulator)
        if request.HasField("simulator")
        else _replay_options(request.replay)
    )
    return PairedOptions(simulated, observe=request.observe or REAL, replicas=request.replicas or 1)


def _mysql_options(options: wire.MysqlOptions) -> MysqlOptions:
    _check_plain("mysql.database", options.database)
    return MysqlOptions(
        database=options.database or mysql.DEFAULT_DATABASE,
        isolation=mysql.choose_isolation(options.isolation),
        rendering=mysql.choose("rendering", options.rendering, Rendering.CLIENT),
        max_text_bytes=options.max_text_bytes or mysql.DEFAULT_TEXT_BYTES,
        max_rows=options.max_rows or mysql.DEFAULT_ROWS,
    )


def _shell_options(options: wire.ShellOptions) -> ShellOptions:
    _check_plain("shell.image", options.image)
    return ShellOptions(
        image=options.image,
        hostname=options.hostname or DEFAULT_HOSTNAME,
        dumb_terminal=options.dumb_terminal,
        use_image_user=options.use_image_user,
        max_text_bytes=options.max_text_bytes or DEFAULT_TEXT_BYTES,
    )


def _check_applies(request: Message, field: str, applies: bool, what: str) -> None:
    if request.HasField(field) and not applies:
        raise InvalidInput(f"the option {field} does not apply to {what}; leave it out")


def _seconds(
    request: Message, field: str, default: float, *, most: float, least: float = 0.0
) -> float:
    if not request.HasField(field):
        return default
    given: Duration = getattr(request, field)
    seconds = given.seconds + given.nanos / 1e9
    if not least <= seconds <= most or seconds == 0:
        bound = f"{least:g} s" if least else "more than 0 s"
        raise InvalidInput(f"{field} is {seconds:g} s; use {bound}, at most {most:g} s")
    return seconds


# To the wire.


def observation_to_wire(observation: Observation) -> wire.Observation:
    """Writes an observation."""
    message = wire.Observation(
        text=observation.text,
        raw=observation.raw,
        ending=_ENDINGS[observation.ending],
        exit_code=observation.exit_code,
        signal=observation.signal,
        truncated=observation.truncated,
        total_bytes=observation.total_bytes,
        run_duration=duration(observation.run_duration),
        provenance=_provenance(observation.provenance),
    )
    if observation.shell is not None:
        message.shell.CopyFrom(_shell_detail(observation.shell))
    if observation.sql is not None:
        message.sql.CopyFrom(_sql_detail(observation.sql))
    if observation.verdict is not None:
        message.verdict.CopyFrom(verdict_to_wire(observation.verdict))
    if observation.counterpart is not None:
        message.counterpart.CopyFrom(observation_to_wire(observation.counterpart))
    return message


def verdict_to_wire(verdict: Verdict) -> wire.Verdict:
    """Writes how two observations compare."""
    return wire.Verdict(
        verdict=verdict.verdict,
        flags=verdict.flags,
        evidence=verdict.evidence,
        aligned=[
            wire.AlignedLine(real=one.real, simulated=one.simulated, mark=one.mark)
            for one in verdict.aligned
        ],
        masked=verdict.masked,
    )


def _shell_detail(detail: ShellDetail) -> wire.ShellDetail:
    return wire.ShellDetail(
        cwd=detail.cwd, user=detail.user, host=detail.host, restarted=detail.restarted
    )


def _sql_detail(detail: SqlDetail) -> wire.SqlDetail:
    return wire.SqlDetail(
        results=map(_sql_result, detail.results),
        errno=detail.errno,
        sqlstate=detail.sqlstate,
        reconnected=detail.reconnected,
    )


def _sql_result(result: SqlResult) -> wire.SqlResult:
    return wire.SqlResult(
        columns=result.columns,
        rows=(wire.SqlRow(values=map(_sql_value, row)) for row in result.rows),
        affected_rows=result.affected_rows,
        last_insert_id=result.last_insert_id,
        warnings=result.warnings,
        total_rows=result.total_rows,
    )


def _sql_value(cell: SqlCell) -> wire.SqlValue:
    match cell:
        case None:
            return wire.SqlValue()
        case int():
            if cell > _MAX_INT64:
                return wire.SqlValue(unsigned_integer=cell)
            return wire.SqlValue(integer=cell)
        case float():
            return wire.SqlValue(real=cell)
        case Decimal():
            return wire.SqlValue(decimal=f"{cell:f}")
        case str():
            return wire.SqlValue(text=cell)
        case bytes():
            return wire.SqlValue(binary=cell)
        case Temporal():
            return wire.SqlValue(temporal=cell.text)


def _provenance(provenance: Provenance) -> wire.Provenance:
    return wire.Provenance(
        backend=provenance.backend,
        model=provenance.model,
        strategy=provenance.strategy,
        cassette_hit=provenance.cassette_hit,
        attempts=provenance.attempts,
        prompt_tokens=provenance.prompt_tokens,
        completion_tokens=provenance.completion_tokens,
        rejections=provenance.rejections,
        dropped_turns=provenance.dropped_turns,
        prompt_hash=provenance.prompt_hash,
        thought=provenance.thought,
        cost_usd=provenance.cost_usd,
        flags=provenance.flags,
        tool_calls=provenance.tool_calls,
    )


def program_result_to_wire(result: ProgramResult) -> wire.ExecResponse:
    """Writes what a program did."""
    return wire.ExecResponse(
        stdout=result.stdout,
        stderr=result.stderr,
        exit_code=result.exit_code,
        truncated=result.truncated,
        timed_out=result.timed_out,
        run_duration=duration(result.run_duration),
    )


def init_results_to_wire(results: Sequence[ProgramResult]) -> list[wire.InitResult]:
    """Writes what the init scripts did."""
    return [
        wire.InitResult(
            exit_code=result.exit_code,
            stdout_tail=result.stdout[-_INIT_TAIL_BYTES:],
            stderr_tail=result.stderr[-_INIT_TAIL_BYTES:],
            run_duration=duration(result.run_duration),
            timed_out=result.timed_out,
        )
        for result in results
    ]


def probe_result_to_wire(result: ProbeResult) -> wire.ProbeResponse:
    """Writes the answer to a probe."""
    entries = (wire.ProbeEntry(key=key, value=value) for key, value in sorted(result.facts.items()))
    paid = result.provenance
    return wire.ProbeResponse(entries=entries, provenance=_provenance(paid) if paid else None)


def kind_to_wire(kind: Kind, backends: Sequence[Backend]) -> wire.Kind:
    """Writes what a kind is, and what can stand behind it."""
    return wire.Kind(
        name=kind.name,
        summary=kind.summary,
        probe_suites=kind.probe_suites,
        backends=[
            wire.Backend(
                name=backend.name,
                can_exec=backend.can_exec,
                can_interrupt=backend.can_interrupt,
                can_stream=backend.can_stream,
                has_state=backend.has_state,
            )
            for backend in backends
        ],
    )


def duration(seconds: float) -> Duration:
    """Writes a number of seconds."""
    written = Duration()
    written.FromNanoseconds(round(seconds * 1e9))
    return written
