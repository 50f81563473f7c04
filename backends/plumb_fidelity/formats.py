"""Licences that follow from a format in the action: `date +%F`, `ps -o pid,args`, `stat -c %i`."""

import functools
import re
from collections.abc import Sequence

from plumb_fidelity.kinds import (
    ANY_DATE,
    CLOCK_PART,
    DRAWN,
    EPOCH,
    NOW,
    PID,
    TIME_OF_DAY,
    Kind,
)
from plumb_fidelity.licences import Field, Grant, Licence
from plumb_fidelity.shapes import Shape

_DIRECTIVE = re.compile(r"%[-_0^#.]?\d*([A-Za-z@%])")
_MOST_DIRECTIVES = 32
_TYPED = frozenset("FTcDRrs+xXhn%t")
"""Directives of `date` that print something with a type of its own."""

_ABSOLUTE = re.compile(r"\d{4}|@\d|\b\d{1,2} [A-Z][a-z]{2}|[A-Z][a-z]{2} \d")
_DATED = re.compile(r"\d{4}-\d\d-\d\d|(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)\b")
_CLOCK: tuple[Kind, ...] = (NOW, TIME_OF_DAY, EPOCH)
_PART = CLOCK_PART._replace(is_single=False)
_CLOCK_PATTERNS = {
    "Y": r"\d{4}", "y": r"\d\d", "m": r"\d\d", "d": r"\d\d", "e": r" ?\d{1,2}+", "H": r"\d\d",
    "I": r"\d\d", "M": r"\d\d", "S": r"\d\d", "N": r"\d{1,9}+", "j": r"\d{3}", "U": r"\d\d",
    "W": r"\d\d", "V": r"\d\d", "u": r"\d", "w": r"\d", "k": r" ?\d{1,2}+", "l": r" ?\d{1,2}+",
    "a": r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)", "A": r"(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day",
    "b": r"[A-Z][a-z]{2}", "B": r"[A-Z][a-z]{2,8}+", "p": r"[AP]M", "P": r"[ap]m",
    "F": r"\d{4}-\d\d-\d\d", "T": r"\d\d:\d\d:\d\d", "R": r"\d\d:\d\d", "s": r"\d{10,11}+",
    "D": r"\d\d/\d\d/\d\d", "%": "%",
}  # fmt: skip


def date_grants(words: Sequence[str]) -> list[Grant]:
    """The clock, unless the date to print is given in the action."""
    given = _given(words)
    if given and _ABSOLUTE.search(given):
        return []
    form = next((word[1:] for word in words[1:] if word.startswith("+")), "")
    found = [Grant(Licence(kinds=_CLOCK))]
    if given:
        found.append(Grant(Licence(kinds=(ANY_DATE,)), _DATED))
    parts = frozenset(part[1] for part in _DIRECTIVE.finditer(form))
    if parts - _TYPED:
        line = _clock_line(form)
        shape = (Shape(line),) if line else ()
        found.append(Grant(Licence(kinds=(_part_of(parts - _TYPED),), shapes=shape), line))
    return found


@functools.lru_cache(maxsize=256)
def _part_of(directives: frozenset[str]) -> Kind:
    """A number that one of some directives of `date` prints."""
    if not directives <= _CLOCK_PATTERNS.keys():
        return _PART
    looks = re.compile("|".join(_CLOCK_PATTERNS[one] for one in sorted(directives)))
    return _PART._replace(
        holds=lambda token, clock: _PART.holds(token, clock) and bool(looks.fullmatch(token.text))
    )


def _given(words: Sequence[str]) -> str:
    for at, word in enumerate(words):
        if word in ("-d", "--date", "-s", "--set"):
            return " ".join(words[at + 1 : at + 2])
        if word.startswith(("--date=", "-d")):
            return word
    return ""


def _clock_line(form: str) -> re.Pattern[str] | None:
    """What a line of a format of `date` looks like; None where that is not known."""
    parts: list[str] = []
    start = 0
    for found in _DIRECTIVE.finditer(form):
        if found[1] not in _CLOCK_PATTERNS:
            return None
        parts += (re.escape(form[start : found.start()]), _CLOCK_PATTERNS[found[1]])
        start = found.end()
    return re.compile("".join([*parts, re.escape(form[start:])]) + "$")


