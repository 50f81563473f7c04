"""Turns what the real backends tell of their pools and queues into metrics and log lines."""

import structlog

from plumb_server import metrics

_log = structlog.get_logger(__name__)


class PoolWatcher:
    """See `plumb_backends.real.watcher.Watcher`."""

    def pool_holds(self, pool: str, count: int) -> None:
        """Sets the gauge."""
        metrics.pool_holds(pool, count)

    def pool_asked(self, pool: str, outcome: str) -> None:
        """Counts."""
        metrics.pool_asked(pool, outcome)

    def pool_fails(self, pool: str, why: str) -> None:
        """Logs; sessions are created all the same, if they can be."""
        metrics.pool_failed(pool)
        _log.warning("the pool cannot be filled; it is tried again from time to time",
                     pool=pool, why=why)  # fmt: skip

    def pool_recovered(self, pool: str) -> None:
        """Logs."""
        _log.info("the pool is filled again", pool=pool)

    def creations_wait(self, kind: str, count: int) -> None:
        """Sets the gauge."""
        metrics.creations_wait(kind, count)
