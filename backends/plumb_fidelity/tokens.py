"""Lines cut into typed tokens: dates, times, durations, identifiers, numbers, words.

A type is what is left of a value that may differ between two runs, and what the other side's value
is held to: a date must be a date, and one that can be. The list of what is volatile in practice is
that of A/A runs of real shells and databases (dates of `ls -l` before all others).
"""

import datetime
import decimal
import functools
import re
from typing import NamedTuple

_MONTH = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
_DAY = r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)"
_TOKEN = re.compile(
    # The space before a token is taken with it, and never given back. Then what is most frequent
    # and can begin nothing else: both halve the time.
    r"[^\S\x1f]*+(?:(?P<plain>[g-z_]\w*)|(?P<mark>[^\w\s+-])"
    rf"|(?P<date>{_DAY},? (?:{_MONTH} +\d{{1,2}}|\d{{1,2}} {_MONTH})(?: \d{{4}})?"
    rf"(?: \d{{2}}:\d{{2}}:\d{{2}}(?: [AP]M)?)?(?: [A-Z]{{3,4}})?(?: [+-]\d{{4}})?(?: \d{{4}})?"
    rf"|{_MONTH} +\d{{1,2}} +(?:\d{{1,2}}:\d{{2}}(?::\d{{2}})?|\d{{4}})\b"
    r"|\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?(?: ?(?:[+-]\d{2}:?\d{2}|Z))?)?\b)"
    r"|(?P<duration>\d+m\d+\.\d{3}s\b|\b\d+(?:\.\d+)?(?:e-\d+)? ?(?:seconds|secs|sec|ms|us|s)\b)"
    r"|(?P<rate>\b\d+(?:\.\d+)? [kKMGT]?i?B/s)"
    r"|(?P<uuid>[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})"
    r"|(?P<time>\b\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?\b)"
    r"|(?P<number>(?<![\w.])[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?(?![\w]))"
    r"|(?P<word>\w+)|(?P<other>.))",
    re.DOTALL,
)
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_TYPES = {group: group for group in _TOKEN.groupindex} | {"plain": "word", "mark": "other"}
_CLOCK_REACH = datetime.timedelta(hours=36)
_HEX = re.compile(r"[0-9a-f]+")
_UNIT_SEPARATOR = "\x1f"  # Python takes it for space; here it stands between cells
_LONGEST_DATE = 64
_LEAST_DIGITS = 9  # programs print as many as a float needs: 0.3 is not 0.30000000000000004
_CODE = re.compile(r"[+-]?0\d")
_FIRST_YEAR, _LAST_YEAR = 2000, 2100
_PID = re.compile(r"[0-9]{1,10}")
LARGEST_PID = 1 << 22  # Linux: /proc/sys/kernel/pid_max cannot be set higher


class Token(NamedTuple):
    """A piece of a line; `type` is one of date, duration, rate, uuid, time, number, word, other."""

    type: str
    text: str


def tokenise(line: str) -> list[Token]:
    """Cuts a line; what is between the tokens is space and is left out."""
    # By way of the tuple: half of the differ's time goes by here, a fifth of it in Token's own.
    make, types = tuple.__new__, _TYPES
    # Space at the end begins no token, and would be looked through from each of its characters.
    end = max(len(line.rstrip()), line.rfind(_UNIT_SEPARATOR) + 1)
    return [
        make(Token, (types[group], found[group]))
        for found in _TOKEN.finditer(line, 0, end)
        if (group := found.lastgroup)  # every branch has a name
    ]


def scan(line: str) -> tuple[list[Token], list[str]]:
    """Cuts a line into its tokens and the space before each."""
    make, types = tuple.__new__, _TYPES
    end = max(len(line.rstrip()), line.rfind(_UNIT_SEPARATOR) + 1)
    tokens: list[Token] = []
    spaces: list[str] = []
    for found in _TOKEN.finditer(line, 0, end):
        group = found.lastgroup
        if group:  # every branch has a name
            tokens.append(make(Token, (types[group], found[group])))
            spaces.append(line[found.start() : found.start(group)])
    return tokens, spaces


def starts_of(line: str) -> list[int]:
    """Where each token of a line begins."""
    starts: list[int] = []
    at = 0
    for token, space in zip(*scan(line), strict=True):
        at += len(space)
        starts.append(at)
        at += len(token.text)
    return starts


def date_of(text: str, year: int) -> datetime.datetime | None:
    """Reads a date in the forms that tokens have; `year` is for those that name none."""
    return _date_of(text, year) if len(text) <= _LONGEST_DATE else None


@functools.lru_cache(maxsize=4096)
def _date_of(text: str, year: int) -> datetime.datetime | None:
    words = list(text.replace("T", " ", 1).replace(",", " ").split())
    if re.match(r"\d{4}-", text):
        return _read(f"{words[0]} {words[1][:8] if len(words) > 1 else ''}".strip(), "%Y-%m-%d")
    words = [w for w in text.replace(",", " ").split() if not re.fullmatch(_DAY, w)]
    month = next((w for w in words if re.fullmatch(_MONTH, w)), "")
    day = next((w for w in words if re.fullmatch(r"\d{1,2}", w)), "")
    stated = next((w for w in words if re.fullmatch(r"\d{4}", w)), str(year))
    clock = next((w for w in words if ":" in w), "")
    return _read(f"{stated}-{month}-{day} {clock}".strip(), "%Y-%b-%d")