def fields_of_format(form: str, volatile: str) -> tuple[Field, ...]:
    """Where the volatile numbers of a format stand, as far as its fields can be told apart."""
    directives = list(_DIRECTIVE.finditer(form))[:_MOST_DIRECTIVES]
    if not any(found[1] in volatile for found in directives):
        return ()
    parts: list[str] = []
    start = 0
    for found in directives:
        parts.append(re.escape(form[start : found.start()]))
        start = found.end()
        behind = form[start : start + 1].replace("\\", "")
        if found[1] in volatile:
            parts.append(r"([0-9a-f]++)")
        elif behind in ("", "%"):
            parts.append(r"\S*+")
            if behind == "%":
                break  # nothing tells two fields apart that touch
        else:
            parts.append(f"[^{re.escape(behind)}]*+")
    return (Field(re.compile("^" + "".join(parts)), DRAWN),)


_NUMBER, _WORD = r"[\d.]+", r"\S+"
_VOLATILE_COLUMNS = {
    "ppid": r"\d+", "pgid": r"\d+", "pgrp": r"\d+", "sid": r"\d+", "sess": r"\d+", "tid": r"\d+",
    "lwp": r"\d+", "spid": r"\d+", "pcpu": _NUMBER, "%cpu": _NUMBER, "c": _NUMBER, "cpu": _WORD,
    "pmem": _NUMBER, "%mem": _NUMBER, "vsz": _NUMBER, "vsize": _NUMBER, "rss": _NUMBER,
    "rssize": _NUMBER, "rsz": _NUMBER, "sz": _NUMBER, "size": _NUMBER, "tty": _WORD, "tt": _WORD,
    "tname": _WORD, "stat": _WORD, "state": _WORD, "s": _WORD, "start": _WORD, "psr": r"\d+",
    "stime": _WORD, "start_time": _WORD, "bsdstart": r"\S+(?: \d+)?+",
    "lstart": r"\S+ \S+ +\d+ \S+ \d+",
    "time": _WORD, "cputime": _WORD, "etime": _WORD, "etimes": r"\d+", "cputimes": r"\d+",
    "bsdtime": _WORD, "wchan": _WORD,
}  # fmt: skip
_PID = r"(?P<pid>\d+)"
_BSD = re.compile(rf"(\S+) {_PID} [\d.]+ [\d.]+ \d+ \d+ \S+ \S+ \S+ [\d:]+ (.*)")
_FULL = re.compile(rf"(\S+) {_PID} \d+ \d+ \S+ \S+ [\d:-]+ (.*)")
_PLAIN = re.compile(rf"{_PID} \S+ [\d:-]+ (.*)")
_NUMBERED_LINE = re.compile(r"\s*(?:\S+\s+)?\d+(?:\s|$)")


def ps_grants(words: Sequence[str]) -> list[Grant]:
    """Everything but the user and the command is volatile; the first process is the sandbox's."""
    columns = _columns(words)
    line = _line_of(columns) if columns else None
    shapes = tuple(map(Shape, [line] if line else [_BSD, _FULL, _PLAIN]))
    names_pid = not columns or "pid" in columns
    kinds = (PID,) if names_pid else ()
    return [
        Grant(Licence(kinds=kinds, shapes=shapes, columns=True), _NUMBERED_LINE),
        Grant(Licence(columns=True)),
    ]


def _columns(words: Sequence[str]) -> list[str]:
    found: list[str] = []
    for at, word in enumerate(words[1:], 1):
        names = ""
        if re.fullmatch(r"-?[A-Za-z]*o|--format", word):
            names = words[at + 1] if at + 1 < len(words) else ""
        elif re.match(r"--format=|-o\S", word):
            names = word.partition("=")[2] if word.startswith("--") else word[2:]
        found += [name.partition("=")[0].lower() for name in re.split(r"[, ]+", names) if name]
    return found


def _line_of(columns: Sequence[str]) -> re.Pattern[str] | None:
    parts: list[str] = []
    for at, name in enumerate(columns[:_MOST_DIRECTIVES]):
        if name == "pid" and _PID not in parts:
            parts.append(_PID)
        elif name in _VOLATILE_COLUMNS:
            parts.append(_VOLATILE_COLUMNS[name])
        else:
            parts.append(r"(.*)" if at == len(columns) - 1 else r"(\S+)")
    return re.compile(" ".join(parts))
