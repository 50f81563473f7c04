"""What is found out once an image, and kept: its card, its list of files."""

import asyncio
import collections
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class PerImage(Generic[T]):
    """What was found out, by whatever makes it differ.

    Args:
        most: How many images are remembered.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._known: collections.OrderedDict[str, T] = collections.OrderedDict()
        self._finding: collections.defaultdict[str, asyncio.Lock] = collections.defaultdict(
            asyncio.Lock
        )

    async def of(self, key: str, find_out: Callable[[], Awaitable[T]]) -> T:
        """What is known of an image; found out where it is not known yet.

        Args:
            key: The image's id, and what else it depends on.
            find_out: Finds it out.
        """
        async with self._finding[key]:
            if key not in self._known:
                self._known[key] = await find_out()
                if len(self._known) > self._most:
                    oldest, _ = self._known.popitem(last=False)
                    self._finding.pop(oldest, None)
            return self._known[key]
