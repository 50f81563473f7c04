"""Writes the client's arguments as the wire's messages. Whatever cannot be sent is refused here."""

import secrets
import uuid
from collections.abc import Mapping, Sequence
from typing import Unpack

from google.protobuf.duration_pb2 import Duration

from plumb.v1 import environment_pb2 as wire
from plumb_client import checks, options
from plumb_client.errors import InvalidInput
from plumb_client.options import SessionOptions

_REPLAYED_WITH = frozenset({"request_id", "idle_timeout", "replay_from", "replay_until"})


def create_session(
    kind: str, backend: str, **given: Unpack[SessionOptions]
) -> wire.CreateSessionRequest:
    """Writes what a new session shall be.

    Raises:
        InvalidInput: An option makes no sense, or there is none of this name.
    """
    checks.known("option", given, options.NAMES)
    request = wire.CreateSessionRequest(
        request_id=checks.text("request_id", given.get("request_id", "")) or str(uuid.uuid4()),
        kind=checks.text("kind", kind),
        backend=checks.text("backend", backend),
        init=checks.each("init", given.get("init", ()), checks.data),
        tolerate_init_failures=checks.flag(
            "tolerate_init_failures", given.get("tolerate_init_failures", False)
        ),
        observe=checks.text("observe", given.get("observe", "")),
        replicas=checks.whole("replicas", given.get("replicas", 0), bits=32),
        task=checks.text("task", given.get("task", "")),
        shell=options.shell(kind, given),
        mysql=options.mysql(kind, given),
        simulator=options.simulator(given["simulator"]) if "simulator" in given else None,
        replay=options.replay(given["recordings"]) if "recordings" in given else None,
        replay_from=_replay_from(given),
    )
    for name in ("init_timeout", "idle_timeout"):
        if name in given:
            seconds = checks.seconds(name, given.get(name))
            getattr(request, name).CopyFrom(duration(seconds))
    return request


def _replay_from(given: Mapping[str, object]) -> wire.ReplayFrom | None:
    if "replay_from" not in given:
        if "replay_until" in given:
            raise InvalidInput("replay_until says where replay_from ends; give replay_from, too")
        return None
    beside = sorted(set(given) - _REPLAYED_WITH)
    if beside:
        raise InvalidInput(f"replay_from takes {beside[0]} from the journal; leave {beside[0]} out")
    return wire.ReplayFrom(
        session=checks.text("replay_from", given["replay_from"]),
        until_step=checks.whole("replay_until", given.get("replay_until", 0)),
    )


def step(
    name: str, step_index: int, action: str | bytes, timeout: float | None, nonce: str = ""
) -> wire.StepRequest:
    """Writes one step."""
    request = wire.StepRequest(
        name=name, step_index=step_index, action=checks.data("action", action), nonce=nonce
    )
    if timeout is not None:
        request.timeout.CopyFrom(duration(checks.seconds("timeout", timeout)))
    return request


def new_nonce() -> str:
    """Makes what tells one step from all others."""
    return secrets.token_hex(12)


def execute(
    name: str,
    argv: Sequence[str],
    *,
    stdin: str | bytes,
    env: Mapping[str, str] | None,
    cwd: str,
    user: str,
    timeout: float | None,
) -> wire.ExecRequest:
    """Writes which program to run."""
    request = wire.ExecRequest(
        name=name,
        argv=checks.each("argv", argv, checks.text),
        stdin=checks.data("stdin", stdin),
        env={} if env is None else checks.texts_by_name("env", env),
        cwd=checks.text("cwd", cwd),
        user=checks.text("user", user),
    )
    if timeout is not None:
        request.timeout.CopyFrom(duration(checks.seconds("timeout", timeout)))
    return request


def duration(seconds: float) -> Duration:
    """Writes a number of seconds."""
    message = Duration()
    message.FromNanoseconds(round(seconds * 1e9))
    return message
