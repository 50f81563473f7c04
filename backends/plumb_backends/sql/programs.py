"""Stored programs without `DELIMITER`: where the statement that makes one ends.

The client would end it at the first `;`. Here its body is followed: which words begin and end a
block is told by where they stand, for BEGIN and END are names, too, CASE is an expression, and IF
and REPEAT are functions.
"""

import re

from plumb_backends.sql.lexer import Kind, Token, tokenize

_HEAD = re.compile(
    rb"(?:[\s\x00]++|#[^\n]*+|--(?=[\s\x00])[^\n]*+|/\*!\d*+"
    rb"|/\*(?!!)(?:[^*]++|\*(?!/))*+\*/)*+"
    rb"(?:create|alter)\b",
    re.IGNORECASE,
)
_PROGRAMS = (b"PROCEDURE", b"FUNCTION", b"TRIGGER", b"EVENT")
_BLOCKS = (b"BEGIN", b"IF", b"CASE", b"LOOP", b"REPEAT", b"WHILE")
_BODY_WORDS = frozenset(
    b"RETURN SELECT INSERT UPDATE DELETE REPLACE CALL WITH SIGNAL RESIGNAL TRUNCATE CREATE DROP "
    b"ALTER DO SET VALUES TABLE EXECUTE PREPARE LOAD KILL GRANT REVOKE ANALYZE OPTIMIZE EXPLAIN "
    b"SHOW DESC DESCRIBE HANDLER START COMMIT ROLLBACK".split()
)
_STARTS_STATEMENT = {b"THEN": (b"IF", b"CASE"), b"DO": (b"WHILE",), b"ELSE": (b"IF", b"CASE")}
_CONDITION_PREFIXES = (b"SQLSTATE", b"VALUE", b"NOT")
_EXPRESSION = b"(CASE)"
_LONGEST_HEAD = 4096


def end_of_program(
    action: bytes, start: int, first_end: int, *, has_dollar_quotes: bool
) -> tuple[int, int] | None:
    """Finds the end of a statement that makes a stored program.

    Args:
        action: All of it.
        start: Where the statement begins.
        first_end: Where its first `;` is.
        has_dollar_quotes: Whether `$$ ... $$` is a quote.

    Returns:
        Where the end stands, and what is behind it; None for any other statement.
    """
    if _HEAD.match(action, start, min(first_end, start + _LONGEST_HEAD)) is None:
        return None
    program = _Program()
    for token in tokenize(action, start=start, has_dollar_quotes=has_dollar_quotes):
        if token.kind is Kind.END and not (token.text == b";" and program.is_open):
            return token.start, token.end
        if token.kind is Kind.END:
            program.semicolon()
        elif not token.is_space:
            program.see(token)
            if program.is_something_else:
                return None
    return len(action), len(action)


