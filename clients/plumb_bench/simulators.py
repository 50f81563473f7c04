"""Which simulators are measured: recorded ones, models, and baselines."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from plumb_bench.labels import shown
from plumb_bench.lines import BadLine, is_text
from plumb_bench.scenario import Scenario
from plumb_bench.transcript import Transcript, read_transcripts
from plumb_client.requests import RecordedTurn

_FORMS = "transcripts:FILE, model:NAME, baseline:NAME or sqlite"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Simulator:
    """One simulator, a row of the table.

    Attributes:
        label: What it is called in the report; unique within a run.
        model: The model's name, or `baseline:NAME`; empty for recorded ones.
        strategy: How it is prompted; empty for baselines.
        reason: Whether it thinks first.
        critic: Whether a second call criticises it.
        temperature: None for the endpoint's.
        seed: None for none.
        transcripts: What was recorded, by scenario; empty for live ones.
    """

    label: str
    model: str = ""
    strategy: str = ""
    reason: bool = False
    critic: bool = False
    temperature: float | None = None
    seed: int | None = None
    transcripts: "dict[str, Transcript]" = dataclasses.field(default_factory=dict)

    @property
    def is_recorded(self) -> bool:
        """Whether nothing is run: the answers are there."""
        return bool(self.transcripts)

    @property
    def is_model(self) -> bool:
        """Whether a model is asked, which can be taught and probed."""
        return not self.is_recorded and not self.model.startswith("baseline:")

    @property
    def has_state(self) -> bool:
        """Whether it can be asked for its state."""
        return self.is_model or self.model == "baseline:sqlite"

    @property
    def options(self) -> dict[str, str | bool | float | Sequence[RecordedTurn]]:
        """What a session is told of it, without a teacher."""
        asked: dict[str, str | bool | float | Sequence[RecordedTurn]] = {"model": self.model}
        if not self.is_model:
            return asked
        asked |= {"strategy": self.strategy, "reason": self.reason, "critic": self.critic}
        if self.temperature is not None:
            asked["temperature"] = self.temperature
        if self.seed is not None:
            asked["seed"] = self.seed
        return asked

    def plays(self, scenario: Scenario) -> bool:
        """Whether it can be measured with a scenario."""
        if self.is_recorded:
            return scenario.id in self.transcripts
        return scenario.environment == "mysql" if self.model == "baseline:sqlite" else True


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ModelOptions:
    """How models are asked; see `Simulator`."""

    strategies: Sequence[str] = ("grounded",)
    reason: bool = False
    critic: bool = False
    temperature: float | None = None
    seed: int | None = None


def read_simulators(
    specs: Sequence[str], scenarios: Sequence[Scenario], options: ModelOptions
) -> list[Simulator]:
    """Reads what `--simulator` names.

    Files of transcripts whose simulator is the same are one simulator: usually one file a kind.

    Raises:
        BadLine: One cannot be understood, or a transcript does not fit its scenario.
        OSError: A file cannot be read.
    """
    found: dict[str, Simulator] = {}
    for spec in specs:
        if not is_text(spec):  # the command line may hold any bytes
            raise BadLine(f"--simulator {shown(spec)}: this is not UTF-8; expected {_FORMS}")
        for simulator in _read_spec(spec, scenarios, options):
            known = found.get(simulator.label)
            if known is not None and not (known.is_recorded and simulator.is_recorded):
                raise BadLine(
                    f"--simulator {spec}: {simulator.label} is named twice; leave one out"
                )
            found[simulator.label] = _joined(known, simulator, spec) if known else simulator
    if not found:
        raise BadLine(f"no simulator is named; give --simulator {_FORMS}")
    return list(found.values())


def _read_spec(
    spec: str, scenarios: Sequence[Scenario], options: ModelOptions
) -> "list[Simulator]":
    form, _, name = spec.partition(":")
    match form:
        case "transcripts" if name:
            return _recorded(spec, read_transcripts(Path(name), scenarios))
        case "model" if name:
            return [_model(name, strategy, options) for strategy in options.strategies]
        case "baseline" if name:
            return [Simulator(label=name, model=f"baseline:{name}")]
        case "sqlite" if not name:
            return [Simulator(label="sqlite", model="baseline:sqlite")]
    raise BadLine(f"--simulator {spec}: expected {_FORMS}")


def _model(name: str, strategy: str, options: ModelOptions) -> Simulator:
    extra = ("+reason" if options.reason else "") + ("+critic" if options.critic else "")
    return Simulator(
        label=f"{name} {strategy}{extra}",
        model=name,
        strategy=strategy,
        reason=options.reason,
        critic=options.critic,
        temperature=options.temperature,
        seed=options.seed,
    )


def _recorded(spec: str, transcripts: Sequence[Transcript]) -> "list[Simulator]":
    by_label: dict[str, dict[str, Transcript]] = {}
    for one in transcripts:
        known = by_label.setdefault(one.label, {})
        if one.scenario in known:
            raise BadLine(f"--simulator {spec}: {one.label} answers {one.scenario} twice")
        known[one.scenario] = one
    return [Simulator(label=label, transcripts=found) for label, found in by_label.items()]


def _joined(known: Simulator, other: Simulator, spec: str) -> Simulator:
    both = sorted(known.transcripts.keys() & other.transcripts.keys())
    if both:
        raise BadLine(f"--simulator {spec}: {known.label} answers {both[0]} in another file, too")
    return dataclasses.replace(known, transcripts=known.transcripts | other.transcripts)
