"""The truth behind a simulated session: its init scripts, run for real, and what they left.

A simulator cannot know whether its scripts work, or what they leave. So they are run in a real
sandbox first, which fails as any session's creation does, and is thrown away. Sessions with the
same grounding share one run. Where the state is told, two sandboxes are captured: what they differ
in (a random number, a time) is marked, for no simulator can know it.
"""

import asyncio
import collections
import dataclasses
from collections.abc import Sequence

from plumb_backends.environment import Captures, ProgramResult
from plumb_backends.errors import Unsupported
from plumb_backends.registry import Backends, Grounded, Spec
from plumb_backends.snapshot import Snapshot, common

_KEPT = 256
"""How many groundings are remembered."""


@dataclasses.dataclass(frozen=True, slots=True)
class Truth:
    """What came of running init scripts.

    Attributes:
        init_results: What each script did.
        card: What was there before them; empty where nobody asked.
        state: What they left; None where nobody asked.
    """

    init_results: Sequence[ProgramResult] = ()
    card: str = ""
    state: Snapshot | None = None


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

    async def of(self, spec: Spec, *, with_card: bool, with_state: bool) -> Truth:
        """The truth of a session.

        Args:
            spec: The session; if it has a truth already, that one is used, and its state is told
                as it is.
            with_card: Whether to write the image card, too.
            with_state: Whether to capture the state, too.

        Raises:
            InitFailed, ImageMissing, SandboxUnavailable: As any real session.
            Unsupported: The kind has no state that could be captured.
        """
        if not (spec.grounding.scripts or with_card or with_state):
            return Truth()
        if spec.truth is not None:
            return await _read(spec.truth, with_card=with_card, with_state=with_state)
        grounding = dataclasses.replace(spec.grounding, task="")
        key = (spec.kind, spec.options, grounding, with_card, with_state)
        known = self._known.get(key)
        if known is None or (known.done() and (known.cancelled() or known.exception())):
            finding = self._find_out(spec, with_card=with_card, with_state=with_state)
            known = self._known[key] = asyncio.create_task(finding)
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

    async def _find_out(self, spec: Spec, *, with_card: bool, with_state: bool) -> Truth:
        first = self._one(spec, with_card=with_card, with_state=with_state)
        if not with_state:
            return await first
        # Both are waited for, also when one fails: neither leaves a sandbox behind.
        left, right = await asyncio.gather(
            first,
            self._one(spec, with_card=False, with_state=True),
            return_exceptions=True,
        )
        for one in (left, right):
            if isinstance(one, BaseException):
                raise one
        assert isinstance(left, Truth)  # noqa: S101 - all else is raised above
        assert isinstance(right, Truth)  # noqa: S101 - see above
        if left.state is None or right.state is None:
            return left
        return dataclasses.replace(left, state=common(left.state, right.state))

    async def _one(self, spec: Spec, *, with_card: bool, with_state: bool) -> Truth:
        real = dataclasses.replace(spec, backend="real", backend_options=None)
        grounded = await self._backends.create(real)
        try:
            return await _read(grounded, with_card=with_card, with_state=with_state)
        finally:
            await grounded.environment.close()


def _notice(task: "asyncio.Task[Truth]") -> None:
    """Whoever waited may be gone, and asyncio complains of errors that nobody looked at."""
    if not task.cancelled():
        task.exception()


async def _read(grounded: Grounded, *, with_card: bool, with_state: bool) -> Truth:
    truth = Truth(tuple(grounded.init_results))
    if not (with_card or with_state):
        return truth
    if not isinstance(grounded.environment, Captures):
        raise Unsupported("this kind's real environments cannot be captured; use 'few_shot'")
    return dataclasses.replace(
        truth,
        card=await grounded.environment.card() if with_card else "",
        state=await grounded.environment.capture() if with_state else None,
    )
