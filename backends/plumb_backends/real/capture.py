"""Captures a sandbox: what differs from its image, who is in it, and what runs there.

Everything is asked by a few fresh processes, whatever the number of paths, and nothing is required
of the image but bash, coreutils and findutils. Bounded in paths, in bytes that are digested and in
bytes that are shown, and what is left out is said. Of a file's content text is shown, of at most
`MOST_CONTENT_BYTES`. A time is told where it is in the past and has no fraction of a second, as
`touch -d 2020-01-01` sets it: one counted back from the present differs in every run, and what the
script says of it (`5 days ago`) is told with the script.
"""

import collections
import dataclasses
import re
import time
from collections.abc import Iterator, Sequence
from functools import partial

from plumb_backends.real.engine import Sandbox
from plumb_backends.real.guest import command
from plumb_backends.real.program import WRAPPER, run_helper
from plumb_backends.snapshot import VOLATILE, Entry, Snapshot

MOST_PATHS = 2000
MOST_PATH_BYTES = 256 * 1024
MOST_CONTENT_BYTES = 2048
"""A larger file is told by its digest alone."""

MOST_CONTENTS_BYTES = 48 * 1024
"""What all contents may have together."""

MOST_DIGESTED_BYTES = 64 * 1024**2
"""What all digested files may have together; a larger one is told by its size alone."""

_WITHIN = 60.0
_FIELDS = 8
_FRESH_FOR = 3600.0  # seconds
_TYPES = {"f": "file", "d": "directory", "l": "link", "p": "named pipe", "s": "socket",
          "b": "block device", "c": "character device"}  # fmt: skip
_ACCOUNTS = re.compile(rb"/etc/(passwd|group|g?shadow|sub[ug]id)-?")
"""Files whose meaning is told by entries of its own, and which mostly hold what the image has."""

_NO_PERSON = 1000  # accounts and groups below are the system's


@dataclasses.dataclass(frozen=True, slots=True)
class _Found:
    """One path that is there."""

    type: str
    mode: str
    owner: str
    size: int
    modified: float
    is_exact: bool  # whether the time has no fraction: somebody set it to that very second
    target: str
    path: bytes

    @property
    def is_filled(self) -> bool:
        return self.type == "f" and self.size > 0


async def capture_files(sandbox: Sandbox, *, contents: bool = True) -> Snapshot:
    """Captures the paths that the image does not have so.

    Args:
        sandbox: Where to look.
        contents: Whether to tell what small text files hold.
    """
    changes = await sandbox.changed_paths()
    told, cut = _bounded(sorted(changes))
    found = await _metadata(sandbox, [path for path in told if changes[path] != "deleted"])
    digests, texts, left_out = await _contents(sandbox, found, contents=contents)
    # The engine names paths in JSON, in which bytes that are not UTF-8 are lost.
    unnamed = len(told) - len(found) - sum(changes[path] == "deleted" for path in told)
    if unnamed:
        left_out.append(f"{unnamed} paths that are gone, or whose names are not UTF-8")
    now = time.time()
    entries = [Entry(path, {"type": "deleted"}) for path in told if changes[path] == "deleted"]
    for one in found:
        path = one.path.decode(errors="backslashreplace")
        if one.type == "d" and changes.get(path) == "changed":
            continue  # something in it changed, which is told itself
        fields = _describe(one, digests.get(one.path), now)
        if one.path in texts:
            fields["content"] = texts[one.path]
        entries.append(Entry(path, fields))
    return Snapshot(tuple(sorted(entries, key=lambda entry: entry.key)), (*cut, *left_out))


def _bounded(paths: Sequence[str]) -> tuple[list[str], list[str]]:
    told: list[str] = []
    size = 0
    for path in paths:
        size += len(path.encode()) + 1
        if len(told) == MOST_PATHS or size > MOST_PATH_BYTES:
            break
        told.append(path)
    rest = len(paths) - len(told)
    return told, [f"{rest} more paths"] if rest else []


async def _metadata(sandbox: Sandbox, paths: Sequence[str]) -> list[_Found]:
    if not paths:
        return []
    said = await _ask(sandbox, "metadata.bash", b"".join(_raw(path) + b"\0" for path in paths))
    parts = said.split(b"\0")[:-1]
    return [
        _read_found(parts[start : start + _FIELDS]) for start in range(0, len(parts) - 7, _FIELDS)
    ]


def _read_found(parts: Sequence[bytes]) -> _Found:
    kind, mode, user, group, size, seconds, target = (
        part.decode(errors="backslashreplace") for part in parts[:7]
    )
    return _Found(
        type=kind,
        mode=mode,
        owner=f"{user}:{group}",
        size=int(size),
        modified=float(seconds),
        is_exact=not seconds.partition(".")[2].strip("0"),
        target=target,
        path=parts[7],
    )


def _describe(one: _Found, digest: str | None, now: float) -> dict[str, str]:
    fields = {"type": _TYPES.get(one.type, one.type)}
    if one.type == "l":
        return fields | {"target": one.target}
    fields |= {"mode": one.mode, "owner": one.owner}
    if one.type == "f":
        fields["size"] = f"{one.size}"
        if one.is_filled:
            fields["sha256"] = digest or "(not read)"
    if one.modified < now - _FRESH_FOR and one.is_exact:
        fields["modified"] = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(one.modified))
    return fields


