"""The paths of a sandbox that its image does not have so: the first of them."""

import dataclasses
from collections.abc import Mapping

from plumb_backends.errors import SandboxUnavailable
from plumb_backends.real.engine import Sandbox
from plumb_backends.real.guest.asking import ask


@dataclasses.dataclass(frozen=True, slots=True)
class Changed:
    """The first changed paths, in their order.

    Attributes:
        kinds: `changed`, `added` or `deleted`, by path.
        left_out: What is not among them, for people.
    """

    kinds: Mapping[str, str]
    left_out: tuple[str, ...]


class FirstPaths:
    """Keeps the first paths of many, in bounded memory.

    Args:
        most: How many.
        most_bytes: What they may have together.
    """

    def __init__(self, most: int, most_bytes: int) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._kinds: dict[str, str] = {}
        self._bytes = 0
        self._left_out = 0

    def add(self, path: str, kind: str) -> None:
        """Takes the next one."""
        self._kinds[path] = kind
        self._bytes += len(path) + 1
        if len(self._kinds) > 2 * self._most or self._bytes > 4 * self._most_bytes:
            self._trim()

    def _trim(self) -> None:
        kept: dict[str, str] = {}
        self._bytes = 0
        for path in sorted(self._kinds):
            size = len(path.encode(errors="surrogatepass")) + 1
            if len(kept) == self._most or self._bytes + size > self._most_bytes:
                break
            kept[path] = self._kinds[path]
            self._bytes += size
        self._left_out += len(self._kinds) - len(kept)
        self._kinds = kept

    def result(self) -> Changed:
        """What is kept."""
        self._trim()
        rest = (f"{self._left_out} more paths",) if self._left_out else ()
        return Changed(self._kinds, rest)


async def changed_paths(sandbox: Sandbox, *, most: int, most_bytes: int) -> Changed:
    """Finds them.

    The engine fails where a path is too long for it: then plumb's own program in the sandbox looks,
    which cannot tell a changed file from an added one, and sees none that is deleted.

    Raises:
        SandboxUnavailable: The sandbox is gone.
    """
    first = FirstPaths(most, most_bytes)
    try:
        async for path, kind in sandbox.changes():
            first.add(path, kind)
    except SandboxUnavailable:
        if not await sandbox.is_running():
            raise
    else:
        return first.result()
    since = await sandbox.started_time()
    said = await ask(sandbox, "changed", f"{since:.0f}", f"{most}")
    first = FirstPaths(most, most_bytes)
    while said:
        first.add(said.take().decode(errors="backslashreplace"), "added")
    found = first.result()
    note = "deleted paths, and those that are too long to be named"
    return Changed(found.kinds, (*found.left_out, note))
