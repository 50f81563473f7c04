"""A folder for what only this process is to reach, as the socket of what runs beside a server."""

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

_PREFIX = "plumb-private-"


class PrivateFolder(NamedTuple):
    """A folder that nobody else may enter.

    Attributes:
        path: Where it is.
        lock: A descriptor; a process that is to keep the folder beyond this one inherits it.
    """

    path: Path
    lock: int


@contextmanager
def private_folder() -> Iterator[PrivateFolder]:
    """Makes a folder that nobody else may enter, and removes it at the end.

    Its owner holds a lock on it, which ends with the process however that ends: what `kill -9` left
    behind is known by it, and is removed here, too.
    """
    _sweep()
    folder = _locked_folder()
    try:
        yield folder
    finally:
        shutil.rmtree(folder.path, ignore_errors=True)
        os.close(folder.lock)


def _locked_folder() -> PrivateFolder:
    while True:
        path = Path(tempfile.mkdtemp(prefix=_PREFIX))
        try:
            lock = _lock(path)
        except OSError:
            lock = os.open(path, os.O_RDONLY)
        if lock is not None:
            return PrivateFolder(path, lock)


def _lock(folder: Path) -> int | None:
    """Locks a folder; None where somebody has it, may not be asked, or where it is gone.

    Raises:
        OSError: The file system has no such locks: what is left there stays.
    """
    try:
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return None
    is_ours = False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        is_ours = folder.exists()  # another process may have swept it before it was locked
    except BlockingIOError:
        pass
    finally:
        if not is_ours:
            os.close(lock)
    return lock if is_ours else None


def _sweep() -> None:
    """Removes what processes of this user have left behind."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            lock = _lock(folder)
            if lock is not None:
                shutil.rmtree(folder, ignore_errors=True)
                os.close(lock)
