"""What went wrong, told from what was printed: the class of an error, for shells and for SQL."""

import dataclasses
import re
from collections.abc import Iterator, Sequence

from plumb_fidelity import client_table
from plumb_fidelity.seen import Seen

_CLASSES = (
    ("NOT_FOUND", r"command not found|: not found$"),
    ("ENOENT", r"No such file or directory|cannot find"),
    ("EACCES", r"Permission denied|Operation not permitted|Read-only file system"),
    ("EEXIST", r"File exists|already exists"),
    ("ENOTDIR", r"Not a directory"),
    ("EISDIR", r"[Ii]s a directory"),
    ("SYNTAX", r"syntax error|unexpected (?:EOF|token)|unterminated|unmatched|missing `"),
    ("USAGE", r"(?:invalid|unrecognized|unknown) (?:option|argument|mode|number|user|group|syntax)"
              r"|missing operand|extra operand|^usage:|Try '.* --help'|requires an argument"),
    ("ESRCH", r"No such process|no process found"),
    ("MISSING", r"does not exist|no such user|no such group|Unable to locate"),
    ("OTHER", r"cannot |failed|error|denied|unable to|not recogni[sz]ed|[Nn]ot valid|invalid"),
)  # fmt: skip
_PATTERNS = tuple((name, re.compile(pattern)) for name, pattern in _CLASSES)
_COMPLAINT = re.compile(
    r"(?:-?bash|sh)(?:\[\d+\])?: |[\w./+@-]+(?: \(child\))?: (?:line \d+: |cannot |can't "
    r"|[^ ].*: |error|invalid|no |command not found|not found$|missing |"
    r"unrecognized |unknown |user |group |extra |'|\u2018)"
    r"|Error|E: |fatal: |Traceback "
)

DEFAULT_CLASSES = frozenset({"ENOENT", "NOT_FOUND", "1146", "1054"})
"""The errors that simulators fall back on, whatever the state is."""


@dataclasses.dataclass(frozen=True, slots=True)
class Failure:
    """What failed.

    Attributes:
        classes: The classes of the errors, in the order in which they were printed: for SQL the
            numbers, as text.
    """

    classes: tuple[str, ...] = ()


def failure_of(seen: Seen, *, is_table: bool) -> Failure:
    """Reads what failed from an output."""
    if is_table:
        return Failure(tuple(_errnos(seen)))
    return Failure(tuple(_classes(seen.text.split("\n"))))


def _errnos(seen: Seen) -> Iterator[str]:
    printed = client_table.read(seen.text) if "ERROR" in seen.text else None
    found = [r.errno for r in printed.results if r.errno] if printed else []
    if not found and seen.errno:
        found = [seen.errno]
    yield from map(str, found)


def is_complaint(line: str) -> bool:
    """Whether a line of a shell's output says that something failed."""
    return bool(_class_of(line))


def _classes(lines: Sequence[str]) -> Iterator[str]:
    yield from filter(None, map(_class_of, lines))


def _class_of(line: str) -> str:
    if not _COMPLAINT.match(line):
        return ""
    return next((name for name, pattern in _PATTERNS if pattern.search(line)), "")
