"""What two messages of a database say: wording is a version's, what they name is not."""

import re

from plumb_fidelity.normalise import QUOTES

_QUOTED = re.compile(r"(?<!\w)'[^']*'|\"[^\"]*\"")
"""What stands in quotes; an apostrophe within a word, as in `Can't`, opens none."""

_CLAUSE = re.compile(
    r"'?\b(field list|(?:where|on|order|having) clause|group statement|from clause)\b'?"
)
_ROUTINE = re.compile(r"^error 1305 (\w{1,20}) '?((?:\w{1,64}\.)?\w{1,64})'? ")
_IDENTIFIER = re.compile(r"^error 1094 .{0,40}?(\d{1,20})\s*$")
_KEY = re.compile(r" for key '(?:[^'.]{1,64}\.)([^'.]{1,64})'")
_PLACE = re.compile(r"\bat (row|position) (\d{1,18})")
_SYNTAX_ERROR = "error 1064 "
_NEAR = re.compile(r" near '")
_LINE = re.compile(r"' at line (\d{1,9})\s*$")
_MOST_MORE = 500  # characters of other wording; an agent pays for more
_LEAST_SHOWN = 40
"""A text that is quoted as far as this is recognised, wherever it is cut."""


def same_message(real: str, simulated: str) -> bool:
    """Whether two messages of the same error name the same things.

    They are the quoted names and values, the row, and what has no quotes: the kind and name of a
    routine, a thread's number. A key's table is told by some versions only. Of a syntax error
    (1064) it is where the parser gave up: the line, and the text from there on, which may be cut
    earlier, at a word's end.
    """
    if len(simulated) > 2 * len(real) + _MOST_MORE:
        return False
    real, simulated = real.translate(QUOTES), simulated.translate(QUOTES)
    if real.startswith(_SYNTAX_ERROR):
        return _same_place(real, simulated)
    return _named(real) == _named(simulated)


def _named(message: str) -> tuple[list[str], list[tuple[str, str]]]:
    message = _CLAUSE.sub(r"'\1'", _KEY.sub(r" for key '\1'", message))
    quoted = [found[0][1:-1].lower() for found in _QUOTED.finditer(message)]
    if unquoted := _ROUTINE.match(message) or _IDENTIFIER.match(message):
        quoted = [text.lower() for text in unquoted.groups()]
    return quoted, _PLACE.findall(message)


def _same_place(real: str, simulated: str) -> bool:
    near, line = _place(real)
    its_near, its_line = _place(simulated)
    if line and its_line and line != its_line:
        return False
    if near is None or its_near is None:
        return near is None
    return _begins(near, its_near) or _begins(its_near, near)


def _place(message: str) -> tuple[str | None, str]:
    """The text at which a parser gave up, and its line; what is not said is None or empty."""
    begin = _NEAR.search(message)
    line = _LINE.search(message)
    if not begin:
        return None, line[1] if line else ""
    rest = message[begin.end() : line.start() if line else len(message)]
    return " ".join(rest.removesuffix("'").split()), line[1] if line else ""


def _begins(text: str, beginning: str) -> bool:
    if not text.startswith(beginning) or (text and not beginning):
        return False
    behind = text[len(beginning) : len(beginning) + 1]
    return len(beginning) >= _LEAST_SHOWN or not (behind.isalnum() and beginning[-1:].isalnum())
