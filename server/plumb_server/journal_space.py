"""Keeps the journal within its budget and its disk, and prunes it where the operator asks for it.

What runs when the room ends is still answered: the reserve is kept for that.
"""

import dataclasses
import datetime
from collections.abc import Sequence

import structlog

from plumb_backends.errors import JournalUnavailable, LimitReached
from plumb_server import metrics
from plumb_server.journal import Journal
from plumb_server.session_budget import NEAR

_log = structlog.get_logger(__name__)

BUDGET_SETTING = "PLUMB_JOURNAL_BYTES"
RESERVE_SETTING = "PLUMB_JOURNAL_RESERVE_BYTES"
_RETRY_AFTER = 30.0
_PRUNED_AT_ONCE = 16
"""Sessions that are removed between two looks, so that steps need not wait for long."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class JournalLimits:
    """How much room the journal may take.

    Attributes:
        most: Bytes that it may hold; 0 for any number.
        reserve: Bytes that stay free on its disk.
        prunes: Whether the oldest ended sessions are removed where room becomes scarce.
        keep: Seconds after which ended sessions are removed; 0 for never.
    """

    most: int = 64 * 1024**3
    reserve: int = 256 * 1024**2
    prunes: bool = False
    keep: float = 0.0


class JournalSpace:
    """The room of one journal.

    Args:
        journal: Whose.
        limits: How much there may be.
    """

    def __init__(self, journal: Journal, limits: JournalLimits) -> None:
        self._journal = journal
        self._limits = limits
        self._was_near = False

    def check(self) -> None:
        """Checks that something new may be begun.

        Raises:
            LimitReached: The journal has used its budget, or its disk is nearly full.
        """
        room, limits = self._journal.room, self._limits
        if limits.most and room.used is not None and room.used >= limits.most:
            raise _full(
                f"the journal has {room.used} bytes, and {limits.most} are its most", BUDGET_SETTING
            )
        if room.free is not None and room.free < limits.reserve:
            raise _full(
                f"the journal's disk has {room.free} bytes left, and {limits.reserve} stay free",
                RESERVE_SETTING,
            )

    async def sweep(self) -> None:
        """Measures the journal, tells when it is nearly full, and prunes it if that is asked."""
        try:
            await self._journal.measure()
            if self._limits.keep:
                await self._prune_older(self._limits.keep)
            if self._limits.prunes:
                await self._prune_until_roomy()
        except JournalUnavailable:
            pass  # it has logged that, and steps say so
        room = self._journal.room
        metrics.journal_room(room.used, room.free)
        if self._is_near() and not self._was_near:
            _log.warning(
                "the journal is nearly full", used=room.used, free=room.free,
                most=self._limits.most, reserve=self._limits.reserve,
            )  # fmt: skip
        self._was_near = self._is_near()

    def _is_near(self) -> bool:
        room, limits = self._journal.room, self._limits
        nearly_used = bool(limits.most) and (room.used or 0) >= NEAR * limits.most
        return nearly_used or (room.free is not None and room.free * NEAR < limits.reserve)

    async def _prune_older(self, seconds: float) -> None:
        before = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=seconds)
        while names := await self._journal.oldest_ended(_PRUNED_AT_ONCE, before):
            await self._remove(names)

    async def _prune_until_roomy(self) -> None:
        while self._is_near() and (names := await self._journal.oldest_ended(_PRUNED_AT_ONCE)):
            await self._remove(names)
            await self._journal.measure()

    async def _remove(self, names: Sequence[str]) -> None:
        await self._journal.forget(names)
        _log.info("removed ended sessions from the journal", count=len(names), last=names[-1])


def _full(why: str, setting: str) -> LimitReached:
    return LimitReached(
        f"{why} ({setting}): nothing new is begun; make room, raise the limit, or set "
        "PLUMB_JOURNAL_PRUNE=1 to have the oldest ended sessions removed",
        limit=setting,
        retry_after=_RETRY_AFTER,
    )
