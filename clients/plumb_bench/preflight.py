"""Asks the server whether a plan can be run at all, before anything of it is."""

import dataclasses
from collections.abc import Iterator

from plumb_bench.labels import shown
from plumb_bench.lines import BadLine
from plumb_bench.runner import Plan
from plumb_bench.scenario import Scenario
from plumb_bench.simulators import Simulator
from plumb_bench.trajectory import REAL
from plumb_client import aio
from plumb_client.errors import InvalidInput, LimitReached, ModelFailed, NotRecorded, Unsupported

_FOR_GOOD = ("MODEL_UNKNOWN", "MODEL_UNAUTHORIZED")
"""Why a model failed that will fail at every step."""


@dataclasses.dataclass(frozen=True, slots=True)
class _Trial:
    simulator: Simulator
    scenario: Scenario  # the first of its kind that the simulator plays
    takes_step: bool


async def check_plan(plumb: aio.Plumb, plan: Plan) -> None:
    """Tries every kind with every live simulator, and one step of every model.

    Raises:
        BadLine: The server lacks a kind, a strategy, a baseline or a model.
        PlumbError: It cannot be asked.
    """
    kinds = {kind.name: kind for kind in await plumb.kinds()}
    real = sorted(
        name for name, kind in kinds.items() if REAL in {one.name for one in kind.backends}
    )
    for scenario in plan.scenarios:
        if scenario.environment not in real:
            raise BadLine(
                f"scenario {shown(scenario.id)!r}: environment is "
                f"{shown(scenario.environment)!r}; use one of: {', '.join(real)}"
            )
    for trial in _trials(plan):
        await _try(plumb, trial, plan.timeout)


def _trials(plan: Plan) -> Iterator[_Trial]:
    asked: set[str] = set()
    for simulator in plan.simulators:
        if simulator.is_recorded:
            continue
        kinds: set[str] = set()
        for scenario in filter(simulator.plays, plan.scenarios):
            if scenario.environment in kinds:
                continue
            kinds.add(scenario.environment)
            takes_step = simulator.is_model and simulator.model not in asked
            asked.add(simulator.model)
            yield _Trial(simulator, scenario, takes_step)


async def _try(plumb: aio.Plumb, trial: _Trial, timeout: float) -> None:
    kind, label = trial.scenario.environment, shown(trial.simulator.label)
    options = trial.simulator.options
    try:
        async with plumb.session(kind, "simulated", simulator=options) as session:
            if trial.takes_step:
                await session.step(trial.scenario.actions[0], timeout=timeout)
    except (InvalidInput, Unsupported) as error:
        raise BadLine(f"--simulator {label}: {error}") from None
    except ModelFailed as error:
        if error.reason in _FOR_GOOD:
            raise BadLine(f"--simulator {label}: {error}") from None
    except (NotRecorded, LimitReached):
        return  # a cassette that plays other steps, or a budget: the run tells
