"""The truth behind a simulated session: its init scripts, run for real.

A simulator cannot know whether its scripts work, or what they leave. So they are run in a real
sandbox first, which fails as any session's creation does, and is thrown away. Sessions with the
same grounding share one run.
"""

import asyncio
import collections
import dataclasses
from collections.abc import Sequence

from plumb_backends.environment import Captures, ProgramResult
from plumb_backends.errors import Unsupported
from plumb_backends.registry import Backends, Grounded, Spec

_KEPT = 256
"""How many groundings are remembered."""


@dataclasses.dataclass(frozen=True, slots=True)
class Truth:
    """What came of running init scripts.

    Attributes:
        init_results: What each script did.
        state: What they left; empty where nobody asked.
    """

    init_results: Sequence[ProgramResult] = ()
    state: str = ""


class Truths:
    """Runs init scripts for real, each grounding once.

    Args:
        backends: Has the real ones.
    """

    def __init__(self, backends: Backends) -> None:
        self._backends = backends
        self._known: collections.OrderedDict[object, asyncio.Task[Truth]] = (
            collections.OrderedDict()
        )

    async def of(self, spec: Spec, *, with_state: bool) -> Truth:
        """The truth of a session.

        Args:
            spec: The session; if it has a truth already, that one is used.
            with_state: Whether to capture the state, too.

        Raises:
            InitFailed, ImageMissing, SandboxUnavailable: As any real session.
            Unsupported: The kind has no state that could be captured.
        """
        if not spec.grounding.scripts and not with_state:
            return Truth()
        if spec.truth is not None:
            return await _read(spec.truth, with_state=with_state)
        grounding = dataclasses.replace(spec.grounding, task="")
        key = (spec.kind, spec.options, grounding, with_state)
        known = self._known.get(key)
        if known is None or (known.done() and (known.cancelled() or known.exception())):
            known = self._known[key] = asyncio.create_task(self._find_out(spec, with_state))
            known.add_done_callback(_notice)
            if len(self._known) > _KEPT:
                self._known.popitem(last=False)
        self._known.move_to_end(key)
        return await asyncio.shield(known)

    async def close(self) -> None:
        """Ends what is under way."""
        for task in self._known.values():
            task.cancel()
        await asyncio.gather(*self._known.values(), return_exceptions=True)

    async def _find_out(self, spec: Spec, with_state: bool) -> Truth:
        real = dataclasses.replace(spec, backend="real", backend_options=None)
        grounded = await self._backends.create(real)
        try:
            return await _read(grounded, with_state=with_state)
        finally:
            await grounded.environment.close()


def _notice(task: "asyncio.Task[Truth]") -> None:
    """Whoever waited may be gone, and asyncio complains of errors that nobody looked at."""
    if not task.cancelled():
        task.exception()


async def _read(grounded: Grounded, *, with_state: bool) -> Truth:
    state = ""
    if with_state:
        if not isinstance(grounded.environment, Captures):
            raise Unsupported(
                "this kind's real environments cannot be captured; use another strategy"
            )
        state = await grounded.environment.capture()
    return Truth(tuple(grounded.init_results), state)
