"""What plumb says to its own program in a sandbox, and what that answers; and the bash scripts.

The program is `containers/guest`. Nothing here does I/O.
"""

from collections.abc import Iterable, Sequence
from importlib import resources

GUEST = "/dev/.plumb/guest"
"""Where the program is in every sandbox."""

MAX_REQUEST_BYTES = 8 * 1024**2
"""What the program takes as a request: arguments and variables, or paths."""

_HEAD = 4


def script(name: str) -> str:
    """The text of one of the scripts."""
    return resources.files(__name__).joinpath(name).read_text(encoding="utf-8")


def command(name: str, *arguments: str) -> list[str]:
    """What runs one of the scripts, by the sandbox's own bash."""
    return ["bash", "-c", script(name), "plumb", *arguments]


def request(texts: Iterable[bytes]) -> bytes:
    """Spells a request."""
    block = b"".join(text + b"\0" for text in texts)
    return len(block).to_bytes(_HEAD, "big") + block


def texts(values: Sequence[str]) -> list[bytes]:
    """How many there are, and they."""
    return [str(len(values)).encode(), *(raw(value) for value in values)]


def raw(text: str) -> bytes:
    """The bytes of a text that came from the sandbox, or goes there."""
    return text.encode(errors="surrogateescape")


class Answer:
    """Takes an answer apart as it comes in: frames, and an empty one at the end.

    Args:
        most_bytes: What is kept; an answer that is longer is no answer.
    """

    def __init__(self, most_bytes: int) -> None:
        self.frames: list[bytes] = []
        self.is_whole = False
        self._left = most_bytes
        self._held = bytearray()

    def feed(self, data: bytes) -> bool:
        """Takes the next piece; returns whether more is wanted."""
        self._left -= len(data)
        self._held += data
        at = 0
        while self._left >= 0 and len(self._held) - at >= _HEAD:
            size = int.from_bytes(self._held[at : at + _HEAD], "big")
            if size == 0:
                self.is_whole = True
                return False
            if size > len(self._held) - at - _HEAD:
                break
            self.frames.append(bytes(self._held[at + _HEAD : at + _HEAD + size]))
            at += _HEAD + size
        del self._held[:at]
        return self._left >= 0


class Frames:
    """Reads the frames of an answer, one after the other; what is not there is empty."""

    def __init__(self, frames: Sequence[bytes]) -> None:
        self._frames = frames
        self._at = 0

    def __bool__(self) -> bool:
        """Whether there are more."""
        return self._at < len(self._frames)

    def take(self) -> bytes:
        """The next one."""
        self._at += 1
        return self._frames[self._at - 1] if self._at <= len(self._frames) else b""

    def take_sized(self) -> bytes:
        """The next one, which may be empty: its size is a frame of its own."""
        return self.take() if self.take() != b"0" else b""
