"""Texts from scenarios, agents, models and sandboxes, made safe to show to people."""

import unicodedata

_JOINERS = "\u200c\u200d"  # they shape letters and emoji, and hide nothing
_UNSEEN = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""Categories of characters that move the cursor, reorder the line, or cannot be encoded."""


def shown(text: str, most: int = 200, *, keep: str = "") -> str:
    r"""Writes a text for a terminal, a chart or a page, without what could disturb those.

    Args:
        text: Anything, for example a scenario's id.
        most: How many characters; a longer text loses its middle.
        keep: Control characters that may stay, for example a line feed.

    >>> shown("a\x1b[31m\n")
    'a\\x1b[31m\\n'
    """
    whole = visible(text, keep)
    if len(whole) <= most:
        return whole
    head = (most - 1) // 2
    return whole[: most - 1 - head] + "…" + whole[len(whole) - head :]


def sentence(text: str) -> str:
    """Writes an explanation of several lines, as `shown`, with its line ends."""
    return shown(text, 4000, keep="\n\t")


def visible(text: str, keep: str = "") -> str:
    r"""Writes all of a text, with what steers a terminal or the direction of writing as `\x1b`.

    Args:
        text: What anybody wrote.
        keep: Characters that are left as they are, for example line ends.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(one if _is_visible(one, keep) else _escaped(one) for one in text)


def _is_visible(one: str, keep: str) -> bool:
    return one in keep or one in _JOINERS or unicodedata.category(one) not in _UNSEEN


def _escaped(one: str) -> str:
    return one.encode("unicode_escape").decode("ascii")
