"""Text from sandboxes and models on a page: shown as it is, and able to do nothing."""

import functools
import re
import sys
import unicodedata

from markupsafe import Markup, escape

MOST_SHOWN = 20_000
"""Characters of one text on a page; the whole is one click away."""

_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_SHOWN_AS_THEY_ARE = "\n\t"


def visible(text: str, most: int = MOST_SHOWN) -> Markup:
    """Shows text; what steers a terminal, or the direction of writing, becomes visible.

    Args:
        text: What a sandbox, a model or a person wrote.
        most: How many characters to show.
    """
    shown = Markup(_unseen().sub(_picture, str(escape(text[:most]))))  # noqa: S704 - it is escaped
    if len(text) > most:
        rest = f"{len(text) - most:,} more characters"
        shown += Markup('<span class="cut">… {}</span>').format(rest)
    return shown


@functools.cache
def _unseen() -> re.Pattern[str]:
    """Finds characters that nobody could see, lines and tabs left out."""
    codes = map(chr, range(sys.maxunicode + 1))
    unseen = (one for one in codes if unicodedata.category(one) in _INVISIBLE)
    return re.compile(f"[{re.escape(''.join(set(unseen) - set(_SHOWN_AS_THEY_ARE)))}]")


def _picture(found: re.Match[str]) -> str:
    """What stands for a character that nobody could see."""
    code = ord(found[0])
    picture = chr(0x2400 + code) if code < 32 else "\u2421" if code == 127 else f"U+{code:04X}"
    return f'<span class="control">{picture}</span>'


def escaped_bytes(data: bytes) -> str:
    r"""Bytes as a person can read them: `\x1b` for what is not printable, lines kept."""
    text = data.decode(errors="backslashreplace")
    return "".join(
        one if one == "\n" or one.isprintable() else one.encode("unicode_escape").decode()
        for one in text
    )
