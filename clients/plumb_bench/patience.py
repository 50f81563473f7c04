"""Asks again where what failed may pass: a slow, overloaded or rate-limited endpoint."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from plumb_client.errors import LimitReached, ModelFailed, PlumbError, ServerUnavailable

T = TypeVar("T")

WAITS = (0.5, 2.0, 8.0)
"""Seconds before each further attempt; where the server names more, it is waited so long."""

_LONGEST_WAIT = 120.0
_PASSING = frozenset({"MODEL_UNAVAILABLE", "MODEL_RATE_LIMITED", "MODEL_TIMED_OUT"})


def may_pass(error: PlumbError) -> bool:
    """Whether it says nothing of the simulator: the same request may be answered later."""
    if isinstance(error, ModelFailed):
        return error.reason in _PASSING
    return isinstance(error, ServerUnavailable) or (
        isinstance(error, LimitReached) and error.retry_after > 0
    )


async def patiently(
    ask: Callable[[], Awaitable[T]], on_failure: Callable[[PlumbError], None] = lambda _: None
) -> T:
    """Asks until it is answered, or what fails will not pass.

    Args:
        ask: Asks the same each time: a step keeps its index, so that nothing runs twice.
        on_failure: Is told of each failure, also of those that pass: they are paid, too.

    Raises:
        PlumbError: It was not answered.
    """
    for wait in WAITS:
        try:
            return await ask()
        except PlumbError as error:
            on_failure(error)
            if not may_pass(error):
                raise
            await asyncio.sleep(min(_LONGEST_WAIT, max(wait, error.retry_after)))
    try:
        return await ask()
    except PlumbError as error:
        on_failure(error)
        raise
