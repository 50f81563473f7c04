"""Paired: a real and a simulated environment take every step, and are compared.

Each side has a history of its own: what one side says never reaches the other. Both take a step at
the same time, so it takes as long as the slower one. The agent sees the side that was chosen; a
step whose shown side fails as a backend is an error that names it, a step whose other side fails is
an observation whose verdict says so.
"""

import asyncio
import dataclasses
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from plumb_backends.comparison import MOST_REPLICAS, compared, typed
from plumb_backends.environment import (
    Action,
    Environment,
    Executes,
    Interruptible,
    Observation,
    OutputSink,
    ProbeResult,
    Program,
    ProgramResult,
)
from plumb_backends.errors import InvalidInput, PlumbError, SandboxUnavailable
from plumb_backends.kind import Kind
from plumb_backends.registry import Backend, Backends, Grounded, Spec, all_kinds
from plumb_backends.replicas import Replicas, in_time
from plumb_backends.simulated.options import ReplayOptions, SimulatorOptions
from plumb_fidelity.rules import remembered
from plumb_fidelity.verdict import backend_failure

REAL, SIMULATED = "real", "simulated"


@dataclasses.dataclass(frozen=True, slots=True)
class PairedOptions:
    """What a paired session can be told.

    Attributes:
        simulated: Who plays the simulated side: a simulator, or a recording.
        observe: Whose observations the agent sees: `real` or `simulated`.
        replicas: How many real sandboxes there are: one, and more beside it for the comparison.

    Raises:
        InvalidInput: There is no such side, or the number is out of its range.
    """

    simulated: SimulatorOptions | ReplayOptions
    observe: str = REAL
    replicas: int = 1

    def __post_init__(self) -> None:
        if self.observe not in (REAL, SIMULATED):
            raise InvalidInput(f"observe is {self.observe!r}; use {REAL!r} or {SIMULATED!r}")
        if not 1 <= self.replicas <= MOST_REPLICAS:
            raise InvalidInput(f"replicas is {self.replicas}; use 1 to {MOST_REPLICAS}")


@dataclasses.dataclass(frozen=True, slots=True)
class PairedSettings:
    """There is nothing to set about pairs."""


class Paired:
    """One session on both sides.

    Args:
        kind: What both are.
        options: The kind's options.
        real: The real side.
        simulated: The other one.
        observe: Which one the agent sees.
        told: What the simulated side was told of the world.
        replicas: More real sandboxes, for the comparison.
    """

    def __init__(
        self,
        kind: Kind,
        options: Any,
        real: Environment,
        simulated: Environment,
        observe: str,
        *,
        told: str = "",
        replicas: Sequence[Environment] = (),
    ) -> None:
        self._kind = kind
        self._options = options
        self._told = told
        self._replicas = Replicas(replicas)
        self._sides = {REAL: real, SIMULATED: simulated}
        self._shown = observe
        self._other = SIMULATED if observe == REAL else REAL
        self._turn = 0
        self._missed: list[int] = []  # turns that one side took, and the other did not
        self._past: list[tuple[str, str]] = []  # the simulated side's, for what it contradicts

    async def step(self, action: Action, *, on_output: OutputSink | None = None) -> Observation:
        """Takes a step on both sides; see `Environment.step`."""
        self._kind.part.check(action)  # before either side does anything
        self._turn += 1
        started = asyncio.get_running_loop().time()
        beside = self._replicas.begin(action)
        shown, other = await asyncio.gather(
            self._sides[self._shown].step(action, on_output=on_output),
            self._sides[self._other].step(action),
            return_exceptions=True,
        )
        for answer in (shown, other):
            if isinstance(answer, BaseException) and not isinstance(answer, PlumbError):
                raise answer
        if isinstance(shown, BaseException) != isinstance(other, BaseException):
            self._missed.append(self._turn)
        if isinstance(shown, PlumbError):
            raise _of_side(shown, self._shown)
        assert isinstance(shown, Observation)  # noqa: S101 - all else is raised above
        if isinstance(other, PlumbError):
            failure = backend_failure(self._other, f"{type(other).__name__}: {other}")
            return dataclasses.replace(shown, verdict=failure)
        assert isinstance(other, Observation)  # noqa: S101 - see above
        spent = asyncio.get_running_loop().time() - started
        more = await in_time(beside, spent)
        return await self._compared(action, shown, other, more, action.timeout - spent)

    async def _compared(
        self,
        action: Action,
        shown: Observation,
        other: Observation,
        more: Sequence[Observation],
        seconds: float,
    ) -> Observation:
        real, simulated = (shown, other) if self._shown == REAL else (other, shown)
        verdict = await compared(
            self._kind,
            self._options,
            action,
            [real, *more],
            simulated,
            history=self._past,
            told=self._told,
            seconds=seconds,
            owner=f"pair {id(self)}",
        )
        self._past = remembered(self._past, typed(action), simulated.text)
        if len(more) < len(self._replicas):
            note = f"{1 + len(more)} of {1 + len(self._replicas)} real runs were there in time"
            verdict = dataclasses.replace(verdict, evidence=(*verdict.evidence, note))
        if self._missed:
            turns = ", ".join(map(str, self._missed))
            note = f"one side took no part in turn {turns} of this pair, and may have parted there"
            verdict = dataclasses.replace(verdict, evidence=(*verdict.evidence, note))
        return dataclasses.replace(shown, verdict=verdict, counterpart=other)

    async def reset(self) -> None:
        """Goes back to the grounded state on both sides; see `Environment.reset`."""
        sides = (side.reset() for side in self._sides.values())
        await asyncio.gather(*sides, self._replicas.reset())
        self._turn = 0
        self._missed.clear()
        self._past = []

    async def probe(self, suite: str) -> ProbeResult:
        """Asks the side that the agent sees; see `Environment.probe`."""
        return await self._sides[self._shown].probe(suite)

    async def close(self) -> None:
        """Ends both sides. Never raises; may be called again."""
        sides = (side.close() for side in self._sides.values())
        await asyncio.gather(*sides, self._replicas.close())

    def interrupt(self) -> bool:
        """Asks for the real side's action to be stopped; a simulated one takes no time."""
        real = self._sides[REAL]
        self._replicas.interrupt()
        return isinstance(real, Interruptible) and real.interrupt()


