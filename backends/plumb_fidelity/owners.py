"""Whose a line is in a list of commands, so that each line has the licences of its own command.

Of `echo $RANDOM; wc -l < f` the second line is exact. Known only where commands print a fixed
number of lines, all but one, and nothing goes from one to the next by variables or files.
"""

import re
from collections.abc import Sequence

from plumb_fidelity.action import commands
from plumb_fidelity.failure import is_complaint
from plumb_fidelity.host_shell import is_list, lines_of

_READABLE = 1024
_MOST_PIECES = 16
_SKIPPED = re.compile(
    r"'[^']*+'|\"(?:[^\"\\]|\\.)*+\"|\$\(\([^()]{0,200}\)\)|\$\([^()]{0,400}\)|\\.", re.DOTALL
)
_JOINED = re.compile(
    r"(?<![<>])>(?!&)|(?<![&>])&(?![&>\d])|(?:^|[;&|\s])\w+\+?=|(?:^|\s)\.\s"
    r"|(?:^|[;&|\s])(?:read|eval|source|set|alias|trap|mapfile|declare|export|local|tee)\b"
    r"|\bprintf +-v"
)
_ENDS = re.compile(r";|&&|\n")


def owners(action: str, lines: Sequence[str]) -> tuple[str, ...]:
    """The command that printed each line, as text; () where that is not known."""
    if len(action) > _READABLE:
        return ()
    plain = _SKIPPED.sub(lambda found: "_" * len(found[0]), action)
    if not is_list(plain) or _JOINED.search(plain.replace("2>/dev/null", "")):
        return ()
    pieces = _pieces(action, plain)
    if not 1 < len(pieces) <= _MOST_PIECES or any(map(is_complaint, lines)):
        return ()
    return _assigned(pieces, len(lines))


def _pieces(action: str, plain: str) -> list[str]:
    found, start = [], 0
    for end in _ENDS.finditer(plain):
        found.append(action[start : end.start()].strip())
        start = end.end()
    return [piece for piece in (*found, action[start:].strip()) if piece]


def _assigned(pieces: Sequence[str], total: int) -> tuple[str, ...]:
    counts = [_count(piece) for piece in pieces]
    known = sum(count for count in counts if count is not None)
    unknown = counts.count(None)
    if unknown > 1 or known > total or (not unknown and known != total):
        return ()
    return tuple(
        piece
        for piece, count in zip(pieces, counts, strict=True)
        for _ in range(total - known if count is None else count)
    )


def _count(piece: str) -> int | None:
    pipelines = commands(piece)
    return lines_of(pipelines[0]) if len(pipelines) == 1 else None
