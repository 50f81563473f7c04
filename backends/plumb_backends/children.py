"""What the server's own child processes share: what they are given, and that they end with it.

Imports little: a child imports this before it can do anything.
"""

import os
import signal
import sys
from collections.abc import Iterable

_PR_SET_PDEATHSIG = 1  # prctl(2)


def environment(names: Iterable[str]) -> dict[str, str]:
    """The environment of a child: some of the server's variables, and where its code is.

    Args:
        names: Which variables; no other is passed on, for there are keys and tokens among them.
    """
    kept = {name: os.environ[name] for name in names if name in os.environ}
    return {**kept, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def end_with(parent: int) -> None:
    """Has this process killed when its parent ends, however that ends."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before that was asked for
        os._exit(0)
