"""How long a peer may let a connection wait."""

import dataclasses
import enum


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """Times that a peer has.

    Attributes:
        request: Seconds for the head of a request, or a TLS handshake, from its beginning.
        stall: Seconds after which a body, or what is to be read, must have come along at
            `bytes_per_second`.
        bytes_per_second: The least rate, on average.
    """

    request: float = 10.0
    stall: float = 20.0
    bytes_per_second: int = 4096


class Stage(enum.Enum):
    """What a connection is at."""

    HEAD = "waits for the head of a request"
    BODY = "waits for the body of a request"
    UNREAD = "waits for the peer to read"
    CLOSING = "is closed as soon as the peer has read the rest"
    SERVED = "serves a request, or is a live socket"


class Watch:
    """Tells when a connection has been at one stage for too long.

    Args:
        patience: The times.
    """

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._seen: tuple[Stage, int] | None = None
        self._since = 0.0
        self._done = 0

    def is_over(self, stage: Stage, turn: int, done: int, now: float) -> bool:
        """Tells whether patience is over.

        Args:
            stage: What the connection is at.
            turn: How many requests were served before; another one begins afresh.
            done: Bytes that have come along at this stage; only their difference counts.
            now: Seconds on the monotonic clock.
        """
        if self._seen != (stage, turn):
            self._seen, self._since, self._done = (stage, turn), now, done
        waited = now - self._since
        if stage is Stage.SERVED:
            return False
        if stage is Stage.HEAD:
            return waited > self._patience.request
        expected = waited * self._patience.bytes_per_second
        return waited > self._patience.stall and done - self._done < expected
