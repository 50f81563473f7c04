"""Splitting where an agent's text is large: in a process that is killed at the deadline."""

from plumb_backends import workers
from plumb_backends.sql.statements import Split, split

LARGE_BYTES = 8 * 1024
"""What is split at once, on the event loop: some milliseconds, whatever it is."""


async def split_within(
    action: bytes, delimiter: bytes, *, sends_comments: bool, seconds: float, owner: str
) -> Split:
    """Splits an action; see `split`.

    Args:
        action: As it was typed.
        delimiter: What ended the statements of the action before.
        sends_comments: See `split`.
        seconds: What it may take.
        owner: Whose work it is: the session's id.

    Raises:
        WorkCut: It was not done in time.
    """
    if len(action) <= LARGE_BYTES:
        return split(action, delimiter, sends_comments=sends_comments)
    return await workers.run(
        _split, action, delimiter, sends_comments, deadline=seconds, owner=owner
    )


def _split(action: bytes, delimiter: bytes, sends_comments: bool) -> Split:
    return split(action, delimiter, sends_comments=sends_comments)
