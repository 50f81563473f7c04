"""A scripted endpoint over real HTTP, and models that ask it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.model_endpoint import KEY, Endpoint, scripted_endpoint

from plumb_backends.environment import Program, ProgramResult
from plumb_backends.registry import all_kinds
from plumb_backends.simulated.asking import Endpoint as Asked
from plumb_backends.simulated.clock import SessionClock
from plumb_backends.simulated.model import Model
from plumb_backends.simulated.options import SimulatorOptions
from plumb_backends.simulated.prompting import read_strategies
from plumb_backends.simulated.settings import Call, SimulatorSettings
from plumb_backends.simulated.stage import Stage
from plumb_backends.simulated.tools import RunApart
from plumb_backends.simulated.world import World


@pytest.fixture
async def endpoint() -> AsyncIterator[Endpoint]:
    """The endpoint."""
    async with scripted_endpoint() as running:
        yield running


async def _nowhere(_: Program) -> ProgramResult:
    raise AssertionError("no strategy but `tools` runs anything")


class Played:
    """Makes stages on one asked endpoint, and keeps what was counted."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.calls: list[Call] = []
        self._asked: list[Asked] = []

    def settings(self, **settings: Any) -> SimulatorSettings:
        """Settings that reach the endpoint."""
        return SimulatorSettings(
            **{
                "api_key": KEY,
                "base_url": self.endpoint.url,
                "on_call": self.calls.append,
                **settings,
            }
        )

    def asked(self, **settings: Any) -> Asked:
        """An endpoint as the backends see it."""
        asked = Asked(self.settings(**settings))
        self._asked.append(asked)
        return asked

    def stage(
        self,
        kind: str = "shell",
        *,
        on: Asked | None = None,
        world: World | None = None,
        kind_options: object | None = None,
        settings: dict[str, Any] | None = None,
        clock: SessionClock | None = None,
        run_apart: RunApart | None = None,
        **options: Any,
    ) -> Stage:
        """A session that a model plays."""
        simulator = SimulatorOptions(**{"model": "m", "strategy": "naive", **options})
        made = all_kinds()[kind]
        own = kind_options or made.options_type()
        model = Model(
            made,
            own,
            simulator,
            read_strategies()[simulator.strategy],
            world or World(task="the task"),
            on or self.asked(**(settings or {})),
            run_apart or _nowhere,
            clock,
        )
        return Stage(made, own, model)

    async def close(self) -> None:
        for asked in self._asked:
            await asked.close()


@pytest.fixture
async def played(endpoint: Endpoint) -> AsyncIterator[Played]:
    """Stages on the scripted endpoint."""
    made = Played(endpoint)
    yield made
    await made.close()
