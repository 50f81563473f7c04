"""How much of the journal one session may take."""

import structlog

from plumb_backends.errors import LimitReached
from plumb_server import metrics

_log = structlog.get_logger(__name__)

SETTING = "PLUMB_SESSION_JOURNAL_BYTES"
DEFAULT_BYTES = 256 * 1024**2
NEAR = 0.8
"""The share of a budget after which it is told that it is near its end."""


class JournalUsedUp(LimitReached):
    """A session has used its share of the journal, and ends."""


class SessionBudget:
    """What one session has in the journal, and how much it may have.

    What is in work is finished: it is the step after the last one that is refused.
    """

    def __init__(self, name: str, most: int = DEFAULT_BYTES) -> None:
        self.most = most
        self.used = 0
        self._name = name

    def use(self, size: int) -> None:
        """Counts what was written; tells once that the end is near."""
        was_near = self._is_near
        self.used += size
        if self._is_near and not was_near:
            metrics.journal_budget_near()
            _log.warning(
                "a session has used most of its share of the journal",
                session=self._name, used=self.used, most=self.most, setting=SETTING,
            )  # fmt: skip

    @property
    def _is_near(self) -> bool:
        return self.used >= NEAR * self.most

    def check(self) -> None:
        """Checks that there is something left.

        Raises:
            JournalUsedUp: There is not.
        """
        if self.used >= self.most:
            raise JournalUsedUp(
                f"{self._name} has {self.used} bytes in the journal, and {self.most} are its most "
                f"({SETTING}); its answers stay there, and it ends: create a new session",
                limit=SETTING,
            )
