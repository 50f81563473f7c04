"""The pages of sessions: the list, one of them turn by turn, and the live one."""

import secrets
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Annotated, TypeAlias

from fastapi import Query
from fastapi.responses import HTMLResponse, Response, StreamingResponse
from pydantic import Field

from plumb_client import JournaledStep, aio
from plumb_gateway.exports import Format, export
from plumb_gateway.pages.dependencies import Client, page_routes
from plumb_gateway.pages.filters import State, every_name, journal_filter
from plumb_gateway.pages.pairs import pair_of
from plumb_gateway.pages.rendering import page
from plumb_gateway.problem import Refused
from plumb_gateway.security import live_policy

SESSIONS_PER_PAGE = 50
TURNS_PER_PAGE = 100
Turn: TypeAlias = Annotated[int, Field(ge=0, le=2**63 - 1)]
"""As the wire takes it."""


routes = page_routes()


@routes.get("/sessions")
async def sessions(
    plumb: Client,
    kind: str = "",
    backend: str = "",
    verdict: str = "",
    state: State = "",
    page_token: str = "",
) -> HTMLResponse:
    """A page of sessions, live and journaled."""
    wanted = journal_filter(kind, backend, verdict, state)
    wanted |= {"page_size": SESSIONS_PER_PAGE, "page_token": page_token}
    found = await plumb.journaled_sessions(**wanted)
    filters = {"kind": kind, "backend": backend, "verdict": verdict, "state": state}
    kinds = await plumb.kinds()
    return await page(
        "sessions.html", found=found, filters=filters, kinds=kinds, page_token=page_token
    )


@routes.get("/sessions/new")
async def new(plumb: Client) -> HTMLResponse:
    """Asks what a new session shall be."""
    return await page("new.html", kinds=await plumb.kinds())


@routes.get("/sessions/export")
async def export_some(
    plumb: Client,
    form: Annotated[Format, Query(alias="format")] = "jsonl",
    kind: str = "",
    backend: str = "",
    verdict: str = "",
    state: State = "",
    session: Annotated[tuple[str, ...], Query()] = (),
) -> Response:
    """Sessions as a file: those that are named, or all that fit."""
    for identifier in session:  # an error has a status of its own before anything is sent
        await plumb.journaled_session(f"sessions/{identifier}")
    names = every_name(plumb, session, journal_filter(kind, backend, verdict, state))
    lines = export(plumb, names, form)
    first = await anext(lines, b"")  # an error has a status of its own before anything is sent
    return StreamingResponse(
        _after(first, lines),
        media_type="application/x-ndjson",
        headers={"Content-Disposition": f'attachment; filename="sessions.{form}.jsonl"'},
    )


@routes.get("/sessions/{session}")
async def one(plumb: Client, session: str, turn: Turn = 1) -> HTMLResponse:
    """A session, turn by turn; with `turn` the page that has it."""
    name = f"sessions/{session}"
    found, asked = await plumb.journaled_session(name)
    turn = min(turn, max(1, found.steps))  # a link may be to a turn that is not there yet
    first = first_of_page(turn)
    turns = await plumb.journaled_steps(name, first=first, page_size=TURNS_PER_PAGE)
    return await page(
        "session.html",
        session=found,
        request=asked,
        turns=turns,
        turn=turn,
        first=first,
        per_page=TURNS_PER_PAGE,
        pair_of=pair_of,
    )


@routes.get("/sessions/{session}/turns")
async def turns(plumb: Client, session: str, first: Turn) -> HTMLResponse:
    """The turns from one on, as a part of the page: for those who watch."""
    name = f"sessions/{session}"
    found = await plumb.journaled_steps(name, first=first, page_size=TURNS_PER_PAGE)
    one, _ = await plumb.journaled_session(name)
    headers = {"Plumb-Live": str(one.live).lower()}
    return await page(
        "turns.html", headers=headers, turns=found, session=one, pair_of=pair_of, is_part=True
    )


@routes.get("/sessions/{session}/turns/{turn}/raw")
async def raw(plumb: Client, session: str, turn: Turn) -> HTMLResponse:
    """What the terminal sent, as a part of the page."""
    return await page("raw.html", step=await _step(plumb, session, turn))


@routes.get("/sessions/{session}/turns/{turn}/text")
async def text(plumb: Client, session: str, turn: Turn, side: str = "") -> Response:
    """All that was observed, as plain text."""
    seen = (await _step(plumb, session, turn)).observation
    if seen is not None and side == "counterpart":
        seen = seen.counterpart
    return Response(seen.text if seen else "", media_type="text/plain; charset=utf-8")


@routes.get("/sessions/{session}/live")
async def live(plumb: Client, session: str, own: bool = False, keep: bool = False) -> HTMLResponse:
    """The terminal, or the console, of a session."""
    found, asked = await plumb.journaled_session(f"sessions/{session}")
    nonce = secrets.token_urlsafe(16)
    return await page(
        "live.html",
        headers={"Content-Security-Policy": live_policy(nonce)},
        session=found,
        request=asked,
        own=own,
        keep=keep,
        nonce=nonce,
    )


def first_of_page(turn: int) -> int:
    """The first turn of the page that a turn is on."""
    return max(0, turn - 1) // TURNS_PER_PAGE * TURNS_PER_PAGE + 1


async def _after(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for line in rest:
        yield line


async def _step(plumb: aio.Plumb, session: str, turn: int) -> JournaledStep:
    name = f"sessions/{session}"
    found = await plumb.journaled_steps(name, first=turn, page_size=1)
    if not found.steps or found.steps[0].step_index != turn:
        raise Refused(
            HTTPStatus.NOT_FOUND, "INVALID_INPUT", f"{name} has no turn {turn}; see /{name}"
        )
    return found.steps[0]
