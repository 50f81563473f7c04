"""Keeps the head and the tail of a stream of any length, in constant memory."""

_PARTIAL_CHARACTER_BYTES = 3


class Capped:
    """Collects bytes; beyond a cap the middle is let go and counted.

    Args:
        cap: How many bytes to keep, half from the beginning and half from the end.
    """

    def __init__(self, cap: int) -> None:
        self._half = cap // 2
        self._head = bytearray()
        self._tail = bytearray()
        self.total = 0

    def add(self, data: bytes) -> None:
        """Takes the next piece."""
        self.total += len(data)
        room = self._half - len(self._head)
        if room > 0:
            self._head += data[:room]
            data = data[room:]
        self._tail += data
        if len(self._tail) > 2 * self._half:  # not at every piece: trimming copies
            del self._tail[: -self._half]

    @property
    def cut_bytes(self) -> int:
        """How many bytes are lost."""
        return max(0, self.total - 2 * self._half)

    def content(self) -> bytes:
        """What is kept, the tail right behind the head."""
        return bytes(self._head + self._kept_tail())

    def text(self) -> str:
        """What is kept, as text; where something is lost, a line of its own says how much."""
        if not self.cut_bytes:
            return self.content().decode(errors="replace")
        head = _without_partial_end(bytes(self._head)).decode(errors="replace")
        tail = _without_partial_start(bytes(self._kept_tail())).decode(errors="replace")
        return f"{head.rstrip(chr(10))}\n[... {self.cut_bytes} bytes cut ...]\n{tail}"

    def _kept_tail(self) -> bytearray:
        return self._tail[-self._half :] if self.cut_bytes else self._tail


def _without_partial_start(data: bytes) -> bytes:
    for index in range(min(_PARTIAL_CHARACTER_BYTES + 1, len(data))):
        if data[index] & 0xC0 != 0x80:  # not in the middle of a character
            return data[index:]
    return data


def _without_partial_end(data: bytes) -> bytes:
    for index in range(1, min(_PARTIAL_CHARACTER_BYTES, len(data)) + 1):
        byte = data[-index]
        if byte & 0xC0 == 0xC0:  # a character begins here; is all of it there?
            length = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return data if index == length else data[:-index]
        if byte < 0x80:
            break
    return data
