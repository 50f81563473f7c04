"""What a subject is given: how much to measure, a server, and what containers are made of."""

import dataclasses
import os
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from plumb_cli.access import Access
from plumb_cli.local_server import server_at

BASE = "plumb-shell:latest"
_KEY, _RUN = "dev.plumb.benchmark", uuid.uuid4().hex
LABEL = f"{_KEY}={_RUN}"
"""On all containers of this run, but for those of OpenEnv, which takes no labels."""
PEER_LABEL = f"{_KEY}=peer"
"""On the images that have a peer in them, and so on OpenEnv's containers, of any run."""
HARDENED: dict[str, Any] = {
    "network_mode": "none",
    "cap_drop": ["ALL"],
    "mem_limit": "1g",
    "pids_limit": 256,
    "labels": {_KEY: _RUN},
}


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
    with ExitStack() as stack:
        with _set(variables):  # for this server alone, not for one that is started meanwhile
            access = stack.enter_context(server_at(None))
        yield access


@contextmanager
def _set(variables: Mapping[str, str]) -> Iterator[None]:
    os.environ.update(variables)
    try:
        yield
    finally:
        for name in variables:
            del os.environ[name]
