"""Pairs: both sides take every step at once, apart from each other; one is shown."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from plumb_backends.environment import (
    Action,
    Ending,
    Observation,
    OutputSink,
    ProbeResult,
    Program,
    ProgramResult,
    Provenance,
)
from plumb_backends.errors import (
    InvalidInput,
    ModelRefused,
    PlumbError,
    SandboxUnavailable,
)
from plumb_backends.kinds.shell import ShellOptions
from plumb_backends.paired import Paired, PairedExecuting, PairedOptions
from plumb_backends.registry import all_kinds
from plumb_backends.simulated.options import SimulatorOptions


class Side:
    """One side: says what it is told to, and remembers all that it was given."""

    def __init__(self, name: str, *texts: str | PlumbError) -> None:
        self.name = name
        self.texts = list(texts)
        self.given: list[bytes] = []
        self.resets = self.closes = 0
        self.entered = asyncio.Event()
        self.gate: asyncio.Event | None = None
        self.interrupted = False

    async def step(self, action: Action, *, on_output: OutputSink | None = None) -> Observation:
        self.given.append(action.text)
        self.entered.set()
        if self.gate is not None:
            await self.gate.wait()
        said = self.texts.pop(0) if self.texts else "same"
        if isinstance(said, PlumbError):
            raise said
        if on_output is not None:
            on_output(said.encode())
        return Observation(text=said, ending=Ending.EXITED, exit_code=0,
                           provenance=Provenance(backend=self.name))  # fmt: skip

    async def reset(self) -> None:
        self.resets += 1

    async def probe(self, suite: str) -> ProbeResult:
        return ProbeResult(suite, {"side": self.name})

    async def close(self) -> None:
        self.closes += 1

    def interrupt(self) -> bool:
        self.interrupted = True
        return True

    async def execute(self, program: Program) -> ProgramResult:
        return ProgramResult(stdout=self.name.encode(), stderr=b"", exit_code=0)


def pair(
    real: Side,
    simulated: Side,
    observe: str = "real",
    make: Any = Paired,
    replicas: Sequence[Side] = (),
) -> Any:
    kind = all_kinds()["shell"]
    return make(kind, ShellOptions(), real, simulated, observe, replicas=replicas)


async def test_both_sides_get_every_action_and_only_the_chosen_side_is_shown() -> None:
    for shown in ("real", "simulated"):
        real, simulated = Side("real", "r"), Side("simulated", "s")
        pieces: list[bytes] = []
        seen = await pair(real, simulated, shown).step(Action(b"x"), on_output=pieces.append)
        assert real.given == simulated.given == [b"x"]
        other = {"real": "simulated", "simulated": "real"}[shown]
        assert (seen.text, seen.provenance.backend) == (shown[0], shown)
        assert pieces == [shown[0].encode()]
        assert seen.counterpart is not None
        assert (seen.counterpart.text, seen.counterpart.provenance.backend) == (other[0], other)
        assert seen.verdict is not None
        assert seen.verdict.verdict == "WRONG_VALUE"
        assert seen.verdict.evidence == ("real: r; simulated: s ('s' instead of 'r')",)


async def test_the_sides_run_at_once() -> None:
    real, simulated = Side("real"), Side("simulated")
    real.gate, simulated.gate = simulated.entered, real.entered  # each waits for the other
    seen = await asyncio.wait_for(pair(real, simulated).step(Action(b"x")), 10)
    assert seen.verdict is not None
    assert seen.verdict.verdict == "AGREES"


async def test_what_one_side_says_never_reaches_the_other() -> None:
    real, simulated = Side("real", "secret r"), Side("simulated", "secret s")
    paired = pair(real, simulated)
    await paired.step(Action(b"one"))
    await paired.step(Action(b"two"))
    assert real.given == simulated.given == [b"one", b"two"]


@pytest.mark.parametrize("side", ["real", "simulated"])
async def test_when_the_shown_side_fails_the_error_says_which(side: str) -> None:
    sides = {name: Side(name) for name in ("real", "simulated")}
    sides[side].texts = [ModelRefused("no; use another")]
    with pytest.raises(ModelRefused, match=f"the {side} side failed: no") as caught:
        await pair(sides["real"], sides["simulated"], side).step(Action(b"x"))
    assert caught.value.metadata["side"] == side


@pytest.mark.parametrize("side", ["real", "simulated"])
async def test_when_the_other_side_fails_the_step_is_shown_and_the_verdict_says_which(
    side: str,
) -> None:
    shown = {"real": "simulated", "simulated": "real"}[side]
    sides = {name: Side(name) for name in ("real", "simulated")}
    sides[side].texts = [SandboxUnavailable("it is gone")]
    paired = pair(sides["real"], sides["simulated"], shown)
    seen = await paired.step(Action(b"x"))
    assert seen.text == "same"
    assert seen.counterpart is None
    assert seen.verdict is not None
    assert seen.verdict.verdict == "BACKEND_FAILURE"
    assert seen.verdict.evidence == (f"{side}: SandboxUnavailable: it is gone",)
    later = await paired.step(Action(b"y"))
    assert later.verdict is not None
    assert "one side took no part in turn 1" in later.verdict.evidence[-1]
    await paired.reset()
    fresh = await paired.step(Action(b"z"))
    assert fresh.verdict is not None
    assert fresh.verdict.evidence == ()


async def test_what_cannot_be_typed_reaches_neither_side() -> None:
    real, simulated = Side("real"), Side("simulated")
    with pytest.raises(InvalidInput):
        await pair(real, simulated).step(Action(b"\x03"))
    assert real.given == simulated.given == []


async def test_a_fault_of_plumb_s_own_is_raised_once_both_sides_have_ended() -> None:
    class Faulty(Side):
        async def step(self, action: Action, *, on_output: OutputSink | None = None) -> Observation:
            raise RuntimeError("a fault")

    real = Side("real")
    with pytest.raises(RuntimeError, match="a fault"):
        await pair(real, Faulty("simulated")).step(Action(b"x"))
    assert real.given == [b"x"]


async def test_a_reset_and_a_close_reach_both() -> None:
    real, simulated = Side("real"), Side("simulated")
    paired = pair(real, simulated)
    await paired.reset()
    await paired.close()
    assert [side.resets for side in (real, simulated)] == [1, 1]
    assert [side.closes for side in (real, simulated)] == [1, 1]


async def test_a_probe_asks_the_shown_side_and_programs_run_on_the_real_one() -> None:
    real, simulated = Side("real"), Side("simulated")
    paired = pair(real, simulated, "simulated", PairedExecuting)
    assert (await paired.probe("cwd")).facts == {"side": "simulated"}
    assert (await paired.execute(Program(["x"]))).stdout == b"real"
    assert paired.interrupt() is True
    assert (real.interrupted, simulated.interrupted) == (True, False)


def test_an_unknown_side_is_refused_with_those_there_are() -> None:
    with pytest.raises(InvalidInput, match="observe is 'both'; use 'real' or 'simulated'"):
        PairedOptions(SimulatorOptions(model="m"), observe="both")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"model": " "}, "simulator.model is empty; name a model"),
        ({"model": "m", "strategy": "a b"}, "simulator.strategy is 'a b'; use naive"),
        ({"model": "m", "temperature": 3.0}, "simulator.temperature is 3; use 0 to 2"),
    ],
)
def test_bad_simulator_options_are_refused_with_the_mend(
    options: dict[str, Any], says: str
) -> None:
    with pytest.raises(InvalidInput, match=says):
        SimulatorOptions(**options)


async def test_replicas_tell_what_is_volatile_and_are_never_shown() -> None:
    real, simulated = Side("real", "a 1 of many words"), Side("simulated", "a 7 of many words")
    beside = [Side("real", "a 2 of many words"), Side("real", "a 3 of many words")]
    seen = await pair(real, simulated, replicas=beside).step(Action(b"x"))
    assert seen.text == "a 1 of many words"
    assert seen.verdict is not None
    assert seen.verdict.verdict == "VOLATILE_ONLY"
    assert [one.given for one in beside] == [[b"x"], [b"x"]]


async def test_a_replica_that_hangs_is_not_waited_for_and_takes_its_steps_in_order() -> None:
    late = Side("real", "same", "same")
    late.gate = asyncio.Event()
    paired = pair(Side("real"), Side("simulated"), replicas=[late])
    first = await paired.step(Action(b"one"))
    assert first.verdict is not None
    assert first.verdict.verdict == "AGREES"
    assert first.verdict.evidence == ("1 of 2 real runs were there in time",)
    await paired.step(Action(b"two"))
    assert late.given == [b"one"]
    late.gate.set()
    await asyncio.sleep(0)
    third = await paired.step(Action(b"three"))
    assert third.text == "same"
    await paired.reset()
    assert late.given[:2] == [b"one", b"two"]
    assert late.resets == 1


async def test_a_replica_that_fails_is_left_out_until_the_reset() -> None:
    broken = Side("real", SandboxUnavailable("it is gone"))
    paired = pair(Side("real"), Side("simulated"), replicas=[broken])
    for action in (b"one", b"two"):
        seen = await paired.step(Action(action))
        assert seen.verdict is not None
        assert seen.verdict.verdict == "AGREES"
    assert broken.given == [b"one"]
    await paired.reset()
    seen = await paired.step(Action(b"three"))
    assert broken.given == [b"one", b"three"]
    assert seen.verdict is not None
    assert not seen.verdict.evidence


async def test_replicas_end_with_the_pair_and_are_interrupted_with_it() -> None:
    beside = Side("real")
    beside.gate = asyncio.Event()
    paired = pair(Side("real"), Side("simulated"), replicas=[beside])
    await paired.step(Action(b"sleep"))
    assert paired.interrupt()
    assert beside.interrupted
    await paired.close()
    assert beside.closes == 1


@pytest.mark.parametrize("count", [0, -1, 11])
def test_a_number_of_replicas_has_its_range(count: int) -> None:
    with pytest.raises(InvalidInput, match=f"replicas is {count}; use 1 to 10"):
        PairedOptions(SimulatorOptions(model="baseline:always_empty"), replicas=count)
