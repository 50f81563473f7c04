"""The options of a new session, checked one by one, as the wire's messages."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypedDict

from plumb.v1 import environment_pb2 as wire
from plumb_client import checks
from plumb_client.errors import InvalidInput, InvalidType
from plumb_client.values import Ending


@dataclasses.dataclass(frozen=True, slots=True)
class RecordedTurn:
    """One turn of a recording.

    Attributes:
        action: What was typed.
        text: What was read.
        exit_code: 0 to 255; None where it is not known.
        timed_out: Whether it was stopped at its timeout; as `ending` says it.
        errno: MySQL's, 0 for none; None where it is not known.
        cwd: The working directory afterwards; empty where it is not known.
        ending: How it ended; None where it is not known.
    """

    action: str | bytes
    text: str
    exit_code: int | None = None
    timed_out: bool = False
    errno: int | None = dataclasses.field(default=None, kw_only=True)
    cwd: str = dataclasses.field(default="", kw_only=True)
    ending: Ending | None = dataclasses.field(default=None, kw_only=True)


class ComparedOptions(TypedDict, total=False):
    """What both `session` and `compare` take beside kind and backend; all may be left out.

    Attributes:
        init: The init scripts, at most 256.
        tolerate_init_failures: Whether a failing one is let pass; default False.
        init_timeout: Seconds that each may run; above 0, at most 3600, default 120.
        idle_timeout: Seconds that the session lives without a call; 1 to 86400, default the
            server's.
        request_id: Makes the creation idempotent; at most 128 characters, one is made up where
            there is none.
        image: Of a shell, as are `hostname`, `dumb_terminal` and `use_image_user`.
        database: Of a MySQL session, as are `isolation`, `rendering` and `max_rows`.
        max_text_bytes: The most bytes of `text` and of `raw`, each; 1024 to 1048576, default 65536.
        simulator: `model`, `strategy`, `reason`, `critic`, `temperature`, `seed`, and `teacher`, a
            sequence of RecordedTurn; with backend simulated or paired.
        recordings: Episodes to replay; with backend replay or paired.
        observe: `real` or `simulated`; with backend paired.
        task: What the agent is to do, at most 64 KiB; simulators are told.
        replay_from: The name of an ended session, whose journaled steps are taken again in the new
            one; what that was created from is taken from the journal.
        replay_until: The last step to take again; default the last that was answered.
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
    replay_from: str
    replay_until: int


class SessionOptions(ComparedOptions, total=False):
    """What `session` takes beside kind and backend: `ComparedOptions`, and more.

    Attributes:
        replicas: How many real sandboxes take each action, 1 to 10, default 1; with backend paired.
    """

    replicas: int


NAMES = tuple(SessionOptions.__annotations__)

_Check = Callable[[str, object], Any]


def _int32(name: str, value: object) -> int:
    return checks.whole(name, value, bits=32)


_SHELL: Mapping[str, _Check] = {
    "image": checks.text,
    "hostname": checks.text,
    "dumb_terminal": checks.flag,
    "use_image_user": checks.flag,
}
_MYSQL: Mapping[str, _Check] = {
    "database": checks.text,
    "isolation": checks.text,
    "rendering": checks.text,
    "max_rows": _int32,
}
_OF_BOTH: Mapping[str, _Check] = {"max_text_bytes": checks.whole}
_SIMULATOR: Mapping[str, _Check] = {
    "model": checks.text,
    "strategy": checks.text,
    "reason": checks.flag,
    "critic": checks.flag,
    "temperature": checks.real,
    "seed": checks.whole,
    "teacher": lambda name, value: checks.each(name, value, recorded),
}


def shell(kind: str, options: Mapping[str, object]) -> wire.ShellOptions | None:
    """Reads what only a shell takes.

    Raises:
        InvalidInput: One makes no sense, or the kind is another one.
    """
    fields = _taken(options, _SHELL if kind == "mysql" else {**_SHELL, **_OF_BOTH})
    _check_kind("shell", kind, fields)
    return wire.ShellOptions(**fields) if fields else None


def mysql(kind: str, options: Mapping[str, object]) -> wire.MysqlOptions | None:
    """Reads what only MySQL takes; raises as `shell` does."""
    fields = _taken(options, {**_MYSQL, **_OF_BOTH} if kind == "mysql" else _MYSQL)
    _check_kind("mysql", kind, fields)
    return wire.MysqlOptions(**fields) if fields else None


def _taken(options: Mapping[str, object], fields: Mapping[str, _Check]) -> dict[str, Any]:
    return {name: check(name, options[name]) for name, check in fields.items() if name in options}


def _check_kind(of: str, kind: str, fields: Mapping[str, object]) -> None:
    if fields and kind in ("shell", "mysql") and kind != of:
        raise InvalidInput(
            f"{next(iter(fields))} is an option of kind {of!r}, and this session is of kind "
            f"{kind!r}; leave it out"
        )


def simulator(value: object) -> wire.SimulatorOptions:
    """Reads who plays.

    Raises:
        InvalidInput: A field is wrong, or there is none of this name.
    """
    if not isinstance(value, Mapping):
        mend = 'give a dict, for example {"model": "baseline:always_empty"}'
        raise InvalidType(f"simulator is {checks.shown(value)}; {mend}")
    checks.known("field of simulator", value, _SIMULATOR)
    fields = {name: check for name, check in _SIMULATOR.items() if name in value}
    return wire.SimulatorOptions(
        **{name: check(f"simulator[{name!r}]", value[name]) for name, check in fields.items()}
    )


def replay(value: object) -> wire.ReplayOptions:
    """Reads what is played again; raises as `simulator` does."""
    episodes = checks.each("recordings", value, lambda name, one: checks.each(name, one, recorded))
    return wire.ReplayOptions(recordings=[wire.Recording(turns=turns) for turns in episodes])


def recorded(name: str, turn: object) -> wire.RecordedTurn:
    """Reads one recorded turn; raises as `simulator` does."""
    if not isinstance(turn, RecordedTurn):
        mend = "give a plumb_client.RecordedTurn(action, text)"
        raise InvalidType(f"{name} is {checks.shown(turn)}; {mend}")
    return wire.RecordedTurn(
        action=checks.data(f"{name}.action", turn.action),
        text=checks.text(f"{name}.text", turn.text),
        exit_code=None if turn.exit_code is None else _int32(f"{name}.exit_code", turn.exit_code),
        timed_out=checks.flag(f"{name}.timed_out", turn.timed_out),
        errno=None if turn.errno is None else _int32(f"{name}.errno", turn.errno),
        cwd=checks.text(f"{name}.cwd", turn.cwd),
        ending=_ending(f"{name}.ending", turn.ending),
    )


def _ending(name: str, value: object) -> "wire.Ending.ValueType":
    if value is None:
        return wire.ENDING_UNSPECIFIED
    if not isinstance(value, Ending):
        raise InvalidType(f"{name} is {checks.shown(value)}; give a plumb_client.Ending, or None")
    return wire.Ending.Value(f"ENDING_{value.name}")
