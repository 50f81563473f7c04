"""The templates, and how they write times, sizes and names."""

import asyncio
import datetime
import functools
import json
from collections.abc import Mapping
from typing import Any

import jinja2
from fastapi.responses import HTMLResponse

from plumb_fidelity.verdict import HALLUCINATIONS, SEVERITY
from plumb_gateway.pages.explanations import EXPLANATIONS, tone
from plumb_gateway.pages.hostile import MOST_SHOWN, escaped_bytes, visible
from plumb_gateway.pages.pairs import words_of

_NOTHING = "–"  # noqa: RUF001 - a dash for what is not there


def at_time(seconds: float | None) -> str:
    """A moment, to the second, in UTC."""
    if seconds is None:
        return _NOTHING
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%d %H:%M:%S")


def took(seconds: float) -> str:
    """How long something took."""
    return f"{seconds:.1f} s" if seconds >= 1 else f"{1000 * seconds:.1f} ms"


def percent(value: float | None) -> str:
    """A share, in per cent."""
    return _NOTHING if value is None else f"{100 * value:.1f} %"


def identifier(name: str) -> str:
    """A resource's name without its collection."""
    return name.rpartition("/")[2]


def short(name: str) -> str:
    """A resource's name, as short as people can tell it apart."""
    return identifier(name)[:8]


_environment = jinja2.Environment(
    loader=jinja2.PackageLoader("plumb_gateway"),
    autoescape=True,
    trim_blocks=True,
    lstrip_blocks=True,
    undefined=jinja2.StrictUndefined,
)
_environment.filters.update(
    at_time=at_time,
    escaped=escaped_bytes,
    identifier=identifier,
    json=functools.partial(json.dumps, ensure_ascii=False),
    percent=percent,
    short=short,
    tone=tone,
    took=took,
    visible=visible,
)
_environment.globals.update(
    explanations=EXPLANATIONS,
    hallucinations=HALLUCINATIONS,
    most_shown=MOST_SHOWN,
    verdicts=SEVERITY,
    words_of=words_of,
)


async def page(
    template: str, *, status: int = 200, headers: Mapping[str, str] | None = None, **values: Any
) -> HTMLResponse:
    """Renders a page, or a part of one; beside the event loop, which serves others meanwhile."""
    text = await asyncio.to_thread(_environment.get_template(template).render, values)
    return HTMLResponse(text.encode(errors="replace"), status, headers)
