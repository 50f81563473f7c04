"""What init scripts left, captured: the same value for both kinds, and its text for a simulator.

An entry is one thing (a path, a table, a process), its fields are what is known of it. Order and
content are the same in two fresh sandboxes, but for what differs between real runs: that is learnt
by capturing two of them (`common`) and marked.
"""

import dataclasses
from collections.abc import Mapping, Sequence

VOLATILE = "(differs from run to run)"


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """One thing that is there, or is no longer.

    Attributes:
        key: What it is: an absolute path, `database.table`, `user NAME`, `process COMMAND`.
        fields: What is known of it, in a fixed order; `content` has several lines.
        volatile: The names of the fields that differ between fresh sandboxes.
    """

    key: str
    fields: Mapping[str, str]
    volatile: frozenset[str] = frozenset()


@dataclasses.dataclass(frozen=True, slots=True)
class Snapshot:
    """What is there.

    Attributes:
        entries: Sorted by key.
        cut: What was left out, one sentence each; empty if nothing was.
    """

    entries: tuple[Entry, ...] = ()
    cut: tuple[str, ...] = ()


def common(one: Snapshot, other: Snapshot) -> Snapshot:
    """What two fresh sandboxes have in common; what they differ in is marked as volatile.

    An entry that only one of them has is marked as a whole (`presence`).
    """
    left, right = ({entry.key: entry for entry in side.entries} for side in (one, other))
    entries = []
    for key in sorted({*left, *right}):
        if key not in left or key not in right:
            entries.append(_sometimes(left.get(key) or right[key]))
        else:
            entries.append(_marked(left[key], right[key]))
    return Snapshot(tuple(entries), tuple(dict.fromkeys((*one.cut, *other.cut))))


def _sometimes(entry: Entry) -> Entry:
    fields = {"presence": VOLATILE} | dict.fromkeys(entry.fields, VOLATILE)
    return Entry(entry.key, fields, frozenset(fields))


def _marked(one: Entry, other: Entry) -> Entry:
    names = [*one.fields, *(name for name in other.fields if name not in one.fields)]
    differ = {name for name in names if one.fields.get(name) != other.fields.get(name)}
    fields = {name: VOLATILE if name in differ else one.fields[name] for name in names}
    return Entry(one.key, fields, one.volatile | other.volatile | differ)


def stable(snapshot: Snapshot) -> Mapping[str, Mapping[str, str]]:
    """What is not volatile: key -> field -> value. Equal in every fresh sandbox."""
    return {
        entry.key: {
            name: value for name, value in entry.fields.items() if name not in entry.volatile
        }
        for entry in snapshot.entries
        if "presence" not in entry.volatile
    }


def render(snapshot: Snapshot) -> str:
    """The text that a simulator is told: one line an entry, contents indented below."""
    lines = [line for entry in snapshot.entries for line in _render(entry)]
    return "\n".join([*lines, *(f"(left out: {reason})" for reason in snapshot.cut)])


def _render(entry: Entry) -> Sequence[str]:
    short = [
        value if name == "type" else f"{name} {value}"
        for name, value in entry.fields.items()
        if name != "content"
    ]
    lines = [f"{entry.key}: {', '.join(short)}" if short else entry.key]
    content = entry.fields.get("content")
    if content is None:
        return lines
    if content == VOLATILE:
        return [*lines, f"    {VOLATILE}"]
    end = [] if content.endswith("\n") else ["    \\ no newline at the end"]
    body = content.removesuffix("\n").split("\n")
    return [*lines, *(f"    | {line}" for line in body), *end]
