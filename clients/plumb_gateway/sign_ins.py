"""Who is signed in on the pages: a random value in a cookie stands for a token kept here."""

import asyncio
import dataclasses
import hashlib
import secrets

_MOST = 1000
"""Sign-ins that are kept; with one more, the oldest ends."""


@dataclasses.dataclass(slots=True, eq=False)
class SignIn:
    """One browser that is signed in.

    Attributes:
        token: What it showed, for the server behind.
        ended: Is set when it is signed out, or its time is over.
    """

    token: str = dataclasses.field(repr=False)
    ended: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)


class SignIns:
    """All of them, in this process's memory: they end with it.

    A cookie's value is good for nothing elsewhere, nor after its end; a rotated token is refused by
    the server, however many cookies stand for it.

    Args:
        lasts: Seconds that each lasts.
    """

    def __init__(self, lasts: float) -> None:
        self.lasts = lasts
        self._all: dict[bytes, SignIn] = {}

    def begin(self, token: str) -> str:
        """Signs a browser in; gives the value of its cookie.

        Args:
            token: One that the server took.
        """
        value = secrets.token_urlsafe(32)
        while len(self._all) >= _MOST:
            self._end(next(iter(self._all)))
        key = _digest(value)
        self._all[key] = SignIn(token)
        asyncio.get_running_loop().call_later(self.lasts, self._end, key)
        return value

    def find(self, value: str) -> SignIn | None:
        """Finds the sign-in that a cookie stands for."""
        return self._all.get(_digest(value))

    def end(self, value: str) -> None:
        """Signs a browser out."""
        self._end(_digest(value))

    def _end(self, key: bytes) -> None:
        found = self._all.pop(key, None)
        if found is not None:
            found.ended.set()


def _digest(value: str) -> bytes:
    """What is looked up: how long that takes tells nothing of the values."""
    return hashlib.sha256(value.encode(errors="surrogateescape")).digest()
