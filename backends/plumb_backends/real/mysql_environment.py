"""The real MySQL: one connection a session, to databases of its own on a server.

Here is what an action means: its statements one after the other, its timeout and interrupts, a
connection that was lost, and how an action ended.
"""

import asyncio
import dataclasses
import re
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

from plumb_backends.capped import Capped
from plumb_backends.environment import (
    Action,
    Ending,
    Observation,
    OutputSink,
    ProbeResult,
    ProgramResult,
    Provenance,
    SqlDetail,
)
from plumb_backends.errors import SandboxUnavailable
from plumb_backends.grounding import run_scripts
from plumb_backends.kinds.mysql import KIND, MysqlOptions
from plumb_backends.real.card import mysql_card
from plumb_backends.real.sql.account import Account
from plumb_backends.real.sql.connection import Connection, RowLimits, open_connection
from plumb_backends.real.sql.names import Names
from plumb_backends.real.sql.probes import capture_databases, probe_counts, probe_rows, probe_schema
from plumb_backends.real.sql.seats import Seat, Seats
from plumb_backends.real.sql.server import Server
from plumb_backends.registry import Spec
from plumb_backends.snapshot import Snapshot
from plumb_backends.sql.rendering import Shown, render_all, to_detail
from plumb_backends.sql.result import RawError, RawOk
from plumb_backends.sql.splitting import split_within
from plumb_backends.sql.statements import DEFAULT_DELIMITER, Statement
from plumb_backends.workers import WorkCut

_OBEY_WITHIN = 5.0
"""Seconds that a statement gets to end after it was killed, before its connection is."""

_LARGE_TEXT = 16 * 1024
_SENDS_COMMENTS_SINCE = 9
"""The client's first version that sends what is only a comment."""

_USE = re.compile(rb"\s*use\b", re.IGNORECASE)


Result = TypeVar("Result")


class _Turn:
    """One action under way: what it has shown so far, and why somebody wants it to stop."""

    def __init__(self, *, stops_at_errors: bool = False) -> None:
        self.shown: list[Shown] = []
        self.stops_at_errors = stops_at_errors
        self.stop_because: Ending | None = None
        self.woken = asyncio.Event()

    def ask_to_stop(self, because: Ending) -> None:
        """Wakes whoever waits; only the first reason counts."""
        self.stop_because = self.stop_because or because
        self.woken.set()

    @property
    def size(self) -> int:
        """How many bytes of rows it has, about."""
        return sum(shown.kept_bytes for shown in self.shown)

    @property
    def error(self) -> RawError | None:
        """The first error."""
        errors = (shown.result for shown in self.shown)
        return next((result for result in errors if isinstance(result, RawError)), None)


@dataclasses.dataclass(slots=True)
class _Place:
    """Where a session is: its server, its account, its connection, and the database in use."""

    server: Server
    account: Account
    connection: Connection
    names: Names
    use: bytes
    delimiter: bytes = DEFAULT_DELIMITER