class _Program:
    """Follows a stored program: its head, and then its blocks.

    Attributes:
        is_something_else: Whether the statement makes no stored program.
    """

    def __init__(self) -> None:
        self.is_something_else = False
        self._head = _Head()
        self._open: list[bytes] = []
        self._starts = False  # a statement of the body begins here
        self._words = 0  # of the statement so far
        self._condition: _Condition | None = None
        self._ending = False  # the last word was the END of a block

    @property
    def is_open(self) -> bool:
        """Whether `;` does not end the program here."""
        return bool(self._open)

    def semicolon(self) -> None:
        """Takes the end of a statement of the body."""
        while self._open and self._open[-1] == _EXPRESSION:  # it was no CASE after all
            self._open.pop()
        self._starts, self._words = True, 0
        self._condition, self._ending = None, False

    def see(self, token: Token) -> None:
        """Takes the next token that is neither space nor `;`."""
        if not self._head.is_over:
            self._see_head(token)
            if not self._head.is_over:
                return
        if self._ending:  # END IF, END LOOP, END label
            self._ending = False
            if token.upper in _BLOCKS or token.kind is Kind.NAME:
                return
        if self._condition is not None and self._condition.takes(token):
            return
        if self._condition is not None:  # of a handler, whose statement begins here
            self._condition, self._starts, self._words = None, True, 0
        self._see_body(token)

    def _see_head(self, token: Token) -> None:
        self._head.see(token)
        self.is_something_else = self._head.is_something_else
        if self._head.is_over:
            self._starts = True

    def _see_body(self, token: Token) -> None:
        if token.text == b":" and self._words == 1 and not self._starts:  # behind a label
            self._starts, self._words = True, 0
            return
        starts, self._starts = self._starts, False
        self._words += 1
        word = token.upper
        if starts and word in _BLOCKS:
            self._open.append(word)
            self._starts = word in (b"BEGIN", b"LOOP", b"REPEAT")
            self._words = 0
        elif word == b"CASE":
            self._open.append(_EXPRESSION)
        elif starts and word == b"UNTIL" and self._is_inside(b"REPEAT"):
            self._open[-1] = word
        elif word == b"END" and (starts or self._is_inside(_EXPRESSION, b"UNTIL")):
            self._ending = self._open.pop() != _EXPRESSION if self._open else False
        elif word in _STARTS_STATEMENT and self._is_inside(*_STARTS_STATEMENT[word]):
            self._starts, self._words = True, 0
        elif word == b"HANDLER" and not starts:
            self._condition = _Condition()

    def _is_inside(self, *blocks: bytes) -> bool:
        return bool(self._open) and self._open[-1] in blocks


class _Head:
    """The part of the statement before the body.

    Attributes:
        is_over: Whether the body begins with the token that was seen last.
        is_something_else: See `_Program`.
    """

    def __init__(self) -> None:
        self.is_over = self.is_something_else = False
        self._program = b""
        self._before = b""
        self._depth = 0
        self._may_begin = False
        self._definer = 0

    def see(self, token: Token) -> None:
        """Takes the next token."""
        word = token.upper
        if token.text in (b"(", b")"):
            self._depth += 1 if token.text == b"(" else -1
            self._may_begin |= self._depth == 0 and self._program in (b"PROCEDURE", b"FUNCTION")
        elif self._depth == 0 and not self._program:
            self._find_program(token, word)
        elif self._depth == 0 and self._may_begin:
            self.is_over = self._begins_body(word)
        elif self._depth == 0:
            self._may_begin = (self._program, word) == (b"EVENT", b"DO") or (
                (self._program, self._before, word) == (b"TRIGGER", b"EACH", b"ROW")
            )
        self._before = word or token.text

    def _find_program(self, token: Token, word: bytes) -> None:
        if self._before == b"=" and self._definer == 1:  # the account's name, whatever it is
            self._definer = 2
        elif word == b"DEFINER":
            self._definer = 1
        elif word in _PROGRAMS:
            self._program = word
        elif word and word not in (b"CREATE", b"ALTER", b"OR", b"REPLACE", b"AGGREGATE"):
            self.is_something_else = True

    def _begins_body(self, word: bytes) -> bool:
        if self._program == b"TRIGGER":  # FOR EACH ROW PRECEDES other, and then anything
            return word not in (b"FOLLOWS", b"PRECEDES") and self._before not in (
                b"FOLLOWS",
                b"PRECEDES",
            )
        if self._program == b"EVENT":
            return True
        is_type = word == b"SET" and self._before in (b"RETURNS", b"CHARACTER", b"CHAR")
        return (word in _BLOCKS or word in _BODY_WORDS) and not is_type


class _Condition:
    """The conditions of a handler: `FOR SQLSTATE '23000', NOT FOUND`, and then a statement."""

    def __init__(self) -> None:
        self._is_complete = False

    def takes(self, token: Token) -> bool:
        """Whether a token belongs to them."""
        word = token.upper
        if token.text == b",":
            self._is_complete = False
        elif self._is_complete:
            return False
        elif word != b"FOR" and word not in _CONDITION_PREFIXES:
            self._is_complete = True
        return True
