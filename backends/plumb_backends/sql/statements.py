r"""What the interactive client makes of an action: its statements, one after the other.

As the client does it, statements end at `;`, `\g` or `\G` outside of quotes and comments, and
`DELIMITER` changes that for all that follows, in later actions, too. More kindly than the client,

- the last statement needs no end;
- a stored program without `DELIMITER` is one statement, as an agent that speaks to a driver sends
  it: `;` between its BEGIN and END does not end it (`programs`).

Line by line (recorded from the client, see `tests/data/mysql_client_splits.jsonl`):

- a line that begins with `DELIMITER` or `USE`, behind nothing but spaces and `/* */`, is a command
  of the client, and needs no end;
- a line that is a comment (`-- c`, `# c`) where nothing is pending is sent at once;
- such a comment behind an end, on the same line, belongs to the statement before it.

The client's other commands (`\!`, `source`, `system`, `tee`, …) are none here: they go to the
server, which does not understand them.
"""

import dataclasses
import functools
import re
from collections.abc import Iterator

from plumb_backends.sql.lexer import BACKQUOTED, DOLLARS, DOUBLE, IN_DOLLARS, SINGLE, tokenize
from plumb_backends.sql.programs import end_of_program

DEFAULT_DELIMITER = b";"
MAX_DELIMITER_BYTES = 15
"""As in the client, which takes no more of a longer one."""

NO_QUERY = "No query specified"
_NO_DATABASE = "USE must be followed by a database name"
_NO_DELIMITER = "DELIMITER must be followed by a 'delimiter' character or string"
_BACKSLASH = "DELIMITER cannot contain a backslash character"

_LINE_COMMENT = rb"(?:#|--(?=[\s\x00]|\Z))[^\n]*+"
_BLOCK_COMMENT = rb"/\*(?!!)(?:[^*]++|\*(?!/))*+\*/"
_COMMAND = re.compile(
    rb"(?:[ \t\r\f\v]++|/\*(?![!+])(?:[^*\n]++|\*(?!/))*+\*/)*+(delimiter|use)(?=[ \t\r\n]|\Z)",
    re.IGNORECASE,
)
_DELIMITER_AT_END = re.compile(rb"\s*+delimiter(?=\s|\Z)", re.IGNORECASE)
_USE_AT_END = re.compile(
    rb"(?:\s++|/\*(?![!+])(?:[^*]++|\*(?!/))*+\*/)*+(use(?=\s|\Z).*+)", re.IGNORECASE | re.DOTALL
)
_UNESCAPED = rb"'(?:[^']++|'')*+'|\"(?:[^\"]++|\"\")*+\""
_COMMENT_BEHIND = re.compile(rb"([ \t\r\f\v]*+)(" + _LINE_COMMENT + rb")?")
_SOMETHING = re.compile(rb"[^\s\x00]")
_SPACES = b" \t\r\n\f\v\x00"
_NO_RUN = b"'\"`\\#-/\n"


@dataclasses.dataclass(frozen=True, slots=True)
class Statement:
    r"""One statement.

    Attributes:
        text: For the server; empty where there is nothing to send.
        vertical: Whether it ended with `\G`.
        problem: What the client says itself instead, where `text` is empty.
        is_use: Whether it is the client's own command USE.
    """

    text: bytes
    vertical: bool = False
    problem: str = ""
    is_use: bool = False


_NOTHING = Statement(b"", problem=NO_QUERY)