class RealMysql:
    """One session's MySQL. Made by `RealMysqlProvider.create`."""

    def __init__(self, seats: Seats, spec: Spec, options: MysqlOptions, limits: RowLimits) -> None:
        self._seats = seats
        self._spec = spec
        self._options = options
        self._limits = limits
        self._place: _Place | None = None
        self._turn: _Turn | None = None

    async def start(self) -> Sequence[ProgramResult]:
        """Makes account and database, and runs the init statements.

        Raises:
            InitFailed, ImageMissing, LimitReached, SandboxUnavailable: Nothing is left behind.
        """
        try:
            self._place = await self._settle()
            return await run_scripts(self._spec.grounding, self._run_script)
        except BaseException:
            await asyncio.shield(self.close())
            raise

    async def step(self, action: Action, *, on_output: OutputSink | None = None) -> Observation:
        """Runs the action's statements; see `Environment.step`."""
        place = self._here()
        turn = self._turn = _Turn()
        started = time.monotonic()
        try:
            statements = await self._split(place, action.text, turn, action.timeout)
            left = max(0.0, action.timeout - (time.monotonic() - started))
            await self._perform(place, statements, turn, left)
        finally:
            self._turn = None
        run_duration = time.monotonic() - started
        reconnected = place.connection.is_lost
        if reconnected:
            await self._reconnect(place)
        printed = await self._render(place, turn)
        if on_output is not None and printed:
            on_output(printed)
        detail = await _aside(turn.size, partial(self._detail, turn, reconnected=reconnected))
        return self._observation(turn, printed, detail, run_duration)

    def interrupt(self) -> bool:
        """Asks for the running action to be stopped; says whether there was one."""
        if self._turn is None:
            return False
        self._turn.ask_to_stop(Ending.INTERRUPTED)
        return True

    async def reset(self) -> None:
        """Starts again in new databases; see `Environment.reset`."""
        await asyncio.shield(self.close())  # half of it would leave an account that nobody knows
        await self.start()

    async def probe(self, suite: str) -> ProbeResult:
        """Answers `schema`, `counts` and `rows`; see `Environment.probe`."""
        place = self._here()
        match suite:
            case "schema":
                facts = await probe_schema(place.server, place.account.prefix)
            case "counts":
                facts = await probe_counts(place.server, place.account.prefix)
            case "rows":
                facts = await probe_rows(place.server, place.account.prefix)
            case _:
                raise KIND.unknown_suite(suite)
        return ProbeResult(suite, dict(sorted(facts.items())))

    async def capture(self) -> Snapshot:
        """Captures schema and rows; see `Captures.capture`."""
        place = self._here()
        return await capture_databases(place.server, place.account.prefix)

    async def card(self) -> str:
        """Writes down what the server is; see `Captures.card`."""
        return await mysql_card(self._here().server)

    async def close(self) -> None:
        """Removes the account with its databases. Never raises; may be called again."""
        place, self._place = self._place, None
        if place is not None:
            await self._seats.remove(Seat(place.server, place.account, place.connection))

    # Where the session is.

    def _here(self) -> _Place:
        if self._place is None:
            raise SandboxUnavailable("the session's database is gone; reset the session")
        return self._place

    async def _settle(self) -> _Place:
        seat = await self._seats.get(self._spec.session_id, self._options.isolation)
        account = seat.account
        names = Names(account.prefix, self._options.database)
        database = _quoted(names.physical(self._options.database))
        place = _Place(seat.server, account, seat.connection, names, b"USE " + database)
        self._place = place
        await self._insist(place, b"CREATE DATABASE IF NOT EXISTS " + database)
        await self._insist(place, place.use)
        return place

    async def _reconnect(self, place: _Place) -> None:
        """Connects again, for a connection can be killed; raises where it is the server."""
        await place.connection.close()
        because = place.server.ended_because.pop(place.account.user, "")
        if because:
            self._place = None
            raise SandboxUnavailable(
                f"the session's databases were removed: {because}; reset the session"
            )
        if not await place.server.answers():
            await self.close()
            raise SandboxUnavailable("the session's MySQL server is gone; reset the session")
        place.connection = await open_connection(place.server, place.account)
        async for _ in place.connection.run(place.use, self._limits):
            pass  # the database may have been dropped; then none is in use, as in any client

    async def _insist(self, place: _Place, statement: bytes) -> None:
        async for result in place.connection.run(statement, self._limits):
            if isinstance(result, RawError):
                raise SandboxUnavailable(f"the MySQL server refused a database: {result.message}")

    # Running statements.

    async def _split(
        self, place: _Place, action: bytes, turn: _Turn, seconds: float
    ) -> Sequence[Statement]:
        """Splits an action; one that takes too long has timed out before it began."""
        try:
            found = await split_within(
                action,
                place.delimiter,
                sends_comments=place.server.major_version >= _SENDS_COMMENTS_SINCE,
                seconds=seconds,
                owner=self._spec.session_id,
            )
        except WorkCut:
            turn.ask_to_stop(Ending.TIMED_OUT)
            return ()
        place.delimiter = found.delimiter
        return found.statements

    async def _perform(
        self, place: _Place, statements: Sequence[Statement], turn: _Turn, timeout: float
    ) -> None:
        """Runs statements until the end, or until somebody wants them to stop."""
        work = asyncio.create_task(self._run_all(place, statements, turn))
        waker = asyncio.create_task(turn.woken.wait())
        try:
            await asyncio.wait({work, waker}, timeout=timeout, return_when="FIRST_COMPLETED")
            if not work.done():
                turn.ask_to_stop(Ending.TIMED_OUT)
                await self._stop(place, work)
            work.result()
        finally:
            for task in (work, waker):
                task.cancel()
            await asyncio.gather(work, waker, return_exceptions=True)

    async def _stop(self, place: _Place, work: "asyncio.Task[None]") -> None:
        """Kills what runs; the connection, too, where that does not help."""
        for kill in (place.connection.stop, place.connection.end):
            await kill()
            await asyncio.wait({work}, timeout=_OBEY_WITHIN)
            if work.done():
                return
        await self.close()
        raise SandboxUnavailable(
            "the MySQL server did not obey when a statement was stopped, and the session's "
            "database was removed; reset the session"
        )

    async def _run_all(self, place: _Place, statements: Sequence[Statement], turn: _Turn) -> None:
        for statement in statements:
            if turn.stop_because is not None or place.connection.is_lost:
                return
            if not statement.text:
                problem = RawError(errno=0, sqlstate="", message=statement.problem)
                turn.shown.append(Shown(problem))
                continue
            await self._run(place, statement, turn)
            if place.connection.stopped_for_size:
                turn.ask_to_stop(Ending.OUTPUT_LIMIT)
            if turn.stops_at_errors and turn.error:
                return

    async def _run(self, place: _Place, statement: Statement, turn: _Turn) -> None:
        text = statement.text
        physical = await _aside(len(text), partial(place.names.to_physical, text))
        is_use = bool(_USE.match(physical))
        async for result in place.connection.run(physical, self._limits):
            if is_use and isinstance(result, RawOk):
                place.use = physical
                result = dataclasses.replace(result, changed_database=True)
            turn.shown.append(Shown(place.names.result_to_logical(result), statement.vertical))

    async def _run_script(self, text: str, timeout: float) -> ProgramResult:
        """Runs an init script: like `mysql < script`, up to the first error."""
        place = self._here()
        turn = _Turn(stops_at_errors=True)
        started = time.monotonic()
        statements = await self._split(place, text.encode(), turn, timeout)
        left = max(0.0, timeout - (time.monotonic() - started))
        await self._perform(place, statements, turn, left)
        timed_out = turn.stop_because is Ending.TIMED_OUT
        if place.connection.is_lost:
            await self._reconnect(place)
        printed = await self._render(place, turn)
        return ProgramResult(
            stdout=b"" if turn.error else printed,
            stderr=printed if turn.error else b"",
            exit_code=1 if turn.error or timed_out else 0,
            timed_out=timed_out,
            run_duration=time.monotonic() - started,
        )

    # What came of it.

    async def _render(self, place: _Place, turn: _Turn) -> bytes:
        rendering, major = self._options.rendering, place.server.major_version
        text = await _aside(
            turn.size, partial(render_all, turn.shown, rendering, server_major=major)
        )
        return text.encode()

    def _detail(self, turn: _Turn, *, reconnected: bool) -> SqlDetail:
        error = turn.error
        return SqlDetail(
            results=to_detail(turn.shown, max_rows=self._options.max_rows),
            errno=error.errno if error else 0,
            sqlstate=error.sqlstate if error else "",
            reconnected=reconnected,
        )

    def _observation(
        self, turn: _Turn, printed: bytes, detail: SqlDetail, run_duration: float
    ) -> Observation:
        raw, text = Capped(self._options.max_text_bytes), Capped(self._options.max_text_bytes)
        raw.add(printed)
        text.add(printed.rstrip(b"\n"))
        dropped = sum(shown.dropped_bytes for shown in turn.shown)
        return Observation(
            text=text.text(),
            raw=raw.content(),
            ending=turn.stop_because or Ending.EXITED,
            truncated=bool(raw.cut_bytes or dropped),
            total_bytes=raw.total + dropped,
            run_duration=run_duration,
            sql=detail,
            provenance=Provenance(backend="real"),
        )


async def _aside(size: int, work: Callable[[], Result]) -> Result:
    """Works on text of some size; on a large one beside the event loop: it takes a second a MB."""
    if size <= _LARGE_TEXT:
        return work()
    return await asyncio.to_thread(work)


def _quoted(name: str) -> bytes:
    return b"`" + name.encode().replace(b"`", b"``") + b"`"