def _read(text: str, date_format: str) -> datetime.datetime | None:
    for clock in (" %H:%M:%S", " %H:%M", ""):
        try:
            return datetime.datetime.strptime(text, date_format + clock)
        except ValueError:
            continue
    return None


def is_of_now(token: Token, at: datetime.datetime | None) -> bool:
    """Whether a date is what the clock said while the runs were made."""
    if token.type != "date" or at is None:
        return False
    date = date_of(token.text, at.year)
    if date is None:
        return False
    return at - _CLOCK_REACH <= date <= at + _CLOCK_REACH


def same_value(real: str, simulated: str) -> bool:
    """Whether two numbers are the same: decimals exactly, floats to 1e-9 relative.

    What is real tells which it is: a simulator that rounds a float is right, one that prints a
    decimal with more digits is not. Zeros before a number make it a code: `007` is not `7`.
    """
    if _CODE.match(real) or _CODE.match(simulated):
        return False
    try:
        left, right = decimal.Decimal(real), decimal.Decimal(simulated)
    except decimal.InvalidOperation:
        return False
    return left == right or _is_close(real, left, right)


def same_float(real: str, simulated: str) -> bool:
    """Whether two numbers are floats as programs print them, the same to 1e-9 relative."""
    try:
        right = decimal.Decimal(simulated)
        if len(right.as_tuple().digits) < _LEAST_DIGITS:
            return False
        return _is_close(real, decimal.Decimal(real), right)
    except decimal.InvalidOperation:
        return False


def _is_close(real: str, left: decimal.Decimal, right: decimal.Decimal) -> bool:
    if not _is_float(real):
        return False
    try:
        return abs(left - right) <= decimal.Decimal("1e-9") * max(abs(left), abs(right))
    except decimal.Overflow:  # an exponent that no float has
        return False


def _is_float(text: str) -> bool:
    """Floats are printed with an exponent, or with as many digits as they have.

    A DECIMAL of as many digits has few of them behind the point.
    """
    whole, _, fraction = text.strip("+-").partition(".")
    return "e" in text.lower() or (len((whole + fraction).lstrip("0")) >= 15 and len(fraction) > 5)


def why_not_of_type(samples: tuple[str, ...], value: str, at: datetime.datetime | None) -> str:
    """Says why a value cannot stand where real runs had `samples`; empty where it can.

    Begins with `implausible` where it is of the type, and cannot be.
    """
    tokens = [tokenise(sample) for sample in samples]
    types = {token[0].type if len(token) == 1 else "text" for token in tokens}
    kind = types.pop() if len(types) == 1 else "text"
    if kind == "text" or kind == "other":
        return "" if value.strip() else f"nothing where real runs have {samples[0]!r}"
    if kind == "word":
        return _why_not_word(samples, value)
    found = tokenise(value)
    if kind == "number" and len(found) == 1 and found[0].type == "number":
        return _why_not_number(samples, value)
    if len(found) != 1 or found[0].type != kind:
        return f"{value!r} is no {kind}"
    return _why_not_date(value, at) if kind == "date" else ""


def has_type(samples: tuple[str, ...]) -> bool:
    """Whether samples are of one type that another value can be held to.

    Words are of none, unless they are as many hexadecimal digits each.
    """
    tokens = [tokenise(sample) for sample in samples]
    types = {token[0].type if len(token) == 1 else "text" for token in tokens}
    if types == {"word"}:
        is_hex = all(_HEX.fullmatch(sample) for sample in samples)
        return is_hex and len({len(sample) for sample in samples}) == 1
    return len(types) == 1 and not types & {"text", "other"}


def _why_not_word(samples: tuple[str, ...], value: str) -> str:
    if not re.fullmatch(r"\w+", value):
        return f"{value!r} is no single word"
    lengths = {len(sample) for sample in samples}
    is_hex = all(_HEX.fullmatch(sample) for sample in samples) and len(lengths) == 1
    if is_hex and not (_HEX.fullmatch(value) and len(value) in lengths):
        return f"{value!r} is not {lengths.pop()} hexadecimal digits"
    return ""


def _why_not_number(samples: tuple[str, ...], value: str) -> str:
    numbers = [float(sample) for sample in samples]
    number = float(value)
    if all(sample.lstrip("+-").isdigit() for sample in samples) and not number.is_integer():
        return f"{value!r} is no whole number"
    if number < 0 <= min(numbers):
        return f"implausible: {value} is negative"
    if number > max(LARGEST_PID, 1000 * max(numbers)):
        return f"implausible: {value} is far beyond what real runs have ({samples[0]})"
    return ""


def _why_not_date(value: str, at: datetime.datetime | None) -> str:
    date = date_of(value, at.year if at else 2024)
    if date is None:
        return f"implausible: there is no date {value!r}"
    last = at.year + 1 if at else _LAST_YEAR
    day = value[:3]
    if day in _DAYS and re.search(r"\b\d{4}\b", value) and day != _DAYS[date.weekday()]:
        return f"implausible: {value!r} is no {day}"
    if not _FIRST_YEAR <= date.year <= last:
        return f"implausible: {value!r} is not of this time"
    return ""


def why_not_pid(value: str) -> str:
    """Says why a number cannot be a process's id."""
    if _PID.fullmatch(value) and 0 < int(value) <= LARGEST_PID:
        return ""
    return f"implausible: {value} cannot be a process's id"
