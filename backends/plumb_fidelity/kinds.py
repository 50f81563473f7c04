"""Kinds of values that an action makes volatile, and what another value must be to stand there.

A kind never applies by the look of a text alone: a licence of the action names it, see `licences`.
"""

import dataclasses
import datetime
import re
from collections.abc import Callable
from typing import NamedTuple

from plumb_fidelity.tokens import Token, date_of, is_of_now, why_not_of_type, why_not_pid

_HOUR = datetime.timedelta(hours=1)
_MOMENT = datetime.timedelta(minutes=2)
_SECONDS = re.compile(r"\d{2}:\d{2}:(\d{2})")
_HEX = re.compile(r"[0-9a-f]{7,64}")
_EPOCH = re.compile(r"(\d{10})(?:\d{3}|\d{6}|\d{9})?(?:\.\d+)?")
_FIRST_EPOCH, _LAST_EPOCH = 946_684_800, 4_102_444_800  # the years 2000 and 2100
_EPOCH_REACH = 36 * 3600
_MEASURED = re.compile(r"\d+\.\d+ ?\w+|\d+m\d+\.\d+s|\d+ ?[mu]s")
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_ADDRESS = re.compile(r"0x[57][0-9a-f]{11}")  # of mapped memory, and of a program's own
_BEYOND = 1000  # so many times larger is no value of the same source


@dataclasses.dataclass(frozen=True, slots=True)
class Clock:
    """When the real runs were made, and how many there are.

    Attributes:
        at: The time, UTC and without a zone; None where it is not known: no date is "now" then.
        is_single: Whether there is one run only, so that no second one shows what is volatile.
    """

    at: datetime.datetime | None = None
    is_single: bool = False


class Kind(NamedTuple):
    """A kind of volatile value.

    Attributes:
        holds: Whether a real token is of the kind.
        why_not: Says why a text cannot stand in its place; begins with `implausible` where it is
            nothing that the source gives. Empty where it can.
        hint: What a line must have, so that it can have a value of the kind.
        is_single: Whether it only counts for a single run: further ones show what is volatile.
    """

    holds: Callable[[Token, Clock], bool]
    why_not: Callable[[Token, str, Clock], str]
    hint: re.Pattern[str] = re.compile(r"\d")
    is_single: bool = True


def _of_type(token: Token, value: str, clock: Clock) -> str:
    return why_not_of_type((token.text,), value, clock.at)


def _is_stamp(token: Token, clock: Clock) -> bool:
    """Whether a date can only come from the clock: it tells the seconds of about this time."""
    seconds = _SECONDS.search(token.text)
    if token.type != "date" or clock.at is None or not seconds:
        return False
    date = date_of(token.text, clock.at.year)
    if date is None:
        return False
    if abs(date - clock.at) <= _MOMENT:
        return True
    return seconds[1] != "00" and clock.at - _HOUR <= date <= clock.at


def _is_epoch(token: Token, clock: Clock) -> bool:
    found = _EPOCH.fullmatch(token.text)
    if not found:
        return False
    seconds = int(token.text[:10])
    if clock.at is None:
        return _FIRST_EPOCH <= seconds <= _LAST_EPOCH
    now = clock.at.replace(tzinfo=datetime.UTC).timestamp()
    return abs(seconds - now) <= _EPOCH_REACH


def _why_not_epoch(token: Token, value: str, clock: Clock) -> str:
    if not re.fullmatch(r"\d{1,25}(?:\.\d+)?", value) or ("." in value) != ("." in token.text):
        return f"implausible: {value!r} is no number of seconds"
    if len(value.partition(".")[0]) != len(token.text.partition(".")[0]) or not (
        _FIRST_EPOCH <= int(value[:10]) <= _LAST_EPOCH
    ):
        return f"implausible: {value!r} is not of this time"
    return ""


def _is_digits(token: Token, clock: Clock) -> bool:
    return token.text.isascii() and token.text.isdigit()


def _is_number(token: Token, clock: Clock) -> bool:
    return token.type == "number"


def _why_not_clock_part(token: Token, value: str, clock: Clock) -> str:
    if re.fullmatch(rf"[0-9]{{{len(token.text)}}}", value):
        return ""
    return f"{value!r} is not {len(token.text)} digits of a clock"


def _why_not_drawn(token: Token, value: str, clock: Clock) -> str:
    """A number by chance: of the same sort, and not far beyond."""
    if not re.fullmatch(r"[+-]?\d{1,30}(?:\.\d{1,30})?(?:e[+-]?\d{1,3})?", value):
        return f"implausible: {value!r} is no number"
    if _is_digits(token, clock) and not value.lstrip("+-").isdigit():
        return f"implausible: {value!r} is no whole number"
    if not token.text.startswith("-") and value.startswith("-"):
        return f"implausible: {value} is negative"
    if abs(float(value)) > _BEYOND * max(abs(float(token.text)), 33.0):
        return f"implausible: {value} is far beyond {token.text}"
    return ""


def _why_not_share(token: Token, value: str, clock: Clock) -> str:
    if re.fullmatch(r"(?:0|0?\.\d{1,30}|1|\d\.\d{1,30}e-\d{1,3})", value):
        return ""
    return f"implausible: {value!r} is not between 0 and 1"


def _why_not_pid(token: Token, value: str, clock: Clock) -> str:
    return why_not_pid(value)


def _is_pid(token: Token, clock: Clock) -> bool:
    return _is_digits(token, clock) and not why_not_pid(token.text)


