"""The clock of a played session: the agent's time is real, what actions take is played."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta


class SessionClock:
    """Says what time it is in a session.

    It goes on while the agent thinks, stands while the model does, and moves by what an action is
    said to take. So `sleep 100` takes 100 s, and a slow endpoint takes none.

    Args:
        start: When it begins; it goes on by actions alone then, the same in every run. None for
            the present time.
        monotonic: Measures the agent's time.

    Attributes:
        began: When the session began.
    """

    def __init__(
        self, start: datetime | None = None, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._start = start
        self._monotonic = monotonic
        self.restart()

    def restart(self) -> None:
        """Begins anew, as the session does."""
        self.began = self._start or datetime.now(UTC)
        self.go_on_from(self.began)

    def now(self) -> datetime:
        """The time in the session."""
        waited = 0.0 if self._start else self._monotonic() - self._since
        return self._reached + timedelta(seconds=waited)

    def go_on_from(self, reached: datetime) -> None:
        """Goes on from a time: an action has ended then."""
        self._reached = reached
        self._since = self._monotonic()
