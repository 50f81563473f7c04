"""What a session can tell a simulator or a replay."""

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

from plumb_backends.environment import Ending
from plumb_backends.errors import InvalidInput

BASELINE_PREFIX = "baseline:"
DEFAULT_STRATEGY = "grounded"
MAX_TEMPERATURE = 2.0

_NAME = re.compile(r"[a-z0-9_]{1,64}")


@dataclasses.dataclass(frozen=True, slots=True)
class RecordedTurn:
    """What was once observed of an action.

    Attributes:
        action: What was typed.
        text: What was read.
        exit_code: None where it is not known.
        timed_out: Whether it was stopped at its timeout; as `ending` says it.
        errno: None where it is not known.
        cwd: Empty where it is not known.
        ending: How it ended; None where it is not known, and then it ended by itself.
    """

    action: bytes
    text: str
    exit_code: int | None = None
    timed_out: bool = False
    errno: int | None = dataclasses.field(default=None, kw_only=True)
    cwd: str = dataclasses.field(default="", kw_only=True)
    ending: Ending | None = dataclasses.field(default=None, kw_only=True)

    @property
    def facts(self) -> Mapping[str, Any]:
        """What is known beside its text, by the names that a kind's facts have."""
        ending = self.ending or (Ending.TIMED_OUT if self.timed_out else None)
        facts = {
            "exit_code": self.exit_code,
            "errno": self.errno,
            "cwd": self.cwd or None,
            "ending": ending and ending.value,
        }
        return {name: value for name, value in facts.items() if value is not None}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SimulatorOptions:
    """Who plays a session, and how it is prompted.

    Attributes:
        model: The model's name at the endpoint, or `baseline:NAME`.
        strategy: The name of a strategy; see `prompting`. Empty for a baseline.
        reason: Whether the model thinks first.
        critic: Whether a second call criticises each reply.
        temperature: 0 to 2; None for the endpoint's.
        seed: For the endpoint; None for none.
        teacher: What really happened, in order: the simulator's past, whatever it answers itself.

    Raises:
        InvalidInput: A value is out of its range.
    """

    model: str
    strategy: str = DEFAULT_STRATEGY
    reason: bool = False
    critic: bool = False
    temperature: float | None = None
    seed: int | None = None
    teacher: tuple[RecordedTurn, ...] = ()

    def __post_init__(self) -> None:
        if not self.model.strip():
            raise InvalidInput(
                "simulator.model is empty; name a model of the endpoint, for example gpt-4o, "
                f"or {BASELINE_PREFIX}always_empty"
            )
        if self.is_baseline and self.teacher:
            raise InvalidInput(
                f"simulator.teacher is given, and {self.model!r} has no past; leave it out"
            )
        if not self.is_baseline and not _NAME.fullmatch(self.strategy):
            raise InvalidInput(
                f"simulator.strategy is {self.strategy!r}; use naive, few_shot, grounded, "
                "snapshot, ledger, tools or one of the server's own"
            )
        if self.temperature is not None and not 0 <= self.temperature <= MAX_TEMPERATURE:
            raise InvalidInput(
                f"simulator.temperature is {self.temperature:g}; use 0 to {MAX_TEMPERATURE:g}"
            )

    @property
    def is_baseline(self) -> bool:
        """Whether no model is asked."""
        return self.model.startswith(BASELINE_PREFIX)

    @property
    def label(self) -> str:
        """The strategy as the provenance has it: `grounded+reason+critic`."""
        return (
            self.strategy + ("+reason" if self.reason else "") + ("+critic" if self.critic else "")
        )


@dataclasses.dataclass(frozen=True, slots=True)
class ReplayOptions:
    """What is replayed.

    Attributes:
        recordings: Episodes, each its turns in order.
        model: Who made them, for the provenance.
        strategy: With which strategy.

    Raises:
        InvalidInput: There is nothing to replay, or two recordings differ on the same turn.
    """

    recordings: tuple[tuple[RecordedTurn, ...], ...]
    model: str = ""
    strategy: str = ""

    def __post_init__(self) -> None:
        if not any(self.recordings):
            raise InvalidInput("replay.recordings has no turns; give at least one")
        known: dict[tuple[bytes, ...], RecordedTurn] = {}
        for number, recording in enumerate(self.recordings, 1):
            for index, turn in enumerate(recording):
                place = tuple(earlier.action for earlier in recording[: index + 1])
                if known.setdefault(place, turn) != turn:
                    raise InvalidInput(
                        f"replay.recordings: recording {number} answers its turn {index + 1} "
                        "otherwise than a recording with the same actions before it; "
                        "leave one of the two out"
                    )
