"""Opens files of a folder, and nothing else: no link out of it, no device, no pipe.

Each name is opened relative to its folder's descriptor, without following links. So what is checked
is what is read, whatever is renamed meanwhile. The folder itself may be a link: its owner set it.
"""

import contextlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
"""Without waiting: opening a pipe would last until somebody writes into it."""


def is_name(name: str) -> bool:
    """Whether a name is one of an entry of a folder, and leads nowhere else."""
    return name not in ("", ".", "..") and not {"/", "\0"} & set(name)


def list_names(folder: Path) -> list[str]:
    """The names in a folder; none where there is no folder."""
    try:
        return sorted(os.listdir(folder))  # noqa: PTH208 - names are wanted, not paths
    except OSError:
        return []


@contextmanager
def open_inside(folder: Path, *names: str) -> Iterator[BinaryIO]:
    """Opens a regular file in a folder.

    Args:
        folder: Where.
        names: The folders below it that lead to the file, and the file's own.

    Raises:
        OSError: There is none, or what is there is no regular file, or a link.
    """
    with contextlib.ExitStack() as stack:
        descriptor = _opened(stack, str(folder), _FOLDER, None)
        for name in names[:-1]:
            descriptor = _opened(stack, _checked(name), _FOLDER | os.O_NOFOLLOW, descriptor)
        file = os.open(_checked(names[-1]), _FILE, dir_fd=descriptor)
        with open(file, "rb") as opened:  # noqa: PTH123 - it is a descriptor, and has no path
            if not stat.S_ISREG(os.fstat(file).st_mode):
                raise FileNotFoundError(f"{names[-1]!r} is no regular file")
            yield opened


def _opened(stack: contextlib.ExitStack, name: str, flags: int, parent: int | None) -> int:
    descriptor = os.open(name, flags, dir_fd=parent)
    stack.callback(os.close, descriptor)
    return descriptor


def _checked(name: str) -> str:
    if not is_name(name):
        raise FileNotFoundError(f"{name!r} is no name of a file")
    return name