async def _contents(
    sandbox: Sandbox, found: Sequence[_Found], *, contents: bool
) -> tuple[dict[bytes, str], dict[bytes, str], list[str]]:
    """Digests and texts by path, and what was left out."""
    shown, digested, left_out = _choose(found, contents=contents)
    if not digested:
        return {}, {}, left_out
    order = [*shown, *(one for one in digested if one not in shown)]
    paths = b"".join(one.path + b"\0" for one in order)
    said = await _ask(sandbox, "contents.bash", paths, str(len(shown)))
    listed, _, rest = (b"\0" + said).partition(b"\0\0")
    lines = (line.split(b"  ", 1) for line in listed.split(b"\0") if b"  " in line)
    digests = {path: digest.decode() for digest, path in lines}
    texts: dict[bytes, str] = {}
    if len(rest) != sum(one.size for one in shown):
        return digests, texts, [*left_out, "contents of files, for some were being written"]
    for one in shown:
        data, rest = rest[: one.size], rest[one.size :]
        if _is_text(data):
            texts[one.path] = data.decode()
    return digests, texts, left_out


def _choose(
    found: Sequence[_Found], *, contents: bool
) -> tuple[list[_Found], list[_Found], list[str]]:
    """Which files to show, which to digest, and what is left out."""
    shown: list[_Found] = []
    digested: list[_Found] = []
    show_left, digest_left, not_shown = MOST_CONTENTS_BYTES, MOST_DIGESTED_BYTES, 0
    for one in found:
        if not one.is_filled:
            continue
        if one.size <= digest_left:
            digest_left -= one.size
            digested.append(one)
            is_told = contents and not _ACCOUNTS.fullmatch(one.path)
            if is_told and one.size <= MOST_CONTENT_BYTES:
                if one.size <= show_left:
                    show_left -= one.size
                    shown.append(one)
                else:
                    not_shown += 1
    left_out = [f"the contents of {not_shown} more small files"] if not_shown else []
    return shown, digested, left_out


def _is_text(data: bytes) -> bool:
    try:
        return not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", data.decode())
    except UnicodeDecodeError:
        return False


@dataclasses.dataclass(frozen=True, slots=True)
class People:
    """Who is in a sandbox, and what runs there.

    Attributes:
        entries: Sorted by key.
        pids: The process ids of what runs, which differ from run to run.
    """

    entries: tuple[Entry, ...]
    pids: frozenset[str]


def mark_pids(files: Snapshot, pids: frozenset[str]) -> tuple[Entry, ...]:
    """The files' entries; those that hold nothing but a running process's id are marked."""
    return tuple(map(partial(_marked, pids=pids), files.entries))


def _marked(entry: Entry, *, pids: frozenset[str]) -> Entry:
    if entry.fields.get("content", "").strip() not in pids:
        return entry
    names = frozenset(entry.fields) & {"size", "sha256", "content"}
    return Entry(entry.key, dict(entry.fields) | dict.fromkeys(names, VOLATILE), names)


async def capture_people(sandbox: Sandbox, shell: int) -> People:
    """Captures accounts, groups, the shell's first variables, and what runs in the background.

    Args:
        sandbox: Where to look.
        shell: The process id of the session's own shell, which is not told.
    """
    said = (await _ask(sandbox, "people.bash", b"", str(shell))).decode(errors="backslashreplace")
    own, _, rest = said.partition("\n")
    accounts, groups, variables, processes = (*rest.split("\n.\n", 3), "", "", "")[:4]
    entries = [
        Entry(f"user {name}", {"uid": uid, "gid": gid, "home": home, "shell": login})
        for name, _, uid, gid, _, home, login in _records(accounts, 7)
        if uid == "0" or _NO_PERSON <= int(uid) < 65534
    ]
    entries += [
        Entry(f"group {name}", {"gid": gid, "members": members or "(none)"})
        for name, _, gid, members in _records(groups, 4)
        if _NO_PERSON <= int(gid) < 65534 or members
    ]
    entries += [
        Entry(f"variable {name}", {"value": value})
        for name, equals, value in (line.partition("=") for line in variables.split("\n"))
        if equals
    ]
    running = _background(processes, own, {str(shell), "1"})
    entries += _told_processes(running)
    return People(
        tuple(sorted(entries, key=lambda entry: entry.key)), frozenset(pid for pid, *_ in running)
    )


def _records(text: str, fields: int) -> Iterator[list[str]]:
    for line in text.split("\n"):
        record = line.split(":")
        if len(record) == fields and record[2].isdigit():
            yield record


def _background(text: str, own: str, others: set[str]) -> list[tuple[str, str, str]]:
    """The processes that are not plumb's own: id, user, command."""
    rows = [line.split(" ", 3) for line in text.split("\n") if line.count(" ") >= 3]
    parents = {pid: parent for pid, parent, *_ in rows}
    hidden = others | {own, parents.get(own, "")}  # what asks here, and the one that started it
    while grown := {pid for pid, parent in parents.items() if parent in hidden - others} - hidden:
        hidden |= grown
    # Without a parent, for the engine starts it: plumb's wrapper, of the helper before or another.
    wrapper = " ".join((*WRAPPER, ""))
    hidden |= {pid for pid, above, _, it in rows if above == "0" and it.startswith(wrapper)}
    init = next((command for pid, _, _, command in rows if pid == "1"), "")
    return [
        (pid, user, command.strip())
        for pid, _, user, command in rows
        if pid not in hidden and command.strip() and command != init
    ]


def _told_processes(running: Sequence[tuple[str, str, str]]) -> list[Entry]:
    counted = collections.Counter((command, user) for _, user, command in running)
    return [
        Entry(f"process {command}", {"user": user} | ({"count": str(n)} if n > 1 else {}))
        for (command, user), n in counted.items()
    ]


async def _ask(sandbox: Sandbox, name: str, stdin: bytes, *arguments: str) -> bytes:
    argv = command(name, *arguments)
    return (await run_helper(sandbox, argv, stdin=stdin, timeout=_WITHIN)).stdout


def _raw(path: str) -> bytes:
    return path.encode(errors="surrogateescape")
