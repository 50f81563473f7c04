"""Text of agents, models and files in a terminal: what would steer it is shown instead."""

import sys
import unicodedata
from typing import TextIO

_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_JOINERS = "\u200c\u200d"  # they shape letters and emoji, and hide nothing


def visible(text: str, keep: str = "") -> str:
    r"""Shows what steers a terminal, or the direction of writing, as `\x1b` and the like.

    Args:
        text: What anybody wrote.
        keep: Characters that are left as they are, for example line ends.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(one if one in keep or not _steers(one) else _written(one) for one in text)


def _steers(character: str) -> bool:
    return character not in _JOINERS and unicodedata.category(character) in _INVISIBLE


def _written(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


def say(text: str, file: TextIO | None = None) -> None:
    """Prints text with all that steers a terminal made visible, line ends left out."""
    print(visible(text, keep="\n"), file=file or sys.stdout)