@dataclasses.dataclass(frozen=True, slots=True)
class Split:
    """The statements of an action, and what ends the statements of the next one.

    Attributes:
        statements: In their order.
        delimiter: What ends statements behind them.
        ends: Where what is behind each statement begins, and what ends statements there.
        is_whole: Whether the action has no others.
    """

    statements: list[Statement]
    delimiter: bytes
    ends: list[tuple[int, bytes]] = dataclasses.field(default_factory=list, compare=False)
    is_whole: bool = True


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What an action is split by.

    Attributes:
        sends_comments: Whether what is only a comment is sent; the client does since version 9.
        has_dollar_quotes: Whether `$$ ... $$` is a quote; it is since version 9.
        has_escapes: Whether a backslash escapes in a quote; not in NO_BACKSLASH_ESCAPES.
    """

    sends_comments: bool = True
    has_dollar_quotes: bool = True
    has_escapes: bool = True


USUAL = Rules()


def split(
    action: bytes,
    delimiter: bytes = DEFAULT_DELIMITER,
    rules: Rules = USUAL,
    *,
    start: int = 0,
    most: int | None = None,
) -> Split:
    """Splits an action, in one pass.

    Args:
        action: As it was typed.
        delimiter: What ended the statements before.
        rules: See `Rules`.
        start: Where to begin; there nothing is pending.
        most: How many statements to look for at least; all, if None.
    """
    splitter = _Splitter(action, delimiter, rules, start)
    is_whole = splitter.run(len(action) + 1 if most is None else most)
    return Split(splitter.statements, splitter.delimiter, splitter.ends, is_whole)


@functools.lru_cache(maxsize=32)
def _pattern(delimiter: bytes, rules: Rules) -> re.Pattern[bytes]:
    """What an action is made of; a run is all that needs no look at."""
    end = re.escape(delimiter)
    quotes = SINGLE + rb"|" + DOUBLE if rules.has_escapes else _UNESCAPED
    no_run, opens, rest = _NO_RUN, rb"['\"`]|/\*", rb"-(?!-(?:[\s\x00]|\Z))|/(?!\*(?!!))"
    if rules.has_dollar_quotes:
        quotes += rb"|" + IN_DOLLARS
        opens += rb"|" + DOLLARS
        rest += rb"|(?!" + DOLLARS + rb")\$"
        no_run += b"$"
    if delimiter[:1] not in no_run:
        rest += rb"|" + re.escape(delimiter[:1])
    rest += rb"|\\(?![gGcd])[^\n]?"
    run = rb"[^" + re.escape(no_run + delimiter[:1]) + rb"]++|(?!" + end + rb")(?:" + rest + rb")"
    return re.compile(
        rb"(?P<run>(?:" + run + rb")++)"
        rb"|(?P<newline>\n++)"
        rb"|(?P<back>\\[gGcd])"
        rb"|(?P<end>" + end + rb")"
        rb"|(?P<line>" + _LINE_COMMENT + rb")"
        rb"|(?P<block>" + _BLOCK_COMMENT + rb")"
        rb"|(?P<quote>" + quotes + rb"|" + BACKQUOTED + rb")"
        rb"|(?P<unfinished>(?:" + opens + rb").*+)"
        rb"|(?P<other>.)",
        re.DOTALL,
    )  # fmt: skip


class _Splitter:
    """One pass over an action. What lies between `_start` and the position is pending."""

    def __init__(self, action: bytes, delimiter: bytes, rules: Rules, start: int) -> None:
        self.statements: list[Statement] = []
        self.ends: list[tuple[int, bytes]] = []
        self._rules = rules
        self._sends_comments = rules.sends_comments
        self._use(delimiter)
        self._action = action
        self._begin(start)

    def _begin(self, start: int) -> None:
        """Nothing is pending from here on."""
        self.ends += [(start, self.delimiter)] * (len(self.statements) - len(self.ends))
        self._start = start
        self._before: list[bytes] = []  # what is pending from before a command within a statement
        self._is_empty = True  # nothing at all is pending
        self._is_blank = True  # nothing but what a command may stand behind
        self._says_something = False  # something that is no comment

    def run(self, most: int) -> bool:
        """Splits until there are so many statements; says whether these are all."""
        position = self._start
        if not position or self._action[position - 1 : position] == b"\n":
            position = self._line_begins(position)
        while position < len(self._action) and len(self.ends) < most:  # nothing is pending there
            found = self._match(self._action, position)
            assert found is not None  # noqa: S101 - the last alternative takes any byte
            position = self._take(found)
        if position < len(self._action):
            return False
        self._rest()
        self._begin(position)
        return True

    def _take(self, found: re.Match[bytes]) -> int:
        """Takes the next piece; returns where the one after it begins."""
        start, end = found.span()
        match found.lastgroup:
            case "newline":
                if self._is_empty:
                    self._start = end
                return self._line_begins(end)
            case "back":
                return self._backslash(found[0][1:], start, end)
            case "end":
                return self._ends(start, end)
            case "line":
                return self._line_comment(start, end)
            case "block":
                self._is_empty = False
                self._is_blank &= not found[0].startswith(b"/*+")
            case "run":
                self._is_empty = False
                if _SOMETHING.search(self._action, start, end):
                    self._is_blank, self._says_something = False, True
            case "unfinished":
                return self._unfinished()
            case _:
                self._is_empty = self._is_blank = False
                self._says_something = True
        return end

    # The client's own commands.

    def _line_begins(self, position: int) -> int:
        """Takes the commands that begin here, each a line."""
        while self._is_blank:
            command = _COMMAND.match(self._action, position)
            if command is None:
                break
            end = self._end_of_line(position)
            word, line = command[1].lower(), self._action[command.start(1) : end]
            if word == b"use" and (self.delimiter in line or b"\\g" in line):
                break  # it ends as any statement does
            if word == b"use":
                self._add_use(line)
            else:
                self._set_delimiter(line)
            self._begin(end + 1)
            position = min(end + 1, len(self._action))
        return position

    def _add_use(self, command: bytes) -> None:
        """USE: the client takes the next word; a quoted name it leaves to the server."""
        words = command.split(maxsplit=1)
        if len(words) < 2:
            self.statements.append(Statement(b"", problem=_NO_DATABASE))
            return
        use = command.strip()
        if words[1][:1] not in (b"'", b'"', b"`"):
            use = b"USE `" + _argument(command).replace(b"`", b"``") + b"`"
        self.statements.append(Statement(use, is_use=True))

    def _set_delimiter(self, command: bytes) -> None:
        delimiter = _argument(command)
        if not delimiter:
            self.statements.append(Statement(b"", problem=_NO_DELIMITER))
        elif b"\\" in delimiter:
            self.statements.append(Statement(b"", problem=_BACKSLASH))
        else:
            self._use(delimiter[:MAX_DELIMITER_BYTES])

    def _use(self, delimiter: bytes) -> None:
        self.delimiter = delimiter
        self._match = _pattern(delimiter, self._rules).match

    def _backslash(self, letter: bytes, start: int, end: int) -> int:
        if letter in b"gG":
            self._add(self._pending(start), vertical=letter == b"G")
            self._begin(end)
        elif letter == b"c":
            self._begin(end)
        else:
            return self._short_delimiter(start, end)
        return end

    def _short_delimiter(self, start: int, end: int) -> int:
        r"""`\d //`, anywhere: the rest of the line is the command, and what is pending stays so."""
        line_end = self._end_of_line(start)
        self._set_delimiter(b"delimiter " + self._action[end:line_end])
        self._before.append(self._action[self._start : start])
        self._start = line_end
        return line_end

    def _end_of_line(self, position: int) -> int:
        end = self._action.find(b"\n", position)
        return len(self._action) if end < 0 else end

    # Statements.

    def _ends(self, start: int, end: int) -> int:
        """A delimiter: the end of a statement, unless it stands inside of a stored program."""
        if self._says_something and not self._before and self.delimiter == DEFAULT_DELIMITER:
            program = end_of_program(
                self._action,
                self._start,
                start,
                has_dollar_quotes=self._rules.has_dollar_quotes,
            )
            if program is not None:
                start, end = program
        pending = self._pending(start)
        use = _USE_AT_END.match(pending) if self._says_something else None
        if self._says_something and _DELIMITER_AT_END.match(pending):
            self._set_delimiter(pending.strip())
        elif use and self._action[start:end] == self.delimiter:
            self._add_use(use[1])
        else:
            behind = _COMMENT_BEHIND.match(self._action, end)
            assert behind is not None  # noqa: S101 - nothing matches, too
            end = behind.end()
            if self._sends_comments and behind[2] is not None:
                pending += behind[0]
                self._is_empty = False
            self._add(pending, vertical=self._action[start:end].startswith(b"\\G"))
        self._begin(end)
        return end

    def _pending(self, end: int) -> bytes:
        if not self._before:
            return self._action[self._start : end]
        return b"".join((*self._before, self._action[self._start : end]))

    def _line_comment(self, start: int, end: int) -> int:
        if self._sends_comments and self._is_empty:
            self.statements.append(Statement(self._action[start:end].strip()))
            self._begin(end)
        elif self._sends_comments:
            self._is_blank = False
        return end

    def _add(self, pending: bytes, *, vertical: bool = False) -> None:
        if self._is_empty:
            self.statements.append(_NOTHING)
            return
        text = pending.strip(_SPACES)
        if not self._says_something and not self._sends_comments:
            text = b""
        problem = "" if text else NO_QUERY
        self.statements.append(Statement(text, vertical, problem))

    def _unfinished(self) -> int:
        """A quote or comment without an end, which the last delimiter was not meant to be in."""
        self._says_something = True
        self._add(self._pending(len(self._action)).rstrip().removesuffix(self.delimiter))
        self._begin(len(self._action))
        return len(self._action)

    def _rest(self) -> None:
        """The last statement, which needs no end."""
        pending = self._pending(len(self._action)).strip(_SPACES)
        if pending and (self._says_something or self._sends_comments):
            self._add(pending)


def _argument(command: bytes) -> bytes:
    """What stands behind a command's word: quoted, or up to a space; a backslash is taken away."""
    words = command.split(maxsplit=1)
    text = words[1] if len(words) > 1 else b""
    quote = text[:1] if text[:1] in (b"'", b'"', b"`") else b""
    ends = re.search(rb"(?<!\\)(?:\\\\)*+" + (quote or b" "), text[len(quote) :])
    argument = text[len(quote) :][: ends.end() - 1] if ends else text[len(quote) :].rstrip(b"\r")
    return re.sub(rb"\\(.)", rb"\1", argument, flags=re.DOTALL)


def words_of(statement: bytes, most: int) -> Iterator[bytes]:
    """The first words of a statement, in capitals."""
    count = 0
    for token in tokenize(statement):
        if token.upper:
            yield token.upper
            count += 1
        if count == most:
            return
