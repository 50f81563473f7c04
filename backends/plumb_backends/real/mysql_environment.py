"""The real MySQL: one connection a session, to a server of its own or a database on a shared one.

Here is what an action means: its statements one after the other, its timeout and interrupts, a
connection that was lost, and how an action ended.
"""

import asyncio
import dataclasses
import re
import time
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import NoReturn, TypeVar

from plumb_backends import workers
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
    SqlResult,
)
from plumb_backends.errors import SandboxUnavailable
from plumb_backends.grounding import Grounding, run_scripts
from plumb_backends.kinds.mysql import KIND, MysqlOptions
from plumb_backends.real.card import mysql_card
from plumb_backends.real.sql import probes
from plumb_backends.real.sql.account import quoted
from plumb_backends.real.sql.connection import reopen_connection
from plumb_backends.real.sql.reader import Disobeyed, Reader, read
from plumb_backends.real.sql.refusals import refusal
from plumb_backends.real.sql.row_gate import RowLimits
from plumb_backends.real.sql.seats import Seat, Seats
from plumb_backends.real.sql.sql_turn import SqlTurn
from plumb_backends.registry import Spec
from plumb_backends.snapshot import Snapshot
from plumb_backends.sql.rendering import show_all
from plumb_backends.sql.result import RawError, RawOk
from plumb_backends.sql.splitting import Script
from plumb_backends.sql.statements import DEFAULT_DELIMITER, Rules, Statement
from plumb_backends.workers import WorkCut

_OBEY_WITHIN = (0.5, 1.5, 3.0)
"""Seconds that a statement gets to end after each time that it was killed, before its connection
is: a kill that comes between two statements of a stored program may be lost."""

_LARGE_RESULT = 8 * 1024
"""Bytes of rows beyond which showing them is work for a process of its own."""

_SHOW_WITHIN = 30.0
"""Seconds that this may take."""

_NEW_CLIENT = 9
"""The client's first version that sends what is only a comment, and knows `$$` as a quote."""

_USE = re.compile(rb"\s*use\b", re.IGNORECASE)


Result = TypeVar("Result")


