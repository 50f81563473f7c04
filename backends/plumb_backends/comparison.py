"""Plays fixed actions on several real sandboxes and on a simulator, and compares every step."""

import asyncio
import dataclasses
import datetime
import functools
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from plumb_backends import workers
from plumb_backends.environment import Action, Environment, Observation
from plumb_backends.errors import InvalidInput, PlumbError
from plumb_backends.grounding import Grounding
from plumb_backends.kind import Kind
from plumb_backends.registry import Backends, Grounded, Spec, all_kinds
from plumb_backends.simulated.options import BASELINE_PREFIX, ReplayOptions, SimulatorOptions
from plumb_backends.workers import WorkCut
from plumb_fidelity.rules import Rules, remembered
from plumb_fidelity.seen import OF_MODELS, Seen
from plumb_fidelity.verdict import Verdict, backend_failure

DEFAULT_REPLICAS = 3
MOST_REPLICAS = 10
MOST_ACTIONS = 1000

_SMALL = 4096  # characters that are compared at once, in some 2 ms
_LEAST_SECONDS, _MOST_SECONDS = 5.0, 60.0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonWish:
    """What to compare.

    Attributes:
        kind: The kind's name.
        options: The kind's own options; None for its defaults.
        grounding: What makes every side's first state.
        actions: What to type, in order.
        simulated: Who plays the other side.
        replicas: How many real sandboxes there are.

    Raises:
        InvalidInput: A value is out of its range.
    """

    kind: str
    options: object | None
    grounding: Grounding
    actions: Sequence[Action]
    simulated: SimulatorOptions | ReplayOptions
    replicas: int = DEFAULT_REPLICAS

    def __post_init__(self) -> None:
        if not 1 <= self.replicas <= MOST_REPLICAS:
            raise InvalidInput(f"replicas is {self.replicas}; use 1 to {MOST_REPLICAS}")
        if not 1 <= len(self.actions) <= MOST_ACTIONS:
            raise InvalidInput(f"there are {len(self.actions)} actions; give 1 to {MOST_ACTIONS}")
        for action in self.actions:
            all_kinds()[self.kind].part.check(action)


@dataclasses.dataclass(frozen=True, slots=True)
class ComparedStep:
    """One step on both sides; `simulated` is None where that side failed."""

    turn: int
    action: Action
    real: Observation
    simulated: Observation | None
    verdict: Verdict


class Comparison:
    """Both sides, grounded. Made by `open_comparison`."""

    def __init__(
        self,
        wish: ComparisonWish,
        reals: Sequence[Environment],
        simulated: Environment,
        told: str = "",
    ) -> None:
        self._wish = wish
        self._told = told
        self._reals = reals
        self._simulated = simulated
        self._past: list[tuple[str, str]] = []
        self._owner = f"comparison {uuid.uuid4()}"

    async def steps(self) -> AsyncIterator[ComparedStep]:
        """Takes every action on every side, all sides at once, and compares.

        Raises:
            PlumbError: A real side failed; there is nothing to compare with then.
        """
        kind = all_kinds()[self._wish.kind]
        options = self._wish.options or kind.options_type()
        for turn, action in enumerate(self._wish.actions, 1):
            answers = await asyncio.gather(
                self._simulated.step(action),
                *(real.step(action) for real in self._reals),
                return_exceptions=True,
            )
            simulated, real = answers[0], [_observed(answer) for answer in answers[1:]]
            if isinstance(simulated, PlumbError):
                failure = f"{type(simulated).__name__}: {simulated}"
                yield ComparedStep(
                    turn, action, real[0], None, backend_failure("simulated", failure)
                )
                continue
            answer = _observed(simulated)
            verdict = await compared(
                kind,
                options,
                action,
                real,
                answer,
                history=self._past,
                told=self._told,
                seconds=action.timeout,
                owner=self._owner,
            )
            self._past = remembered(self._past, typed(action), answer.text)
            yield ComparedStep(turn, action, real[0], answer, verdict)


