"""The backend `simulated`: who plays a session, and what they are told of its world."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from plumb_backends.errors import InvalidInput
from plumb_backends.grounding import GeneratedGrounding, Grounding, GroundingWish
from plumb_backends.kind import Kind
from plumb_backends.registry import Backend, Backends, Grounded, Spec, all_kinds
from plumb_backends.simulated.asking import Endpoint
from plumb_backends.simulated.baselines import Baseline
from plumb_backends.simulated.examples import command_examples, examples
from plumb_backends.simulated.generation import Generator
from plumb_backends.simulated.model import Model
from plumb_backends.simulated.options import BASELINE_PREFIX, SimulatorOptions
from plumb_backends.simulated.prompting import choose_strategy, read_strategies
from plumb_backends.simulated.settings import SimulatorSettings
from plumb_backends.simulated.sqlite import Sqlite
from plumb_backends.simulated.stage import Actor, Stage
from plumb_backends.simulated.truth import Truth, Truths
from plumb_backends.simulated.world import World
from plumb_backends.snapshot import render

_BASELINES = {"shell": ("always_empty", "always_error"),
              "mysql": ("always_empty", "always_error", "sqlite")}  # fmt: skip


class SimulatorProvider:
    """Makes simulated sessions of any kind."""

    def __init__(self, settings: SimulatorSettings, backends: Backends) -> None:
        self._settings = settings
        self._endpoint = Endpoint(settings)
        self._backends = backends
        self._truths = Truths(backends)
        self._strategies = read_strategies(settings.strategies)

    async def open(self) -> None:
        """Reads what it was given.

        Raises:
            BadCassette: The cassette is broken.
        """
        await self._endpoint.open()

    async def create(self, spec: Spec) -> Grounded:
        """Makes a session; see `Provider.create`."""
        if not isinstance(spec.backend_options, SimulatorOptions):
            raise InvalidInput(
                f"backend {spec.backend!r} needs the option simulator; say at least its model"
            )
        kind = all_kinds()[spec.kind]
        options = spec.options or kind.options_type()
        make = self._baseline if spec.backend_options.is_baseline else self._model
        actor, truth, told = await make(kind, options, spec, spec.backend_options)
        return Grounded(Stage(kind, options, actor), truth.init_results, told)

    async def generate(self, wish: GroundingWish) -> GeneratedGrounding:
        """Writes a grounding; see `Generates.generate`."""
        self._endpoint.check_configured()
        self._check_priced(wish.model)
        return await Generator(wish, self._backends, self._truths, self._endpoint).generate()

    async def _model(
        self, kind: Kind, options: Any, spec: Spec, simulator: SimulatorOptions
    ) -> tuple[Actor, Truth, str]:
        self._endpoint.check_configured()
        self._check_priced(simulator.model)
        strategy = choose_strategy(self._strategies, simulator.strategy)
        truth = await self._truth(spec, strategy.fields)
        scripts = spec.grounding.scripts
        is_alike = kind.part.reads_like_recordings(options)
        world = World(
            task=spec.grounding.task,
            examples=examples(kind.name, but_not=scripts) if is_alike else (),
            command_examples=command_examples(kind.name, but_not=scripts) if is_alike else (),
            scripts=scripts,
            card=truth.card,
            state=render(truth.state) if truth.state else "",
        )
        actor = Model(
            kind, options, simulator, strategy, world, self._endpoint, self._backends.run_apart
        )
        return actor, truth, _told(world, strategy.fields)

    async def _baseline(
        self, kind: Kind, options: Any, spec: Spec, simulator: SimulatorOptions
    ) -> tuple[Actor, Truth, str]:
        name = simulator.model.removeprefix(BASELINE_PREFIX)
        known = _BASELINES.get(kind.name, ())
        if name not in known:
            raise InvalidInput(
                f"kind {kind.name!r} has no baseline {name!r}; use one of: {', '.join(known)}"
            )
        truth = await self._truth(spec, frozenset())
        if name == "sqlite":
            return await _sqlite(options, spec.grounding), truth, ""
        return Baseline(name, kind.name, options), truth, ""

    async def _truth(self, spec: Spec, told: frozenset[str]) -> Truth:
        if self._settings.ground_for_real:
            return await self._truths.of(spec, with_card="card" in told, with_state="state" in told)
        if "state" in told:
            raise InvalidInput(
                "simulator.strategy needs what the init scripts really left, and this server runs "
                "none for simulators (PLUMB_SIMULATOR_GROUND_FOR_REAL=0); use 'grounded'"
            )
        return Truth()

    def _check_priced(self, model: str) -> None:
        for owner, budget in (
            ("SESSION", self._settings.session_budget),
            ("SERVER", self._settings.server_budget),
        ):
            if budget.usd and model not in self._settings.prices:
                raise InvalidInput(
                    f"simulator.model is {model!r}, whose price is not known, and there is a "
                    f"budget of money (PLUMB_SIMULATOR_{owner}_USD); "
                    "add the model to PLUMB_SIMULATOR_PRICES"
                )

    async def check(self) -> None:
        """Asks whether the endpoint answers, if one is configured; see `Provider.check`."""
        await self._endpoint.check_health()

    async def sweep(self) -> int:
        """Leaves nothing behind: its real sandboxes are the real backends'."""
        return 0

    async def close(self) -> None:
        """Ends what is under way."""
        await self._truths.close()
        await self._endpoint.close()


@asynccontextmanager
async def _open(
    settings: SimulatorSettings, backends: Backends
) -> AsyncIterator[SimulatorProvider]:
    provider = SimulatorProvider(settings, backends)
    try:
        await provider.open()
        yield provider
    finally:
        await provider.close()


def _told(world: World, fields: frozenset[str]) -> str:
    """What a strategy tells of the world, for a differ to look into."""
    texts = {"scripts": "\n".join(world.scripts), "card": world.card, "state": world.state}
    return "\n".join(text for name, text in texts.items() if name in fields and text)


async def _sqlite(options: Any, grounding: Grounding) -> Sqlite:
    sqlite = Sqlite(options, grounding.scripts, script_seconds=grounding.timeout)
    try:
        await sqlite.restart()
    except BaseException:
        await sqlite.close()
        raise
    return sqlite


BACKENDS = tuple(
    Backend(kind=kind, name="simulated", open=_open, settings_type=SimulatorSettings)
    for kind in all_kinds()
)