class PairedExecuting(Paired):
    """One whose real side runs programs, too."""

    async def execute(self, program: Program) -> ProgramResult:
        """Runs one program beside the real side; see `Executes.execute`."""
        real = self._sides[REAL]
        if not isinstance(real, Executes):
            raise SandboxUnavailable("the real side is gone; reset the session")
        return await real.execute(program)


def _of_side(error: PlumbError, side: str) -> PlumbError:
    """The error, saying which side it is of."""
    error.metadata["side"] = side
    error.args = (f"the {side} side failed: {error}",)
    return error


class PairedProvider:
    """Makes pairs of any kind."""

    def __init__(self, backends: Backends) -> None:
        self._backends = backends

    async def create(self, spec: Spec) -> Grounded:
        """Makes both sides, grounded in the same way; see `Provider.create`."""
        pair = spec.backend_options
        if not isinstance(pair, PairedOptions):
            raise InvalidInput(
                "backend 'paired' needs a simulated side; give the option simulator, or replay"
            )
        kind = all_kinds()[spec.kind]
        options = spec.options or kind.options_type()
        reals = await self._reals(spec, pair.replicas)
        real, *beside = reals
        try:
            simulated = await self._backends.create(_simulated(spec, pair, real))
        except BaseException:
            await asyncio.shield(_closed(reals))
            raise
        sides = real.environment, simulated.environment
        make = PairedExecuting if isinstance(real.environment, Executes) else Paired
        made = make(
            kind,
            options,
            *sides,
            pair.observe,
            told=simulated.told,
            replicas=[one.environment for one in beside],
        )
        return Grounded(made, real.init_results)

    async def _reals(self, spec: Spec, count: int) -> list[Grounded]:
        """Makes the real side, and replicas of it; all or none."""
        first = dataclasses.replace(spec, backend="real", backend_options=None)
        specs = [first]
        for _ in range(count - 1):
            specs.append(dataclasses.replace(first, session_id=str(uuid.uuid4())))
        creations = [asyncio.create_task(self._backends.create(one)) for one in specs]
        try:
            return await asyncio.gather(*creations)
        except BaseException:
            for creation in creations:
                creation.cancel()
            ended = await asyncio.gather(*creations, return_exceptions=True)
            await asyncio.shield(_closed([one for one in ended if isinstance(one, Grounded)]))
            raise

    async def check(self) -> None:
        """Stands on the other backends, which are asked themselves."""

    async def sweep(self) -> int:
        """Leaves nothing of its own."""
        return 0


async def _closed(made: Sequence[Grounded]) -> None:
    await asyncio.gather(*(one.environment.close() for one in made))


def _simulated(spec: Spec, pair: PairedOptions, real: Grounded) -> Spec:
    is_replay = isinstance(pair.simulated, ReplayOptions)
    grounding = dataclasses.replace(spec.grounding, scripts=()) if is_replay else spec.grounding
    return dataclasses.replace(
        spec,
        backend="replay" if is_replay else "simulated",
        backend_options=pair.simulated,
        grounding=grounding,
        truth=real,
    )


@asynccontextmanager
async def _open(_: PairedSettings, backends: Backends) -> AsyncIterator[PairedProvider]:
    yield PairedProvider(backends)


BACKENDS = tuple(
    Backend(
        kind=kind,
        name="paired",
        open=_open,
        settings_type=PairedSettings,
        can_exec=kind == "shell",
        can_interrupt=True,
    )
    for kind in all_kinds()
)
