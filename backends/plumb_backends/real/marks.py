"""The marks that frame a session's terminal stream, and a scanner that finds them.

Semantic prompt marks (OSC 133, as terminals' shell integration uses them). Each carries a random
key of the session, so that nothing which a program prints by accident, or copies from another
session, is taken for one; and the token of its turn, which did not exist when any job of an earlier
turn was started, so that no such job can print one that counts. Marks are taken out of what anybody
gets to see, those of other turns, too.

| mark | printed by | meaning |
|---|---|---|
| `A` | `PS1`, at its start | the output has ended, the prompt begins |
| `B;status;pid;cwd;user;host` | `PS1`, at its end | bash reads the next command |
| `C` | `PS0` | a command starts; what was before is echo |
| `P` | `PS2` | the input is unfinished, bash reads more of it |
| `S` | the start-up file | between two of these it says what the shell has: see `shell_state` |
| `X` | `PROMPT_COMMAND` | standard error is no terminal: `A`, `B`, `C` and `P` will not show |
| `E;name` | the start-up file | the shell cannot be used: this variable is readonly |
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
other readline only rings the bell, and no action may hold it. A token that was typed in front of it
is the turn's from then on."""

_OPEN, _CLOSE = b"\x1f", b"\x1d"
"""What a turn's token is typed between: Ctrl-_, at which the guest's readline reads a token, and
Ctrl-], at which that ends. Where nobody reads it, the second discards the line. Neither means
anything to a terminal that bash does not read yet."""

_HOOK = b"{ __plumb_prompt; } 9>&2 2>/dev/null || { __plumb_prompt; } 2>/dev/null\r\n"
"""What `guest/rc.bash` has in PROMPT_COMMAND, as `set -v` prints it before each prompt."""

_MAX_PATH_BYTES = 4096
_MAX_MARK_BYTES = 4 * _MAX_PATH_BYTES + 1024  # quoted, a byte takes up to four
_INTRODUCER = b"\x1b]133;"


def new_key() -> str:
    """A key for one session: 128 random bits."""
    return secrets.token_hex(16)


def new_token() -> str:
    """A token for one turn: 48 random bits, in few bytes, for bash reads them one by one.

    Who guesses has one turn for it: a flood of 10^6 marks a second for 10 minutes hits once in
    470,000 such turns.
    """
    return secrets.token_urlsafe(6)


def to_opening(token: str) -> bytes:
    """What to type in front of an action, so that the marks of its turn carry the token."""
    return _OPEN + token.encode() + _CLOSE


@dataclasses.dataclass(frozen=True, slots=True)
class Mark:
    """One mark: its letter, the token of its turn, and what it says."""

    letter: str
    token: str
    fields: tuple[str, ...] = ()


class Scanner:
    """Splits a stream of terminal bytes into content and marks.

    Args:
        key: The session's key; marks without it are content.
    """

    def __init__(self, key: str) -> None:
        # What a mark says is checked here, so that a prompt string which a program prints without
        # expanding it is content. The working directory may hold semicolons.
        self._mark = re.compile(
            rb"\x1b\]133;(?:([ACPSX]);%(key)s;(%(token)s)|([BNR]);%(key)s;(%(token)s);(%(status)s);"
            rb"(\d{1,10});([^\x07\x1b]{0,%(path)d});([^\x07\x1b;]{0,255});([^\x07\x1b;]{0,255})|"
            rb"(E);%(key)s;(%(token)s);(PS[012]|PROMPT_COMMAND))\x07"
            % {
                b"key": re.escape(key.encode()),
                b"token": rb"[\w-]{0,64}",
                b"status": rb"25[0-5]|2[0-4]\d|1\d\d|\d{1,2}",
                b"path": 4 * _MAX_PATH_BYTES + 3,
            }
        )
        self._held = b""

    def feed(self, data: bytes) -> Iterator[bytes | Mark]:
        """Takes the next piece; yields content and marks in their order."""
        data = (self._held + data).replace(_HOOK, b"")
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
    letter, token, *fields = (
        group.decode(errors="replace") for group in found.groups() if group is not None
    )
    return Mark(letter, token, tuple(fields))


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
    """Reads a `B`, `N` or `R` mark."""
    status, pid, cwd, user, host = mark.fields
    return Prompt(int(status), int(pid), unquote(cwd)[:_MAX_PATH_BYTES], user, host)


_ANSI_C = re.compile(rb"\\(?:([0-7]{1,3})|(.))", re.DOTALL)
_ANSI_C_NAMES = {b"a": b"\a", b"b": b"\b", b"e": b"\x1b", b"E": b"\x1b", b"f": b"\f", b"n": b"\n",
                 b"r": b"\r", b"t": b"\t", b"v": b"\v"}  # fmt: skip


def unquote(quoted: str) -> str:
    """Undoes bash's `${name@Q}`: single quotes, or `$'…'` where there are control characters.

    What bash would not have quoted so, it takes as it is.
    """
    if quoted.startswith("$'"):
        inner = quoted[2:].removesuffix("'").encode(errors="replace")
        return _ANSI_C.sub(_unescape, inner).decode(errors="replace")
    return quoted.replace("'\\''", "\0").replace("'", "").replace("\0", "'")


def _unescape(found: re.Match[bytes]) -> bytes:
    octal, character = found.groups()
    if octal is not None:
        return bytes([int(octal, 8) & 0xFF])
    return _ANSI_C_NAMES.get(character, character)
