"""Who owns a sandbox: the process that made it, named so that others can tell whether it lives."""

import os
import socket
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
