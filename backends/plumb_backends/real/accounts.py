"""Reads `/etc/passwd` and `/etc/group` of a sandbox: whatever is in there is data."""

import dataclasses
import re
from collections.abc import Iterator, Mapping

NO_PERSON = 1000
"""Accounts and groups below are the system's."""

_NOBODY = 65534
_NUMBER = re.compile(r"[0-9]{1,10}")
_MOST = 2**32 - 1


@dataclasses.dataclass(frozen=True, slots=True)
class User:
    """One account."""

    name: str
    uid: int
    gid: int
    home: str
    shell: str

    @property
    def is_told(self) -> bool:
        """Whether it is root, or a person."""
        return self.uid == 0 or NO_PERSON <= self.uid < _NOBODY


@dataclasses.dataclass(frozen=True, slots=True)
class Group:
    """One group."""

    name: str
    gid: int
    members: str

    @property
    def is_told(self) -> bool:
        """Whether it is a person's, or has members."""
        return NO_PERSON <= self.gid < _NOBODY or bool(self.members)


def read_users(text: bytes) -> list[User]:
    """The accounts that a `passwd` file tells; lines that are none are left out."""
    return [
        User(name, int(uid), int(gid), home, shell)
        for name, _, uid, gid, _, home, shell in _records(text, 7)
        if _is_id(uid) and _is_id(gid)
    ]


def read_groups(text: bytes) -> list[Group]:
    """The groups that a `group` file tells."""
    return [
        Group(name, int(gid), members)
        for name, _, gid, members in _records(text, 4)
        if _is_id(gid)
    ]  # fmt: skip


def names(users: list[User]) -> Mapping[int, str]:
    """The first name of each number."""
    return {user.uid: user.name for user in reversed(users)}


def group_names(groups: list[Group]) -> Mapping[int, str]:
    """See `names`."""
    return {group.gid: group.name for group in reversed(groups)}


def _records(text: bytes, fields: int) -> Iterator[list[str]]:
    for line in text.decode(errors="backslashreplace").split("\n"):
        record = line.split(":")
        if len(record) == fields and record[0]:
            yield record


def _is_id(text: str) -> bool:
    return bool(_NUMBER.fullmatch(text)) and int(text) < _MOST