def seen_of(observation: Observation) -> Seen:
    """An observation as the differ takes it."""
    source = observation.provenance
    is_recorded = source.backend == "replay"  # where it is is not recorded
    is_model = source.model != "" and not source.model.startswith(BASELINE_PREFIX)
    return Seen(
        text=observation.text,
        exit_code=observation.exit_code,
        errno=observation.sql.errno if observation.sql else None,
        ending=observation.ending.name,
        cwd=observation.shell.cwd if observation.shell and not is_recorded else "",
        endings=OF_MODELS if is_model and not is_recorded else frozenset(),
    )


def typed(action: Action) -> str:
    """An action as the differ takes it."""
    return action.text.decode(errors="replace")


async def compared(
    kind: Kind,
    options: object,
    action: Action,
    real: Sequence[Observation],
    simulated: Observation,
    *,
    history: Sequence[tuple[str, str]],
    seconds: float,
    owner: str,
    told: str = "",
) -> Verdict:
    """Compares one step, in a worker process unless it is small.

    Args:
        kind: What both sides are.
        options: The kind's options.
        action: What was typed.
        real: What the real sides observed; one at least.
        simulated: What the simulated side observed.
        history: The simulated side's turns before.
        seconds: How much of the action's time is left.
        owner: Whose step it is; see `Workers.run`.
        told: What the simulator was told of its world.

    Returns:
        The verdict; UNSCORABLE where there was not time enough to find it.
    """
    seen, answer = [seen_of(one) for one in real], seen_of(simulated)
    judge = functools.partial(
        _judge,
        Rules(kind.part.prompt(options), kind.part.is_table(options)),
        action=typed(action),
        at=datetime.datetime.now(datetime.UTC).replace(tzinfo=None),
        history=history,
        told=told,
    )
    if len(action.text) + len(answer.text) + sum(len(one.text) for one in seen) <= _SMALL:
        return judge(seen, answer)
    within = min(max(seconds, _LEAST_SECONDS), _MOST_SECONDS)
    try:
        return await workers.run(judge, seen, answer, deadline=within, owner=owner)
    except WorkCut as cut:
        return Verdict("UNSCORABLE", ("UNSCORABLE",), (f"the comparison was cut off: {cut}",))


def _judge(
    rules: Rules,
    real: Sequence[Seen],
    simulated: Seen,
    *,
    action: str,
    at: datetime.datetime,
    history: Sequence[tuple[str, str]],
    told: str,
) -> Verdict:
    """Compares one step; a function of its own, so that a worker process can be given it."""
    return rules.truth(real, action=action, at=at, told=told).judge(simulated, history=history)


def _observed(answer: Observation | BaseException) -> Observation:
    if isinstance(answer, BaseException):
        raise answer
    return answer


@asynccontextmanager
async def open_comparison(backends: Backends, wish: ComparisonWish) -> AsyncIterator[Comparison]:
    """Grounds both sides, and removes them at the end.

    Raises:
        PlumbError: One of them could not be made; nothing is left behind.
    """
    made: list[Grounded] = []
    try:
        results = await asyncio.gather(
            *(backends.create(_spec(wish, "real")) for _ in range(wish.replicas)),
            return_exceptions=True,
        )
        made += [result for result in results if isinstance(result, Grounded)]
        for result in results:
            if isinstance(result, BaseException):
                raise result
        simulated = await backends.create(_simulated(wish, made[0]))
        made.append(simulated)
        reals = [one.environment for one in made[:-1]]
        yield Comparison(wish, reals, simulated.environment, simulated.told)
    finally:
        ends = asyncio.gather(*(one.environment.close() for one in made))
        await asyncio.shield(ends)


def _spec(wish: ComparisonWish, backend: str) -> Spec:
    return Spec(
        kind=wish.kind,
        backend=backend,
        session_id=str(uuid.uuid4()),
        grounding=wish.grounding,
        options=wish.options,
    )


def _simulated(wish: ComparisonWish, truth: Grounded) -> Spec:
    is_replay = isinstance(wish.simulated, ReplayOptions)
    spec = _spec(wish, "replay" if is_replay else "simulated")
    scripts = () if is_replay else wish.grounding.scripts
    return dataclasses.replace(
        spec,
        backend_options=wish.simulated,
        grounding=dataclasses.replace(wish.grounding, scripts=scripts),
        truth=truth,
    )
