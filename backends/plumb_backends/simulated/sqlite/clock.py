"""A time limit for work on the main thread: Python's by an exception, SQLite's by its handler."""

import signal
from collections.abc import Callable
from types import FrameType


class Stopped(BaseException):
    """The time is over. No `Exception`, so that nobody on the way takes it for a failure."""


class Clock:
    """Limits one piece of work after the other.

    Attributes:
        is_over: Whether the time of the work under way, or of the last one, was over.
    """

    def __init__(self) -> None:
        self.is_over = False
        self._is_running = False
        signal.signal(signal.SIGALRM, self._ring)

    def limit(self, seconds: float, work: Callable[[], None]) -> None:
        """Works until that is done or the time is over; `is_over` says which.

        A function and no context manager: the exception may come between any two steps, and must
        find somebody who catches it.
        """
        self.is_over = False
        try:
            self._is_running = True
            signal.setitimer(signal.ITIMER_REAL, max(seconds, 0.001))
            work()
            self._is_running = False
        except Stopped:
            pass
        finally:
            self._is_running = False
            signal.setitimer(signal.ITIMER_REAL, 0)

    def check(self) -> bool:
        """Says whether to stop; called by SQLite now and then, so that the signal gets its turn."""
        return self.is_over

    def _ring(self, _: int, __: FrameType | None) -> None:
        self.is_over = True
        if self._is_running:
            raise Stopped
