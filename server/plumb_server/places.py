"""Places: how many sessions, or as much work, the server has at the same time.

A session has one from its creation to its end, a comparison or the writing of a grounding one for
each sandbox that it may have at the same time. There is no queue: sessions can last for hours.
"""

import collections
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from plumb_backends.errors import InvalidInput, LimitReached, ServerStopping
from plumb_server import metrics

SETTING = "PLUMB_MAX_SESSIONS"
_SHORTEST, _LONGEST = 1.0, 60.0
"""When to try again, at the least and at the most, in seconds."""

_REMEMBERED = 32


class Places:
    """All places of a server.

    Args:
        most: How many there are.
        next_end: In how many seconds one is certain to be free, if nobody does anything; infinite
            where that is not known.
    """

    def __init__(self, most: int, next_end: Callable[[], float] = lambda: float("inf")) -> None:
        self._most = most
        self._next_end = next_end
        self._taken = 0
        self._lives: collections.deque[float] = collections.deque(maxlen=_REMEMBERED)
        self._changed = time.monotonic()  # when a place was taken or given back last
        self._closed = False

    def take(self, count: int = 1) -> None:
        """Takes places, all or none.

        Raises:
            InvalidInput: There are not so many at all.
            LimitReached: They are taken.
            ServerStopping: The server is going down.
        """
        if self._closed:
            raise ServerStopping("the server is going down; try again when it is back")
        if count > self._most:
            raise InvalidInput(
                f"this takes {count} sandboxes at the same time, and the server has places for "
                f"{self._most} ({SETTING}); ask for fewer"
            )
        if self._taken + count > self._most:
            raise LimitReached(
                f"the server has {self._taken} sessions, and {self._most} are its most "
                f"({SETTING}), sandboxes of comparisons and groundings included; delete one, or "
                "wait for one to end",
                limit=SETTING,
                retry_after=self._retry_after(),
            )
        self._count(count)

    def give_back(self, count: int = 1, *, held_for: float | None = None) -> None:
        """Gives places back.

        Args:
            count: How many.
            held_for: How many seconds they were held; None where that says nothing of others.
        """
        if held_for is not None:
            self._lives.append(held_for)
        self._count(-count)

    @contextmanager
    def held(self, count: int) -> Iterator[None]:
        """Holds places as long as this lasts; raises as `take` does."""
        self.take(count)
        began = time.monotonic()
        try:
            yield
        finally:
            self.give_back(count, held_for=time.monotonic() - began)

    def close(self) -> None:
        """Gives no more away."""
        self._closed = True

    def _count(self, change: int) -> None:
        self._taken += change
        self._changed = time.monotonic()
        metrics.places_taken(self._taken)

    def _retry_after(self) -> float:
        """When a place is likely to be free, as far as recent lives and certain ends tell.

        What is not known begins with a short time, and grows with the time that nothing changes.
        """
        unchanged = (time.monotonic() - self._changed) / 2
        pace = sum(self._lives) / len(self._lives) / self._most if self._lives else 0.0
        expected = min(self._next_end(), max(pace, unchanged))
        return min(max(_SHORTEST, expected), _LONGEST)
