"""The marks that frame a session's terminal stream, and a scanner that finds them.

Semantic prompt marks (OSC 133, as terminals' shell integration uses them), each carrying a random
key of the session, so that nothing which a program prints by accident, or copies from another
session, can be taken for one. They are taken out of what anybody gets to see.

| mark | printed by | meaning |
|---|---|---|
| `A` | `PS1`, at its start | the output has ended, the prompt begins |
| `B;status;pid;cwd;user;host` | `PS1`, at its end | bash reads the next command |
| `C` | `PS0` | a command starts; what was before is echo |
| `P` | `PS2` | the input is unfinished, bash reads more of it |
| `X` | `PROMPT_COMMAND` | standard error is no terminal: `A`, `B`, `C` and `P` will not show |
| `R;status;pid;cwd;user;host` | readline, asked by `ASK` | bash reads the next command |
| `N;` the same | readline, asked by `ASK` | the same, but only the next prompt has its marks |

The guest's half is `guest/rc.bash`.
"""

import dataclasses
import re
import secrets
from collections.abc import Iterator

ASK = b"\x1e"
"""Ctrl-^, which readline leaves unbound; the guest's is bound to answer it with `R` or `N`. Any
other readline only rings the bell, and no action may hold it."""

_MAX_MARK_BYTES = 8 * 1024  # a path has at most 4096 bytes, quoted at most twice that
_INTRODUCER = b"\x1b]133;"


def new_key() -> str:
    """A key for one session: 128 random bits."""
    return secrets.token_hex(16)


@dataclasses.dataclass(frozen=True, slots=True)
class Mark:
    """One mark: its letter, and what it says."""

    letter: str
    fields: tuple[str, ...]


class Scanner:
    """Splits a stream of terminal bytes into content and marks.

    Args:
        key: The session's key; marks without it are content.
    """

    def __init__(self, key: str) -> None:
        # What a mark says is checked here, so that a prompt string which a program prints without
        # expanding it is content. The working directory may hold semicolons.
        self._mark = re.compile(
            rb"\x1b\]133;(?:([ACPX]);%(key)s|([BNR]);%(key)s;(\d{1,3});(\d+);([^\x07\x1b]*);([^\x07\x1b;]*);"
            rb"([^\x07\x1b;]*))\x07" % {b"key": key.encode()}
        )
        self._held = b""

    def feed(self, data: bytes) -> Iterator[bytes | Mark]:
        """Takes the next piece; yields content and marks in their order."""
        data = self._held + data
        position = 0
        for found in self._mark.finditer(data):
            if found.start() > position:
                yield data[position : found.start()]
            yield _to_mark(found)
            position = found.end()
        end = _end_of_certain(data, position)
        self._held = data[end:]
        if end > position:
            yield data[position:end]


def _to_mark(found: re.Match[bytes]) -> Mark:
    if found[1]:
        return Mark(found[1].decode(), ())
    return Mark(
        found[2].decode(), tuple(field.decode(errors="replace") for field in found.groups()[2:])
    )


def _end_of_certain(data: bytes, position: int) -> int:
    """Where content ends that cannot be the beginning of a mark."""
    start = data.rfind(b"\x1b", max(position, len(data) - _MAX_MARK_BYTES))
    if start < 0:
        return len(data)
    tail = data[start:]
    may_be_mark = _INTRODUCER.startswith(tail[: len(_INTRODUCER)]) and b"\x07" not in tail
    return start if may_be_mark else len(data)


@dataclasses.dataclass(frozen=True, slots=True)
class Prompt:
    """What a prompt says: the last exit status, the shell's pid, and where it is."""

    status: int
    pid: int
    cwd: str
    user: str
    host: str


def to_prompt(mark: Mark) -> Prompt:
    """Reads a `B` or `R` mark."""
    status, pid, cwd, user, host = mark.fields
    return Prompt(int(status), int(pid), unquote(cwd), user, host)


_ANSI_C = re.compile(rb"\\([0-7]{1,3}|.)", re.DOTALL)
_ANSI_C_NAMES = {b"a": b"\a", b"b": b"\b", b"e": b"\x1b", b"E": b"\x1b", b"f": b"\f", b"n": b"\n",
                 b"r": b"\r", b"t": b"\t", b"v": b"\v"}  # fmt: skip


def unquote(quoted: str) -> str:
    """Undoes bash's `${name@Q}`: single quotes, or `$'…'` where there are control characters."""
    if quoted.startswith("$'"):
        inner = quoted[2:-1].encode()
        return _ANSI_C.sub(_unescape, inner).decode(errors="replace")
    return quoted.replace("'\\''", "\0").replace("'", "").replace("\0", "'")


def _unescape(found: re.Match[bytes]) -> bytes:
    code = found[1]
    if code[:1].isdigit():
        return bytes([int(code, 8) & 0xFF])
    return _ANSI_C_NAMES.get(code, code)
