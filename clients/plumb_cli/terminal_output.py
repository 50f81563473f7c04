r"""Output of a session on the terminal of a person: it may colour, move and erase, and no more.

A terminal obeys whatever is printed: it sets its title and clipboard, opens links, changes its
keys, and answers questions as if its user had typed the answer. So only sequences that are known to
do none of that go through; others are shown as `\x1b]52;…`. Sequences are understood across the
pieces in which output comes.
"""

import codecs
import re

_MOST_PENDING = 64
"""Bytes of a sequence that is not whole yet; a longer one is none that goes through."""

_PASSES = re.compile(
    r"\x1b\[[0-9;:]{0,48}m"  # colours
    r"|\x1b\[[0-9;]{0,24}[ABCDEFGHJKLMPSTX@`adefG]"  # moves, erases, scrolls
    r"|\x1b\[\??(?:7|25)[hl]"  # wrapping, the cursor's visibility
    r"|\x1b[78M=>]|\x1b\([0AB]"  # saves, restores, scrolls; character sets
)
_VANISHES = re.compile(r"\x1b\[\?(?:1|12|1004|1049|2004|47|1047|1048)[hl]")
"""Other modes, of full screens and of line editing: harmless to leave out, ugly to show."""

_BEGINS = re.compile(r"\x1b(?:[()]|\[[?0-9;:]*)?\Z")
_ODD = re.compile(
    "[\x00-\x06\x0e-\x1a\x1c-\x1f\x7f-\x9f\x1b\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


class TerminalOutput:
    """Filters what a session prints, piece by piece."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._pending = ""

    def take(self, data: bytes, *, is_last: bool = False) -> str:
        """Gives what may be printed of the next piece.

        Args:
            data: The piece.
            is_last: Whether no other one follows; what is not whole is shown then.
        """
        text = self._pending + self._decoder.decode(data, is_last)
        begun = None if is_last else _BEGINS.search(text, max(0, len(text) - _MOST_PENDING))
        self._pending = begun[0] if begun else ""
        return _filtered(text[: begun.start()] if begun else text)


def harmless(text: str) -> str:
    """Gives what may be printed of a whole text."""
    return _filtered(text)


def _filtered(text: str) -> str:
    """Goes from one character that steers to the next; all between is printed as it is."""
    parts, at = [], 0
    while found := _ODD.search(text, at):
        parts.append(text[at : found.start()])
        passes = _PASSES.match(text, found.start())
        vanishes = _VANISHES.match(text, found.start())
        if passes:
            parts.append(passes[0])
        elif not vanishes:
            parts.append(found[0].encode("unicode_escape").decode("ascii"))
        at = (passes or vanishes or found).end()
    parts.append(text[at:])
    return "".join(parts)
