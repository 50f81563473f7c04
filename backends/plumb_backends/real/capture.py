"""Captures a sandbox: what differs from its image, who is in it, and what runs there.

Everything is asked of plumb's own program in the sandbox, and nothing of the image's: what is told
is true, whatever an action replaced. Bounded in paths, in bytes that are digested and in
bytes that are shown, and what is left out is said. Of a file's content text is shown, of at most
`MOST_CONTENT_BYTES`. A time is told where it is in the past and has no fraction of a second, as
`touch -d 2020-01-01` sets it: one counted back from the present differs in every run, and what the
script says of it (`5 days ago`) is told with the script.
"""

import collections
import dataclasses
import re
import time
from collections.abc import Mapping, Sequence
from functools import partial

from plumb_backends.real import accounts
from plumb_backends.real.changed import ImageFiles, changed_paths
from plumb_backends.real.engine import Sandbox
from plumb_backends.real.guest import Frames, raw, request
from plumb_backends.real.guest.asking import ask
from plumb_backends.snapshot import VOLATILE, Entry, Snapshot

MOST_PATHS = 2000
MOST_PATH_BYTES = 256 * 1024
MOST_CONTENT_BYTES = 2048
"""A larger file is told by its digest alone."""

MOST_CONTENTS_BYTES = 48 * 1024
"""What all contents may have together."""

MOST_DIGESTED_BYTES = 64 * 1024**2
"""What all digested files may have together; a larger one is told by its size alone."""

_FRESH_FOR = 3600.0  # seconds
_TYPES = {"f": "file", "d": "directory", "l": "link", "p": "named pipe", "s": "socket",
          "b": "block device", "c": "character device"}  # fmt: skip
_ACCOUNTS = re.compile(rb"/etc/(passwd|group|g?shadow|sub[ug]id)-?")
"""Files whose meaning is told by entries of its own, and which mostly hold what the image has."""


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
    def name(self) -> str:
        """The path as text; bytes that are not UTF-8 are surrogates."""
        return self.path.decode(errors="surrogateescape")

    @property
    def is_filled(self) -> bool:
        return self.type == "f" and self.size > 0


async def capture_files(sandbox: Sandbox, image: ImageFiles, *, contents: bool = True) -> Snapshot:
    """Captures the paths that the image does not have so.

    Args:
        sandbox: Where to look.
        image: The files that its image has.
        contents: Whether to tell what small text files hold.
    """
    found_paths = await changed_paths(sandbox, image, most=MOST_PATHS, most_bytes=MOST_PATH_BYTES)
    changes, cut = found_paths.kinds, found_paths.left_out
    there = await _metadata(sandbox, [*changes, *found_paths.suspects])
    found = [one for one in there if one.name in changes]
    gone = sorted({*found_paths.suspects} - {one.name for one in there})
    digests, texts, left_out = await _contents(sandbox, found, contents=contents)
    now = time.time()
    entries = [
        Entry(raw(path).decode(errors="backslashreplace"), {"type": "deleted"})
        for path in gone[:MOST_PATHS]
    ]
    if len(gone) > MOST_PATHS:
        left_out.append(f"{len(gone) - MOST_PATHS} more deleted paths")
    for one in found:  # what is gone by now is not there, as it was not before
        path = one.path.decode(errors="backslashreplace")
        if one.type == "d" and changes[one.name] == "changed":
            continue  # something in it changed, which is told itself
        fields = _describe(one, digests.get(one.path), now)
        if one.path in texts:
            fields["content"] = texts[one.path]
        entries.append(Entry(path, fields))
    return Snapshot(tuple(sorted(entries, key=lambda entry: entry.key)), (*cut, *left_out))


async def _metadata(sandbox: Sandbox, paths: Sequence[str]) -> list[_Found]:
    if not paths:
        return []
    said = await ask(sandbox, "stat", stdin=request(map(raw, paths)))
    users = accounts.names(accounts.read_users(said.take_sized()))
    groups = accounts.group_names(accounts.read_groups(said.take_sized()))
    found = []
    while said:
        found.append(_read_found(said, users, groups))
    return found


def _read_found(said: Frames, users: Mapping[int, str], groups: Mapping[int, str]) -> _Found:
    kind, mode, uid, gid, size, seconds, fraction = said.take().decode().split()
    target = said.take_sized().decode(errors="backslashreplace")
    return _Found(
        type=kind,
        mode=mode,
        owner=f"{users.get(int(uid), uid)}:{groups.get(int(gid), gid)}",
        size=int(size),
        modified=float(seconds),
        is_exact=fraction == "0",
        target=target,
        path=said.take(),
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
    said = await ask(
        sandbox, "read", str(MOST_CONTENT_BYTES), stdin=request(one.path for one in digested)
    )
    digests: dict[bytes, str] = {}
    texts: dict[bytes, str] = {}
    told = {one.path for one in shown}
    changed = 0
    for one in digested:
        digest = said.take()
        if digest == b"-":
            continue
        digests[one.path] = digest.decode()
        data = said.take_sized()
        if one.path not in told:
            continue
        if len(data) != one.size:
            changed += 1
        elif _is_text(data):
            texts[one.path] = data.decode()
    if changed:
        left_out.append(f"the contents of {changed} files, which were being written")
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


async def capture_people(sandbox: Sandbox) -> People:
    """Captures accounts, groups, the shell's first variables, and what runs in the background."""
    said = await ask(sandbox, "people")
    users = accounts.read_users(said.take_sized())
    groups = accounts.read_groups(said.take_sized())
    variables = said.take_sized().decode(errors="backslashreplace").split("\0")
    entries = [
        Entry(
            f"user {user.name}",
            {"uid": f"{user.uid}", "gid": f"{user.gid}", "home": user.home, "shell": user.shell},
        )
        for user in users
        if user.is_told
    ]
    entries += [
        Entry(f"group {group.name}", {"gid": f"{group.gid}", "members": group.members or "(none)"})
        for group in groups
        if group.is_told
    ]
    entries += [
        Entry(f"variable {name}", {"value": value.replace("\n", " ")})
        for name, equals, value in (variable.partition("=") for variable in variables)
        if equals
    ]
    running = _running(said, accounts.names(users))
    entries += _told_processes(running)
    return People(
        tuple(sorted(entries, key=lambda entry: entry.key)), frozenset(pid for pid, *_ in running)
    )


def _running(said: Frames, users: Mapping[int, str]) -> list[tuple[str, str, str]]:
    """What runs, but for the kernel's own: id, user, command."""
    found = []
    while said:
        pid, _, uid = said.take().decode().split()
        command = said.take_sized().decode(errors="backslashreplace")
        command = command.replace("\0", " ").replace("\n", " ").strip()
        if command:
            found.append((pid, users.get(int(uid), uid), command))
    return found


def _told_processes(running: Sequence[tuple[str, str, str]]) -> list[Entry]:
    counted = collections.Counter((command, user) for _, user, command in running)
    return [
        Entry(f"process {command}", {"user": user} | ({"count": str(n)} if n > 1 else {}))
        for (command, user), n in counted.items()
    ]
