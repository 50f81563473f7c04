"""A journal as full as it is after months, written at once."""

from __future__ import annotations

import datetime
import uuid

import sqlalchemy as sql

from plumb.v1 import environment_pb2 as wire
from plumb_server.journal_tables import sessions, steps, verdicts
from plumb_server.migrations import migrate

_BEGUN = datetime.datetime(2026, 1, 1)
_AT_ONCE = 1000


def write_journal(url: str, number: int, steps_each: int, *, first: int = 0) -> None:
    """Writes sessions with as many steps each; every fourth one is a pair, its last step wrong.

    Args:
        url: As PLUMB_JOURNAL.
        number: How many.
        steps_each: How many each has.
        first: How many the journal has already; these come after them.
    """
    names = [
        (at, f"sessions/{uuid.UUID(int=at, version=4)}") for at in range(first, first + number)
    ]
    engine = sql.create_engine(url)
    migrate(engine)
    with engine.begin() as connection:
        for done in range(0, number, _AT_ONCE):
            _write(connection, names[done : done + _AT_ONCE], steps_each)
    engine.dispose()


def _write(connection: sql.Connection, some: list[tuple[int, str]], steps_each: int) -> None:
    connection.execute(sql.insert(sessions), [_session(at, name) for at, name in some])
    pairs = [(name, index) for _, name in some for index in range(1, steps_each + 1)]
    connection.execute(sql.insert(steps), [_step(name, index) for name, index in pairs])
    judged = [
        {
            "session": name,
            "step_index": index,
            "verdict": "FABRICATED" if index == steps_each else "AGREES",
        }
        for at, name in some
        if _is_pair(at)
        for index in range(1, steps_each + 1)
    ]
    if judged:
        connection.execute(sql.insert(verdicts), judged)


def _is_pair(at: int) -> bool:
    return at % 4 == 0


def _session(at: int, name: str) -> dict[str, object]:
    backend = "paired" if _is_pair(at) else "real"
    request = wire.CreateSessionRequest(kind="shell", backend=backend, task="Count them.")
    if _is_pair(at):
        request.simulator.model = "gpt-4o"
    created = _BEGUN + datetime.timedelta(seconds=at)
    return {
        "name": name,
        "kind": "shell",
        "backend": backend,
        "request": request.SerializeToString(),
        "created_at": created,
        "ended_at": created,
        "ended_because": "it was deleted",
    }


def _step(name: str, index: int) -> dict[str, object]:
    text = "".join(f"-rw-r--r-- 1 root root {at} Nov 26 12:00 file{at}\n" for at in range(20))
    seen = wire.Observation(text=text, raw=text.encode(), ending=wire.ENDING_EXITED, exit_code=0)
    return {
        "session": name,
        "step_index": index,
        "action": b"ls -l",
        "observation": seen.SerializeToString(),
        "ending": "EXITED",
        "exit_code": 0,
        "error": None,
        "answered_at": _BEGUN,
    }
