"""Who owns a sandbox: the process that made it, named so that others can tell whether it lives.

And until when it may have it, so that a clock that is set does not end what is in use.
"""

import os
import socket
import time
from pathlib import Path


def this_process() -> str:
    """Names this process: host, pid, and when it started (pids are used again)."""
    return f"{socket.gethostname()}/{os.getpid()}/{_start_time(os.getpid())}"


def is_gone(owner: str) -> bool:
    """Whether the process is known to have ended; False for processes of other hosts."""
    host, _, rest = owner.partition("/")
    pid, _, start_time = rest.partition("/")
    if host != socket.gethostname() or not pid.isdigit():
        return False
    return _start_time(int(pid)) != start_time


def expiry(lifetime: float) -> str:
    """Names the time in some seconds, for a label: by the wall's clock and by the machine's own."""
    return f"{int(time.time() + lifetime)}/{int(time.monotonic() + lifetime)}"


def has_expired(owner: str, expiry: str) -> bool:
    """Whether an owner's time is over.

    An owner on this host shares our monotonic clock, which nobody can set. For all others, and for
    labels that do not tell it, the wall's must do.
    """
    wall, _, monotonic = expiry.partition("/")
    if monotonic and owner.partition("/")[0] == socket.gethostname():
        return int(monotonic) < time.monotonic()
    return float(wall) < time.time()


def is_over(owner: str, expiry: str) -> bool:
    """Whether an owner has ended, or its time is over."""
    return is_gone(owner) or has_expired(owner, expiry)


def _start_time(pid: int) -> str:
    """When a process started, in clock ticks since boot; `-` if it is not there, or not Linux."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "-" if not _runs(pid) else "+"
    fields = stat.rpartition(")")[2].split()
    # One that was killed, and whose parent has not asked for it yet, has ended all the same.
    return "-" if fields[0] in "ZX" else fields[19]


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
