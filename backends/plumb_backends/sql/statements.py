r"""What the interactive client makes of an action: its statements, one after the other.

As the client does it, statements end at `;`, `\g` or `\G` outside of quotes and comments, and
`DELIMITER` changes that. More kindly than the client,

- the last statement needs no end;
- a stored program without `DELIMITER` is one statement, as an agent that speaks to a driver sends
  it: `;` between its BEGIN and END does not end it.

The client's own commands (`\!`, `source`, `system`, `tee`, …) are none here: they go to the
server, which does not understand them.
"""

import dataclasses
import re
from collections.abc import Iterator

from plumb_backends.sql.lexer import Kind, Token, tokenize

_DELIMITER = re.compile(rb"\s*delimiter[ \t]+([^\s]+)[^\n]*\n?", re.IGNORECASE)
_STORED = (b"PROCEDURE", b"FUNCTION", b"TRIGGER", b"EVENT")
_ENDS_OF_BLOCKS = (b"IF", b"LOOP", b"WHILE", b"REPEAT")
_HEAD_WORDS = 12
"""A stored program says what it is within so many words: CREATE DEFINER = x@y PROCEDURE."""


@dataclasses.dataclass(frozen=True, slots=True)
class Statement:
    r"""One statement.

    Attributes:
        text: For the server; empty where there was nothing before the end.
        vertical: Whether it ended with `\G`.
    """

    text: bytes
    vertical: bool = False


def split(action: bytes) -> list[Statement]:
    """Splits an action; one of spaces and comments alone has no statements."""
    statements: list[Statement] = []
    position, delimiter = 0, b";"
    while position < len(action):
        command = _DELIMITER.match(action, position)
        if command:
            position, delimiter = command.end(), command[1]
            continue
        statement, position = _next(action, position, delimiter)
        if statement is not None:
            statements.append(statement)
    return statements


def _next(action: bytes, start: int, delimiter: bytes) -> tuple[Statement | None, int]:
    """The statement that begins here, None at the end of all, and where the next one begins."""
    program = _StoredProgram()
    says_something = unfinished = False
    for token in tokenize(action, delimiter=delimiter, start=start):
        if token.kind is Kind.END and not program.is_open:
            text = action[start : token.start].strip() if says_something else b""
            return Statement(text, vertical=token.text == b"\\G"), token.end
        if not token.is_space:
            program.see(token)
        says_something |= not token.is_space
        unfinished |= token.kind is Kind.UNFINISHED
    rest = action[start:].strip()
    if unfinished:  # the end of the statement went into the quote, but was meant as one
        rest = rest.removesuffix(delimiter)
    return (Statement(rest) if says_something else None), len(action)


class _StoredProgram:
    """Counts the blocks of a stored program that are open."""

    def __init__(self) -> None:
        self._head: list[bytes] = []
        self._depth = 0
        self._ending = False  # the last word was END

    @property
    def is_open(self) -> bool:
        """Whether `;` does not end the statement here."""
        return self._depth > 0 and self._is_stored

    @property
    def _is_stored(self) -> bool:
        return self._head[:1] == [b"CREATE"] and any(word in self._head for word in _STORED)

    def see(self, token: Token) -> None:
        """Takes the next token that is no space."""
        word = token.upper
        if len(self._head) < _HEAD_WORDS and word:
            self._head.append(word)
        if self._ending:
            self._ending = False
            if word in _ENDS_OF_BLOCKS:  # whose beginnings are not counted: IF() is a function
                self._depth += 1
                return
            if word == b"CASE":
                return
        if word in (b"BEGIN", b"CASE"):
            self._depth += 1
        elif word == b"END":
            self._depth = max(0, self._depth - 1)
            self._ending = True


def words_of(statement: bytes, most: int) -> Iterator[bytes]:
    """The first words of a statement, in capitals."""
    count = 0
    for token in tokenize(statement):
        if token.upper:
            yield token.upper
            count += 1
        if count == most:
            return
