"""The paths of a sandbox that its image does not have so: the first of them.

Plumb's own program in the sandbox looks at every file. What was there before the sandbox has an
older change time, which nobody in it can set; what is new, and what is gone, follows from the list
of the image's own files, which a sandbox tells in which nothing has run. The engine's list of
changes is not asked for: it takes a second, and reading the folders changes their access times.
"""

import collections
import dataclasses
from collections.abc import Iterable, Mapping, Sequence

from plumb_backends.real.engine import Sandbox
from plumb_backends.real.guest.asking import ask

MOST_IMAGES = 8
"""How many images' files are remembered."""

_MOST_LISTED = 200_000
_MOST_SUSPECTS = 50_000
_OF_THE_ENGINE = frozenset(
    {"/.dockerenv", "/etc/hostname", "/etc/hosts", "/etc/mtab", "/etc/resolv.conf"}
)
"""What the engine makes in each sandbox while it starts."""


@dataclasses.dataclass(frozen=True, slots=True)
class ImageFiles:
    """The files of an image: the names in each folder, by its path."""

    names: Mapping[str, frozenset[str]]

    @classmethod
    def of(cls, paths: Iterable[str]) -> "ImageFiles":
        """Sorts paths into their folders."""
        names: collections.defaultdict[str, set[str]] = collections.defaultdict(set)
        for path in paths:
            folder, _, name = path.rpartition("/")
            names[folder].add(name)
        return cls({folder: frozenset(found) for folder, found in names.items()})

    def __contains__(self, path: str) -> bool:
        folder, _, name = path.rpartition("/")
        return name in self.names.get(folder, ())

    def within(self, folder: str) -> list[str]:
        """The paths in a folder, not in those below it."""
        return [f"{folder}/{name}" for name in self.names.get(folder, ())]


async def image_files(bare: Sandbox) -> ImageFiles:
    """Lists the files of an image.

    Args:
        bare: A sandbox of it in which nothing has run.

    Raises:
        SandboxUnavailable: The sandbox is gone, or its files are too many to be listed.
    """
    return ImageFiles.of((await _list_since(bare, 0)).paths)


@dataclasses.dataclass(frozen=True, slots=True)
class Changed:
    """The first changed paths, in their order; bytes that are not UTF-8 are surrogates.

    Attributes:
        kinds: `changed` or `added`, by path.
        left_out: What is not among them, for people.
        suspects: Paths of the image in changed folders: deleted, where nothing is there.
    """

    kinds: Mapping[str, str]
    left_out: tuple[str, ...] = ()
    suspects: tuple[str, ...] = ()


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


async def changed_paths(
    sandbox: Sandbox, image: ImageFiles, *, most: int, most_bytes: int
) -> Changed:
    """Finds them.

    Raises:
        SandboxUnavailable: The sandbox is gone.
    """
    listed = await _list_since(sandbox, int(await sandbox.started_time()))
    found = set(listed.paths) - _OF_THE_ENGINE
    first = FirstPaths(most, most_bytes)
    for path in found:
        first.add(path, "changed" if path in image else "added")
    changed = first.result()
    # What is removed from a folder changes it. Of a folder that is gone only itself is told.
    suspects = {path for folder in ("", *found) for path in image.within(folder)} - found
    return Changed(
        changed.kinds,
        (*changed.left_out, *listed.left_out),
        tuple(sorted(suspects)[:_MOST_SUSPECTS]),
    )


@dataclasses.dataclass(frozen=True, slots=True)
class _Listed:
    """What plumb's own program lists, in its order, and what it leaves out, for people."""

    paths: Sequence[str]
    left_out: tuple[str, ...]


async def _list_since(sandbox: Sandbox, since: int) -> _Listed:
    """Lists the paths that were made or changed since then, in seconds since 1970."""
    said = await ask(sandbox, "changed", f"{since}", f"{_MOST_LISTED}")
    paths, too_long, is_cut = [], 0, False
    while said:
        frame = said.take()
        if frame.startswith(b"/"):
            paths.append(frame.decode(errors="surrogateescape"))
        else:  # the last one
            too_long, is_cut = int(frame.split()[0]), frame.endswith(b" 1")
    notes = [f"{too_long} paths that are too long to be named"] if too_long else []
    notes += ["more paths than can be listed"] if is_cut else []
    return _Listed(paths, tuple(notes))
