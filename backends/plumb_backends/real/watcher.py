"""What whoever runs the real backends may watch: their pools, and the queue for new sandboxes."""

from typing import Protocol


class Watcher(Protocol):
    """Is told of what happens; must not raise, and must not block."""

    def pool_holds(self, pool: str, count: int) -> None:
        """A pool has so many things ready now."""

    def pool_asked(self, pool: str, outcome: str) -> None:
        """A session asked a pool.

        Args:
            pool: The kind's name.
            outcome: `hit`; `dead` for one that had ended in the meantime; `empty`, or `unfit` where
                the session's options are not the pool's: then one is made for it.
        """

    def pool_fails(self, pool: str, why: str) -> None:
        """A pool cannot be refilled, or what it holds dies. Once, until it has recovered."""

    def pool_recovered(self, pool: str) -> None:
        """It is filled again."""

    def creations_wait(self, kind: str, count: int) -> None:
        """So many creations wait for their turn now."""


class Nobody:
    """Watches nothing."""

    def pool_holds(self, pool: str, count: int) -> None: ...  # noqa: D102 - see Watcher
    def pool_asked(self, pool: str, outcome: str) -> None: ...  # noqa: D102
    def pool_fails(self, pool: str, why: str) -> None: ...  # noqa: D102
    def pool_recovered(self, pool: str) -> None: ...  # noqa: D102
    def creations_wait(self, kind: str, count: int) -> None: ...  # noqa: D102
