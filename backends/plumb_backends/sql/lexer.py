"""The tokens of MySQL's SQL, as far as the client and the mapping of names must tell them apart.

Linear in the input, and lossless: the tokens together are the input. What a quote or a comment
that has no end begins reaches to the end, as in the real client.

https://dev.mysql.com/doc/refman/8.4/en/lexical-structure.html (language structure, chapter 11)
"""

import enum
import functools
import re
from collections.abc import Iterator
from typing import NamedTuple

SINGLE = rb"'(?:[^'\\]++|\\.|'')*+'"
DOUBLE = rb'"(?:[^"\\]++|\\.|"")*+"'
BACKQUOTED = rb"`(?:[^`]++|``)*+`"
_WORD_BYTES = rb"A-Za-z0-9_$\x80-\xff"
DOLLARS = rb"(?<![" + _WORD_BYTES + rb"])\$[A-Za-z0-9_\x80-\xff]*+\$"
"""What opens a quote `$$ ... $$` or `$tag$ ... $tag$`, and closes it, since MySQL 9."""

IN_DOLLARS = rb"(?<![" + _WORD_BYTES + rb"])\$(?P<tag>[A-Za-z0-9_\x80-\xff]*+)\$.*?\$(?P=tag)\$"


class Kind(enum.Enum):
    """What a token is."""

    SPACE = "space"  # also the brackets of a version comment, whose inside is live
    COMMENT = "comment"
    STRING = "string"
    NAME = "name"  # in backquotes
    VARIABLE = "variable"
    END = "end"  # the delimiter, `\g` or `\G`
    WORD = "word"  # a keyword, a bare name, or a number
    OTHER = "other"  # one character
    UNFINISHED = "unfinished"  # a quote or a comment without an end


class Token(NamedTuple):  # a dataclass takes three times as long to make
    """One token: where it is, and what it says."""

    kind: Kind
    start: int
    text: bytes

    @property
    def end(self) -> int:
        """Where the next one begins."""
        return self.start + len(self.text)

    @property
    def upper(self) -> bytes:
        """A word in capitals, for comparing with keywords; empty for other tokens."""
        return self.text.upper() if self.kind is Kind.WORD else b""

    @property
    def is_space(self) -> bool:
        """Whether it says nothing to the server."""
        return self.kind in (Kind.SPACE, Kind.COMMENT)


_KINDS = {kind.value: kind for kind in Kind}


@functools.lru_cache(maxsize=16)
def _pattern(delimiter: bytes, has_dollar_quotes: bool) -> re.Pattern[bytes]:
    end = re.escape(delimiter)
    in_dollars = rb"|" + IN_DOLLARS if has_dollar_quotes else b""
    dollars = rb"|" + DOLLARS if has_dollar_quotes else b""
    # A delimiter such as `$$` ends a word that it touches.
    word = (
        rb"(?:(?!" + end + rb")[" + _WORD_BYTES + rb"])++"
        if re.search(rb"[" + _WORD_BYTES + rb"]", delimiter)
        else rb"[" + _WORD_BYTES + rb"]++"
    )
    return re.compile(
        rb"(?P<end>" + end + rb"|\\[gG])"
        rb"|(?P<space>[\s\x00]++|/\*!\d*+|\*/)"
        rb"|(?P<comment>--(?=[\s\x00]|\Z)[^\n]*+|#[^\n]*+|/\*(?!!).*?\*/)"
        rb"|(?P<string>" + SINGLE + rb"|" + DOUBLE + in_dollars + rb")"
        rb"|(?P<name>" + BACKQUOTED + rb")"
        rb"|(?P<variable>@@?(?:[" + _WORD_BYTES + rb".]++|" + BACKQUOTED + rb"|" + SINGLE
        + rb"|" + DOUBLE + rb")?)"
        rb"|(?P<unfinished>(?:['\"`]|/\*" + dollars + rb").*\Z)"
        rb"|(?P<word>" + word + rb")"
        rb"|(?P<other>.)",
        re.DOTALL,
    )  # fmt: skip


def tokenize(
    text: bytes, *, delimiter: bytes = b";", start: int = 0, has_dollar_quotes: bool = False
) -> Iterator[Token]:
    """Yields the tokens from `start` on.

    Args:
        text: SQL, in UTF-8 or whatever the client sends.
        delimiter: What ends a statement.
        start: Where to begin.
        has_dollar_quotes: Whether `$$ ... $$` is a quote.
    """
    for found in _pattern(delimiter, has_dollar_quotes).finditer(text, start):
        yield Token(_KINDS[found.lastgroup or ""], found.start(), found[0])
