"""The journal: every session and every step, written before it is answered.

One writer thread commits in groups, so that many sessions share the cost of a commit and the event
loop never waits for a disk. SQLite by default (WAL, synchronous=NORMAL: a crash of the process
loses nothing, a crash of the machine at most the last moments); any SQLAlchemy URL will do.
"""

import asyncio
import dataclasses
import datetime
import queue
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, nullcontext
from typing import Any, TypeAlias

import sqlalchemy as sql
import structlog
from sqlalchemy.pool import StaticPool

from plumb_backends.errors import JournalUnavailable
from plumb_server.journal_tables import (
    make_missing,
    owners,
    reports,
    resets,
    sessions,
    steps,
    verdicts,
)

_log = structlog.get_logger(__name__)

_MAX_GROUP = 256


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class StepRecord:
    """One answered step: an observation, or the error that it was answered with.

    Attributes:
        observation: The serialised plumb.v1.Observation; None for an error.
        verdict: How the two sides of a pair compare; None without a pair.
    """

    session: str
    step_index: int
    action: bytes
    observation: bytes | None
    ending: str | None
    exit_code: int | None
    error: str | None
    verdict: str | None = None


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


_Write: TypeAlias = tuple[sql.Executable, Mapping[str, object]]


_WITHOUT_A_WORD = "the server that had it ended without a word"


@dataclasses.dataclass(frozen=True, slots=True)
class _Entry:
    writes: Sequence[_Write]
    loop: asyncio.AbstractEventLoop
    written: "asyncio.Future[None]"


class Journal:
    """The journal of one server. Made by `open_journal`.

    Whatever writes raises JournalUnavailable where that is not possible for now; it is possible
    again as soon as the reason is gone.
    """

    def __init__(self, engine: sql.Engine) -> None:
        self._engine = engine
        self._connection: sql.Connection | None = None  # the writer's; kept, for speed
        # In memory all share one connection, and a reader that ends would undo what is written.
        is_shared = isinstance(engine.pool, StaticPool)
        self._turn = threading.Lock() if is_shared else nullcontext()
        self._entries: queue.SimpleQueue[_Entry | None] = queue.SimpleQueue()
        self._thread = threading.Thread(
            target=self._write_groups, name="plumb-journal", daemon=True
        )
        self._thread.start()

    async def session_created(self, name: str, kind: str, backend: str, request: bytes) -> None:
        """Writes that a session has begun, and what was asked for (a CreateSessionRequest)."""
        values = {"name": name, "kind": kind, "backend": backend, "request": request}
        await self._write((_INSERT_SESSION, {**values, "created_at": _now()}))

    async def session_owned(self, name: str, owner: str, expiry: str) -> None:
        """Writes which server has a session, and until when: see `plumb_backends.real.owner`."""
        values = {"session": name, "owner": owner, "expiry": expiry}
        await self._write((_INSERT_OWNER, values))

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
        values = {"of": name, "ended_at": _now(), "ended_because": because[:200]}
        await self._write((_END_SESSION, values))

    async def session_reset(self, name: str, after_step: int) -> None:
        """Writes that a session goes back to its grounded state; if it cannot, it ends."""
        values = {"session": name, "after_step": after_step, "at": _now()}
        await self._write((_INSERT_RESET, values))

    async def step_answered(self, record: StepRecord) -> None:
        """Writes a step and its answer."""
        values = {name: getattr(record, name) for name in _STEP_FIELDS}
        writes: list[_Write] = [(_INSERT_STEP, {**values, "answered_at": _now()})]
        if record.verdict is not None:
            key = {"session": record.session, "step_index": record.step_index}
            writes.append((_INSERT_VERDICT, {**key, "verdict": record.verdict}))
        await self._write(*writes)

    async def report_made(self, name: str, request: bytes, report: bytes, steps: bytes) -> None:
        """Writes a comparison: a CompareRequest, its Report, and a GetReportResponse with all."""
        values = {"name": name, "request": request, "report": report, "steps": steps, "at": _now()}
        await self._write((_INSERT_REPORT, values))

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
        return [StepRecord(**row._mapping) for row in await self.read(query)]

    async def read(self, query: "sql.Select[Any]") -> "Sequence[sql.Row[Any]]":
        """Asks the tables; `history` does so for people.

        Raises:
            JournalUnavailable: It cannot be read for now.
        """
        with _translated("read"):
            return await asyncio.to_thread(self._read, query)

    async def step_of(self, name: str, index: int) -> StepRecord | None:
        """One answered step; None if it was not answered."""
        fields = [steps.c[field] for field in _STEP_FIELDS]
        query = sql.select(*fields).where(steps.c.session == name, steps.c.step_index == index)
        rows = await self.read(query)
        return StepRecord(**rows[0]._mapping) if rows else None

    def _read(self, query: "sql.Select[Any]") -> "Sequence[sql.Row[Any]]":
        with self._turn, self._engine.connect() as connection:
            return connection.execute(query).all()

    async def _write(self, *writes: _Write) -> None:
        """Writes all of them, or none."""
        loop = asyncio.get_running_loop()
        entry = _Entry(writes, loop, loop.create_future())
        self._entries.put(entry)
        with _translated("written"):
            await entry.written

    # In the writer's thread.

    def _write_groups(self) -> None:
        while group := self._next_group():
            if self._commit(group) is None or len(group) == 1:
                continue
            for entry in group:  # one bad entry must not take the others with it
                self._commit([entry])

    def _next_group(self) -> list[_Entry]:
        """Waits for an entry and takes what else is there; empty at the end."""
        first = self._entries.get()
        group = [first] if first else []
        while group and len(group) < _MAX_GROUP and not self._entries.empty():
            entry = self._entries.get()
            if entry is None:
                self._entries.put(None)  # the end comes after this group
                break
            group.append(entry)
        return group

    def _commit(self, group: Sequence[_Entry]) -> Exception | None:
        """Writes a group and tells those who wait; a failed group of several is told nothing."""
        error: Exception | None = None
        try:
            with self._turn:
                self._write_group(group)
        except Exception as failure:  # noqa: BLE001 - the writer must outlive every bad entry
            _log.error("the journal could not be written", error=str(failure))
            self._disconnect()
            error = failure
        if error is None or len(group) == 1:
            for entry in group:
                entry.loop.call_soon_threadsafe(_settle, entry.written, error)
        return error

    def _write_group(self, group: Sequence[_Entry]) -> None:
        if self._connection is None:
            self._connection = self._engine.connect()
        with self._connection.begin():
            for statement, values in (write for entry in group for write in entry.writes):
                self._connection.execute(statement, values)

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with self._turn:
                connection.close()

    def close(self) -> None:
        """Writes what is left, and closes. Blocks for a moment."""
        self._entries.put(None)
        self._thread.join()
        self._disconnect()
        self._engine.dispose()


