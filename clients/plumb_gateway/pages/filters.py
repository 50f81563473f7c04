"""Which sessions a page or an export is about."""

from collections.abc import AsyncIterator, Sequence
from typing import Literal, TypeAlias

from plumb_client import JournalFilter, aio

State: TypeAlias = Literal["", "live", "ended"]

_PAGE = 500


def journal_filter(kind: str, backend: str, verdict: str, state: State) -> JournalFilter:
    """Which sessions are wanted."""
    wanted = JournalFilter(kind=kind, backend=backend, verdict=verdict)
    if state:
        wanted["live"] = state == "live"
    return wanted


async def every_name(
    plumb: aio.Plumb, picked: Sequence[str], wanted: JournalFilter
) -> AsyncIterator[str]:
    """Gives the names of picked sessions; of all that fit, where none is picked."""
    for identifier in picked:
        yield f"sessions/{identifier}"
    token = ""
    while not picked:
        asked = JournalFilter(**{**wanted, "page_size": _PAGE, "page_token": token})
        page = await plumb.journaled_sessions(**asked)
        for session in page.sessions:
            yield session.name
        token = page.next_page_token
        if not token:
            return
