"""The journal: every session and every step, written before it is answered.

One writer thread commits in groups, so that many sessions share the cost of a commit and the event
loop never waits for a disk. SQLite by default (WAL, synchronous=NORMAL: a crash of the process
loses nothing, a crash of the machine at most the last moments); any SQLAlchemy URL will do.
"""

import asyncio
import dataclasses
import datetime
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, nullcontext
from typing import Any

import sqlalchemy as sql
from sqlalchemy.pool import StaticPool

from plumb_server.journal_files import Room, file_of, measure, open_engine
from plumb_server.journal_tables import (
    owners,
    reports,
    resets,
    sessions,
    steps,
    verdicts,
)
from plumb_server.journal_writer import JournalWriter, Write, translated

_ROW_BYTES = 256
"""What a step takes beside what it holds."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class StepRecord:
    """One answered step: an observation, or the error that it was answered with.

    Attributes:
        observation: The serialised plumb.v1.Observation; None for an error.
        verdict: How the two sides of a pair compare; None without a pair.
        nonce: What its caller told it from others by.
    """

    session: str
    step_index: int
    action: bytes
    observation: bytes | None
    ending: str | None
    exit_code: int | None
    error: str | None
    verdict: str | None = None
    nonce: str = ""

    @property
    def size(self) -> int:
        """How many bytes it takes, about."""
        held = (self.action, self.observation, self.error)
        return _ROW_BYTES + sum(map(len, filter(None, held)))


_STEP_FIELDS = tuple(
    field.name for field in dataclasses.fields(StepRecord) if field.name in steps.c
)

# Made once: SQLAlchemy takes longer to build and compile a statement than SQLite to run it.
_INSERT_SESSION = sql.insert(sessions)
_INSERT_OWNER = sql.insert(owners)
_INSERT_STEP = sql.insert(steps)
_INSERT_RESET = sql.insert(resets)
_INSERT_VERDICT = sql.insert(verdicts)
_INSERT_REPORT = sql.insert(reports)
_END_SESSION = sql.update(sessions).where(sessions.c.name == sql.bindparam("of"))
_FORGET = {
    table: sql.delete(table).where(column == sql.bindparam("of"))
    for table, column in (
        (steps, steps.c.session),
        (verdicts, verdicts.c.session),
        (resets, resets.c.session),
        (owners, owners.c.session),
        (sessions, sessions.c.name),
    )
}


_WITHOUT_A_WORD = "the server that had it ended without a word"


class Journal:
    """The journal of one server. Made by `open_journal`.

    Attributes:
        room: How much room it takes and has, as it was measured last.

    Whatever writes raises JournalUnavailable where that is not possible for now; it is possible
    again as soon as the reason is gone.
    """

    def __init__(self, engine: sql.Engine) -> None:
        self._engine = engine
        # In memory all share one connection, and a reader that ends would undo what is written.
        is_shared = isinstance(engine.pool, StaticPool)
        self._turn = threading.Lock() if is_shared else nullcontext()
        self._file = file_of(engine)
        self._writer = JournalWriter(engine, self._turn, self._measure)
        self.room = Room()

    def _measure(self, connection: sql.Connection) -> None:
        self.room = measure(connection, self._file)

    async def measure(self) -> Room:
        """Measures how much room there is; `room` has what was found last."""
        await self._writer.write()
        return self.room

    async def session_created(self, name: str, kind: str, backend: str, request: bytes) -> None:
        """Writes that a session has begun, and what was asked for (a CreateSessionRequest)."""
        values = {"name": name, "kind": kind, "backend": backend, "request": request}
        await self._writer.write((_INSERT_SESSION, {**values, "created_at": _now()}))

    async def session_owned(self, name: str, owner: str, expiry: str) -> None:
        """Writes which server has a session, and until when: see `plumb_backends.real.owner`."""
        values = {"session": name, "owner": owner, "expiry": expiry}
        await self._writer.write((_INSERT_OWNER, values))

    async def end_abandoned(self, is_over: Callable[[str, str], bool]) -> int:
        """Writes the end of the sessions whose server ended without doing so; returns how many.

        Args:
            is_over: Whether an owner is known to have ended, or its expiry has passed.
        """
        query = sql.select(owners).join(sessions, sessions.c.name == owners.c.session)
        rows = await self.read(query.where(sessions.c.ended_at.is_(None)))
        left = [row.session for row in rows if is_over(row.owner, row.expiry)]
        await asyncio.gather(*(self.session_ended(name, _WITHOUT_A_WORD) for name in left))
        return len(left)

    async def session_ended(self, name: str, because: str) -> None:
        """Writes that a session has ended, and why."""
        values = {"of": name, "ended_at": _now(), "ended_because": _storable(because)[:200]}
        await self._writer.write((_END_SESSION, values))

    async def session_reset(self, name: str, after_step: int) -> None:
        """Writes that a session goes back to its grounded state; if it cannot, it ends."""
        values = {"session": name, "after_step": after_step, "at": _now()}
        await self._writer.write((_INSERT_RESET, values))

    async def step_answered(self, record: StepRecord) -> None:
        """Writes a step and its answer."""
        values = {name: getattr(record, name) for name in _STEP_FIELDS}
        if record.error:
            values["error"] = _storable(record.error)
        writes: list[Write] = [(_INSERT_STEP, {**values, "answered_at": _now()})]
        if record.verdict is not None:
            key = {"session": record.session, "step_index": record.step_index}
            writes.append((_INSERT_VERDICT, {**key, "verdict": record.verdict}))
        await self._writer.write(*writes)

    async def report_made(self, name: str, request: bytes, report: bytes, steps: bytes) -> None:
        """Writes a comparison: a CompareRequest, its Report, and a GetReportResponse with all."""
        values = {"name": name, "request": request, "report": report, "steps": steps, "at": _now()}
        await self._writer.write((_INSERT_REPORT, values))

    async def reports(self, before: int | None, most: int) -> Sequence[tuple[int, bytes]]:
        """Reports with their numbers, the newest first; only such with a lower number."""
        query = sql.select(reports.c.number, reports.c.report).order_by(reports.c.number.desc())
        if before is not None:
            query = query.where(reports.c.number < before)
        rows = await self.read(query.limit(most))
        return [(row.number, row.report) for row in rows]

    async def report(self, name: str) -> bytes | None:
        """A whole comparison, as a GetReportResponse; None if there is none of this name."""
        query = sql.select(reports.c.steps).where(reports.c.name == name)
        rows = await self.read(query)
        return bytes(rows[0].steps) if rows else None

    async def why_ended(self, name: str) -> str | None:
        """Why a session ended; None if it is not known to have been one."""
        query = sql.select(sessions.c.ended_because).where(sessions.c.name == name)
        rows = await self.read(query)
        return None if not rows else rows[0][0] or _WITHOUT_A_WORD

    async def steps_of(self, name: str) -> Sequence[StepRecord]:
        """A session's answered steps, in order."""
        fields = [steps.c[field] for field in _STEP_FIELDS]
        query = sql.select(*fields).where(steps.c.session == name).order_by(steps.c.step_index)
        return [_step_record(row) for row in await self.read(query)]

    async def read(self, query: "sql.Select[Any]") -> "Sequence[sql.Row[Any]]":
        """Asks the tables; `history` does so for people.

        Raises:
            JournalUnavailable: It cannot be read for now.
        """
        with translated("read"):
            return await asyncio.to_thread(self._read, query)

    async def step_of(self, name: str, index: int) -> StepRecord | None:
        """One answered step; None if it was not answered."""
        fields = [steps.c[field] for field in _STEP_FIELDS]
        query = sql.select(*fields).where(steps.c.session == name, steps.c.step_index == index)
        rows = await self.read(query)
        return _step_record(rows[0]) if rows else None

    def _read(self, query: "sql.Select[Any]") -> "Sequence[sql.Row[Any]]":
        with self._turn, self._engine.connect() as connection:
            return connection.execute(query).all()

    async def request_of(self, name: str) -> bytes | None:
        """What a session was created from; None if it is not known."""
        rows = await self.read(sql.select(sessions.c.request).where(sessions.c.name == name))
        return bytes(rows[0].request) if rows else None

    async def size_of(self, name: str) -> int:
        """How many bytes a session's steps have, about."""
        held = (steps.c.action, steps.c.observation, steps.c.error)
        size = sum((sql.func.coalesce(sql.func.length(column), 0) for column in held), _ROW_BYTES)
        query = sql.select(sql.func.sum(size)).where(steps.c.session == name)
        return int((await self.read(query))[0][0] or 0)

    async def resets_of(self, name: str) -> Sequence[int]:
        """The steps after which a session was reset."""
        query = sql.select(resets.c.after_step).where(resets.c.session == name)
        return [row.after_step for row in await self.read(query)]

    async def oldest_ended(
        self, most: int, before: datetime.datetime | None = None
    ) -> Sequence[str]:
        """The sessions that ended first, of those that ended before a moment."""
        ended = sessions.c.ended_at
        query = sql.select(sessions.c.name).where(ended.is_not(None)).order_by(ended).limit(most)
        if before is not None:
            query = query.where(ended < before.astimezone(datetime.UTC).replace(tzinfo=None))
        return [row.name for row in await self.read(query)]

    async def forget(self, names: Sequence[str]) -> None:
        """Removes sessions and all that is known of them."""
        await self._writer.write(
            *((_FORGET[table], {"of": name}) for name in names for table in _FORGET)
        )

    def close(self) -> None:
        """Writes what is left, and closes. Blocks for a moment."""
        self._writer.close()
        self._engine.dispose()


def _step_record(row: "sql.Row[Any]") -> StepRecord:
    """A row as a record; those that are older than nonces have none."""
    return StepRecord(**{**row._mapping, "nonce": row.nonce or ""})


def _storable(text: str) -> str:
    """Replaces what no database takes as text: half characters, and NUL in PostgreSQL."""
    return text.encode(errors="replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC).replace(tzinfo=None)


@asynccontextmanager
async def open_journal(url: str) -> AsyncIterator[Journal]:
    """Opens a journal, making its tables where they are missing.

    Args:
        url: An SQLAlchemy URL.

    Raises:
        JournalUnavailable: It cannot be opened; the message hides the URL's password.
    """
    journal = Journal(await asyncio.to_thread(open_engine, url))
    try:
        yield journal
    finally:
        await asyncio.to_thread(journal.close)