@contextmanager
def _translated(how: str) -> Iterator[None]:
    """Says what is the matter with the disk, or the database."""
    try:
        yield
    except sql.exc.OperationalError as error:
        raise JournalUnavailable(
            f"the journal cannot be {how} ({error.orig}); see to its disk or its database, and "
            "ask again"
        ) from error


def _settle(written: "asyncio.Future[None]", error: Exception | None) -> None:
    if written.done():
        return
    if error is None:
        written.set_result(None)
    else:
        written.set_exception(error)


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
    journal = Journal(await asyncio.to_thread(_open_engine, url))
    try:
        yield journal
    finally:
        await asyncio.to_thread(journal.close)


def _open_engine(url: str) -> sql.Engine:
    in_memory = url in ("sqlite://", "sqlite:///:memory:")
    options: dict[str, Any] = {}
    if in_memory:  # one connection, or every thread would have a database of its own
        options = {"poolclass": StaticPool, "connect_args": {"check_same_thread": False}}
    try:
        engine = sql.create_engine(url, **options)
        if engine.dialect.name == "sqlite":
            sql.event.listen(engine, "connect", _set_pragmas)
        make_missing(engine)
    except (sql.exc.SQLAlchemyError, ModuleNotFoundError) as error:
        raise JournalUnavailable(
            f"the journal {_without_password(url)} cannot be opened "
            f"({str(error).partition(chr(10))[0]}); set PLUMB_JOURNAL to a URL that can"
        ) from error
    return engine


def _without_password(url: str) -> str:
    try:
        return sql.make_url(url).render_as_string(hide_password=True)
    except sql.exc.ArgumentError:
        return "URL"


def _set_pragmas(connection: Any, _: object) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.execute("PRAGMA busy_timeout=5000")
    cursor.close()
