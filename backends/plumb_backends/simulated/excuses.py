"""Which breaks are none: what a reply quotes from its own world.

A mail may begin with "I'm sorry", a file may be one code fence, a log may show a prompt. So a break
is excused where its words stand in the grounding, in what was typed, or in what was read before.
"""

import re
from collections.abc import Iterable

from plumb_fidelity.breaks import Break

_WORD = re.compile(r"\w+")
_SHOWS_INPUT = re.compile(r"(?:^|[\s;&|(])(?:set|bash|sh) +(?:-o +verbose|-[a-uw-z]*v)")
_CLIENT_COMMAND = re.compile(
    r"(?:^|;)\s*(?:help|\?|status|prompt|pager|nopager|tee|notee|warnings|nowarning|print|edit"
    r"|rehash|system|source|delimiter|\\[a-z?!#.])(?:\W|$)",
    re.IGNORECASE,
)
_LEAST_WORDS = 3
"""Fewer words stand in any grounding by chance; a line of those has to stand there as a line."""


def unexcused(
    breaks: Iterable[Break], output: str, action: str, known: Iterable[str]
) -> list[Break]:
    """The breaks that nothing excuses.

    Args:
        breaks: What was found.
        output: The reply.
        action: What was typed.
        known: The texts of the session's world: grounding, earlier actions and their outputs.
    """
    found = list(breaks)
    if not found:  # by far the usual case, and the texts are long
        return []
    texts = [text.replace("\\n", "\n") for text in (*known, action)]
    return [one for one in found if not _is_excused(one, output, action, texts)]


def _is_excused(one: Break, output: str, action: str, texts: list[str]) -> bool:
    match one.name:
        case "fence":
            return _stands_in(_first_two_lines(output), texts)
        case "echo":
            return any(map(_SHOWS_INPUT.search, texts)) or _stands_as_line(one.evidence, texts)
        case "table":
            return _CLIENT_COMMAND.search(action) is not None
        case "apology" | "narration":
            return _is_quoted(one.evidence, texts)
    return _stands_in(one.evidence.strip(), texts)


def _stands_in(quoted: str, texts: list[str]) -> bool:
    return bool(quoted) and any(quoted in text for text in texts)


def _stands_as_line(quoted: str, texts: list[str]) -> bool:
    """Whether a text, but for the last one, which is the action itself, has such a line."""
    return any(f"\n{quoted}\n" in f"\n{text}\n" for text in texts[:-1])


def _is_quoted(line: str, texts: list[str]) -> bool:
    """Whether a text holds the words of a line in their order, however it quotes and escapes."""
    words = _WORD.findall(line)
    if len(words) < _LEAST_WORDS:
        return _stands_in(line.strip(), texts)
    in_order = re.compile(r"\W*+".join(map(re.escape, words)))
    return any(map(in_order.search, texts))


def _first_two_lines(output: str) -> str:
    return "\n".join(output.strip().split("\n")[:2])
