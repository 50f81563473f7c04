"""Text from sandboxes and models on a page: shown as it is, and able to do nothing."""

import unicodedata

from markupsafe import Markup, escape

MOST_SHOWN = 20_000
"""Characters of one text on a page; the whole is one click away."""

_PICTURES = {chr(code): chr(0x2400 + code) for code in range(32)} | {"\x7f": "\u2421"}
_PLAIN = frozenset("\n\t")
_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def visible(text: str, most: int = MOST_SHOWN) -> Markup:
    """Shows text; what steers a terminal, or the direction of writing, becomes visible.

    Args:
        text: What a sandbox, a model or a person wrote.
        most: How many characters to show.
    """
    shown = text[:most]
    parts, plain = [], 0
    for at, character in enumerate(shown):
        picture = _picture(character)
        if picture:
            parts.append(escape(shown[plain:at]))
            parts.append(Markup('<span class="control">{}</span>').format(picture))
            plain = at + 1
    parts.append(escape(shown[plain:]))
    if len(text) > most:
        rest = f"{len(text) - most:,} more characters"
        parts.append(Markup('<span class="cut">… {}</span>').format(rest))
    return Markup("").join(parts)


def _picture(character: str) -> str:
    """What stands for a character that nobody could see; empty for the others."""
    if character in _PICTURES:
        return "" if character in _PLAIN else _PICTURES[character]
    if character.isprintable() or unicodedata.category(character) not in _INVISIBLE:
        return ""
    return f"U+{ord(character):04X}"


def escaped_bytes(data: bytes) -> str:
    r"""Bytes as a person can read them: `\x1b` for what is not printable, lines kept."""
    text = data.decode(errors="backslashreplace")
    return "".join(
        one if one == "\n" or one.isprintable() else one.encode("unicode_escape").decode()
        for one in text
    )
