"""Reads the journal for people: sessions by the page, filtered, and the steps of one of them."""

import dataclasses
import datetime
from collections.abc import Collection, Mapping, Sequence
from typing import Any, TypeAlias

import sqlalchemy as sql

from plumb_fidelity.verdict import HALLUCINATIONS
from plumb_server.journal import Journal
from plumb_server.journal_tables import resets, sessions, steps, verdicts

Place: TypeAlias = tuple[datetime.datetime, str]
"""Where a page ends: its last session's creation, and its name."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which sessions are wanted; all that is set must hold.

    Attributes:
        kind: Of this kind.
        backend: With this backend.
        verdict: With a step that has this verdict.
        among: One of these names.
        not_among: None of these names.
    """

    kind: str = ""
    backend: str = ""
    verdict: str = ""
    among: Collection[str] | None = None
    not_among: Collection[str] = ()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PastSession:
    """A session as the journal has it. Times are UTC, without a zone.

    Attributes:
        request: The serialised CreateSessionRequest.
        steps: How many were answered.
        verdicts: How many steps have each.
        first_divergence: The first step with a hallucination; None without one.
    """

    name: str
    kind: str
    backend: str
    request: bytes
    created_at: datetime.datetime
    ended_at: datetime.datetime | None
    ended_because: str | None
    steps: int
    verdicts: Mapping[str, int]
    first_divergence: int | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PastStep:
    """An answered step: an observation (serialised), or an error."""

    step_index: int
    action: bytes
    observation: bytes | None
    error: str | None
    answered_at: datetime.datetime
    after_reset: bool


class History:
    """What a journal has of sessions."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    async def sessions(self, wanted: Filter, before: Place | None, most: int) -> list[PastSession]:
        """A page of sessions, newest first, that were made before a place."""
        query = sql.select(sessions).where(*_conditions(wanted))
        if before is not None:
            query = query.where(sql.tuple_(sessions.c.created_at, sessions.c.name) < before)
        newest_first = (sessions.c.created_at.desc(), sessions.c.name.desc())
        return await self._whole(
            await self._journal.read(query.order_by(*newest_first).limit(most))
        )

    async def count(self, wanted: Filter) -> int:
        """How many sessions there are."""
        query = sql.select(sql.func.count()).select_from(sessions).where(*_conditions(wanted))
        return int((await self._journal.read(query))[0][0])

    async def session(self, name: str) -> PastSession | None:
        """One session; None if there is none of this name."""
        rows = await self._journal.read(sql.select(sessions).where(sessions.c.name == name))
        return (await self._whole(rows))[0] if rows else None

    async def size(self, name: str) -> int:
        """How many bytes a session's steps have, about."""
        return await self._journal.size_of(name)

    async def steps(self, name: str, first: int, most: int) -> list[PastStep]:
        """Steps of a session in order, from one with this index or a later one on."""
        columns = [steps.c[name] for name in _STEP_COLUMNS]
        query = sql.select(*columns).where(steps.c.session == name, steps.c.step_index >= first)
        rows = await self._journal.read(query.order_by(steps.c.step_index).limit(most))
        of_session = sql.select(resets.c.after_step).where(resets.c.session == name)
        begun = {row.after_step for row in await self._journal.read(of_session)}
        return [PastStep(**row._mapping, after_reset=row.step_index - 1 in begun) for row in rows]

    async def _whole(self, rows: "Sequence[sql.Row[Any]]") -> list[PastSession]:
        names = [row.name for row in rows]
        counts = await self._counts(names)
        found: dict[str, dict[str, int]] = {name: {} for name in names}
        first: dict[str, int] = {}
        for row in await self._verdicts(names):
            found[row.session][row.verdict] = row.steps
            if row.verdict in HALLUCINATIONS:
                first[row.session] = min(row.first, first.get(row.session, row.first))
        return [
            PastSession(
                **row._mapping,
                steps=counts.get(row.name, 0),
                verdicts=found[row.name],
                first_divergence=first.get(row.name),
            )
            for row in rows
        ]

    async def _counts(self, names: Sequence[str]) -> dict[str, int]:
        """How many steps of each session were answered."""
        session, number = steps.c.session, sql.func.count().label("number")
        query = sql.select(session, number).where(session.in_(names)).group_by(session)
        return {row.session: row.number for row in await self._journal.read(query)}

    async def _verdicts(self, names: Sequence[str]) -> "Sequence[sql.Row[Any]]":
        session, verdict = verdicts.c.session, verdicts.c.verdict
        query = sql.select(
            session,
            verdict,
            sql.func.count().label("steps"),
            sql.func.min(verdicts.c.step_index).label("first"),
        )
        return await self._journal.read(query.where(session.in_(names)).group_by(session, verdict))


_STEP_COLUMNS = tuple(field.name for field in dataclasses.fields(PastStep) if field.name in steps.c)


def _conditions(wanted: Filter) -> "list[sql.ColumnElement[bool]]":
    conditions: list[sql.ColumnElement[bool]] = []
    if wanted.kind:
        conditions.append(sessions.c.kind == wanted.kind)
    if wanted.backend:
        conditions.append(sessions.c.backend == wanted.backend)
    if wanted.verdict:
        having = sql.select(verdicts.c.session).where(verdicts.c.verdict == wanted.verdict)
        conditions.append(sessions.c.name.in_(having))
    if wanted.among is not None:
        conditions.append(sessions.c.name.in_(wanted.among))
    if wanted.not_among:
        conditions.append(sessions.c.name.not_in(wanted.not_among))
    return conditions
