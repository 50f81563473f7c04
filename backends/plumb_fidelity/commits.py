"""What `git` may differ in: the hashes of commits, which follow from the time, and its dates."""

import re
from collections.abc import Sequence

from plumb_fidelity.kinds import HASH, NOW, SPENT
from plumb_fidelity.licences import Field, Grant, Licence

_COMMITS = Licence(kinds=(NOW, SPENT, HASH))
_OF_CONTENT = frozenset({"hash-object", "write-tree", "ls-tree", "ls-files"})
_COMMIT = HASH._replace(is_single=False)  # runs of one second agree by chance
_IN_COLUMNS = frozenset({"status", "branch", "--stat", "remote", "log", "reflog"})
_SHOWS_HASH = re.compile(r"%[hHpP]")
_COMMIT_FIELDS = tuple(
    Field(re.compile(pattern), _COMMIT)
    for pattern in (
        r"^[*|/\\^ ]{0,40}([0-9a-f]{7,40})(?= |$)",
        r"^(?:[*+] | {2})\S{1,100} +([0-9a-f]{7,40}) ",
        r"^From ([0-9a-f]{40}) ",
        r"\b(?:WIP|On) on \S{1,100}: ([0-9a-f]{7,40})\b",
        r"^Dropped \S{1,100} \(([0-9a-f]{40})\)",
        r"^commit ([0-9a-f]{40})\b",
        r"^\[[\w/.-]{1,100}(?: \(root-commit\))? ([0-9a-f]{7,40})\]",
        r"^Merge: ([0-9a-f]{7,40}) ([0-9a-f]{7,40})",
        r"\b(?:HEAD is now at|HEAD detached (?:at|from)|[Pp]revious HEAD position was|was) "
        r"([0-9a-f]{7,40})\b",
        r"^(?:Updating | {1,4}[+ ]?)([0-9a-f]{7,40})\.{2,3}([0-9a-f]{7,40})\b",
    )
)


def git_grants(words: Sequence[str]) -> list[Grant]:
    """Commits and dates; hashes of contents are exact."""
    if _OF_CONTENT & set(words):
        return []
    is_short = bool({"-s", "--short", "--porcelain"} & set(words)) and "status" in words
    columns = not is_short and bool(_IN_COLUMNS & set(words))
    kinds = (*_COMMITS.kinds, _COMMIT) if _SHOWS_HASH.search(" ".join(words)) else _COMMITS.kinds
    licence = Licence(kinds=kinds, fields=_COMMIT_FIELDS, columns=columns)
    return [Grant(licence, re.compile(r"(?!index )"))]
