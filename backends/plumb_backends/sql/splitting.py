"""The statements of an action, one after the other, as they are wanted.

Where an agent's text is large it is split in a process that is killed at the deadline. A statement
may change what a quote is (`SET sql_mode = 'NO_BACKSLASH_ESCAPES'`); what is behind it is then
split again, a few statements first and twice as many each time, so that an action of many such
statements costs little more than another.
"""

import dataclasses
from functools import partial

from plumb_backends import workers
from plumb_backends.sql.statements import Rules, Split, Statement, split

LARGE_BYTES = 8 * 1024
"""What is split at once, on the event loop: some milliseconds, whatever it is."""

_FIRST_AGAIN = 16


class Script:
    """An action's statements. Made by `Script.read`.

    Attributes:
        delimiter: What ends the statements of the next action, as far as is known.
    """

    def __init__(
        self, action: bytes, delimiter: bytes, rules: Rules, found: Split, owner: str
    ) -> None:
        self._action = action
        self._begun = (0, delimiter)  # where what was found begins
        self._rules = rules
        self._found = found
        self._owner = owner
        self._next = 0
        self._most = _FIRST_AGAIN
        self._last_escape = action.rfind(b"\\")
        self.delimiter = found.delimiter

    @classmethod
    async def read(
        cls, action: bytes, delimiter: bytes, rules: Rules, *, seconds: float, owner: str
    ) -> "Script":
        """Reads an action.

        Args:
            action: As it was typed.
            delimiter: What ended the statements of the action before.
            rules: See `Rules`.
            seconds: What it may take.
            owner: Whose work it is: the session's id.

        Raises:
            WorkCut: It was not done in time.
        """
        found = await _split_within(action, delimiter, rules, 0, None, seconds, owner)
        return cls(action, delimiter, rules, found, owner)

    async def next(self, *, has_escapes: bool, seconds: float) -> Statement | None:
        """Returns the next statement; None behind the last.

        Args:
            has_escapes: Whether a backslash escapes from here on.
            seconds: What it may take.

        Raises:
            WorkCut: It was not done in time.
        """
        is_read = self._next == len(self._found.statements)
        if has_escapes != self._rules.has_escapes:
            self._rules = dataclasses.replace(self._rules, has_escapes=has_escapes)
            self._most = _FIRST_AGAIN
            at, _ = self._found.ends[self._next - 1] if self._next else self._begun
            if at <= self._last_escape:
                await self._go_on(seconds)
                is_read = False
        if is_read and not self._found.is_whole:
            self._most *= 2
            await self._go_on(seconds)
        if self._next == len(self._found.statements):
            return None
        self._next += 1
        return self._found.statements[self._next - 1]

    async def _go_on(self, seconds: float) -> None:
        """Splits what is behind the last statement that was returned."""
        start, delimiter = self._found.ends[self._next - 1] if self._next else self._begun
        self._found = await _split_within(
            self._action, delimiter, self._rules, start, self._most, seconds, self._owner
        )
        self._next, self._begun = 0, (start, delimiter)
        if self._found.is_whole:
            self.delimiter = self._found.delimiter


async def _split_within(
    action: bytes,
    delimiter: bytes,
    rules: Rules,
    start: int,
    most: int | None,
    seconds: float,
    owner: str,
) -> Split:
    work = partial(split, action, delimiter, rules, start=start, most=most)
    if len(action) - start <= LARGE_BYTES:
        return work()
    return await workers.run(work, deadline=seconds, owner=owner)
