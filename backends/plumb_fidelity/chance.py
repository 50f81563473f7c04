"""What is drawn by chance, and between which bounds: `$RANDOM`, `shuf -i 1-6`, `FLOOR(RAND() * 9)`.

A number by chance cannot be known, but its bounds stand in the action. Lines that are drawn from
others cannot be known at all; how many there are can.
"""

import functools
import re
from collections.abc import Iterator, Sequence

from plumb_fidelity.kinds import DRAWN, Clock, Kind, hexadecimal, matching
from plumb_fidelity.licences import Field
from plumb_fidelity.tokens import Token

_LARGEST_RANDOM, _LARGEST_SRANDOM = 32767, (1 << 32) - 1
_NAME = r"\$?\{?(S?RANDOM)\}?"
_MODULO = re.compile(
    rf"\(\(\s*(?:(\d{{1,9}})\s*\+\s*)?\(?\s*{_NAME}\s*%\s*(\d{{1,9}})\s*\)?\s*(?:\+\s*(\d{{1,9}})\s*)?\)\)"
)
_RECKONED = re.compile(r"\(\([^()]{0,200}\bS?RANDOM\b")
_PLAIN = re.compile(r"\$\{?(S?RANDOM)\b")
_RANGE = re.compile(r"(\d{1,18})-(\d{1,18})")
_DICE = re.compile(r"\brand(int|range)\(\s*(-?\d{1,18})\s*(?:,\s*(-?\d{1,18})\s*)?\)")
_FLOORED = re.compile(
    r"\s*floor\s*\(\s*(?:(\d{1,9})\s*\+\s*)?rand\s*\(\s*\)\s*\*\s*(\d{1,9})\s*\)"
    r"(?:\s*\+\s*(\d{1,9}))?(?:\s+(?:as\s+)?`?\w+`?)?\s*",
    re.IGNORECASE,
)
_MOST_LINES = 10_000


UPPER_HASH = hexadecimal(re.compile(r"[0-9A-F]{2,2048}"))
"""Hexadecimal digits by chance, in capitals."""

HEX_PART = hexadecimal(re.compile(r"[0-9a-f]{4,64}|[0-9A-F]{4,64}"))._replace(
    hint=re.compile(r"[0-9a-fA-F]{4}")
)
"""Hexadecimal digits by chance, as many as a filter leaves."""

SALTED = matching(re.compile(r"-?\d{10,20}"), re.compile(r"-?\d{1,20}"), "whole number")
"""What Python's `hash` gives of a text, and `id` of anything."""

_SEEDED = re.compile(
    r"\bseed\(\s*[\d'\"]|\bRandom\(\s*[\d'\"]|\bdefault_rng\(\s*\d|\bsrand\(?\s*\d|\bS?RANDOM=\d"
    r"|--random-source"
)
_COUNTED = re.compile(r"\|\s*(?:wc|md5sum|sha\d+sum|cksum|grep\s+-\w*c)\b")
_PIECES = re.compile(r"[;\n]|&&|\|\|")


def is_seeded(text: str) -> bool:
    """Whether chance begins at a fixed place, so that all runs draw the same."""
    return bool(_SEEDED.search(text))


def without_counted(action: str) -> str:
    """An action without the pipelines that only tell how much something is."""
    if "|" not in action:
        return action
    return ";".join(piece for piece in _PIECES.split(action) if not _COUNTED.search(piece))


def is_one_command(action: str) -> bool:
    """Whether an action is no list, so that all that it prints is of one command."""
    return not _PIECES.search(action.strip())


@functools.lru_cache(maxsize=256)
def between(low: int, high: int) -> Kind:
    """A whole number by chance, not less than one bound and not more than another."""

    def holds(token: Token, clock: Clock) -> bool:
        return _is_within(token.text)

    def why_not(token: Token, value: str, clock: Clock) -> str:
        return "" if _is_within(value) else f"implausible: {value!r} is not from {low} to {high}"

    def _is_within(text: str) -> bool:
        return bool(re.fullmatch(r"-?\d{1,20}", text)) and low <= int(text) <= high

    return Kind(holds, why_not)


_ONLY_NUMBER = re.compile(r"^[^\d]*(?<![\w.+-])(\d+)(?![\w.])[^\d]*$")


def only_number(kind: Kind) -> Field:
    """A value by chance that is the only number of its line: runs may agree on it by chance."""
    return Field(_ONLY_NUMBER, kind._replace(is_single=False))


def of_shell_variables(action: str) -> Iterator[Kind]:
    """The numbers that `$RANDOM` and arithmetic with it may give."""
    for found in _MODULO.finditer(action):
        first = int(found[1] or 0) + int(found[4] or 0)
        yield between(first, first + max(int(found[3]) - 1, 0))
    rest = _MODULO.sub("", action)
    if _RECKONED.search(rest):
        yield DRAWN
        return
    for name in dict.fromkeys(_PLAIN.findall(rest)):
        yield between(0, _LARGEST_RANDOM if name == "RANDOM" else _LARGEST_SRANDOM)


def of_range(words: Sequence[str]) -> Iterator[Kind]:
    """The numbers that `shuf -i LOW-HIGH` may give."""
    for word in words:
        if found := _RANGE.fullmatch(re.sub(r"^(?:-i|--input-range=)", "", word)):
            yield between(int(found[1]), int(found[2]))


def of_program(text: str) -> Iterator[Kind]:
    """The numbers that Python's `randint` and `randrange` give, where their bounds are plain."""
    for found in _DICE.finditer(text):
        low, high = (0, found[2]) if found[3] is None else (found[2], found[3])
        yield between(int(low), int(high) - (found[1] == "range"))


def of_expression(expression: str) -> Kind | None:
    """The numbers that `FLOOR(1 + RAND() * 6)` gives; None for other expressions."""
    found = _FLOORED.fullmatch(expression)
    if not found:
        return None
    first = int(found[1] or 0) + int(found[3] or 0)
    return between(first, first + max(int(found[2]) - 1, 0))


def lines_by_chance(pipeline: Sequence[Sequence[str]]) -> int:
    """How many lines a pipeline draws from others by chance; 0 where it draws none."""
    is_shuffled, count = False, 0
    for command in pipeline:
        program, *words = command or ("",)
        if is_shuffled and program in ("head", "tail"):
            count = _number_of(words) or 10
        elif count or is_shuffled:
            return 0 if program != "sort" else count
        elif program == "shuf" and not any(word.startswith(("-i", "--input")) for word in words):
            is_shuffled, count = True, _number_of(words)
        elif program == "sort" and any(re.fullmatch(r"-\w*R\w*", word) for word in words):
            is_shuffled = True
    return min(count, _MOST_LINES)


def _number_of(words: Sequence[str]) -> int:
    found = re.search(r"(?:^| )-(?:n ?)?(\d{1,9})\b", " ".join(words))
    return int(found[1]) if found else 0