def _is_word(token: Token, clock: Clock) -> bool:
    return token.type in ("word", "number") and len(token.text) >= _SHORTEST_WORD


_SHORTEST_WORD = 3  # as many Xs mktemp wants


def _why_not_word(token: Token, value: str, clock: Clock) -> str:
    if value.strip("X") == "":
        return f"implausible: {value!r} is the template, and no name that was made of it"
    if re.fullmatch(r"\w+", value) and len(value) == len(token.text):
        return ""
    return f"implausible: {value!r} is not {len(token.text)} letters and digits"


def hexadecimal(digits: re.Pattern[str]) -> Kind:
    """Hexadecimal digits, for which as many others may stand."""

    def holds(token: Token, clock: Clock) -> bool:
        return bool(digits.fullmatch(token.text))

    def why_not(token: Token, value: str, clock: Clock) -> str:
        if digits.fullmatch(value) and len(value) == len(token.text):
            return ""
        return f"implausible: {value!r} is not {len(token.text)} hexadecimal digits"

    return Kind(holds, why_not)


def matching(looks: re.Pattern[str], may_be: re.Pattern[str], what: str) -> Kind:
    """A value that looks so, for which whatever `may_be` matches may stand."""

    def holds(token: Token, clock: Clock) -> bool:
        return bool(looks.fullmatch(token.text))

    def why_not(token: Token, value: str, clock: Clock) -> str:
        return "" if may_be.fullmatch(value) else f"implausible: {value!r} is no {what}"

    return Kind(holds, why_not)


def _is_hash(token: Token, clock: Clock) -> bool:
    text = token.text
    return bool(_HEX.fullmatch(text)) and any(c.isdigit() for c in text)


def _why_not_time(token: Token, value: str, clock: Clock) -> str:
    found = re.fullmatch(r"(\d{1,2}):(\d{2})(?::(\d{2})(?:\.\d+)?)?", value)
    if not found or value.count(":") != token.text.count(":"):
        return f"{value!r} is no time"
    if int(found[1]) > 23 or int(found[2]) > 59 or int(found[3] or 0) > 60:
        return f"implausible: there is no time {value!r}"
    return ""


NOW = Kind(lambda token, clock: is_of_now(token, clock.at), _of_type, is_single=False)
"""A date about the time of the run, printed by a program that tells the time of something."""

ANY_DATE = NOW._replace(holds=lambda token, clock: token.type == "date")
"""A date that is reckoned from the clock: `date -d yesterday`."""

MADE_NOW = Kind(
    lambda token, clock: is_of_now(token, clock.at) and ":" in token.text,
    _of_type,
    re.compile(r"\d:\d\d"),
)
"""The same of a program that nothing is known of: with its time of day, and for one run only."""

STAMP = Kind(_is_stamp, _of_type, _SECONDS)
"""A date that the clock wrote into content: to the second, of about the time of the run."""

STAMPED = STAMP._replace(is_single=False)
"""The same where several runs may agree by chance: a column that has the time of its making."""

TIME_OF_DAY = Kind(
    lambda token, clock: token.type == "time",
    _why_not_time,
    re.compile(r"\d:\d\d"),
    is_single=False,
)
"""`16:03:54`, of a program that prints what time it is."""

CLOCK_PART = Kind(_is_digits, _why_not_clock_part)
"""A number that is a part of the time, as `date +%H%M` prints it."""

EPOCH = Kind(_is_epoch, _why_not_epoch, is_single=False)
"""Seconds since 1970, or smaller units."""

_SPENT = re.compile(r"\d ?(?:s|ms|us|secs?|seconds|[kKMGT]?i?B/s)\b")
SPENT = Kind(
    lambda token, clock: token.type in ("duration", "rate"), _of_type, _SPENT, is_single=False
)
"""How long something took, or how fast it was, of a program that measures itself."""

MEASURED = Kind(
    lambda token, clock: (
        token.type in ("duration", "rate") and bool(_MEASURED.fullmatch(token.text))
    ),
    _of_type,
)
"""The same of a program that nothing is known of: fractions only, and for one run only."""

PID = Kind(_is_pid, _why_not_pid)
"""A process's id."""

DRAWN = Kind(_is_number, _why_not_drawn)
"""A number by chance, or one that the kernel or the server counts up: an inode, a connection."""

SHARE = Kind(_is_number, _why_not_share)
"""A number by chance between 0 and 1."""

WORD = Kind(_is_word, _why_not_word, re.compile(r"\w"))
"""Letters and digits by chance: the end of mktemp's names."""

HASH = hexadecimal(_HEX)._replace(holds=_is_hash)
"""Hexadecimal digits that depend on the time or on chance: a commit, a container."""


ADDRESS = matching(_ADDRESS, re.compile(r"0x[0-9a-fA-F]{6,16}"), "address")._replace(
    hint=re.compile(r"0x")
)
"""Where something stands in the memory of a process: it starts elsewhere each time."""


def _is_measure(token: Token, clock: Clock) -> bool:
    return token.type == "number" and not token.text.startswith("-")


def _why_not_measure(token: Token, value: str, clock: Clock) -> str:
    if re.fullmatch(r"\d{1,12}(?:\.\d{1,12})?", value):
        return ""
    return f"implausible: {value!r} is no measure"


MEASURE = Kind(_is_measure, _why_not_measure, is_single=False)
"""A number that was measured, whose unit stands behind it."""

UUID = matching(_UUID, _UUID, "UUID")._replace(hint=_UUID, is_single=False)
"""A UUID by chance."""