@dataclasses.dataclass(slots=True)
class _Place:
    """Where a session is: its seat, and the statement that puts its database in use."""

    seat: Seat
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
        self._turn: SqlTurn | None = None

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
        turn = self._turn = SqlTurn()
        started = time.monotonic()
        try:
            await self._perform(place, action.text, turn, action.timeout)
        finally:
            self._turn = None
        run_duration = time.monotonic() - started
        reconnected = place.seat.connection.is_lost
        if reconnected:
            await self._reconnect(place)
        printed, results = await self._show(place, turn)
        if on_output is not None and printed:
            on_output(printed)
        detail = _detail(turn, results, reconnected=reconnected)
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
        if suite not in probes.SUITES:
            raise KIND.unknown_suite(suite)
        facts = await self._read(probes.SUITES[suite])
        return ProbeResult(suite, dict(sorted(facts.items())))

    async def capture(self) -> Snapshot:
        """Captures schema and rows; see `Captures.capture`."""
        return await self._read(probes.capture)

    async def card(self) -> str:
        """Writes down what the server is; see `Captures.card`."""
        server, options = self._here().seat.server, self._options
        image = await server.sandbox.image_id() if server.sandbox else server.version
        key = f"{image} {options.database!r} {options.isolation}"
        return await self._seats.cards.of(key, self._write_card)

    async def _write_card(self) -> str:
        """Writes the card in another session, for in this one scripts and actions have run."""
        spec = dataclasses.replace(self._spec, grounding=Grounding(()))
        bare = RealMysql(self._seats, spec, self._options, self._limits)
        await bare.start()

        async def ask(query: str) -> tuple[int, Sequence[Sequence[object]]]:
            seen = (await bare.step(Action(query.encode()))).sql
            if seen is None:
                return 0, ()
            return seen.errno, [row for result in seen.results for row in result.rows]

        try:
            return await mysql_card(ask)
        finally:
            await asyncio.shield(bare.close())

    async def _read(self, work: Callable[[Reader], Coroutine[None, None, Result]]) -> Result:
        seat = self._here().seat
        try:
            return await read(seat.server, seat.account, probes.ROOM, work)
        except Disobeyed:
            await self.close()
            raise
        except SandboxUnavailable:
            if seat.server.is_own and not await seat.server.answers():
                await self._give_up(seat)
            raise

    async def close(self) -> None:
        """Removes the account with its databases. Never raises; may be called again."""
        place, self._place = self._place, None
        if place is not None:
            await self._seats.remove(place.seat)

    # Where the session is.

    def _here(self) -> _Place:
        if self._place is None:
            raise SandboxUnavailable("the session's database is gone; reset the session")
        return self._place

    async def _settle(self) -> _Place:
        options = self._options
        seat = await self._seats.get(self._spec.session_id, options.database, options.isolation)
        self._place = place = _Place(seat, b"USE " + quoted(seat.account.database).encode())
        await seat.use()
        return place

    async def _reconnect(self, place: _Place) -> None:
        """Connects again, for a connection can be killed; raises where it is the server."""
        seat = place.seat
        await seat.connection.close()
        because = seat.server.ended_because.pop(seat.account.user, "")
        if because:
            self._place = None
            raise SandboxUnavailable(
                f"the session's database was removed: {because}; reset the session"
            )
        try:
            connection = await reopen_connection(seat.server, seat.account)
        except SandboxUnavailable as error:
            if not await seat.server.answers():
                await self._give_up(seat)
            await self.close()
            raise SandboxUnavailable(
                "the session's connection was lost, and its account does not let it in any more "
                f"({error}); reset the session"
            ) from error
        place.seat = dataclasses.replace(seat, connection=connection)
        async for _ in connection.run(place.use, self._limits):
            pass  # the database may have been dropped; then none is in use, as in any client

    async def _give_up(self, seat: Seat) -> NoReturn:
        """Ends a session whose server is gone, and says why."""
        why = await seat.server.why_gone()
        await self.close()
        raise SandboxUnavailable(
            f"the session's MySQL server is gone{why and ': '}{why}; reset the session"
        )

    # Running statements.

    async def _perform(self, place: _Place, action: bytes, turn: SqlTurn, timeout: float) -> None:
        """Runs an action until its end, or until somebody wants it to stop."""
        until = time.monotonic() + timeout
        script = await self._read_script(place, action, turn, timeout)
        if script is None:
            return
        work = asyncio.create_task(self._run_all(place, script, turn, until))
        waker = asyncio.create_task(turn.woken.wait())
        try:
            await asyncio.wait({work, waker}, timeout=_left(until), return_when="FIRST_COMPLETED")
            if not work.done():
                turn.ask_to_stop(Ending.TIMED_OUT)
                await self._stop(place, work)
            work.result()
        finally:
            for task in (work, waker):
                task.cancel()
            await asyncio.gather(work, waker, return_exceptions=True)

    async def _read_script(
        self, place: _Place, action: bytes, turn: SqlTurn, seconds: float
    ) -> Script | None:
        """Splits an action; one that takes too long has timed out before it began."""
        is_new = place.seat.server.major_version >= _NEW_CLIENT
        rules = Rules(
            sends_comments=is_new,
            has_dollar_quotes=is_new,
            has_escapes=place.seat.connection.has_escapes,
        )
        try:
            script = await Script.read(
                action, place.delimiter, rules, seconds=seconds, owner=self._spec.session_id
            )
        except WorkCut:
            turn.ask_to_stop(Ending.TIMED_OUT)
            return None
        place.delimiter = script.delimiter
        return script

    async def _stop(self, place: _Place, work: "asyncio.Task[None]") -> None:
        """Kills what runs; the connection, too, where that does not help."""
        connection = place.seat.connection
        kills = [(connection.stop, seconds) for seconds in _OBEY_WITHIN]
        for kill, seconds in (*kills, (connection.end, sum(_OBEY_WITHIN))):
            await kill()
            await asyncio.wait({work}, timeout=seconds)
            if work.done():
                return
        await self.close()
        raise SandboxUnavailable(
            "the MySQL server did not obey when a statement was stopped, and the session's "
            "database was removed; reset the session"
        )

    async def _run_all(self, place: _Place, script: Script, turn: SqlTurn, until: float) -> None:
        while (statement := await self._next(place, script, turn, until)) is not None:
            if not statement.text:
                turn.add(RawError(errno=0, sqlstate="", message=statement.problem))
                continue
            await self._run(place, statement, turn)
            too_large = turn.sent > self._limits.stop_bytes
            if place.seat.connection.stopped_for_size or too_large:
                turn.ask_to_stop(Ending.OUTPUT_LIMIT)
            if turn.stops_at_errors and turn.error:
                return

    async def _next(
        self, place: _Place, script: Script, turn: SqlTurn, until: float
    ) -> Statement | None:
        """The next statement to run, if there is to be one."""
        connection = place.seat.connection
        if turn.stop_because is not None or connection.is_lost:
            return None
        try:
            found = await script.next(has_escapes=connection.has_escapes, seconds=_left(until))
        except WorkCut:
            turn.ask_to_stop(Ending.TIMED_OUT)
            return None
        place.delimiter = script.delimiter
        return found

    async def _run(self, place: _Place, statement: Statement, turn: SqlTurn) -> None:
        text, seat = statement.text, place.seat
        if not seat.server.is_own and (refused := refusal(text)) is not None:
            turn.add(refused)
            return
        async for result in seat.connection.run(text, self._limits):
            if isinstance(result, RawOk) and _USE.match(text):
                place.use = text
                result = dataclasses.replace(result, changed_database=statement.is_use)
            turn.add(result, vertical=statement.vertical)
            if turn.sent > self._limits.stop_bytes:
                await seat.connection.stop()

    async def _run_script(self, text: str, timeout: float) -> ProgramResult:
        """Runs an init script: like `mysql < script`, up to the first error."""
        place = self._here()
        turn = SqlTurn(stops_at_errors=True)
        started = time.monotonic()
        await self._perform(place, text.encode(), turn, timeout)
        timed_out = turn.stop_because is Ending.TIMED_OUT
        if place.seat.connection.is_lost:
            await self._reconnect(place)
        printed, _ = await self._show(place, turn)
        return ProgramResult(
            stdout=b"" if turn.error else printed,
            stderr=printed if turn.error else b"",
            exit_code=1 if turn.error or timed_out else 0,
            timed_out=timed_out,
            run_duration=time.monotonic() - started,
        )

    # What came of it.

    async def _show(self, place: _Place, turn: SqlTurn) -> tuple[bytes, tuple[SqlResult, ...]]:
        """The results as text and typed; many rows are shown in a process with a deadline."""
        work = partial(
            show_all,
            turn.shown,
            self._options.rendering,
            server_major=place.seat.server.major_version,
            max_rows=self._options.max_rows,
        )
        if turn.size <= _LARGE_RESULT:
            text, results = work()
            return text.encode(), results
        try:
            text, results = await workers.run(
                work, deadline=_SHOW_WITHIN, owner=self._spec.session_id
            )
        except WorkCut as reason:
            return f"[... the results are not shown: {reason} ...]\n".encode(), ()
        return text.encode(), results

    def _observation(
        self, turn: SqlTurn, printed: bytes, detail: SqlDetail, run_duration: float
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


def _left(until: float) -> float:
    return max(0.0, until - time.monotonic())


def _detail(turn: SqlTurn, results: tuple[SqlResult, ...], *, reconnected: bool) -> SqlDetail:
    error = turn.error
    return SqlDetail(
        results=results,
        errno=error.errno if error else 0,
        sqlstate=error.sqlstate if error else "",
        reconnected=reconnected,
    )
