"""The processes of this machine, as Linux shows them."""

import os
from pathlib import Path

_PROC = Path("/proc")


def parents() -> dict[int, int]:
    """The parent of each process."""
    found = {}
    for status in _PROC.glob("[0-9]*/stat"):
        try:
            # The name, in parentheses, may hold anything.
            found[int(status.parent.name)] = int(status.read_text().rpartition(")")[2].split()[1])
        except (FileNotFoundError, ProcessLookupError):  # it has just ended
            continue
    return found


def child_that_runs(word: str) -> int:
    """The one child of this process whose command line holds a word.

    Raises:
        LookupError: There is not exactly one.
    """
    found = [
        process
        for process, parent in parents().items()
        if parent == os.getpid() and word.encode() in _command_line(process)
    ]
    if len(found) != 1:
        raise LookupError(f"{len(found)} children of this process run {word}; start one")
    return found[0]


def _command_line(process: int) -> bytes:
    try:
        return _PROC.joinpath(str(process), "cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):  # it has just ended
        return b""
