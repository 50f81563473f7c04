"""The pages of reports: what `plumb bench` measured, and what servers compared."""

import asyncio
import dataclasses
import hashlib
import itertools
import json
from collections.abc import Generator, Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any

from fastapi import Query
from fastapi.responses import HTMLResponse, Response, StreamingResponse

from plumb_fidelity.verdict import HALLUCINATIONS
from plumb_gateway.folders import open_inside
from plumb_gateway.pages.dependencies import Admitted, Client, Shown, page_routes
from plumb_gateway.pages.pairs import Line, pair, side_by_side
from plumb_gateway.pages.rendering import page
from plumb_gateway.problem import Refused
from plumb_gateway.runs import Run, StepFilter, find_steps, list_runs, read_run
from plumb_gateway.security import REPORT_POLICY
from plumb_gateway.settings import GatewaySettings

STEPS_PER_PAGE = 50
_CHUNK_BYTES = 64 * 1024

routes = page_routes()


async def _find(settings: GatewaySettings, name: str) -> Run:
    run = await asyncio.to_thread(read_run, settings.runs, name)
    if run is None:
        raise _none(f"there is no run {name[:100]!r}; /reports has those that there are")
    return run


def _none(sentence: str) -> Refused:
    return Refused(HTTPStatus.NOT_FOUND, "REPORT_NOT_FOUND", sentence)


@routes.get("/reports")
async def reports(plumb: Admitted, shown: Shown) -> HTMLResponse:
    """All runs, and all comparisons."""
    runs = await asyncio.to_thread(list_runs, shown.runs)
    return await page("reports.html", runs=runs, reports=await plumb.reports(), folder=shown.runs)


@routes.get("/reports/{report}")
async def report(plumb: Client, report: str, verdict: str = "") -> HTMLResponse:
    """One comparison, step by step."""
    found, steps = await plumb.report(f"reports/{report}")
    wanted = HALLUCINATIONS if verdict == "wrong" else (verdict,)
    shown = [step for step in steps if not verdict or step.verdict.verdict in wanted]
    return await page("report.html", report=found, steps=shown, verdict=verdict, pair=pair)


@routes.get("/runs/{name}")
async def run(
    _: Admitted,
    shown: Shown,
    name: str,
    verdict: str = "wrong",
    simulator: str = "",
    text: str = "",
    first: Annotated[int, Query(ge=0)] = 0,
) -> HTMLResponse:
    """One run: its figures, and its errors one by one."""
    found = await _find(shown, name)
    wanted = StepFilter(verdict=verdict, simulator=simulator, text=text)
    steps, total = await asyncio.to_thread(
        find_steps, found, wanted, HALLUCINATIONS, first, STEPS_PER_PAGE
    )
    return await page(
        "run.html",
        run=found,
        rows=found.report["rows"],
        wanted=dataclasses.asdict(wanted),
        steps=steps,
        total=total,
        first=first,
        per_page=STEPS_PER_PAGE,
        lines_of=lines_of,
        id_of=id_of,
    )


@routes.get("/runs/{name}/report.html")
async def whole(_: Admitted, shown: Shown, name: str) -> Response:
    """The bench's own page, with its charts."""
    await _find(shown, name)
    chunks = _chunks(shown.runs, name)
    first = await asyncio.to_thread(_first_of, chunks)
    if first is None:
        raise _none(f"the run {name!r} has no page of its own; /runs/{name} has its steps")
    headers = {"Content-Security-Policy": REPORT_POLICY}
    return StreamingResponse(
        itertools.chain((first,), chunks), media_type="text/html; charset=utf-8", headers=headers
    )


def _chunks(runs: Path, name: str) -> Generator[bytes]:
    """The bench's own page in pieces, so that no size of it fills the memory. Reads a file."""
    with open_inside(runs, name, "report.html") as file:
        yield from iter(lambda: file.read(_CHUNK_BYTES), b"")


def _first_of(chunks: Iterator[bytes]) -> bytes | None:
    """The first piece; None where there is no file, whose absence has a status of its own."""
    try:
        return next(chunks, b"")
    except OSError:
        return None


def id_of(step: dict[str, Any]) -> str:
    """Names a step on its page, whatever filter shows it."""
    told = [str(step[part]) for part in ("simulator", "mode", "scenario", "turn")]
    return f"step-{hashlib.sha256(json.dumps(told).encode()).hexdigest()[:12]}"


def lines_of(step: dict[str, Any]) -> list[Line]:
    """Both sides of a bench's step, as the differ laid them, or else line by line."""
    aligned = step.get("aligned")
    if aligned:
        return [(real, simulated, mark) for real, simulated, mark in aligned]
    return side_by_side(step["real"]["text"], step["simulated"]["text"])
