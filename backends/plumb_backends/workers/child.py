"""The program of a worker process: calls what it is sent, and sends back what that returned.

It is started by its path and imports little, so that a worker is there quickly. A message is its
size (8 bytes, big endian) and a pickle: (function, arguments) one way; how it went, a value, and
whether the worker ends now the other way.
"""

import os
import pickle
import resource
import signal
import struct
import sys
from typing import IO, Any

from plumb_backends.children import end_with

RETURNED, RAISED, CUT = "returned", "raised", "cut"

SIZE = struct.Struct(">Q")

_MOST_FILES = 64
_MOST_REPLY_BYTES = 64 * 1024 * 1024
_NICE = 10  # what serves every session comes first
_KEPT_BYTES = 256 * 1024 * 1024
_MIB = 1024 * 1024


def main(parent: int, memory_bytes: int) -> None:
    """Serves one caller until it closes its end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to the whole group
    end_with(parent)
    _limit(memory_bytes)
    with os.fdopen(os.dup(0), "rb") as requests, os.fdopen(os.dup(0), "wb") as replies:
        _divert_standard_streams()
        while request := _receive(requests):
            kind, value = _call(request, memory_bytes)
            del request
            is_last = _is_swollen()
            _send(replies, kind, value, is_last=is_last)
            if is_last:
                return


def _limit(memory_bytes: int) -> None:
    os.nice(_NICE)
    for what, limit in (
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),  # it can write no file
        (resource.RLIMIT_NOFILE, _MOST_FILES),
    ):
        resource.setrlimit(what, (limit, limit))


def _divert_standard_streams() -> None:
    """What a function reads or prints is no message."""
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)
    os.close(nothing)


def _receive(requests: IO[bytes]) -> bytes:
    head = requests.read(SIZE.size)
    return requests.read(*SIZE.unpack(head)) if len(head) == SIZE.size else b""


def _call(request: bytes, memory_bytes: int) -> tuple[str, Any]:
    try:
        function, arguments = pickle.loads(request)  # noqa: S301 - the parent's own
        return RETURNED, function(*arguments)
    except MemoryError:
        return CUT, f"it needed more than {memory_bytes // _MIB} MiB of memory"
    except Exception as error:  # noqa: BLE001 - is raised again where the function was called
        return RAISED, error


def _is_swollen() -> bool:
    """Whether this process holds so much memory that a new one is better for the next call."""
    try:
        with open("/proc/self/statm", encoding="ascii") as statm:  # noqa: PTH123 - imports less
            return int(statm.read().split()[1]) * resource.getpagesize() > _KEPT_BYTES
    except OSError:  # another system than Linux
        return False


def _send(replies: IO[bytes], kind: str, value: Any, *, is_last: bool) -> None:
    data = _pickled(kind, value, is_last=is_last)
    if len(data) > _MOST_REPLY_BYTES:
        reason = f"its result is larger than {_MOST_REPLY_BYTES // _MIB} MiB"
        data = pickle.dumps((CUT, reason, is_last))
    replies.write(SIZE.pack(len(data)) + data)
    replies.flush()


def _pickled(kind: str, value: Any, *, is_last: bool) -> bytes:
    try:
        data = pickle.dumps((kind, value, is_last))
        if kind == RAISED:
            pickle.loads(data)  # noqa: S301 - made just now; not every exception can be made again
        return data
    except MemoryError:
        return pickle.dumps((CUT, "its result does not fit into its memory", is_last))
    except Exception as error:  # noqa: BLE001 - whatever a foreign class does when it is pickled
        problem = TypeError(f"a worker cannot send back {value!r:.200}: {error}")
        return pickle.dumps((RAISED, problem, is_last))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
