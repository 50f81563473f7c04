"""Things made ahead of time, each given away once, so that a session need not wait for its making.

Warm means made, never used. A pool is refilled by one task, one thing at a time, and that task
rests after each for as long as making it took: however empty the pool is, refilling takes at most
one creation and about half of its time. It begins a moment after the draw, so that the session
which has just begun goes first. After a failure it waits, longer each time. A pool that nobody
draws from empties itself, until somebody does again.

What is in a pool can die there. It is looked at from time to time, and tried by whoever draws it.
"""

import asyncio
import collections
import contextlib
import dataclasses
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Generic, Protocol, TypeVar

from plumb_backends.errors import PlumbError
from plumb_backends.real.watcher import Watcher

MOST_AGE = 3600.0
"""Seconds after which what nobody has drawn is replaced; it must live so much longer."""

_TRY_WITHIN = 5.0
"""Seconds within which a thing must show that it lives when it is drawn."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PoolSettings:
    """What a pool can be told by whoever runs the server.

    Attributes:
        size: How many are kept ready; 0 for no pool.
        idle_timeout: Seconds without a draw after which it empties itself.
        is_lazy: Whether it is filled only once somebody has drawn.
    """

    size: int = 0
    idle_timeout: float = 600.0
    is_lazy: bool = False


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Rhythm:
    """When a pool does what, in seconds.

    Attributes:
        look_every: Between two looks at what it holds.
        breath: Between a draw and the refill.
        first_wait: After the first failure; each further one in a row doubles it.
        longest_wait: After any.
        most_age: Of what it holds.
    """

    look_every: float = 5.0
    breath: float = 0.1
    first_wait: float = 1.0
    longest_wait: float = 60.0
    most_age: float = MOST_AGE


class Warm(Protocol):
    """What a pool can hold."""

    @property
    def is_alive(self) -> bool:
        """Whether it lives, as far as is known without asking."""
        ...

    async def remove(self) -> None:
        """Removes it, alive or dead. Never raises."""
        ...


Made = TypeVar("Made", bound=Warm)
Drawn = TypeVar("Drawn")


class Pool(Generic[Made]):
    """A pool of one sort of things.

    Args:
        name: For whoever watches.
        make: Makes one; leaves nothing behind when it fails or is cancelled.
        settings: How many, and for how long.
        watcher: Is told what happens.
        rhythm: When it does what.
    """

    def __init__(
        self,
        name: str,
        make: Callable[[], Awaitable[Made]],
        settings: PoolSettings,
        watcher: Watcher,
        rhythm: Rhythm | None = None,
    ) -> None:
        self._name = name
        self._make = make
        self._settings = settings
        self._watcher = watcher
        self._rhythm = rhythm or Rhythm()
        self._held: collections.deque[tuple[float, Made]] = collections.deque()  # oldest first
        self._drawn = -math.inf if settings.is_lazy else time.monotonic()  # when last wanted
        self._failures = 0  # in a row
        self._failed = 0.0  # when it last did
        self._not_before = 0.0
        self._woken = asyncio.Event()
        self._removals: set[asyncio.Task[None]] = set()

    async def draw(self, use: Callable[[Made], Awaitable[Drawn]]) -> Drawn | None:
        """Takes the oldest that can be used; what cannot is removed, and the next one is tried.

        Args:
            use: Makes it the caller's, and finds out whether it lives: a PlumbError says that it
                does not. When it returns, removing the thing is the caller's.

        Returns:
            What `use` did; None where nothing was ready.
        """
        self._drawn = time.monotonic()
        self._woken.set()
        while self._held:
            _, made = self._held.popleft()
            self._tell_size()
            drawn = await self._try(made, use) if made.is_alive else None
            if drawn is not None:
                self._watcher.pool_asked(self._name, "hit")
                self._recover()
                return drawn
            self._watcher.pool_asked(self._name, "dead")
            self._stumble("what was made ahead of time had ended when it was to be used")
            self._soon(made.remove())
        self._watcher.pool_asked(self._name, "empty")
        return None

    def pass_by(self) -> None:
        """Notes that somebody wants what the pool does not hold; that is no use of the pool."""
        self._watcher.pool_asked(self._name, "unfit")

    async def keep(self) -> None:
        """Keeps the pool filled, for ever."""
        while True:
            self._look()
            now = time.monotonic()
            if len(self._held) < self._wanted and now >= self._not_before:
                await asyncio.sleep(self._drawn + self._rhythm.breath - now)
                if time.monotonic() >= self._not_before:  # what was drawn meanwhile may be dead
                    await self._refill()
                continue
            wait = self._rhythm.look_every
            if len(self._held) < self._wanted:
                wait = min(wait, self._not_before - now)
            self._woken.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._woken.wait()

    async def close(self) -> None:
        """Removes all that it holds."""
        while self._held:
            self._soon(self._held.popleft()[1].remove())
        self._tell_size()
        await asyncio.gather(*self._removals, return_exceptions=True)

    @property
    def _wanted(self) -> int:
        is_idle = time.monotonic() - self._drawn > self._settings.idle_timeout
        return 0 if is_idle else self._settings.size

    async def _try(self, made: Made, use: Callable[[Made], Awaitable[Drawn]]) -> Drawn | None:
        try:
            async with asyncio.timeout(_TRY_WITHIN):
                return await use(made)
        except (PlumbError, TimeoutError):
            return None
        except BaseException:  # whoever wanted it went away
            self._soon(made.remove())
            raise

    def _look(self) -> None:
        """Removes what has died or is too old; everything, when nobody has drawn for long."""
        oldest = time.monotonic() - self._rhythm.most_age
        kept = [entry for entry in self._held if entry[1].is_alive and entry[0] >= oldest]
        kept = kept[: self._wanted]
        if any(not made.is_alive for _, made in self._held):
            self._stumble("what was made ahead of time ends before it is used")
        elif kept and self._failed < kept[-1][0] <= time.monotonic() - self._rhythm.look_every:
            self._recover()  # what was made since has lived for a while
        for entry in self._held:
            if entry not in kept:
                self._soon(entry[1].remove())
        self._held = collections.deque(kept)
        self._tell_size()

    async def _refill(self) -> None:
        started = time.monotonic()
        try:
            made = await self._make()
        except Exception as error:  # noqa: BLE001 - whatever it was, the pool must go on
            self._stumble(str(error) or repr(error))
            return
        self._held.append((time.monotonic(), made))
        self._tell_size()
        await asyncio.sleep(time.monotonic() - started)

    def _stumble(self, why: str) -> None:
        now = time.monotonic()
        if now < self._not_before:
            return  # all that dies at the same time is one failure
        if not self._failures:
            self._watcher.pool_fails(self._name, why)
        rhythm = self._rhythm
        wait = min(rhythm.longest_wait, rhythm.first_wait * 2.0 ** min(self._failures, 16))
        self._failures += 1
        self._failed = now
        self._not_before = now + wait

    def _recover(self) -> None:
        if self._failures:
            self._watcher.pool_recovered(self._name)
        self._failures = 0

    def _tell_size(self) -> None:
        self._watcher.pool_holds(self._name, len(self._held))

    def _soon(self, removal: Coroutine[Any, Any, None]) -> None:
        self._removals.add(task := asyncio.create_task(removal))
        task.add_done_callback(self._removals.discard)


@asynccontextmanager
async def kept(pool: Pool[Any]) -> AsyncIterator[None]:
    """Keeps a pool filled, and empties it at the end."""
    keeping = asyncio.create_task(pool.keep())
    try:
        yield
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
        await pool.close()
