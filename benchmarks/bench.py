"""What a subject is given, and the servers that it measures."""

import dataclasses
import os
from collections.abc import Iterator
from contextlib import contextmanager

from plumb_cli.access import Access
from plumb_cli.local_server import server_at


@dataclasses.dataclass(frozen=True, slots=True)
class Bench:
    """How much is to be measured.

    Attributes:
        scale: 1 for the usual number of rounds; less for a quick look.
        with_peers: Whether others are measured, too.
    """

    scale: float = 1.0
    with_peers: bool = True

    def rounds(self, usual: int) -> int:
        """How often to do what is usually done so often."""
        return max(1, round(usual * self.scale))


@contextmanager
def server(**variables: str) -> Iterator[Access]:
    """A server of one's own, with these settings besides the usual ones."""
    os.environ.update(variables)
    try:
        with server_at(None) as access:
            yield access
    finally:
        for name in variables:
            del os.environ[name]
